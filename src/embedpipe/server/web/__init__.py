"""HTTP around the routes: who may call, limits, batching, backpressure, errors and metrics. It knows no route."""

from embedpipe.server.web.api_keys import ApiKeys, check_address
from embedpipe.server.web.auth import AuthMiddleware
from embedpipe.server.web.backpressure import BackpressureMiddleware
from embedpipe.server.web.batched_model import BatchedModel
from embedpipe.server.web.error_responses import (
    REQUEST_ID,
    ApiError,
    add_error_handlers,
    as_api_error,
    error_body,
    log_error,
    public_message,
)
from embedpipe.server.web.health_watch import HealthWatch
from embedpipe.server.web.json_response import JsonResponse, list_response
from embedpipe.server.web.json_size import levels
from embedpipe.server.web.limits import check_count, check_k, check_metadata, check_texts
from embedpipe.server.web.monitoring import Monitor, MonitoringMiddleware
from embedpipe.server.web.routing import ANY_TEXT, MAY_WRITE, Access, Routes, RouteTable
from embedpipe.server.web.token_ids import decode_token_ids

__all__ = [
    "ANY_TEXT",
    "MAY_WRITE",
    "REQUEST_ID",
    "Access",
    "ApiError",
    "ApiKeys",
    "AuthMiddleware",
    "BackpressureMiddleware",
    "BatchedModel",
    "HealthWatch",
    "JsonResponse",
    "Monitor",
    "MonitoringMiddleware",
    "RouteTable",
    "Routes",
    "add_error_handlers",
    "as_api_error",
    "check_address",
    "check_count",
    "check_k",
    "check_metadata",
    "check_texts",
    "decode_token_ids",
    "error_body",
    "levels",
    "list_response",
    "log_error",
    "public_message",
]
