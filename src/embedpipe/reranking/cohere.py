"""The reranker "cohere": Cohere's rerank endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from embedpipe._optional import require
from embedpipe._providers import (
    CohereConnection,
    SdkAttempts,
    UnusableReplyError,
    allowing,
    redirect,
    safe_cause,
    words,
)
from embedpipe.errors import AuthenticationError, ConfigurationError, EmbedPipeError, RerankError
from embedpipe.reranking.remote import RemoteReranker


class CohereReranker(RemoteReranker):
    """Scores by Cohere's relevance, from 0 to 1, in one request.

    The key, and a login in `base_url`, appear in no repr and no pickle. A redirect to another origin is an error.

    Args:
        model: The model's name.
        api_key: By default it is read from CO_API_KEY.
        base_url: Another address of the interface. By default CO_API_URL, else Cohere's own.
        timeout_s: Seconds for each try, from connecting to the last byte.
        max_retries: How often to retry after status 429, 5xx, broken connections and timeouts. A provider's
            Retry-After is honoured up to two minutes. After a longer one there is no retry.
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
        connection = CohereConnection(api_key=api_key, base_url=base_url, timeout_s=timeout_s)
        super().__init__(model, connection, max_retries=max_retries)

    def _request(self, query: str, texts: Sequence[str]) -> list[float]:
        attempts = SdkAttempts(self._max_retries)
        for attempt in attempts:
            with attempt, self._translated(attempts), allowing(self._allowance(texts)):
                client = self._opened.get(self._connection.client)
                ranked = client.rerank(model=self._name, query=query, documents=texts).results
                scores = self._in_order([(item.index, item.relevance_score) for item in ranked], len(texts))
        return scores

    @contextmanager
    def _translated(self, attempts: SdkAttempts) -> Iterator[None]:
        """Translate the SDK's errors, and note for `attempts` how the request failed."""
        import httpx

        errors = require("cohere.core.api_error", extra="cohere")
        secrets = self._connection.secrets
        try:
            yield
        except AuthenticationError as error:
            raise ConfigurationError(f"CohereReranker needs a key. Set CO_API_KEY or pass api_key=. {error}") from None
        except EmbedPipeError:
            raise
        except errors.ApiError as error:
            headers = error.headers or {}
            if error.status_code is not None:
                attempts.note(error.status_code, headers)
            onward = redirect(error.status_code, headers, self._connection.endpoint.url, secrets=secrets)
            said = onward or f"refused the request ({error.status_code}): {words(error.body, secrets=secrets)}"
            raise RerankError(f"{self._name}: Cohere {said}", status=error.status_code) from safe_cause(error, secrets)
        except (httpx.HTTPError, UnusableReplyError) as error:
            if isinstance(error, httpx.TransportError):
                attempts.note(None, {})
            said = words(str(error), secrets=secrets)
            raise RerankError(f"{self._name}: Cohere did not answer: {type(error).__name__}: {said}") from safe_cause(
                error, secrets
            )
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            raise RerankError(
                f"{self._name}: the reply is not in the form of Cohere's rerank interface ({type(error).__name__}). "
                "Check base_url."
            ) from safe_cause(error, secrets)
