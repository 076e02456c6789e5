"""The OpenAI backend through the real client, over real sockets, against a server that fails on demand."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import threading
import time
import traceback

import numpy as np
import pytest

from embedpipe.embedding import EmbeddingGenerator, Limits, OpenAIModel, Retry
from embedpipe.errors import (
    AuthenticationError,
    ConfigurationError,
    EmbeddingError,
    InvalidVectorsError,
    ProviderError,
    RateLimitError,
)
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel, Fault

MODEL = FakeEmbeddingModel(1536)
KEY = "sk-very-secret-0123456789"
QUICK = Retry(attempts=20, initial_s=0.01, max_s=0.05)
TEXTS = [f"text number {number}" for number in range(60)]


def generator(server: EmbeddingServer, **settings: object) -> EmbeddingGenerator:
    chosen = {"retry": QUICK, "limits": Limits(batch_items=10, concurrency=4), **settings}
    return EmbeddingGenerator("text-embedding-3-small", base_url=server.url, api_key=KEY, **chosen)  # type: ignore[arg-type]


STORMS = {
    "429 without Retry-After": [Fault.status(429)] * 8,
    "429 with Retry-After": [Fault.status(429, retry_after=0.1)] * 5,
    "500s": [Fault.status(500), Fault.status(503), Fault.status(502), Fault.status(500)],
    "cut short": [Fault.cut()] * 4,
    "a vector missing": [Fault.damaged("missing")] * 3,
    "out of order": [Fault.damaged("shuffled")] * 6,
    "wrong dimension": [Fault.damaged("wrong_dimension")],
    "NaN": [Fault.damaged("nan")] * 3,
    "zero": [Fault.damaged("zero")] * 3,
    "no JSON": [Fault.damaged("not_json")] * 3,
}


@pytest.mark.parametrize("storm", STORMS)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_every_input_gets_its_vector_through_a_storm(storm: str, mode: str) -> None:
    with EmbeddingServer(MODEL, faults=STORMS[storm]) as server:
        engine = generator(server)
        batch = engine.generate_batch(TEXTS) if mode == "sync" else asyncio.run(engine.agenerate_batch(TEXTS))
        np.testing.assert_array_equal(batch.vectors, MODEL.embed(TEXTS, "document"))
        failures = 0 if storm == "out of order" else len(STORMS[storm])
        assert len(server.requests) == 6 + failures


def test_retry_after_holds_everyone_back() -> None:
    with EmbeddingServer(MODEL, faults=[Fault.status(429, retry_after=0.5)]) as server:
        generator(server, limits=Limits(batch_items=10, concurrency=1)).generate_batch(TEXTS[:30])
        first, second = server.requests[0].at, server.requests[1].at
        assert second - first >= 0.5


def test_a_rate_limit_beyond_the_deadline_is_said_at_once() -> None:
    with EmbeddingServer(MODEL, faults=[Fault.status(429, retry_after=3600)] * 6) as server:
        with pytest.raises(RateLimitError) as caught:
            generator(server, retry=Retry(deadline_s=1.0)).generate("text")
        assert caught.value.retry_after == 3600
        assert caught.value.inputs == (0,)
        assert len(server.requests) == 1


def test_a_reply_that_never_comes_is_sent_again() -> None:
    with EmbeddingServer(MODEL, faults=[Fault.hang()]) as server:
        model = OpenAIModel("text-embedding-3-small", base_url=server.url, api_key=KEY, timeout_s=0.3)
        vector = EmbeddingGenerator(model, retry=QUICK).generate("text").embedding
        np.testing.assert_array_equal(vector, MODEL.embed(["text"], "document")[0])
        assert len(server.requests) == 2


def test_a_server_that_is_killed_and_comes_back_costs_nothing() -> None:
    with EmbeddingServer(MODEL, latency_s=0.05) as server:
        engine = generator(server, retry=Retry(attempts=50, initial_s=0.05, max_s=0.1))

        def restart() -> None:
            while len(server.requests) < 3:
                time.sleep(0.005)
            server.stop()
            time.sleep(0.3)
            server.start()

        killer = threading.Thread(target=restart)
        killer.start()
        batch = engine.generate_batch(TEXTS)
        killer.join()
        np.testing.assert_array_equal(batch.vectors, MODEL.embed(TEXTS, "document"))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_refused_text_is_named_and_the_others_get_through(mode: str) -> None:
    with EmbeddingServer(MODEL, refuse=lambda text: text.endswith(("7", "23"))) as server:
        engine = generator(server)
        attempt = engine.attempt(TEXTS) if mode == "sync" else asyncio.run(engine.aattempt(TEXTS))
        bad = [n for n, text in enumerate(TEXTS) if text.endswith(("7", "23"))]
        assert list(attempt.errors) == bad
        assert all(isinstance(error, ProviderError) and error.status == 400 for error in attempt.errors.values())
        good = [text for n, text in enumerate(TEXTS) if n not in bad]
        np.testing.assert_array_equal(attempt.batch.vectors, MODEL.embed(good, "document"))
        with pytest.raises(ProviderError, match="7 inputs failed: 7, 17") as caught:
            engine.generate_batch(TEXTS)
        assert list(caught.value.inputs) == bad


def test_a_server_that_refuses_everything_is_not_asked_for_each_text() -> None:
    with EmbeddingServer(MODEL, refuse=lambda text: True) as server:
        with pytest.raises(ProviderError) as caught:
            generator(server, limits=Limits(batch_items=60, concurrency=1)).generate_batch(TEXTS)
        assert len(caught.value.inputs) == 60
        assert len(server.requests) < 15


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_server_that_dies_is_not_asked_for_each_text(mode: str, concurrency: int) -> None:
    texts = [f"text number {number}" for number in range(2000)]
    with EmbeddingServer(MODEL, faults=[None, *[Fault.status(500)] * 5000]) as server:
        retry, limits = Retry(attempts=3, initial_s=0.001), Limits(batch_items=50, concurrency=concurrency)
        engine = generator(server, retry=retry, limits=limits)
        attempt = engine.attempt(texts) if mode == "sync" else asyncio.run(engine.aattempt(texts))
        assert len(attempt.positions) == 50
        assert {error.status for error in attempt.errors.values() if isinstance(error, ProviderError)} == {500}
        assert len(attempt.errors) == 1950
        assert len(server.requests) < 20 + 20 * concurrency
        probes = [request.texts for request in server.requests if request.texts == server.requests[0].texts[:1]]
        assert len(probes) == 3  # as the policy says


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_refused_key_stops_the_call(concurrency: int) -> None:
    with EmbeddingServer(MODEL, api_key="another") as server:
        with pytest.raises(AuthenticationError, match="api_key") as caught:
            generator(server, limits=Limits(batch_items=1, concurrency=concurrency)).generate_batch(TEXTS)
        assert caught.value.inputs == tuple(range(60))
        assert 1 <= len(server.requests) <= concurrency


def test_a_persistent_failure_ends_in_an_error_that_names_its_inputs() -> None:
    with EmbeddingServer(MODEL, faults=[Fault.status(500)] * 100) as server:
        with pytest.raises(ProviderError) as caught:
            generator(server, max_retries=2).generate_batch(TEXTS[:20])
        assert caught.value.status == 500
        assert caught.value.inputs == tuple(range(20))
        assert 6 <= len(server.requests) <= 20  # as the policy says, and then until three texts failed by themselves


@pytest.mark.parametrize("damage", ["missing", "nan", "wrong_dimension", "not_json"])
def test_persistent_damage_ends_in_a_named_error(damage: str) -> None:
    with EmbeddingServer(MODEL, faults=[Fault.damaged(damage)] * 50) as server:  # type: ignore[arg-type]
        with pytest.raises(InvalidVectorsError) as caught:
            generator(server, max_retries=1).generate_batch(["a", "b"])
        one = damage in ("missing", "nan")  # the other text has its vector
        assert caught.value.inputs == ((1,) if one else (0, 1))


def test_nobody_listening() -> None:
    server = EmbeddingServer(MODEL).start()
    server.stop()
    with pytest.raises(ProviderError, match="base_url"):
        generator(server, max_retries=1).generate("text")


def test_a_cancelled_call_sends_no_more() -> None:
    two_at_once = Limits(batch_items=10, concurrency=2)

    async def cancelled(server: EmbeddingServer) -> None:
        task = asyncio.create_task(generator(server, limits=two_at_once).agenerate_batch(TEXTS))
        while not server.requests:  # noqa: ASYNC110 - a thread fills it
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)  # time for others to be sent, if any are

    with EmbeddingServer(MODEL, latency_s=0.1) as server:
        asyncio.run(cancelled(server))
    assert 1 <= len(server.requests) <= 2  # of six


def test_one_generator_serves_several_loops_and_threads() -> None:
    with EmbeddingServer(MODEL) as server:
        engine = generator(server)
        for _ in range(3):
            asyncio.run(engine.agenerate_batch(TEXTS))
        threads = [threading.Thread(target=engine.generate_batch, args=(TEXTS,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 7 * 6


def test_dimensions_are_asked_for_and_checked() -> None:
    with EmbeddingServer(FakeEmbeddingModel(256)) as server:
        engine = generator(server, dimensions=256)
        assert engine.generate("a").embedding.shape == (256,)
        assert server.requests[0].body["dimensions"] == 256
        assert engine.spec.fingerprint != generator(server).spec.fingerprint
    with pytest.raises(ConfigurationError, match="between 1 and 1536"):
        generator(server, dimensions=2000)
    with pytest.raises(ConfigurationError, match="cannot be shortened"):
        OpenAIModel("text-embedding-ada-002", dimensions=256)


def test_an_unknown_model_is_asked_for_its_dimension() -> None:
    with EmbeddingServer(FakeEmbeddingModel(48)) as server:
        engine = EmbeddingGenerator("some-new-model", base_url=server.url)
        assert (engine.spec.name, engine.spec.dimensions, engine.spec.normalized) == ("some-new-model", 48, True)


def test_azure() -> None:
    with EmbeddingServer(MODEL, api_key=KEY) as server:
        endpoint = server.url.removesuffix("/v1")
        model = OpenAIModel("text-embedding-3-small", base_url=endpoint, api_key=KEY, api_version="2024-10-21")
        vector = EmbeddingGenerator(model).generate("a").embedding
        np.testing.assert_array_equal(vector, MODEL.embed(["a"], "document")[0])
        assert server.requests[0].path == (
            "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-10-21"
        )


def test_no_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="Set OPENAI_API_KEY, or pass api_key="):
        EmbeddingGenerator("text-embedding-3-small").generate("a")


def test_the_key_shows_nowhere(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    faults = [Fault.status(429), Fault.cut()]
    with caplog.at_level(logging.DEBUG), EmbeddingServer(MODEL, faults=faults, api_key="another") as server:
        engine = generator(server)
        with pytest.raises(EmbeddingError) as caught:
            engine.generate("text")
        shown = [repr(engine), repr(engine.model), str(vars(engine)), str(vars(engine.model)), caplog.text]
        shown += traceback.format_exception(caught.value)
        shown += [str(caught.value.__dict__), pickle.dumps(caught.value).decode("latin-1")]
        shown += [pickle.dumps(engine).decode("latin-1"), pickle.dumps(engine.model).decode("latin-1")]
        copied = copy.deepcopy(engine)  # as pickle does it
        with pytest.raises(AuthenticationError):
            copied.generate("text")
    assert not [text for text in shown if KEY in text]
    assert server.requests[-1].headers["authorization"] == "Bearer from-the-environment"
