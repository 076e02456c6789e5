"""The server with too much, too slow or absent clients, and when it is stopped. Afterwards it answers as before."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from embedpipe.server import create_app
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import SearchResult
from serving import JSON, check_error, check_well, embed, head, raw, received, refuses, server, serving, wait_for

MB = 1_000_000


@pytest.fixture(scope="module")
def shared(shared_database_url: str) -> Iterator[httpx.Client]:
    with server(shared_database_url) as (client, _):
        document = {"id": "1", "text": "A text to be found.", "metadata": {"year": 2020}}
        client.post("/documents", json={"documents": [document]}).raise_for_status()
        yield client


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
    assert "larger than 10000000 bytes" in check_error(response, 413, "body_too_large")
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
        assert "3 requests are in progress" in check_error(refused, 429, "overloaded")
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


@pytest.mark.usefixtures("interruptible")
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
