"""Error messages in the words of the command line: options in place of Python's parameters."""

from __future__ import annotations

import re

from embedpipe.errors import EmbedPipeError, GenerationError, RerankError

_IN_WORDS = (
    (re.compile(r"api_key= and the environment variable (\w+) are empty"), r"the environment variable \1 is empty"),
    (re.compile(r"api_key= or (\w+_KEY)"), r"\1"),
    (re.compile(r"(Set \w+_KEY),? or pass api_key="), r"\1"),
    (re.compile(r"\bquery_prompt\b=?"), "--query-prompt"),
    (re.compile(r"\bdocument_prompt\b=?"), "--document-prompt"),
)
_URL = re.compile(r"\bbase_url\b=?")


def by_option(message: str, *, url: str) -> str:
    """Return the message with the names of options, where `url` is the one for an address."""
    for pattern, option in _IN_WORDS:
        message = pattern.sub(option, message)
    return _URL.sub(url, message)


def told(error: EmbedPipeError) -> str:
    """Return the error's message as the command line prints it."""
    url = {RerankError: "--rerank-url", GenerationError: "--llm-url"}.get(type(error), "--model-url")
    return by_option(str(error), url=url)
