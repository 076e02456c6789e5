"""What the rerankers behind a network share: one request for all texts, or several if the service takes fewer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from embedpipe._checks import checked_count, checked_text
from embedpipe._forking import PerProcess
from embedpipe._providers import (
    Allowance,
    CohereConnection,
    JsonConnection,
    SdkAttempts,
    Service,
    allowing,
    as_json,
    shown,
    translated,
)
from embedpipe.errors import ConfigurationError, RerankError
from embedpipe.reranking.ordering import checked_request, reordered
from embedpipe.types import SearchResult

_FLOOR_BYTES = 1 << 20
_TOO_MANY_STATUSES = frozenset({400, 413, 422})
"""What services answer if a request has more texts than they take."""


class RemoteReranker(ABC):
    """A reranker behind a network. A service scores each text on its own, so that a request can be divided."""

    most_texts: ClassVar[int | None] = None
    """The most texts in one request, as the service's documentation says. None if it says nothing."""

    def __init__(self, name: str, connection: JsonConnection | CohereConnection, *, max_retries: int) -> None:
        self._name = checked_text("model", name, error=ConfigurationError)
        self._connection = connection
        self._max_retries = checked_count("max_retries", max_retries, least=0, error=ConfigurationError)
        self._opened: PerProcess[Any] = PerProcess(connection.close)
        self._largest_request = self.most_texts

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    @property
    def largest_request(self) -> int | None:
        """The most texts in one request, as the service's documentation or its refusals say. None if neither does."""
        return self._largest_request

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_connection": self._connection.bare}

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Return the results, best first, each with its `rerank_score`.

        If the service refuses a request with several texts, its halves are sent. The size that it takes is remembered.

        Raises:
            RerankError: If a request fails, or a reply is not one score for each result.
            ConfigurationError: If there is no key.
        """
        query, results = checked_request(query, results)
        if not results:
            return []
        return reordered(
            results, self._scores(query, [result.chunk.embedded_text for result in results]), by=self._name
        )

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return the score of each text, in as many requests as the service needs."""
        scores: list[float] = []
        while len(scores) < len(texts):
            part = texts[len(scores) :][: self._largest_request]
            try:
                scores += self._request(query, part)
            except RerankError as error:
                if error.status not in _TOO_MANY_STATUSES or len(part) == 1:
                    raise
                scores += self._halved(query, part)
        return scores

    def _halved(self, query: str, texts: Sequence[str]) -> list[float]:
        """Send the halves of a request that was refused. If both are taken, it had too many texts."""
        half = (len(texts) + 1) // 2
        scores = self._scores(query, texts[:half]) + self._scores(query, texts[half:])
        self._largest_request = min(half, self._largest_request or half)
        return scores

    @abstractmethod
    def _request(self, query: str, texts: Sequence[str]) -> list[float]:
        """Send one request, and return the score of each text, in their order. Retry what may pass."""

    def _in_order(self, ranked: Sequence[tuple[int, float]], expected: int) -> list[float]:
        """Return the scores in the order of the texts. Some servers count these from 1."""
        scores = dict(ranked)
        if len(ranked) != expected or len(scores) != expected:
            raise RerankError(f"{self._name} gave {len(scores)} scores for {expected} results.")
        first = min(scores)
        if any(type(position) is not int for position in scores) or first not in (0, 1):
            raise RerankError(f"{self._name} does not say which texts its scores are for: {shown(sorted(scores))}.")
        if max(scores) != expected - 1 + first:
            raise RerankError(f"{self._name} gave a score for a text that it was not given: {shown(max(scores))}.")
        return [scores[position] for position in range(first, expected + first)]

    def _allowance(self, texts: Sequence[str]) -> Allowance:
        """Return the limits of a request: its reply may have the texts again, in JSON."""
        return Allowance(self._connection.timeout_s, _FLOOR_BYTES + 1024 * len(texts) + 6 * sum(map(len, texts)))


class JsonReranker(RemoteReranker):
    """A reranker behind an interface of JSON.

    The key, and a login in `base_url`, appear in no repr and no pickle. A redirect to another origin is an error.

    Args:
        model: The model's name.
        api_key: By default it is read from the environment variable of the service.
        base_url: Another address of the interface, or that of a server of your own.
        timeout_s: Seconds for each try, from connecting to the last byte.
        max_retries: How often to retry after status 429, 5xx, broken connections and timeouts. A service's Retry-After
            is honoured up to two minutes. After a longer one there is no retry.
    """

    service: ClassVar[Service]

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 30.0,
        max_retries: int = 2,
    ) -> None:
        connection = JsonConnection(self.service, api_key=api_key, base_url=base_url, timeout_s=timeout_s)
        super().__init__(model, connection, max_retries=max_retries)

    def _request(self, query: str, texts: Sequence[str]) -> list[float]:
        attempts = SdkAttempts(self._max_retries)
        for attempt in attempts:
            with (
                attempt,
                translated(self._name, self._connection, RerankError, attempts),
                allowing(self._allowance(texts)),
            ):
                client = self._opened.get(self._connection.client)
                reply = as_json(client.post("/rerank", json=self._body(query, texts)))
                scores = self._in_order(self._ranking(reply), len(texts))
        return scores

    @abstractmethod
    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        """Return the request."""

    def _ranking(self, reply: Any) -> list[tuple[int, float]]:
        """Return a (position, score) for each item of the reply."""
        return [(item["index"], item["relevance_score"]) for item in reply["results"]]
