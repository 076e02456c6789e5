"""Checks of texts before anything is done with them."""

from __future__ import annotations

from collections.abc import Sequence

from embedpipe.errors import InputError, TokenLimitError
from embedpipe.text.token_counters import token_counter


def fault(text: object) -> str | None:
    """What keeps the text from being embedded, as "expected ..., came ...; do ..."; None where nothing does."""
    if not isinstance(text, str):
        return f"a text (str) was expected, and {type(text).__name__} came; convert it to text first"
    if not text or text.isspace():
        came = "white space alone" if text else "an empty text"
        return f"a text with at least one visible character was expected, and {came} came; leave it out"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"valid Unicode was expected, and a lone surrogate came at character {error.start}; "
            "clean it with embedpipe.text.clean_text, or decode its source again"
        )
    return None


def _plain(text: object) -> bool:
    """Whether the text is without a fault at first sight, which nearly all are."""
    return type(text) is str and text.isascii() and not text.isspace() and text != ""


def faults(texts: Sequence[object]) -> dict[int, InputError]:
    """An `InputError` for each text that cannot be embedded, by its position."""
    if all(map(_plain, texts)):
        return {}
    found = ((position, fault(text)) for position, text in enumerate(texts))
    return {position: InputError(f"At position {position}: {reason}.") for position, reason in found if reason}


def validate_input(text: str, *, model: str = "text-embedding-3-small", max_tokens: int = 8191) -> int:
    """The text's number of tokens in `model`, once it is sure that it can be embedded.

    `InputError` for what is no text, empty, white space alone or not valid Unicode; `TokenLimitError` for more than
    `max_tokens`.
    """
    if reason := fault(text):
        raise InputError(f"{reason[0].upper()}{reason[1:]}.")
    tokens = token_counter(model).count(text)
    if tokens > max_tokens:
        raise TokenLimitError(
            f"At most {max_tokens} tokens were expected for {model}, and the text has {tokens}. Cut it into chunks.",
            inputs=(0,),
            token_counts=(tokens,),
            max_tokens=max_tokens,
        )
    return tokens
