"""What the clients of embeddings, chat and rerank providers share: bounded HTTP, retries, secrets, error texts."""

from embedpipe._providers.bedrock import BedrockConnection
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
from embedpipe._providers.json_service import (
    UNREADABLE,
    JsonConnection,
    RefusedError,
    as_json,
    check_status,
    http_errors,
    translated,
)
from embedpipe._providers.retry import Attempts, Failure, Retry, SdkAttempts, retry_after
from embedpipe._providers.secret import Endpoint, Secret, hidden, safe_cause, secrets_in
from embedpipe._providers.server_sent import EventReader
from embedpipe._providers.words import component_errors, redirect, shown, words

__all__ = [
    "OPENAI",
    "UNREADABLE",
    "Allowance",
    "Attempts",
    "BedrockConnection",
    "CohereConnection",
    "Endpoint",
    "EventReader",
    "Failure",
    "JsonConnection",
    "OpenAIConnection",
    "RefusedError",
    "Retry",
    "SdkAttempts",
    "Secret",
    "Service",
    "UnusableReplyError",
    "allowing",
    "as_json",
    "async_client",
    "check_status",
    "client",
    "component_errors",
    "hidden",
    "http_errors",
    "openai_http_library",
    "redirect",
    "retry_after",
    "safe_cause",
    "secrets_in",
    "shown",
    "translated",
    "unusable",
    "words",
]
