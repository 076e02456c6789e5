"""Write JSON with many numbers faster than pydantic models do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from embedpipe._threads import in_thread


class JsonResponse(Response):
    """A response of dicts, lists, texts and numbers as JSON, which are not validated."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else to_json(content)


async def list_response(name: str, items: Iterator[Any], others: Mapping[str, Any]) -> JsonResponse:
    """Return a JSON object with a list of `items` under `name`, followed by the `others`.

    The items are created and written one by one in a thread, since a long list would block the event loop.
    """
    return JsonResponse(await in_thread(_list_body, name, items, others))


def _list_body(name: str, items: Iterator[Any], others: Mapping[str, Any]) -> bytes:
    written = b",".join([to_json(item) for item in items])
    rest = to_json(others)[1:]
    return b"{" + to_json(name) + b":[" + written + b"]" + (b"," if others else b"") + rest
