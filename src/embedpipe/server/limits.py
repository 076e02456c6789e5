"""Bounds of what a request may ask for, beyond those of its body."""

from __future__ import annotations

from collections.abc import Sequence

from embedpipe.server.errors import ApiError
from embedpipe.server.settings import ServerSettings


def check_texts(texts: Sequence[str], settings: ServerSettings, *, param: str) -> None:
    """`ApiError` 400 for more texts, or a longer one, than the server takes in one request."""
    check_count(len(texts), settings, param=param)
    for place, text in enumerate(texts):
        if len(text) > settings.max_text_characters:
            raise ApiError(
                400,
                f"{param}: a text of at most {settings.max_text_characters} characters was expected, and number "
                f"{place} has {len(text)}. Cut it into chunks.",
                param=param,
                code="text_too_long",
            )


def check_count(count: int, settings: ServerSettings, *, param: str) -> None:
    """`ApiError` 400 for more items than the server takes in one request."""
    if count > settings.max_texts:
        raise ApiError(
            400,
            f"{param}: at most {settings.max_texts} were expected, and {count} came. Send them in several requests.",
            param=param,
            code="too_many",
        )


def check_k(k: int, settings: ServerSettings, *, param: str = "k") -> None:
    """`ApiError` 400 for more results than the server gives."""
    if k > settings.max_k:
        raise ApiError(
            400, f"{param}: at most {settings.max_k} was expected, and {k} came.", param=param, code="too_many"
        )
