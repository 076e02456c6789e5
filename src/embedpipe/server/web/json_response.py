"""JSON of many numbers, faster than by way of a model for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from embedpipe._threads import in_thread


class JsonResponse(Response):
    """Dicts, lists, texts and numbers as JSON, without a check of what they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else to_json(content)


async def list_response(name: str, items: Iterator[Any], others: Mapping[str, Any]) -> JsonResponse:
    """Return an object of a list that may be long, under its name, and of other fields.

    The items are made and written one by one in a thread: at once they would hold up all other requests.
    """
    return JsonResponse(await in_thread(_list_body, name, items, others))


def _list_body(name: str, items: Iterator[Any], others: Mapping[str, Any]) -> bytes:
    written = b",".join([to_json(item) for item in items])
    rest = to_json(others)[1:]
    return b"{" + to_json(name) + b":[" + written + b"]" + (b"," if others else b"") + rest
