"""Turn every error into a response in the form of OpenAI's errors, without internal details of the server."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from embedpipe import errors

logger = logging.getLogger(__name__)

REQUEST_ID = "embedpipe.request_id"
"""The key of an ASGI scope that holds the request's id."""


class ApiError(Exception):
    """An error for the client, with its HTTP status and the `type`, `param` and `code` of OpenAI's errors."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.type, self.param, self.code = status, message, type, param, code
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    type: str
    code: str
    message: str | None = None
    """None sends the error's own message, which is meant for the client."""


_ANSWERS: dict[type[Exception], _Answer] = {
    errors.MissingExtraError: _Answer(500, "server_error", "not_installed", "A part of the server is not installed."),
    errors.ConfigurationError: _Answer(400, "invalid_request_error", "invalid_value"),
    errors.InputError: _Answer(400, "invalid_request_error", "invalid_value"),
    errors.TokenLimitError: _Answer(400, "invalid_request_error", "context_length_exceeded"),
    errors.CollectionNotFoundError: _Answer(404, "invalid_request_error", "collection_not_found"),
    errors.ModelMismatchError: _Answer(409, "invalid_request_error", "model_mismatch"),
    errors.RateLimitError: _Answer(429, "rate_limit_error", "provider_rate_limit", "The model's provider is busy."),
    errors.EmbeddingError: _Answer(502, "server_error", "embedding_failed", "The texts could not be embedded."),
    errors.GenerationError: _Answer(502, "server_error", "generation_failed", "The language model failed."),
    errors.DatabaseUnavailableError: _Answer(503, "server_error", "database", "The database cannot be reached."),
    errors.DatabaseReadOnlyError: _Answer(503, "server_error", "read_only", "The database is read-only now."),
    errors.DatabaseFullError: _Answer(507, "server_error", "disk_full", "The database's disk is full."),
    errors.LockTimeoutError: _Answer(
        503, "server_error", "locked", "Another operation holds a lock that this one needs."
    ),
    errors.UnknownCommitError: _Answer(
        503,
        "server_error",
        "unknown_commit",
        "The connection broke during the commit, so this may or may not be written. Send it again.",
    ),
    errors.EmbeddedServerError: _Answer(503, "server_error", "database", "The database cannot be reached."),
}
_UNKNOWN = _Answer(500, "server_error", "internal_error", "The server failed.")


def as_api_error(error: Exception) -> ApiError:
    """Return the error as clients see it."""
    if isinstance(error, ApiError):
        return error
    answer = next((_ANSWERS[cls] for cls in type(error).__mro__ if cls in _ANSWERS), _UNKNOWN)
    message = answer.message or str(error)
    if answer.message:
        message += " The server's log has the cause under this request's id."
    headers = {}
    if answer.status in (429, 503):
        wait = error.retry_after if isinstance(error, errors.RateLimitError) else None
        headers["Retry-After"] = str(max(math.ceil(wait or 1.0), 1))
    return ApiError(answer.status, message, type=answer.type, code=answer.code, headers=headers)


def error_body(error: ApiError, request_id: str) -> dict[str, Any]:
    """Return the body of an error response."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            "request_id": request_id,
        }
    }


def error_response(error: Exception, scope: Mapping[str, Any]) -> Response:
    """Return the response to an error. Log it if it is the server's fault."""
    answer = as_api_error(error)
    log_error(error, scope)
    content = json.dumps(error_body(answer, scope[REQUEST_ID]))  # ASCII: a message may quote invalid Unicode
    return Response(content, answer.status, answer.headers, media_type="application/json")


def log_error(error: Exception, scope: Mapping[str, Any]) -> None:
    """Log an error under the request's id if it is the server's fault (status 500 or higher)."""
    if as_api_error(error).status >= 500:
        logger.error(
            "request %s (%.20r %.200r) failed", scope[REQUEST_ID], scope["method"], scope["path"], exc_info=error
        )


def public_message(error: Exception, scope: Mapping[str, Any]) -> str:
    """Return what a client may see of one error among several. Log it if it is the server's fault."""
    log_error(error, scope)
    return as_api_error(error).message


def add_error_handlers(app: FastAPI) -> None:
    """Make the application answer every error this way."""

    for kind in (ApiError, errors.EmbedPipeError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answered)


async def _answered(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        error = _validation(error.errors())
    elif isinstance(error, HTTPException):
        error = _http(error, request)
    return error_response(error, request.scope)


def _validation(found: Sequence[Any]) -> ApiError:
    first = found[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return ApiError(400, f"The body is not valid JSON: {reason}.", code="invalid_json")
    param = ".".join(str(part) for part in first["loc"][1:])[:200] or None  # a key may be as long as the body
    if first["type"] == "value_error":  # raised by a validator of schemas/
        message = f"{param or 'The body'}: {first['ctx']['error']}."
    elif param is None:
        message = "The body is not a JSON object. Send one with Content-Type: application/json."
    else:
        message = f"{param}: {first['msg']}."
    if len(found) > 1:
        message += f" ({len(found)} errors in all.)"
    return ApiError(400, message, param=param, code="invalid_value")


def _http(error: HTTPException, request: Request) -> ApiError:
    method, path = request.method, request.url.path
    if error.status_code == 404:
        message = f"There is nothing at {path:.200}. See /docs for the routes."
        return ApiError(404, message, code="unknown_path")
    if error.status_code == 405:
        message = f"{path:.200} does not support {method:.20}. See /docs for its methods."
        return ApiError(405, message, code="method_not_allowed", headers=error.headers)
    return ApiError(error.status_code, str(error.detail), headers=error.headers)
