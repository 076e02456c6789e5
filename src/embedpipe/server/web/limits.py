"""Bounds of what a request may ask for, beyond those of its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embedpipe.server.settings import ServerSettings
from embedpipe.server.web.error_responses import ApiError


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


def check_metadata(metadata: Mapping[str, Any], settings: ServerSettings, *, place: int) -> None:
    """`ApiError` 400 for more metadata than a document may have: each of its chunks is stored with it."""
    most = settings.max_metadata_characters
    if _characters(metadata) > most:
        raise ApiError(
            400,
            f"documents.{place}.metadata: at most {most} characters of JSON are taken. Each chunk is stored with the "
            "metadata, so put what is long into the text.",
            param="documents",
            code="metadata_too_long",
        )


def _characters(value: Any) -> int:
    """About how long the value is as JSON."""
    total, level = 0, [value]
    while level:
        total += sum(len(each) if isinstance(each, str) else 2 for each in level)
        total += sum(len(key) for each in level if isinstance(each, dict) for key in each)
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for group in inner for each in group]
    return total
