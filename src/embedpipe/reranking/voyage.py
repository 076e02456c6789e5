"""The reranker "voyage": Voyage AI's rerank endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._providers import Service
from embedpipe.reranking.remote import JsonReranker


class VoyageReranker(JsonReranker):
    """Scores by a model of Voyage AI, from 0 to 1. A text over the model's limit is cut by the service.

    The arguments are those of `JsonReranker`. The key is read from VOYAGE_API_KEY, another address from
    VOYAGE_BASE_URL.
    """

    service = Service(key_variable="VOYAGE_API_KEY", url_variable="VOYAGE_BASE_URL", url="https://api.voyageai.com/v1")
    most_texts = 1000

    def __init__(self, model: str = "rerank-2.5", **options: Any) -> None:
        super().__init__(model, **options)

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"model": self._name, "query": query, "documents": [*texts], "return_documents": False}

    def _ranking(self, reply: Any) -> list[tuple[int, float]]:
        return [(item["index"], item["relevance_score"]) for item in reply["data"]]
