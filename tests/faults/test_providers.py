"""Providers with bad habits: where a request goes, what a reply may take, and whom a bad one costs."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bad_provider as habits
from bad_provider import BOMB, Handler, serving
from embedpipe import Database, Document, SemanticSearchService
from embedpipe._providers import retry_after
from embedpipe.embedding import EmbeddingGenerator, Limits, OpenAIModel, RateLimiter, Retry
from embedpipe.embedding.cache import KeyMaker, decode, encode
from embedpipe.errors import (
    AuthenticationError,
    ConfigurationError,
    EmbeddingError,
    EmbedPipeError,
    GenerationError,
    InvalidVectorsError,
    ProviderError,
    RateLimitError,
    RerankError,
)
from embedpipe.reranking import as_reranker
from embedpipe.types import ModelSpec
from provider_habits import CHATS, CLIENTS, DEEP, EMBEDDINGS, KEY, RERANKS, TEXT, Client, Recorded, result
from soaking import scaled

QUICK = Retry(attempts=2, initial_s=0.01, max_s=0.02)
LONG_S, SHORT_S = 30.0, 0.3

every_client = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
STREAMING = [client for name, client in CLIENTS.items() if "stream" in name]
every_stream = pytest.mark.parametrize("ask", STREAMING, ids=lambda client: client.name)


def openai_model(provider: habits.Provider, timeout_s: float) -> Any:
    return _model(EMBEDDINGS["openai"], provider, timeout_s)


def cohere_model(provider: habits.Provider, timeout_s: float) -> Any:
    return _model(EMBEDDINGS["cohere"], provider, timeout_s)


def _model(recorded: Recorded, provider: habits.Provider, timeout_s: float) -> Any:
    provider.habit = recorded.habit
    return recorded.make(provider.origin, api_key=KEY, timeout_s=timeout_s)


@every_client
def test_a_good_provider_is_understood_through_the_bounded_clients(ask: Client) -> None:
    with serving(habits.good) as provider:
        ask(provider, LONG_S)
        assert TEXT in provider.seen
        assert KEY in provider.seen


@every_client
@pytest.mark.parametrize("status", scaled([302, 307], [301, 302, 303, 307, 308]))
def test_nothing_follows_a_redirect_to_another_origin(ask: Client, status: int) -> None:
    with serving(habits.good) as other:
        with serving(habits.redirecting(status, f"{other.origin}/v1/elsewhere?a=b")) as provider:
            with pytest.raises(EmbedPipeError) as caught:
                ask(provider, LONG_S)
            assert len(provider.requests) == 1  # nor is it asked again
        assert not other.requests
    assert other.origin in str(caught.value)
    assert "base_url" in str(caught.value)
    assert KEY not in str(caught.value)


NOWHERE = ["http://[", "https://user:pw@127.0.0.1:1/x", "", "//", "file:///etc/passwd"]


@every_client
@pytest.mark.parametrize("location", scaled(NOWHERE[:2], NOWHERE))
def test_a_redirect_to_nowhere_is_an_error_of_ours(ask: Client, location: str) -> None:
    with serving(habits.redirecting(307, location)) as provider, pytest.raises(EmbedPipeError) as caught:
        ask(provider, LONG_S)
    assert "user:pw" not in str(caught.value)


@every_client
def test_a_redirect_to_another_path_of_the_same_origin_is_followed(ask: Client) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if handler.path.endswith("/here"):
            habits.good(handler, body, texts)
        else:
            handler.send_json({}, status=307, headers={"Location": "/here"})

    with serving(reply) as provider:
        ask(provider, LONG_S)
        assert provider.paths[-1] == "/here"


def test_a_redirect_ends_a_call_at_once() -> None:
    with serving(habits.redirecting(307, "https://other.example/v1")) as provider:
        model = OpenAIModel("m", api_key=KEY, base_url=f"{provider.origin}/v1", dimensions=3)
        generator = EmbeddingGenerator(model, limits=Limits(batch_items=1, concurrency=1))
        with pytest.raises(ProviderError, match=re.escape("https://other.example")) as caught:
            generator.generate_batch(["a", "b", "c", "d", "e", "f"])
        assert caught.value.inputs == (0, 1, 2, 3, 4, 5)
        assert len(provider.requests) == 1


@every_client
@pytest.mark.parametrize("head", [True, False], ids=["head", "body"])
def test_a_byte_now_and_then_does_not_outlast_the_time_of_a_request(ask: Client, head: bool) -> None:
    data = b": waiting\n\n" * 1000
    with (
        serving(habits.dripping(data, head=head)) as provider,
        pytest.raises(EmbedPipeError, match=r"timeout_s=0\.3|time"),
    ):
        ask(provider, SHORT_S)


@pytest.mark.parametrize(
    ("ask", "event"),
    [
        pytest.param(client, event, id=f"{client.name} {place}")
        for client in STREAMING
        for place, event in enumerate(client.recorded.habit.silent)
    ],
)
def test_events_without_text_do_not_outlast_the_time_of_a_stream(ask: Client, event: bytes) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        handler.close_connection = True
        while not handler.provider.stopping.wait(0.02):
            handler.wfile.write(event)

    with serving(reply) as provider, pytest.raises(GenerationError):
        ask(provider, SHORT_S)


@every_stream
def test_a_stream_that_gets_on_may_take_longer_than_its_time(ask: Client) -> None:
    pieces, habit = ["piece "] * 10, ask.recorded.habit

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(habit.opening)
        for place, piece in enumerate(pieces):
            handler.provider.stopping.wait(0.3)
            handler.wfile.write(habit.piece(piece) if place % 2 else habit.thought(piece))
        handler.wfile.write(habit.piece("end") + habit.ending)

    with serving(reply) as provider:
        assert ask(provider, 2.0) == "piece " * 5 + "end"


@every_client
@pytest.mark.parametrize("coding", scaled(["br"], ["br", "zstd", "gzip, gzip", "nonsense"]))
def test_a_reply_that_is_packed_in_another_way_is_refused(ask: Client, coding: str) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send(b"\x00" * 64, headers={"Content-Encoding": coding})

    with serving(reply) as provider:
        with pytest.raises(EmbedPipeError, match="packed as"):
            ask(provider, LONG_S)
        assert provider.headers[0]["accept-encoding"] == "gzip"


def _within_memory(ask: str, reply: str, megabytes: int) -> str:
    """What asking a provider with this habit raises, in a process whose memory grows by no more than so much."""
    code = textwrap.dedent(f"""
        import asyncio, resource, sys
        import bad_provider as habits
        from embedpipe.errors import EmbedPipeError
        from provider_habits import CLIENTS

        ask = CLIENTS[{ask!r}]
        with habits.serving(habits.good) as provider:
            ask(provider, 30.0)  # whatever is loaded is loaded now
        import threading, time
        with habits.serving({reply}) as provider:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                ask(provider, 30.0)
            except EmbedPipeError as error:
                print(type(error).__name__, error)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        sys.exit(f"grew by {{grown:.0f}} MB" if grown > {megabytes} else 0)
    """)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**_environment(), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


BOMBED = scaled(["openai embeddings", "openai async chat stream", "anthropic chat stream"], list(CLIENTS))


@pytest.mark.parametrize("ask", BOMBED)
def test_a_bomb_takes_no_memory(ask: str) -> None:
    assert "over" in _within_memory(ask, "habits.packed()", 120)


ENDLESS = {
    "openai embeddings": ("b' ' * 65536", "application/json"),
    "openai async chat": ("b' ' * 65536", "application/json"),
    "openai chat stream": ("b'data: ' + b'x' * 65536", "text/event-stream"),
    "openai async chat stream": ("ask.recorded.habit.piece('more ')", "text/event-stream"),
    "anthropic async chat": ("b' ' * 65536", "application/json"),
    "anthropic chat stream": ("b'x' * 65536", "text/event-stream"),
    "anthropic async chat stream": ("ask.recorded.habit.piece('more ')", "text/event-stream"),
    "cohere rerank": ("b' ' * 65536", "application/json"),
    "voyage rerank": ("b' ' * 65536", "application/json"),
}


@pytest.mark.parametrize("ask", scaled(["openai chat stream", "anthropic chat stream"], list(ENDLESS)))
def test_a_reply_without_end_ends(ask: str) -> None:
    piece, kind = ENDLESS[ask]
    assert "over" in _within_memory(ask, f"habits.endless({piece}, {kind!r})", 200)


def test_the_room_of_a_reply_follows_what_was_asked_for() -> None:
    """Vectors as the most talkative server writes them are taken, whatever their number."""

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        vector = [-0.1234567890123456789e-10] * 1536
        rows = [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(texts))]
        handler.send(json.dumps({"data": rows}, indent=4).encode())

    with serving(reply) as provider:
        model = OpenAIModel("m", api_key=KEY, base_url=f"{provider.origin}/v1", dimensions=1536)
        assert EmbeddingGenerator(model).generate_batch([str(n) for n in range(60)]).vectors.shape == (60, 1536)


BAD_ROWS: dict[str, Any] = {
    "null": None,
    "empty": [],
    "text": "not base64!",
    "odd base64": "AAAA",
    "words for numbers": ["one", "two", "three"],
    "booleans": [True, False, True],
    "null inside": [1.0, None, 2.0],
    "nested": [[1.0, 2.0, 3.0]],
    "object": {"0": 1.0},
    "number": 7,
    "too short": [1.0],
    "too long": [1.0] * 4,
    "huge integer": [10**400, 1, 2],
    "too large": [1e300, 1.0, 2.0],
    "zero": [0, 0, 0],
    "true": True,
}


def _spoiling(row: Any) -> Callable[[Handler, dict[str, Any], list[str]], None]:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        given = handler.provider.habit.answer(body, texts)
        rows = given["embeddings"]["float"] if "texts" in body else None
        for place, text in enumerate(texts):
            if "bad" in text and rows is not None:
                rows[place] = row
            elif "bad" in text:
                given["data"][place]["embedding"] = row
        handler.send_json(given)

    return reply


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_vector_costs_its_own_text(row: Any, mode: str) -> None:
    with serving(_spoiling(row)) as provider:
        generator = EmbeddingGenerator(openai_model(provider, LONG_S), retry=QUICK)
        texts = [f"text {n}" for n in range(19)] + ["bad one"]
        random.Random(len(str(row))).shuffle(texts)
        attempt = generator.attempt(texts) if mode == "sync" else asyncio.run(generator.aattempt(texts))
        assert list(attempt.errors) == [texts.index("bad one")]
        assert isinstance(attempt.errors[texts.index("bad one")], InvalidVectorsError)
        assert attempt.batch.vectors[:, 2].tolist() == [len(text) for text in texts if text != "bad one"]
        assert [len(body["input"]) for body in provider.requests] == [20, 1]  # what is good is not asked for again


@pytest.mark.parametrize("row", [None, [1.0, None, 2.0], [1.0]], ids=str)
def test_a_bad_vector_of_coheres_costs_its_own_text(row: Any) -> None:
    with serving(_spoiling(row)) as provider:
        generator = EmbeddingGenerator(cohere_model(provider, LONG_S), retry=QUICK)
        attempt = generator.attempt(["text 1", "bad one", "text 2"])
        assert list(attempt.errors) == [1]
        assert isinstance(attempt.errors[1], InvalidVectorsError)


def _broken(handler: Handler, body: dict[str, Any], texts: list[str], reply: bytes) -> None:
    if any("bad" in text for text in texts):
        handler.send(reply)
    else:
        habits.good(handler, body, texts)


BAD_REPLIES = {
    "nested": DEEP.encode(),
    "nested vector": b'{"data": [{"index": 0, "embedding": ' + DEEP.encode() + b"]}]}",
    "no JSON": b"<html>a proxy's page</html>",
    "nothing": b"",
    "not UTF-8": b"\xff\xfe{",
    "null": b"null",
    "a list": b"[1, 2]",
    "no data": b"{}",
    "data is null": b'{"data": null}',
    "data is a number": b'{"data": 5}',
    "data of text": b'{"data": "abc"}',
    "items are null": b'{"data": [null, null]}',
    "no vectors": b'{"data": []}',
    "an index twice": b'{"data": [{"index": 0, "embedding": [1,2,3]}, {"index": 0, "embedding": [1,2,3]}]}',
    "an index that is text": b'{"data": [{"index": "0", "embedding": [1,2,3]}]}',
    "an index that is true": b'{"data": [{"index": true, "embedding": [1,2,3]}]}',
    "an index too large": b'{"data": [{"index": 1e999, "embedding": [1,2,3]}]}',
    "a number of 5,000 digits": b'{"data": [{"index": 0, "embedding": [' + b"9" * 5000 + b"]}]}",
}


@pytest.mark.parametrize("model", [openai_model, cohere_model], ids=["openai", "cohere"])
@pytest.mark.parametrize("reply", BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_a_reply_that_is_none_costs_the_text_that_it_came_for(reply: bytes, model: Any) -> None:
    with serving(lambda handler, body, texts: _broken(handler, body, texts, reply)) as provider:
        generator = EmbeddingGenerator(model(provider, LONG_S), retry=QUICK)
        attempt = generator.attempt(["text 1", "text 2", "bad one", "text 4", "text 5"])
        assert list(attempt.errors) == [2]
        assert isinstance(attempt.errors[2], EmbeddingError)
        assert len(provider.requests) <= 8  # each size tried once, after the policy's tries of the whole


def test_an_ingest_goes_on_past_what_a_provider_cannot_embed(database: Database) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if any("deep" in text for text in texts):
            handler.send(DEEP.encode())
        elif any("crash" in text for text in texts):
            handler.send_json({"error": "json: unsupported value: NaN"}, status=500)
        else:
            _spoiling(None)(handler, body, texts)

    with serving(reply) as provider:
        generator = EmbeddingGenerator(openai_model(provider, LONG_S), retry=QUICK)
        service = SemanticSearchService(generator, database=database, collection="bad_provider")
        words = {3: "bad", 11: "deep", 17: "crash"}
        documents = [Document(id=str(n), text=f"{words.get(n, 'text')} {n}") for n in range(20)]
        report = service.ingest(documents)
        assert sorted(report.failures) == ["11", "17", "3"]
        assert "unsupported value: NaN" in str(report.failures["17"])
        assert service.store.count() == 17
        service.close()


CHAT_REPLIES = {
    **{name: reply for name, reply in BAD_REPLIES.items() if "index" not in name},
    "choices are null": b'{"choices": null}',
    "choices are text": b'{"choices": "abc"}',
    "a choice is null": b'{"choices": [null]}',
    "no message": b'{"choices": [{"finish_reason": "stop"}]}',
    "the message is null": b'{"choices": [{"message": null}]}',
    "content is a number": b'{"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}',
    "content is a list": b'{"choices": [{"message": {"content": ["a"]}, "finish_reason": "stop"}]}',
    "content is null": b'{"content": null, "stop_reason": "end_turn"}',
    "content of numbers": b'{"content": [5]}',
    "text is null": b'{"content": [{"type": "text", "text": null}]}',
    "no text": b'{"content": [{"type": "thinking", "thinking": "a"}], "stop_reason": "max_tokens"}',
    "a citation is null": b'{"content": [{"type": "text", "text": "a", "citations": [null]}]}',
    "a citation of nothing": b'{"content": [{"type": "text", "text": "a", "citations": [{"document_index": "0"}]}]}',
    "candidates are null": b'{"candidates": null}',
    "a candidate is null": b'{"candidates": [null]}',
    "a part is null": b'{"candidates": [{"content": {"parts": [null]}, "finishReason": "STOP"}]}',
    "a part is a number": b'{"candidates": [{"content": {"parts": [{"text": 5}]}, "finishReason": "STOP"}]}',
    "no parts": b'{"candidates": [{"finishReason": "MAX_TOKENS"}]}',
    "no reason": b'{"candidates": [{"content": {"parts": [{"text": "cut"}]}}]}',
    "blocked": b'{"promptFeedback": {"blockReason": "SAFETY"}}',
}


@pytest.mark.parametrize(
    "ask", [client for name, client in CLIENTS.items() if name.endswith(" chat")], ids=lambda client: client.name
)
@pytest.mark.parametrize("reply", CHAT_REPLIES.values(), ids=CHAT_REPLIES)
def test_an_answer_that_is_none_is_an_error_of_ours(reply: bytes, ask: Client) -> None:
    with serving(lambda handler, body, texts: handler.send(reply)) as provider, pytest.raises(GenerationError):
        ask(provider, LONG_S)


@pytest.mark.parametrize("name", CHATS)
def test_tokens_that_are_no_numbers_are_not_counted(name: str) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        bad: dict[str, Any] = {"total_tokens": "many", "completion_tokens": -1, "prompt_tokens": 1e400}
        bad |= {"input_tokens": "many", "output_tokens": -1, "totalTokenCount": 1e400, "candidatesTokenCount": True}
        handler.send_json(handler.provider.habit.answer(body, texts) | {"usage": bad, "usageMetadata": bad})

    with serving(reply) as provider:
        answer = CLIENTS[f"{name} chat"](provider)
    assert (answer.text, answer.tokens_used, answer.output_tokens) == ("An answer.", None, None)


STREAMS = [
    (client, broken) for name, client in CLIENTS.items() if "stream" in name for broken in client.recorded.habit.broken
]


@pytest.mark.parametrize(("ask", "broken"), STREAMS, ids=lambda each: each if isinstance(each, str) else each.name)
def test_a_stream_that_is_none_is_an_error_of_ours(ask: Client, broken: str) -> None:
    habit = ask.recorded.habit

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send(habit.opening + habit.broken[broken], headers={"Content-Type": "text/event-stream"})

    with serving(reply) as provider, pytest.raises(GenerationError):
        ask(provider)


RANKINGS = {
    "nested": DEEP.encode(),
    "no JSON": b"<html>",
    "no results": b"{}",
    "results are null": b'{"results": null}',
    "too few": b'{"results": [{"index": 0, "relevance_score": 0.5}]}',
    "one twice": b'{"results": [{"index": 0, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.4}]}',
    "one too many": b'{"results": [{"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": 0.5}, '
    b'{"index": 0, "relevance_score": 0.4}]}',
    "no score": b'{"results": [{"index": 0}, {"index": 1, "relevance_score": 0.5}]}',
    "null": b'{"results": [{"index": 0, "relevance_score": null}, {"index": 1, "relevance_score": 0.5}]}',
    "NaN": b'{"results": [{"index": 0, "relevance_score": NaN}, {"index": 1, "relevance_score": 0.5}]}',
    "text": b'{"results": [{"index": 0, "relevance_score": "0.5"}, {"index": 1, "relevance_score": 0.5}]}',
    "index null": b'{"results": [{"index": null, "relevance_score": 1}, {"index": 1, "relevance_score": 0.5}]}',
}


@pytest.mark.parametrize("name", RERANKS)
@pytest.mark.parametrize("reply", RANKINGS.values(), ids=RANKINGS)
def test_a_ranking_that_is_none_is_an_error_of_ours(reply: bytes, name: str) -> None:
    if name == "voyage":
        reply = reply.replace(b'"results"', b'"data"')
    if name == "tei" and reply.startswith(b'{"results": '):
        reply = reply.removeprefix(b'{"results": ').removesuffix(b"}").replace(b"relevance_score", b"score")
    with serving(lambda handler, body, texts: handler.send(reply)) as provider, pytest.raises(RerankError):
        CLIENTS[f"{name} rerank"](provider)


def _endless_scores(query: str, texts: list[str]) -> Any:
    while True:
        yield 0.5


SCORES: dict[str, Any] = {
    "None": lambda query, texts: None,
    "a number": lambda query, texts: 0.5,
    "one too few": lambda query, texts: [0.5],
    "None in it": lambda query, texts: [None, 0.5],
    "NaN": lambda query, texts: [float("nan"), 0.5],
    "infinite": lambda query, texts: [float("inf"), 0.5],
    "text": lambda query, texts: ["0.9", 0.5],
    "huge": lambda query, texts: [10**400, 0.5],
    "matrix": lambda query, texts: np.ones((2, 2)),
    "no end": _endless_scores,
}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_scores_that_are_none_are_an_error_of_ours(score: Any) -> None:
    with pytest.raises(RerankError):
        as_reranker(score).rerank("question", [result("a"), result("b")])


class _Compressor:
    def __init__(self, kept: Callable[[Any], Any]) -> None:
        self._kept = kept

    def compress_documents(self, documents: Any, query: str) -> Any:
        return self._kept(documents)


def _moved(documents: Any, position: Any, score: Any = 0.5) -> Any:
    documents[0].metadata.update(_embedpipe_position=position, relevance_score=score)
    return documents[:1]


@pytest.mark.parametrize(
    "kept",
    [
        lambda documents: None,
        lambda documents: [None],
        lambda documents: [documents[0], documents[0]],
        lambda documents: _moved(documents, 7),
        lambda documents: _moved(documents, -1),
        lambda documents: _moved(documents, "0"),
        lambda documents: _moved(documents, 0, float("nan")),
        lambda documents: _moved(documents, 0, "best"),
        lambda documents: _moved(documents, 0, 10**400),
    ],
)
def test_what_a_compressor_makes_up_is_an_error_of_ours(kept: Any) -> None:
    with pytest.raises(RerankError):
        as_reranker(_Compressor(kept)).rerank("question", [result("a"), result("b")])


class _Embeddings:
    """LangChain's embeddings, with what they return."""

    model = "own"
    api_key = KEY

    def __init__(self, rows: Callable[[list[str]], Any]) -> None:
        self._rows = rows
        self.api_key = KEY

    def embed_documents(self, texts: list[str]) -> Any:
        return [[1.0, 2.0, 3.0]] if texts == ["dimension"] else self._rows(texts)

    def embed_query(self, text: str) -> Any:
        return self.embed_documents([text])[0]


