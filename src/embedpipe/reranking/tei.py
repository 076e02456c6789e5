"""The reranker "tei": a reranker that Text Embeddings Inference serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._providers import Service
from embedpipe.errors import ConfigurationError
from embedpipe.reranking.remote import JsonReranker


class TEIReranker(JsonReranker):
    """Scores by the model that Text Embeddings Inference (TEI) serves, from 0 to 1. Long texts are cut by the server.

    A TEI server has one model, so that it is named by its address, as in "tei:http://localhost:8080". If it takes fewer
    texts at once (32, unless it was started with another `--max-client-batch-size`), the request is divided.

    Args:
        base_url: The server's address. By default TEI_BASE_URL.
        **options: Those of `JsonReranker`. A key, if the server takes one, is read from TEI_API_KEY.
    """

    service = Service(key_variable="TEI_API_KEY", url_variable="TEI_BASE_URL", needs_key=False)

    def __init__(self, base_url: str | None = None, **options: Any) -> None:
        super().__init__("TEI", base_url=base_url, **options)
        if self._connection.endpoint.resolved()[0] is None:
            raise ConfigurationError(
                "The reranker 'tei' needs the server's address. Name it as 'tei:http://localhost:8080', or set "
                "TEI_BASE_URL."
            )

    def __repr__(self) -> str:
        return f"TEIReranker({self._connection.endpoint.url!r})"

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"query": query, "texts": [*texts], "truncate": True}

    def _ranking(self, reply: Any) -> list[tuple[int, float]]:
        return [(item["index"], item["score"]) for item in reply]
