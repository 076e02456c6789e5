"""The server mistreated: too much, too slow, malformed, gone, forbidden, stopped. Afterwards it answers as before."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy.exc

from embedpipe.errors import DatabaseUnavailableError
from embedpipe.server import ApiKeys, ServerSettings, create_app
from embedpipe.storage.translation import translated_errors
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, SearchResult, Vectors
from serving import GatedModel, serving

KEY = "a-key-for-the-tests-of-limits"
MB = 1_000_000
JSON = {"content-type": "application/json"}


@contextmanager
def server(
    database_url: str, *, keys: ApiKeys | None = None, **settings: Any
) -> Iterator[tuple[httpx.Client, GatedModel]]:
    model = GatedModel()
    app = create_app(model, database=database_url, keys=keys or ApiKeys(), settings=ServerSettings(**settings))
    with serving(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        try:
            yield client, model
        finally:
            model.gate.set()


@pytest.fixture(scope="module")
def shared(shared_database_url: str) -> Iterator[httpx.Client]:
    with server(shared_database_url) as (client, _):
        document = {"id": "1", "text": "A text to be found.", "metadata": {"year": 2020}}
        client.post("/documents", json={"documents": [document]}).raise_for_status()
        yield client


def check_error(response: httpx.Response, status: int, code: str | None = None) -> str:
    """The message, once the error has its one shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert code in (None, error["code"])
    message: str = error["message"]
    assert "Traceback" not in message
    return message