def _fails(texts: list[str]) -> Any:
    if "bad" in texts:
        raise RuntimeError(f"Incorrect API key provided: {KEY}")
    return [[1.0, 2.0, 3.0]] * len(texts)


@pytest.mark.parametrize(
    "rows",
    [
        lambda texts: [None if text == "bad" else [1.0, 2.0, 3.0] for text in texts],
        lambda texts: [[1.0] if text == "bad" else [1.0, 2.0, 3.0] for text in texts],
        lambda texts: [["x"] * 3 if text == "bad" else [1.0, 2.0, 3.0] for text in texts],
        lambda texts: None if "bad" in texts else [[1.0, 2.0, 3.0]] * len(texts),
        lambda texts: [] if "bad" in texts else [[1.0, 2.0, 3.0]] * len(texts),
        _fails,
    ],
)
def test_what_a_wrapped_model_makes_up_costs_its_own_text(rows: Any) -> None:
    attempt = EmbeddingGenerator(_Embeddings(rows)).attempt(["a", "b", "bad", "c"])
    assert list(attempt.errors) == [2]
    assert KEY not in str(attempt.errors[2])


every_retrying = pytest.mark.parametrize(
    "ask", [client for client in CLIENTS.values() if client.kind != "embeddings"], ids=lambda client: client.name
)


