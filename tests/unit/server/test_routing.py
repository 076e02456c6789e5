from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from asgi import routes
from embedpipe.server import create_app
from embedpipe.server.routes import ALL_ROUTES
from embedpipe.server.web import Access, Routes, RouteTable
from embedpipe.testing import FakeEmbeddingModel

STATED = {
    ("GET", "/"): Access.PAGE,
    ("GET", "/page/{name}"): Access.OPEN,
    ("GET", "/healthz"): Access.PROBE,
    ("GET", "/readyz"): Access.PROBE,
    ("GET", "/readyz/{part}"): Access.PROBE,
    ("GET", "/metrics"): Access.METRICS,
    ("GET", "/collections"): Access.READ,
    ("GET", "/documents"): Access.READ,
    ("GET", "/documents/{document_id}"): Access.READ,
    ("GET", "/metadata"): Access.READ,
    ("GET", "/v1/models"): Access.READ,
    ("GET", "/v1/models/{model}"): Access.READ,
    ("POST", "/answer"): Access.READ,
    ("POST", "/answers"): Access.WRITE,
    ("POST", "/answers/affected"): Access.READ,
    ("GET", "/answers/{answer_id}/citations"): Access.READ,
    ("POST", "/embed"): Access.READ,
    ("POST", "/embed/batch"): Access.READ,
    ("POST", "/rerank"): Access.READ,
    ("POST", "/search"): Access.READ,
    ("POST", "/v1/embeddings"): Access.READ,
    ("POST", "/documents"): Access.WRITE,
    ("POST", "/documents/forget"): Access.WRITE,
    ("POST", "/files"): Access.WRITE,
    ("DELETE", "/documents"): Access.WRITE,
    ("DELETE", "/documents/{document_id}"): Access.WRITE,
}
DOCUMENTATION = {
    "/docs": Access.PAGE,
    "/docs/oauth2-redirect": Access.OPEN,
    "/openapi.json": Access.OPEN,
    "/page/swagger": Access.OPEN,
}


def scope(method: str, path: str) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}


def table(app: FastAPI | None = None) -> RouteTable:
    found = RouteTable(FastAPI() if app is None else app)
    for each in ALL_ROUTES:
        found.include(each)
    return found


def test_each_route_states_who_may_call_it() -> None:
    app = create_app(FakeEmbeddingModel(8), database="postgresql://127.0.0.1:1/none")
    registered = {(method, path) for method, path in routes(app) if method != "HEAD"}
    without_converters = {(method, path.replace(":embedpipe_any_text", "")) for method, path in registered}
    assert without_converters == STATED.keys() | {("GET", path) for path in DOCUMENTATION}
    rules = table()
    for (method, path), access in STATED.items():
        assert rules.find(scope(method, path)).access is access, (method, path)


def test_the_documentation_needs_no_key() -> None:
    app = FastAPI()
    rules = table(app)
    for path in ("/docs", "/docs/oauth2-redirect", "/openapi.json"):
        assert rules.find(scope("GET", path)).access is DOCUMENTATION[path]


def test_a_route_that_is_added_later_needs_the_right_of_its_method() -> None:
    app = FastAPI()
    rules = table(app)
    app.add_api_route("/new", lambda: None, methods=["GET", "POST", "DELETE"])
    assert rules.find(scope("GET", "/new")).access is Access.READ
    assert {rules.find(scope(method, "/new")).access for method in ("POST", "PUT", "PATCH", "DELETE")} == {Access.WRITE}


def test_a_route_that_states_no_access_stops_the_server() -> None:
    undeclared: Any = Routes("new").add
    with pytest.raises(TypeError, match="access"):
        undeclared("GET", "/new")
    app = FastAPI()
    rules = table(app)
    rules.check()
    app.add_api_route("/new", lambda: None)
    with pytest.raises(TypeError, match="states no access"):
        rules.check()


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [
        ("GET", "/nothing", Access.READ),
        ("POST", "/nothing", Access.WRITE),
        ("POST", "/", Access.PAGE),
        ("POST", "/collections", Access.WRITE),
        ("GET", "/documents", Access.READ),
        ("PUT", "/documents", Access.WRITE),
        ("GET", "/search", Access.READ),
        ("POST", "/healthz", Access.PROBE),
        ("DELETE", "/documents/a/b\n", Access.WRITE),
        ("GET", "/documents/a/b\n", Access.READ),
        ("GET", "/searchx", Access.READ),
    ],
)
def test_paths_and_methods_that_nothing_answers_have_rules_too(method: str, path: str, access: Access) -> None:
    assert table().find(scope(method, path)).access is access


def test_token_ids_count_less_than_other_numbers() -> None:
    rules = table()
    assert rules.find(scope("POST", "/v1/embeddings")).number_weight == 0.1
    assert rules.find(scope("POST", "/search")).number_weight == 1.0
