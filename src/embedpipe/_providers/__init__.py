"""What the clients of embeddings, chat and rerank providers share: bounded HTTP, retries, secrets, error texts."""

from embedpipe._providers.clients import OPENAI, CohereConnection, OpenAIConnection, Service
from embedpipe._providers.http import (
    Allowance,
    UnusableReplyError,
    allowing,
    async_client,
    client,
    openai_http_library,
    unusable,
)
from embedpipe._providers.retry import Attempts, Failure, Retry, SdkAttempts, retry_after
from embedpipe._providers.secret import Endpoint, Secret, hidden, safe_cause, secrets_in
from embedpipe._providers.words import component_errors, redirect, shown, words

__all__ = [
    "OPENAI",
    "Allowance",
    "Attempts",
    "CohereConnection",
    "Endpoint",
    "Failure",
    "OpenAIConnection",
    "Retry",
    "SdkAttempts",
    "Secret",
    "Service",
    "UnusableReplyError",
    "allowing",
    "async_client",
    "client",
    "component_errors",
    "hidden",
    "openai_http_library",
    "redirect",
    "retry_after",
    "safe_cause",
    "secrets_in",
    "shown",
    "unusable",
    "words",
]