@every_retrying
@pytest.mark.parametrize("fault", [429, 503, None])
def test_chat_and_rerank_retry_what_may_pass(ask: Client, fault: int | None) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if len(handler.provider.requests) > 1:
            habits.good(handler, body, texts)
        elif fault is None:
            handler.close_connection = True  # without a reply
        else:
            handler.send_json({"error": "planned"}, status=fault, headers={"Retry-After": "0.01"})

    with serving(reply) as provider:
        assert ask(provider, retries=1)
        assert len(provider.requests) == 2


@every_retrying
@pytest.mark.parametrize(("status", "wait"), [(400, "0"), (401, "0"), (429, "3600"), (200, "0")])
def test_chat_and_rerank_do_not_retry_the_rest(ask: Client, status: int, wait: str) -> None:
    """Refusals, a wait that is longer than all waits may take, and a reply that cannot be read."""

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json([], status=status, headers={"Retry-After": wait})

    with serving(reply) as provider:
        asked = ask.made(provider.origin, retries=1)
        with pytest.raises((GenerationError, RerankError)):
            # Of several texts, a half would be sent, too.
            asked.rerank("question", [result("a")]) if ask.kind == "rerank" else ask.ask(asked)
        assert len(provider.requests) == 1


LIMITS = ["inf", "-inf", "nan", "1e308", "9" * 400, "-5", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 99999 00:00:00"]


@pytest.mark.parametrize("value", LIMITS)
def test_a_wait_that_nobody_waits_holds_nobody_back(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or 0.0 <= seconds <= 31 * 86400

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if "held" in texts[0]:
            handler.send_json({"error": "slow down"}, status=429, headers={"Retry-After": value})
        else:
            habits.good(handler, body, texts)

    with serving(reply) as provider:
        limits = Limits(batch_items=1, concurrency=1)
        generator = EmbeddingGenerator(
            openai_model(provider, LONG_S), retry=Retry(attempts=2, initial_s=0.01), limits=limits
        )
        attempt = generator.attempt(["held", "text"])
        assert isinstance(attempt.errors[0], RateLimitError)
        assert list(attempt.positions) == [1]


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "1e-300", "x", "9" * 400])
def test_rates_that_a_provider_makes_up_hold_nobody_back_for_long(value: str) -> None:
    limiter = RateLimiter(Limits())
    for measure in ("requests", "tokens"):
        limiter.learn({f"x-ratelimit-limit-{measure}": value})
        limiter.learn({f"x-ratelimit-remaining-{measure}": "0", f"x-ratelimit-reset-{measure}": "9" * 400 + "d"})
    for _ in range(3):
        assert limiter.reserve(100_000) <= 300.0


