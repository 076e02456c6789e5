"""The reranker "jina": Jina AI's rerank endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._providers import Service
from embedpipe.reranking.remote import JsonReranker


class JinaReranker(JsonReranker):
    """Scores by a model of Jina AI.

    The arguments are those of `JsonReranker`. The key is read from JINA_API_KEY, another address from JINA_BASE_URL.
    """

    service = Service(key_variable="JINA_API_KEY", url_variable="JINA_BASE_URL", url="https://api.jina.ai/v1")

    def __init__(self, model: str = "jina-reranker-v2-base-multilingual", **options: Any) -> None:
        super().__init__(model, **options)

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"model": self._name, "query": query, "documents": [*texts], "return_documents": False}