def embed(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/embed/batch", json={"texts": [text]})


def check_well(client: httpx.Client) -> None:
    assert embed(client, "still there").status_code == 200
    found = client.post("/search", json={"query": "a text"})
    assert found.status_code in (200, 404)


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
        health = httpx.get(f"{url}/healthz")
        assert (health.status_code, health.json()["status"]) == (503, "failing")


def test_bounds_on_texts_and_results(database_url: str) -> None:
    with server(database_url, max_texts=3, max_text_characters=50, max_k=10) as (client, model):
        message = check_error(client.post("/embed/batch", json={"texts": ["x"] * 4}), 400, "too_many")
        assert "at most 3 were expected, and 4 came" in message
        message = check_error(client.post("/embed/batch", json={"texts": ["x", "y" * 51]}), 400, "text_too_long")
        assert "at most 50 characters was expected, and number 1 has 51" in message
        check_error(client.post("/embed", json={"text": "a b. " * 10, "chunkSize": 5}), 400, "too_many")
        check_error(client.post("/search", json={"query": "x", "k": 11}), 400, "too_many")
        check_error(client.post("/rerank", json={"query": "x", "documents": ["y"] * 4}), 400, "too_many")
        assert client.post("/embed/batch", json={"texts": ["x"] * 3}).status_code == 200
        assert [batch for batch in model.batches if len(batch) > 1] == []  # equal texts are embedded once


class Streamed:
    """A body of chunks that counts how much of it was asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.sent < self.size:
            self.sent += 50_000
            yield b" " * 50_000


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_50_mb_is_refused_before_it_is_there(shared: httpx.Client, declared: bool) -> None:
    headers = {**JSON, "content-length": str(50 * MB)} if declared else JSON
    body = Streamed(50 * MB)
    response = shared.post("/documents", content=iter(body), headers=headers)
    assert "at most 10000000 bytes" in check_error(response, 413, "body_too_large")
    check_well(shared)


def test_the_refusal_of_a_large_body_comes_while_it_is_sent(shared: httpx.Client) -> None:
    with raw(shared) as connection:
        connection.sendall(head("/documents", f"content-length: {50 * MB}"))
        connection.sendall(b" " * 1000)
        assert received(connection).startswith(b"HTTP/1.1 413 ")
    with raw(shared) as connection:
        connection.sendall(head("/documents", "transfer-encoding: chunked"))
        for _ in range(11):
            connection.sendall(b"f4240\r\n" + b" " * MB + b"\r\n")
        assert received(connection).startswith(b"HTTP/1.1 413 ")
    check_well(shared)


def test_a_body_that_does_not_come_is_given_up(database_url: str) -> None:
    with server(database_url, request_timeout_s=0.3, max_requests=1) as (client, _), raw(client) as connection:
        connection.sendall(head("/embed/batch", "content-length: 100") + b'{"te')
        assert received(connection).startswith(b"HTTP/1.1 408 ")
        check_well(client)


def test_who_comes_to_a_full_server_is_told_when_to_come_again(database_url: str) -> None:
    with server(database_url, max_requests=3) as (client, model), ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(embed, client, f"wait {number}") for number in range(3)]
        assert model.arrived.wait(10)
        wait_for(lambda: "embedpipe_http_requests_under_way 4.0" in client.get("/metrics").text)  # and its own
        refused = embed(client, "one more")
        assert "3 requests are under way" in check_error(refused, 429, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200
        model.gate.set()
        assert [each.result().status_code for each in waiting] == [200, 200, 200]
        assert embed(client, "now").status_code == 200


def test_bodies_under_way_are_bounded_together(database_url: str) -> None:
    with server(database_url, max_body_bytes=1000, max_pending_bytes=1000) as (client, model):
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(embed, client, "wait " + "x" * 600)
            assert model.arrived.wait(10)
            assert "bytes" in check_error(embed(client, "y" * 600), 429, "overloaded")
            model.gate.set()
            assert waiting.result().status_code == 200
        assert embed(client, "y" * 600).status_code == 200


def test_what_takes_too_long_is_given_up_and_its_place_is_free(database_url: str) -> None:
    with server(database_url, request_timeout_s=0.3, max_requests=1) as (client, model):
        assert "within 0.3 s" in check_error(embed(client, "wait"), 504, "timeout")
        check_error(embed(client, "behind it"), 504, "timeout")
        model.gate.set()
        assert embed(client, "then").status_code == 200
        assert not any("behind it" in batch for batch in model.batches)  # who has gone costs the model nothing


def test_a_client_that_hangs_up_costs_nothing_further(database_url: str) -> None:
    with server(database_url, max_requests=2) as (client, model), ThreadPoolExecutor(1) as pool:
        first = pool.submit(embed, client, "wait")
        assert model.arrived.wait(10)
        body = json.dumps({"texts": ["gone"]}).encode()
        with raw(client) as connection:
            connection.sendall(head("/embed/batch", f"content-length: {len(body)}") + body)
            wait_for(lambda: "embedpipe_http_requests_under_way 3.0" in client.get("/metrics").text)
        wait_for(lambda: 'route="/embed/batch",status="499"' in client.get("/metrics").text)
        model.gate.set()
        assert first.result().status_code == 200
        assert [embed(client, "next").status_code for _ in range(3)] == [200] * 3
        assert not any("gone" in batch for batch in model.batches)


def test_a_client_that_takes_nothing_of_its_answer_is_let_go(database_url: str) -> None:
    with server(database_url, request_timeout_s=0.5, max_requests=1) as (client, _), raw(client) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(40):  # more answers than the kernel's buffers hold
            body = json.dumps({"texts": [f"{number}" for number in range(2000)]}).encode()
            connection.sendall(head("/embed/batch", f"content-length: {len(body)}") + body)
        time.sleep(1.0)
        wait_for(lambda: embed(client, "someone else").status_code == 200)


class SlowReranker:
    """Reranks when it is let."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.arrived = threading.Semaphore(0)

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        self.arrived.release()
        assert self.gate.wait(30)
        return list(results)


def test_slow_reranking_keeps_nobody_else_waiting(database_url: str) -> None:
    reranker = SlowReranker()
    app = create_app(FakeEmbeddingModel(8), database=database_url, reranker=reranker)
    with serving(app) as url, httpx.Client(base_url=url, timeout=30) as client, ThreadPoolExecutor(40) as pool:
        body = {"query": "x", "documents": ["a", "b"]}
        waiting = [pool.submit(client.post, "/rerank", json=body) for _ in range(40)]
        try:
            assert reranker.arrived.acquire(timeout=10)
            assert embed(client, "quick").status_code == 200
        finally:
            reranker.gate.set()
        assert [each.result().status_code for each in waiting] == [200] * 40


def test_a_pool_of_connections_that_is_empty_is_no_fault_of_the_server() -> None:
    with pytest.raises(DatabaseUnavailableError, match="connections of the pool"), translated_errors():
        raise sqlalchemy.exc.TimeoutError("QueuePool limit of size 10 overflow 20 reached")


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
            connection.sendall(head("/documents", f"content-length: {MB}"))
            assert received(connection).startswith(b"HTTP/1.1 401 ")
        for path in ("/healthz", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        assert client.get("/collections", headers={"authorization": f"bearer {KEY}"}).status_code == 200
        described = client.get("/openapi.json").text
        assert KEY not in described
        assert "HTTPBearer" in described
        assert model.batches == [["warm"]]


def test_without_keys_a_page_of_another_name_gets_nothing(shared: httpx.Client) -> None:
    for host in ("attacker.example", "attacker.example:80", "127.0.0.1.attacker.example", ""):
        check_error(shared.get("/collections", headers={"host": host}), 403, "wrong_host")
    for host in ("localhost", "localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert shared.get("/collections", headers={"host": host}).status_code == 200


def raw(client: httpx.Client) -> socket.socket:
    address = urlsplit(str(client.base_url))
    return socket.create_connection((address.hostname, address.port), timeout=20)


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode()


def received(connection: socket.socket) -> bytes:
    return connection.recv(65536)


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_finish_what_was_taken(number: signal.Signals, database_url: str) -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "serving.py"), database_url]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        url = process.stdout.readline().strip()
        with ThreadPoolExecutor(8) as pool, httpx.Client(base_url=url, timeout=30) as client:
            answers = [pool.submit(embed, client, f"wait {count}") for count in range(8)]
            wait_for(lambda: "embedpipe_http_requests_under_way 9.0" in client.get("/metrics").text)
            process.send_signal(number)
            wait_for(lambda: refuses(url))
            process.stdin.write("go on\n")
            process.stdin.flush()
            assert [answer.result().status_code for answer in answers] == [200] * 8
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert said == ""
    finally:
        process.kill()
        process.communicate()


def refuses(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False