def test_a_limiter_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "rates").write_bytes(random.Random(1).randbytes(4096))
    with pytest.raises(ConfigurationError, match="rates"):
        RateLimiter(Limits(shared=tmp_path / "rates"))


def test_what_stands_in_a_limiter_file_holds_nobody_back_for_ever(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    limiter = RateLimiter(Limits(shared=tmp_path / "rates"))
    for value in (1e300, float("inf"), "text", None, time.time() + 1e6):
        with closing(sqlite3.connect(tmp_path / "rates")) as connection, connection:
            connection.execute("DROP TABLE state")
            connection.execute("CREATE TABLE state (requests, tokens, pause)")
            connection.execute("INSERT INTO state VALUES (?, ?, ?)", (value, value, value))
        assert 0.0 <= limiter.reserve(10) <= 86400.0


def test_an_entry_of_a_cache_is_taken_only_where_it_is_one(chance: random.Random) -> None:
    spec = ModelSpec(name="m", dimensions=8)
    keys = KeyMaker(spec, "document").keys([str(n) for n in range(scaled(200, 5000))])
    vectors = np.ones((len(keys), 8), dtype=np.float32)
    entries = encode(
        keys, vectors, tokens=[1] * len(keys), treatments=["whole"] * len(keys), model="m", precision="float32"
    )
    values: list[Any] = []
    for _, value in entries:
        spoiled = bytearray(value)
        match chance.randrange(4):
            case 0:
                spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
            case 1:
                spoiled = spoiled[: chance.randrange(len(spoiled))]
            case 2:
                spoiled = bytearray(chance.randbytes(chance.randrange(64)))
            case 3:
                spoiled += chance.randbytes(1 + chance.randrange(8))
        values.append(bytes(spoiled))
    found, damaged = decode(keys, values, dimensions=8, long_texts="whole")
    assert not found
    assert damaged == len(keys)


def test_entries_of_a_cache_that_are_sealed_and_no_vectors_are_not_taken(tmp_path: Path) -> None:
    """Whoever can write to a shared cache can seal what they write."""

    class Sealed:
        def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
            vectors = np.array([[np.nan] * 3, [np.inf] * 3, [0.0] * 3, [1.0, 2.0, 3.0]], dtype=np.float32)[: len(keys)]
            cut: Any = ["whole"] * len(keys)
            return [
                v
                for _, v in encode(
                    keys, vectors, tokens=[1] * len(keys), treatments=cut, model="m", precision="float32"
                )
            ]

        def put_many(self, entries: Any) -> None:
            pass

    with serving(habits.good) as provider:
        generator = EmbeddingGenerator(openai_model(provider, LONG_S), cache=Sealed())
        batch = generator.generate_batch(["a", "bb", "ccc", "dddd"])
    assert batch.cached.tolist() == [False, False, False, True]
    assert np.isfinite(batch.vectors).all()


@pytest.mark.parametrize("values", [None, 5, [], ["text"] * 3, [5] * 3, [b""] * 3, [b"\x00" * 9] * 3, [b"x"] * 99])
def test_what_a_broken_cache_says_costs_a_request_alone(values: Any) -> None:
    class Broken:
        def get_many(self, keys: Any) -> Any:
            return values

        def put_many(self, entries: Any) -> None:
            raise OSError("no space left")

    with serving(habits.good) as provider:
        generator = EmbeddingGenerator(openai_model(provider, LONG_S), cache=Broken())
        assert generator.generate_batch(["a", "bb", "ccc"]).vectors[:, 2].tolist() == [1.0, 2.0, 3.0]


@every_client
@pytest.mark.parametrize("status", scaled([400], [400, 422, 500]))
def test_a_providers_own_words_come_through_bounded_and_without_the_key(ask: Client, status: int) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        said = f"model m is not loaded for {KEY}\x1b[31m " + "x" * 100_000
        handler.send_json({"detail": [{"loc": ["body"], "msg": said}]}, status=status)

    with serving(reply) as provider, pytest.raises(EmbedPipeError, match="model m is not loaded for") as caught:
        ask(provider, LONG_S)
    assert len(str(caught.value)) < 1000
    assert KEY not in str(caught.value)
    assert "\x1b" not in str(caught.value)


ERRORS = {
    "nested": DEEP.encode(),
    "not UTF-8": b"\xff" * 100,
    "nothing": b"",
    "null": b"null",
    "a number": b'{"error": {"message": 5}}',
    "spaces": b" " * (BOMB >> 2),
}


@pytest.mark.parametrize(
    "name",
    scaled(
        [
            "openai async embeddings",
            "cohere embeddings",
            "openai chat",
            "openai async chat stream",
            "anthropic async chat",
            "gemini chat stream",
            "cohere rerank",
            "tei rerank",
        ],
        list(CLIENTS),
    ),
)
@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS)
def test_an_error_that_is_none_keeps_its_status(name: str, body: bytes) -> None:
    failing = serving(lambda handler, _, texts: handler.send(body, status=418))
    # Cohere's client fails at these by itself, before it says the status.
    unread = "cohere" in name and body in (ERRORS["nested"], ERRORS["not UTF-8"])
    with failing as provider, pytest.raises(EmbedPipeError, match=None if unread else "418"):
        CLIENTS[name](provider, LONG_S)


def test_a_key_that_no_header_takes_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(habits.good) as provider:
        for key in ("sk-first\nsk-second", "sk-caf\u00e9-0123", "sk-null\x00-0123"):
            with pytest.raises(AuthenticationError, match="line break") as caught:
                EmbeddingGenerator(OpenAIModel("m", api_key=key, base_url=provider.origin, dimensions=3)).generate("a")
            assert key not in str(caught.value)
        model = OpenAIModel("m", api_key=f"{KEY}\n", base_url=provider.origin, dimensions=3)
        EmbeddingGenerator(model).generate("a")
        assert provider.headers[-1]["authorization"] == f"Bearer {KEY}"
