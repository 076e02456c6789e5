"""What the server refuses, and in which words: the malformed, the unknown, the forbidden, and its own faults."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy.exc

from embedpipe.errors import DatabaseUnavailableError
from embedpipe.server import ApiKeys, create_app
from embedpipe.storage.database.errors import translated_errors
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors
from serving import JSON, check_error, check_well, embed, head, raw, received, server, serving

KEY = "a-key-for-the-tests-of-refusals"
READING = "a-key-that-may-only-read-here"


@pytest.fixture(scope="module")
def shared(shared_database_url: str) -> Iterator[httpx.Client]:
    with server(shared_database_url) as (client, _):
        document = {"id": "1", "text": "A text to be found.", "metadata": {"year": 2020}}
        client.post("/documents", json={"documents": [document]}).raise_for_status()
        yield client


DEEP = '{"query": "x", "filter": ' + '{"$not": ' * 3000 + "{}" + "}" * 3001
NESTED = '{"query": "x", "filter": ' + '{"$and": [' * 100 + "{}" + "]}" * 100 + "}"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", ""),
        ("/search", "{"),
        ("/search", "[]"),
        ("/search", "null"),
        ("/search", '"query"'),
        ("/search", "\xff\xfe"),
        ("/search", '{"query": 1}'),
        ("/search", '{"query": ""}'),
        ("/search", '{"query": "   "}'),
        ("/search", '{"query": "\\ud800"}'),
        ("/search", '{"query": "\\u0000"}'),
        ("/search", '{"query": "x", "k": 0}'),
        ("/search", '{"query": "x", "k": "5"}'),
        ("/search", '{"query": "x", "k": 1.5}'),
        ("/search", '{"query": "x", "k": true}'),
        ("/search", '{"query": "x", "k": 100000000000000000000000000000}'),
        ("/search", '{"query": "x", "mode": "fuzzy"}'),
        ("/search", '{"query": "x", "threshold": NaN}'),
        ("/search", '{"query": "x", "threshold": Infinity}'),
        ("/search", '{"query": "x", "threshold": 1e400}'),
        ("/search", '{"query": "x", "filter": {"year": {"$near": 1}}}'),
        ("/search", '{"query": "x", "filter": {"year": {"$gte": NaN}}}'),
        ("/search", '{"query": "x", "filter": {"a\\u0000": 1}}'),
        ("/search", '{"query": "x", "filter": []}'),
        ("/search", '{"query": "x", "collection": ""}'),
        ("/search", '{"query": "x", "candidates": 5000}'),
        ("/search", '{"query": "x", "kk": 5}'),
        ("/search", DEEP),
        ("/search", NESTED),
        ("/search", '{"query": ' + "1" * 5000 + "}"),
        ("/embed", '{"text": "x", "chunkSize": 0}'),
        ("/embed", '{"text": "  "}'),
        ("/embed/batch", '{"texts": "one"}'),
        ("/embed/batch", '{"texts": ["fine", ""]}'),
        ("/embed/batch", '{"texts": ["fine", null]}'),
        ("/v1/embeddings", '{"input": [1, "a"], "model": "fake"}'),
        ("/v1/embeddings", '{"input": [-1], "model": "fake"}'),
        ("/v1/embeddings", '{"input": "x", "model": "fake", "encoding_format": "hex"}'),
        ("/v1/embeddings", '{"input": "x", "model": "fake", "dimensions": 0}'),
        ("/documents", '{"documents": [{"id": "a", "text": "x", "metadata": {"n": NaN}}]}'),
        ("/documents", '{"documents": [{"id": "a", "text": "x", "metadata": {"n": "\\ud800"}}]}'),
        ("/documents", '{"documents": [{"id": "", "text": "x"}]}'),
        ("/documents", '{"documents": [{"text": "x"}]}'),
        ("/documents", '{"documents": []}'),
        ("/documents", '{"documents": [{"id": "a", "text": "  "}]}'),
        ("/documents", '{"documents": [{"id": "a", "text": "x"}], "collection": "' + "c" * 300 + '"}'),
        ("/rerank", '{"query": "x", "documents": []}'),
        ("/answer", '{"question": ""}'),
        ("/answer", '{"question": "x", "stream": "yes"}'),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(shared: httpx.Client, path: str, body: str) -> None:
    response = shared.post(path, content=body.encode("latin-1"), headers=JSON)
    assert len(check_error(response, 400)) > 20
    check_well(shared)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/search", 405, "method_not_allowed"),
        ("PUT", "/documents", 405, "method_not_allowed"),
        ("PATCH", "/v1/embeddings", 405, "method_not_allowed"),
        ("GET", "/nothing", 404, "unknown_path"),
        ("GET", "/page/../../../../etc/passwd", 404, "unknown_path"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("DELETE", "/documents/1?collection=nowhere", 404, "collection_not_found"),
    ],
)
def test_wrong_paths_and_methods(shared: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    check_error(shared.request(method, path), status, code)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {"query": "x", "collection": "nowhere"}),
        ("/answer", {"question": "x", "collection": "nowhere"}),
        ("/search", {"query": "x", "collection": "no'; DROP TABLE x; --"}),
    ],
)
def test_an_unknown_collection_is_not_found_and_not_made(shared: httpx.Client, path: str, body: dict[str, str]) -> None:
    check_error(shared.post(path, json=body), 404, "collection_not_found")
    assert [each["name"] for each in shared.get("/collections").json()["collections"]] == ["default"]


def test_a_body_that_is_not_sent_as_json_is_refused(shared: httpx.Client) -> None:
    """A web page can have a browser send such a body to any address, without asking first."""
    response = shared.post("/search", content=b'{"query": "x"}', headers={"content-type": "text/plain"})
    check_error(response, 400)


def test_another_model_s_collection_is_a_conflict(database_url: str) -> None:
    with server(database_url) as (client, _):
        client.post("/documents", json={"documents": [{"id": "1", "text": "x"}]}).raise_for_status()
    with serving(create_app(FakeEmbeddingModel(8), database=database_url)) as url:
        check_error(httpx.post(f"{url}/search", json={"query": "x"}), 409, "model_mismatch")
        health = httpx.get(f"{url}/readyz")
        assert (health.status_code, health.json()["status"]) == (503, "failing")


def test_bounds_on_texts_and_results(database_url: str) -> None:
    with server(database_url, max_texts=3, max_text_characters=50, max_k=10) as (client, model):
        message = check_error(client.post("/embed/batch", json={"texts": ["x"] * 4}), 400, "too_many")
        assert "there are 4, and the limit is 3" in message
        message = check_error(client.post("/embed/batch", json={"texts": ["x", "y" * 51]}), 400, "text_too_long")
        assert "text number 1 has 51 characters. The limit is 50" in message
        check_error(client.post("/embed", json={"text": "a b. " * 10, "chunkSize": 5}), 400, "too_many")
        check_error(client.post("/search", json={"query": "x", "k": 11}), 400, "too_many")
        check_error(client.post("/rerank", json={"query": "x", "documents": ["y"] * 4}), 400, "too_many")
        assert client.post("/embed/batch", json={"texts": ["x"] * 3}).status_code == 200
        assert [batch for batch in model.batches if len(batch) > 1] == []  # equal texts are embedded once


class Failing(FakeEmbeddingModel):
    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if "fail" in texts:
            raise RuntimeError("the password is hunter2")
        return super().embed(texts, kind)


def test_a_fault_of_the_server_shows_an_id_and_the_log_has_the_rest(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(create_app(Failing(8), database=database_url)) as url, httpx.Client(base_url=url) as client:
        response = client.post("/embed/batch", json={"texts": ["fail"]}, headers={"x-request-id": "my-own-id"})
        message = check_error(response, 502, "embedding_failed")
        assert response.headers["x-request-id"] == "my-own-id"
        assert "hunter2" not in message
        found = [record for record in caplog.records if "my-own-id" in record.getMessage() and record.exc_info]
        assert len(found) == 1
        assert embed(client, "fine").status_code == 200


def test_a_defect_is_a_500_with_an_id_alone(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(FakeEmbeddingModel(8), database=database_url)

    async def defect() -> None:
        raise ZeroDivisionError("secret inside")

    app.add_api_route("/defect", defect)
    with serving(app) as url:
        response = httpx.get(f"{url}/defect")
        assert "secret" not in check_error(response, 500, "internal_error")
        [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert response.headers["x-request-id"] in record.getMessage()
        assert record.exc_info is not None


def test_a_request_id_that_is_no_plain_one_is_replaced(shared: httpx.Client) -> None:
    for given in ("a b", "x" * 65, "injected\u00ff"):
        answered = shared.get("/healthz", headers={b"x-request-id": given.encode("latin-1")}).headers["x-request-id"]
        assert answered.isalnum()
        assert len(answered) == 32


def test_keys_are_asked_for_before_the_body(database_url: str) -> None:
    with server(database_url, keys=ApiKeys.of([KEY])) as (client, model):
        wrong = [None, "Bearer", "Bearer nope", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \u00e4\u00f6"]
        for value in wrong:
            headers = {} if value is None else {b"authorization": value.encode("latin-1")}
            for path in ("/search", "/collections", "/metrics", "/nothing", "/v1/models"):
                check_error(client.post(path, json={}, headers=headers), 401, "invalid_api_key")
        with raw(client) as connection:
            connection.sendall(head("/documents", "content-length: 1000000"))
            assert received(connection).startswith(b"HTTP/1.1 401 ")
        for path in ("/healthz", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        assert client.get("/collections", headers={"authorization": f"bearer {KEY}"}).status_code == 200
        described = client.get("/openapi.json").text
        assert KEY not in described
        assert "HTTPBearer" in described
        assert model.batches == [["warm"]]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/documents", {"documents": [1] * 100_000}, "documents.0: "),
        ("/embed/batch", {"texts": ["fine", 1, 2]}, "texts.1: "),
        ("/rerank", {"query": "x", "documents": ["x"] * 60_000}, "at most 50000 items"),
        ("/search", {"query": "x", **{f"unknown {i}": 1 for i in range(1000)}}, "the limit is 11"),
        ("/search", {"query": "x", "filter": {"$and": [{"year": i} for i in range(101)]}}, "over 100 conditions"),
    ],
)
def test_what_would_take_long_to_refuse_is_given_up_at_the_first_fault(
    shared: httpx.Client, path: str, body: dict[str, Any], message: str
) -> None:
    told = check_error(shared.post(path, json=body), 400)
    assert message in told
    assert "errors in all" not in told


def test_many_values_are_one_condition(shared: httpx.Client) -> None:
    found = shared.post("/search", json={"query": "x", "filter": {"year": {"$in": list(range(20_000))}}})
    assert [result["metadata"] for result in found.json()["results"]] == [{"year": 2020}]


@pytest.mark.parametrize("restriction", [{}, {"filter": {}}, {"filter": {"$and": []}}])
def test_a_removal_must_be_restricted(shared: httpx.Client, restriction: dict[str, Any]) -> None:
    check_error(shared.request("DELETE", "/documents", json=restriction), 400)
    assert shared.get("/documents/1").status_code == 200


@pytest.mark.parametrize("name", ["a\n", "\n", "a\nb", "a/b", "/a", "a b?#%", "ä\u2028"])
def test_an_id_is_any_text_and_no_other_documents(shared: httpx.Client, name: str) -> None:
    shared.post("/documents", json={"documents": [{"id": name, "text": "Odd."}]}).raise_for_status()
    path = f"/documents/{quote(name, safe='')}"
    assert shared.get(path).json()["id"] == name
    assert shared.get(path + "%0A").status_code == 404
    assert shared.delete(path + "%0A").json()["chunks_removed"] == 0
    assert shared.delete(path).json()["chunks_removed"] == 1
    check_error(shared.get("/v1/models/fake%0A"), 404, "model_not_found")


def test_no_path_writes_a_line_of_its_own_into_the_log(shared: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="embedpipe.server")
    shared.get("/x%0AERROR:%20forged")
    shared.get("/x" * 5000)
    lines = [record.getMessage() for record in caplog.records]
    assert any("forged" in line for line in lines)
    assert not any("\n" in line or len(line) > 400 for line in lines)


def test_nobody_is_sent_to_the_name_that_they_called(shared: httpx.Client) -> None:
    for path in ("/page/app.js/", "/healthz/", "/documents"):
        assert not shared.get(path).is_redirect


def test_a_key_that_may_only_read_changes_nothing(database_url: str) -> None:
    with server(database_url, keys=ApiKeys.of([KEY], reading=[READING])) as (client, _):
        document = {"documents": [{"id": "tea", "text": "Green tea."}]}
        assert client.post("/documents", json=document, headers={"authorization": f"Bearer {KEY}"}).status_code == 200
        client.headers["authorization"] = f"Bearer {READING}"
        paths = client.get("/openapi.json").json()["paths"]
        operations = [(method, path) for path, methods in paths.items() for method in methods]
        refused = []
        for method, path in operations:
            answer = client.request(method, path.replace("{document_id}", "tea"), json={})
            if answer.status_code == 403:
                check_error(answer, 403, "read_only_key")
                refused.append((method, path))
        changing = [
            *(("delete", "/documents"), ("delete", "/documents/{document_id}")),
            *(("post", path) for path in ("/answers", "/documents", "/documents/forget", "/files")),
        ]
        assert sorted(refused) == sorted(changing)
        assert client.get("/documents/tea").status_code == 200
        assert client.post("/search", json={"query": "tea"}).status_code == 200


def test_without_keys_a_page_of_another_name_gets_nothing(shared: httpx.Client) -> None:
    for host in ("attacker.example", "attacker.example:80", "127.0.0.1.attacker.example", ""):
        check_error(shared.get("/collections", headers={"host": host}), 403, "wrong_host")
    for host in ("localhost", "localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert shared.get("/collections", headers={"host": host}).status_code == 200


def test_a_pool_of_connections_that_is_empty_is_no_fault_of_the_server() -> None:
    with pytest.raises(DatabaseUnavailableError, match="connections of the pool"), translated_errors():
        raise sqlalchemy.exc.TimeoutError("QueuePool limit of size 10 overflow 20 reached")
