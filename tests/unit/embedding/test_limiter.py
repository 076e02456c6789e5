"""Rates kept by threads, tasks and processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from embedpipe._providers import retry_after
from embedpipe.embedding import EmbeddingGenerator, Limits
from embedpipe.embedding.engine.rate_limiter import RateLimiter, seconds
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel


@pytest.mark.parametrize("shared", [False, True])
def test_places_are_handed_out_in_order_at_the_rate(shared: bool, tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=60, tokens_per_minute=6000, shared=tmp_path / "rates" if shared else None)
    limiter = RateLimiter(limits)
    waits = [limiter.reserve(10) for _ in range(5)]
    assert waits == sorted(waits)
    assert waits[0] == 0
    assert waits[-1] == pytest.approx(3.0, abs=0.2)  # one second's worth goes at once, then one a second
    assert limiter.reserve(1000) == pytest.approx(4.0, abs=0.2)
    assert limiter.reserve(10) == pytest.approx(13.0, abs=0.3)  # a thousand tokens take ten seconds


def test_without_rates_nobody_waits() -> None:
    limiter = RateLimiter(Limits())
    assert [limiter.reserve(10**6) for _ in range(3)] == [0, 0, 0]


def test_a_pause_holds_everyone() -> None:
    limiter = RateLimiter(Limits())
    limiter.pause(5)
    limiter.pause(1)
    assert limiter.reserve(1) == pytest.approx(5, abs=0.2)


def test_rates_are_learned_from_headers_where_none_are_set() -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "nonsense"}
    learning, told = RateLimiter(Limits()), RateLimiter(Limits(requests_per_minute=6000))
    for limiter in (learning, told):
        limiter.learn(headers)
        for _ in range(3):
            limiter.reserve(1)
    assert learning.reserve(1) == pytest.approx(2, abs=0.2)
    assert told.reserve(1) < 0.1
    learning.learn({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"})
    assert learning.reserve(1) == pytest.approx(60, abs=0.3)


def test_durations_and_dates() -> None:
    assert seconds("6m0s") == 360
    assert seconds("1.5s") == 1.5
    assert seconds("20ms") == pytest.approx(0.02)
    assert seconds("") == 0
    assert retry_after({"retry-after": "2"}) == 2
    assert retry_after({"retry-after-ms": "1500", "retry-after": "2"}) == 1.5
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({}) is None


@pytest.mark.parametrize("mode", ["threads", "tasks"])
def test_the_rate_holds_under_concurrency(mode: str) -> None:
    with EmbeddingServer(FakeEmbeddingModel(8)) as server:
        generator = EmbeddingGenerator(
            "m",
            base_url=server.url,
            dimensions=8,
            limits=Limits(batch_items=1, concurrency=8, requests_per_minute=1200),
        )
        texts = [str(n) for n in range(45)]
        started = time.monotonic()
        if mode == "threads":
            generator.generate_batch(texts)
        else:
            asyncio.run(generator.agenerate_batch(texts))
        times = sorted(request.at - started for request in server.requests)
        assert len(times) == 45
        for place, at in enumerate(times):
            assert at >= (place - 21) / 20  # a burst of one second, then twenty a second


def _reserve(path: Path, count: int) -> None:
    limiter = RateLimiter(Limits(requests_per_minute=600, shared=path))
    for _ in range(count):
        limiter.reserve(1)


def test_processes_share_their_rate(tmp_path: Path) -> None:
    path = tmp_path / "rates"
    context = multiprocessing.get_context("spawn")
    started = time.time()
    processes = [context.Process(target=_reserve, args=(path, 100)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    wait = RateLimiter(Limits(requests_per_minute=600, shared=path)).reserve(1)
    ends = time.time() + wait - started
    assert ends >= 18.5  # two hundred requests at ten a second, less the burst


def test_threads_of_one_generator_share_its_rate() -> None:
    with EmbeddingServer(FakeEmbeddingModel(8)) as server:
        limits = Limits(requests_per_minute=1200, concurrency=1)
        generator = EmbeddingGenerator("m", base_url=server.url, dimensions=8, limits=limits)
        threads = [threading.Thread(target=generator.generate, args=(f"{n}",)) for n in range(30)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert max(request.at for request in server.requests) - started >= (29 - 21) / 20
