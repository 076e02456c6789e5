"""The reranker "infinity": the rerank endpoint of infinity, vLLM and other servers with the same interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._providers import Service
from embedpipe.reranking.remote import JsonReranker


class InfinityReranker(JsonReranker):
    """Scores by a model that infinity serves, or another server with its `/rerank`, such as vLLM.

    The arguments are those of `JsonReranker`. By default it is the infinity of this machine, at port 7997. Another
    address is read from INFINITY_BASE_URL, and a key, if the server takes one, from INFINITY_API_KEY.
    """

    service = Service(
        key_variable="INFINITY_API_KEY",
        url_variable="INFINITY_BASE_URL",
        url="http://localhost:7997",
        needs_key=False,
    )

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"model": self._name, "query": query, "documents": [*texts], "return_documents": False}
