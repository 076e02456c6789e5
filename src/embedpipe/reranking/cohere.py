"""Cohere's rerank endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._forking import PerProcess
from embedpipe._optional import require
from embedpipe._providers import (
    Allowance,
    Endpoint,
    Secret,
    UnusableReplyError,
    allowing,
    client,
    redirect,
    safe_cause,
    words,
)
from embedpipe.errors import AuthenticationError, ConfigurationError, RerankError
from embedpipe.reranking.ordering import reordered
from embedpipe.types import SearchResult


class CohereReranker:
    """Scores by Cohere's relevance, from 0 to 1, in one request.

    `api_key=None` means `CO_API_KEY`. 429 and 5xx are tried `max_retries` times more by the cohere client.
    `RerankError` where the request fails. The key, and a login in `base_url`, appear in no repr and no pickle.
    `timeout_s` is for each try, from connecting to the last byte. A redirect to another origin is an error.
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
        self._secret = Secret.of(api_key, variable="CO_API_KEY")
        self._endpoint = Endpoint(base_url, variable="CO_API_URL")
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._opened: PerProcess[Any] = PerProcess(_close)

    def __repr__(self) -> str:
        return f"CohereReranker({self._name!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_secret": self._secret.bare, "_endpoint": self._endpoint.bare}

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        if not results:
            return []
        ranked = self._request(query, [result.text for result in results])
        scores = dict(ranked)
        if len(ranked) != len(results) or set(scores) != set(range(len(results))):
            raise RerankError(f"{self._name} gave {len(scores)} scores for {len(results)} results.")
        return reordered(results, [scores[position] for position in range(len(results))], by=self._name)

    def _request(self, query: str, texts: Sequence[str]) -> list[tuple[int, float]]:
        import httpx

        errors = require("cohere.core.api_error", extra="cohere")
        made = self._opened.get(self._open)
        secrets = (*self._secret.values, *self._endpoint.values)
        size = _FLOOR_BYTES + 1024 * len(texts) + 6 * sum(map(len, texts))
        try:
            with allowing(Allowance(self._timeout_s, size)):
                ranked = made.rerank(model=self._name, query=query, documents=texts).results
            return [(item.index, item.relevance_score) for item in ranked]
        except errors.ApiError as error:
            onward = redirect(error.status_code, error.headers or {}, self._endpoint.url, secrets=secrets)
            said = words(error.body, secrets=secrets)
            raise RerankError(
                f"{self._name}: Cohere {onward}"
                if onward
                else f"{self._name}: Cohere refused the request ({error.status_code}): {said}"
            ) from safe_cause(error, secrets)
        except (httpx.HTTPError, UnusableReplyError) as error:
            said = words(str(error), secrets=secrets)
            raise RerankError(f"{self._name}: no answer from Cohere: {type(error).__name__}: {said}") from safe_cause(
                error, secrets
            )
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            raise RerankError(
                f"{self._name}: the reply is not what Cohere's interface sends ({type(error).__name__}). "
                "Check base_url."
            ) from safe_cause(error, secrets)

    def _open(self) -> Any:
        base_url, login = self._endpoint.resolved()
        try:
            key = self._secret.reveal()
        except AuthenticationError as error:
            raise ConfigurationError(f"CohereReranker needs a key: set CO_API_KEY or give api_key=. {error}") from None
        return require("cohere", extra="cohere").ClientV2(
            key,
            base_url=base_url,
            timeout=self._timeout_s,
            max_retries=self._max_retries,
            httpx_client=client("httpx", login=login),
        )


def _close(made: Any) -> None:
    made._client_wrapper.httpx_client.httpx_client.close()  # noqa: SLF001 - Cohere's client has no close of its own


_FLOOR_BYTES = 1 << 20
