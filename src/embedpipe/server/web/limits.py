"""Check the limits of a request that its schema cannot express, since they depend on the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embedpipe.server.settings import ServerSettings
from embedpipe.server.web.error_responses import ApiError
from embedpipe.server.web.json_size import levels


def check_texts(texts: Sequence[str], settings: ServerSettings, *, param: str) -> None:
    """Raise `ApiError` 400 if there are too many texts for one request, or if one is too long."""
    check_count(len(texts), settings, param=param)
    for place, text in enumerate(texts):
        if len(text) > settings.max_text_characters:
            raise ApiError(
                400,
                f"{param}: text number {place} has {len(text)} characters. The limit is "
                f"{settings.max_text_characters}. Cut it into chunks.",
                param=param,
                code="text_too_long",
            )


def check_count(count: int, settings: ServerSettings, *, param: str) -> None:
    """Raise `ApiError` 400 if there are too many items for one request."""
    if count > settings.max_texts:
        raise ApiError(
            400,
            f"{param}: there are {count}, and the limit is {settings.max_texts}. Send them in several requests.",
            param=param,
            code="too_many",
        )


def check_k(k: int, settings: ServerSettings, *, param: str = "k") -> None:
    """Raise `ApiError` 400 if more results are asked for than the server returns."""
    if k > settings.max_k:
        raise ApiError(400, f"{param}: {k} is over the limit of {settings.max_k}.", param=param, code="too_many")


def check_metadata(metadata: Mapping[str, Any], settings: ServerSettings, *, place: int) -> None:
    """Raise `ApiError` 400 if a document has too much metadata. Each of its chunks stores a copy."""
    most = settings.max_metadata_characters
    if _characters(metadata) > most:
        raise ApiError(
            400,
            f"documents.{place}.metadata: the limit is {most} characters of JSON. Each chunk stores a copy of the "
            "metadata. Put long values into the text.",
            param="documents",
            code="metadata_too_long",
        )


def _characters(value: Any) -> int:
    """Return about how long the value is as JSON."""
    total = 0
    for level in levels(value):
        total += sum(len(each) if isinstance(each, str) else 2 for each in level)
        total += sum(len(key) for each in level if isinstance(each, dict) for key in each)
    return total
