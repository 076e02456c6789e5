"""Every error as a response: one shape, that of OpenAI's interface, and nothing in it of the server's inside."""

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
"""Where an ASGI scope holds the request's id."""


class ApiError(Exception):
    """A refusal with its HTTP status; `type`, `param` and `code` as OpenAI's errors have them."""

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
    """None where the error's own words are meant for whoever asked."""


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
    errors.DatabaseReadOnlyError: _Answer(503, "server_error", "read_only", "The database takes no writes now."),
    errors.DatabaseFullError: _Answer(507, "server_error", "disk_full", "The database's disk is full."),
    errors.LockTimeoutError: _Answer(503, "server_error", "locked", "Another operation holds what this one needs."),
    errors.UnknownCommitError: _Answer(
        503, "server_error", "unknown_commit", "Whether this was written is not known. Send it again."
    ),
    errors.EmbeddedServerError: _Answer(503, "server_error", "database", "The database cannot be reached."),
}
_UNKNOWN = _Answer(500, "server_error", "internal_error", "The server failed.")


def as_api_error(error: Exception) -> ApiError:
    """The refusal that an error becomes."""
    if isinstance(error, ApiError):
        return error
    answer = next((_ANSWERS[cls] for cls in type(error).__mro__ if cls in _ANSWERS), _UNKNOWN)
    message = answer.message or str(error)
    if answer.message:
        message += " The server's log says why, under this request's id."
    headers = {}
    if answer.status in (429, 503):
        wait = error.retry_after if isinstance(error, errors.RateLimitError) else None
        headers["Retry-After"] = str(max(math.ceil(wait or 1.0), 1))
    return ApiError(answer.status, message, type=answer.type, code=answer.code, headers=headers)


def error_body(error: ApiError, request_id: str) -> dict[str, Any]:
    """What the response holds."""
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
    """The error as a response, logged where it is the server's."""
    answer = as_api_error(error)
    log_error(error, scope)
    content = json.dumps(error_body(answer, scope[REQUEST_ID]))  # ASCII: a message may quote invalid Unicode
    return Response(content, answer.status, answer.headers, media_type="application/json")


def log_error(error: Exception, scope: Mapping[str, Any]) -> None:
    """Writes the error to the log where it is the server's, under the request's id."""
    if as_api_error(error).status >= 500:
        logger.error(
            "request %s (%.20r %.200r) failed", scope[REQUEST_ID], scope["method"], scope["path"], exc_info=error
        )


def public_message(error: Exception, scope: Mapping[str, Any]) -> str:
    """What a response may say of an error that is one among several; the log has it where it is the server's."""
    log_error(error, scope)
    return as_api_error(error).message


def add_error_handlers(app: FastAPI) -> None:
    """Has the application answer every error this way."""

    async def known(request: Request, error: Exception) -> Response:
        return error_response(error, request.scope)

    async def invalid(request: Request, error: Exception) -> Response:
        return error_response(_validation(error), request.scope)

    async def http(request: Request, error: Exception) -> Response:
        return error_response(_http(error, request), request.scope)

    app.add_exception_handler(ApiError, known)
    app.add_exception_handler(errors.EmbedPipeError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _validation(error: Exception) -> ApiError:
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else ()
    first = found[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return ApiError(400, f"The body expected JSON, and it cannot be read: {reason}.", code="invalid_json")
    param = ".".join(str(part) for part in first["loc"][1:])[:200] or None  # a key may be as long as the body
    if first["type"] == "value_error":  # one of our own checks, of the body or of a field
        message = f"{param or 'The body'}: {first['ctx']['error']}."
    elif param is None:
        message = "The body expected a JSON object, sent as application/json."
    else:
        message = f"{param}: {first['msg']}."
    if len(found) > 1:
        message += f" ({len(found)} faults in all.)"
    return ApiError(400, message, param=param, code="invalid_value")


def _http(error: Exception, request: Request) -> ApiError:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is for these alone
    method, path = request.method, request.url.path
    if error.status_code == 404:
        message = f"There is nothing at {path:.200}. See /docs for what there is."
        return ApiError(404, message, code="unknown_path")
    if error.status_code == 405:
        message = f"{path:.200} does not take {method:.20}. See /docs for what it takes."
        return ApiError(405, message, code="method_not_allowed", headers=error.headers)
    return ApiError(error.status_code, str(error.detail), headers=error.headers)
