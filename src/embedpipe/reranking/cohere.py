"""Cohere's rerank endpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from embedpipe._forking import PerProcess
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError, RerankError
from embedpipe.reranking.ordering import reordered
from embedpipe.types import SearchResult


class CohereReranker:
    """Scores by Cohere's relevance, from 0 to 1, in one request.

    `api_key=None` means `CO_API_KEY`. 429 and 5xx are tried `max_retries` times more by the cohere client.
    `RerankError` where the request fails. The key appears in no repr and no pickle.
    """

    def __init__(
        self,
        model: str = "rerank-v3.5",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 30.0,
        max_retries: int = 2,
    ) -> None:
        self._name = model
        self._api_key = api_key
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._opened: PerProcess[Any] = PerProcess()

    def __repr__(self) -> str:
        return f"CohereReranker({self._name!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_api_key": None}

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        if not results:
            return []
        ranked = self._request(query, [result.text for result in results])
        scores = {item.index: item.relevance_score for item in ranked}
        if sorted(scores) != list(range(len(results))):
            raise RerankError(f"{self._name} gave {len(scores)} scores for {len(results)} results.")
        return reordered(results, [scores[position] for position in range(len(results))], by=self._name)

    def _request(self, query: str, texts: Sequence[str]) -> list[Any]:
        import httpx

        errors = require("cohere.core.api_error", extra="cohere")
        try:
            client = self._opened.get(self._open)
            return list(client.rerank(model=self._name, query=query, documents=texts).results)
        except errors.ApiError as error:
            message = error.body.get("message") if isinstance(error.body, dict) else error.body
            raise RerankError(f"{self._name}: Cohere refused the request ({error.status_code}): {message}") from error
        except httpx.HTTPError as error:
            raise RerankError(f"{self._name}: no answer from Cohere: {type(error).__name__}: {error}") from error

    def _open(self) -> Any:
        key = self._api_key or os.environ.get("CO_API_KEY")
        if not key:
            raise ConfigurationError("CohereReranker needs a key: set CO_API_KEY or give api_key=.")
        cohere = require("cohere", extra="cohere")
        return cohere.ClientV2(key, base_url=self._base_url, timeout=self._timeout_s, max_retries=self._max_retries)
