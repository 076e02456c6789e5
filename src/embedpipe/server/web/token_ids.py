"""Decode token ids, which OpenAI's clients may send instead of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from embedpipe.server.web.error_responses import ApiError
from embedpipe.text import encoding_name

_DEFAULT = "cl100k_base"
"""The encoding that clients such as LangChain's use if they do not know the model's own."""


def decode_token_ids(tokens: Sequence[Sequence[int]], model: str) -> list[str]:
    """Return the texts. Raise `ApiError` 400 for an id that the encoding does not have."""
    encoding = _encoding(encoding_name(model) or _DEFAULT)
    try:
        return [encoding.decode(list(each)) for each in tokens]
    except (KeyError, OverflowError, ValueError) as error:
        raise ApiError(
            400,
            f"input: a token id is not in the encoding {encoding.name}. Send the text instead.",
            param="input",
            code="invalid_value",
        ) from error


@lru_cache(maxsize=4)
def _encoding(name: str) -> Any:
    import tiktoken

    try:
        return tiktoken.get_encoding(name)
    except OSError as error:  # no network; the errors of its HTTP client derive from it
        raise ApiError(
            400,
            f"Token ids are not supported here: the encoding {name} cannot be loaded. Send the text instead.",
            param="input",
            code="token_ids_not_supported",
        ) from error
