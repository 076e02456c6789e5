"""Requests that are cheap to send and dear to answer: nobody else waits for them, and time limits end them.

What a step of the event loop takes is counted in its own processor time, which other processes do not stretch. The
bound is five times what the longest step takes, and less than half of what each of these took before.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI

from asgi import ask, code, routes
from embedpipe import types
from embedpipe.chunking import RecursiveChunker
from embedpipe.errors import InputError
from embedpipe.retrieval import context
from embedpipe.server import ServerSettings, create_app
from embedpipe.server.web.body import RequestBody
from embedpipe.server.web.json_size import values_in
from embedpipe.service import SemanticSearchService
from embedpipe.storage.filters.conditions import In
from embedpipe.storage.lexical.query_parser import MOST_OPERATORS, parse_query
from embedpipe.storage.search import statement_cache
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Document
from soaking import scaled

JSON = {"content-type": "application/json"}
MOST_S = 1.0
FULL = scaled(6_000_000, 9_900_000)


def application(url: str, **settings: Any) -> FastAPI:
    return create_app(FakeEmbeddingModel(64), database=url, settings=ServerSettings(**settings))


@pytest.fixture(scope="module")
def url(shared_database_url: str) -> str:
    documents = [
        Document(id=str(number), text=f"Tea number {number}.", metadata={"a": number, "text": "x" * 100})
        for number in range(1000)
    ]
    service = SemanticSearchService(FakeEmbeddingModel(64), database=shared_database_url)
    service.ingest(documents)
    service.close()
    return shared_database_url


class Steps:
    """The longest step of the event loop, by the processor time of its thread."""

    longest = 0.0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    found, run = Steps(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        found.longest = max(found.longest, time.thread_time() - began)

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    return found


def filled(before: str, piece: str, after: str) -> bytes:
    """A large body, of one piece many times over."""
    count = (FULL - len(before) - len(after)) // (len(piece) + 1)
    return (before + ",".join([piece] * count) + after).encode()


SHAPES: dict[str, bytes] = {
    "numbers": filled('{"query": "x", "filter": {"a": {"$in": [', "1", "]}}}"),
    "lists": filled('{"query": "x", "filter": {"a": {"$in": [', "[]", "]}}}"),
    "objects": filled('{"documents": [', "{}", "]}"),
    "texts": filled('{"texts": [', '"a"', "]}"),
    "token lists": filled('{"model": "fake", "input": [', "[1]", "]}"),
    "metadata": filled('{"documents": [{"id": "a", "text": "b", "metadata": {"a": [', "[]", "]}}]}"),
    "keys": ('{"query": "x"' + "".join(f', "k{number}": 1' for number in range(600_000)) + "}").encode(),
    "nested": ('{"query": "x", "filter": ' + "[" * 4_000_000).encode(),
    "nested objects": ('{"query": "x", "filter": ' + '{"a":' * 1_500_000).encode(),
    "escapes": ('{"texts": ["' + '\\"' * 4_000_000 + '"' + ",[]" * 300_000 + "]}").encode(),
    "UTF-16": filled('{"texts": [', '"a"', "]}")[: FULL // 2].decode().encode("utf-16"),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_body_of_many_values_is_refused_before_it_is_read(
    shape: str, url: str, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every route that takes a body, those that are added later too."""
    app, read = application(url), json.loads

    def loads(text: Any, **options: Any) -> Any:
        assert len(text) < 100_000, "a body was read before its values were counted"
        return read(text, **options)

    monkeypatch.setattr(json, "loads", loads)
    taking = sorted({(method, path) for method, path in routes(app) if method in ("POST", "PUT", "PATCH", "DELETE")})
    assert len(taking) >= 9
    for method, path in taking:
        refused = await ask(app, method, path, JSON, SHAPES[shape])
        assert refused.status == 400
        assert code(refused) in ("too_many", "invalid_json")
    assert steps.longest < MOST_S


def within(before: str, piece: str, after: str, count: int) -> bytes:
    return (before + ",".join([piece] * count) + after).encode()


def asked(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


DEAR: dict[str, tuple[str, str, bytes]] = {
    "values": ("POST", "/search", asked(query="x", filter={"a": {"$in": list(range(49_000))}})),
    "long numbers": ("POST", "/search", within('{"query": "x", "filter": {"a": {"$in": [', "1" * 3900, "]}}}", 2500)),
    "long floats": ("POST", "/search", within('{"query": "x", "filter": {"a": {"$in": [', "1e300", "]}}}", 49_000)),
    "lists": ("POST", "/search", within('{"query": "x", "filter": {"a": {"$in": [', "[[]]", "]}}}", 20_000)),
    "a long key": ("POST", "/search", asked(query="x", filter={"k" * 4_000_000: {"$in": list(range(40_000))}})),
    "equal": ("POST", "/search", asked(query="x", filter={f"k{number}": number for number in range(99)})),
    "like": ("POST", "/search", asked(query="x", filter={"$or": [{f"k{n}": {"$like": "%a%"}} for n in range(49)]})),
    "ranges": ("POST", "/search", asked(query="x", filter={"$and": [{f"k{n}": {"$gte": n}} for n in range(49)]})),
    "exclusions": ("POST", "/search", asked(query="-a " * 33_000, mode="lexical")),
    "some exclusions": ("POST", "/search", asked(query="tea " + "-a " * 900, mode="lexical")),
    "phrases": ("POST", "/search", asked(query='"a b" ' * 16_000)),
    "quotes": ("POST", "/search", asked(query=' "a' * 33_000)),
    "words": ("POST", "/search", asked(query=" ".join(f"w{number}" for number in range(14_000)))),
    "alternatives": ("POST", "/search", asked(query="a or " * 19_000 + "b")),
    "hyphens": ("POST", "/search", asked(query="a-b." * 25_000, mode="lexical")),
    "results": ("POST", "/search", asked(query="tea number", k=1000)),
    "answer": ("POST", "/answer", asked(question="tea number " * 9000, k=1000)),
    "pieces": ("POST", "/embed", asked(text="a b. " * 20_000, chunkSize=1)),
    "vectors": ("POST", "/embed/batch", asked(texts=[f"{number} x" for number in range(2048)])),
    "floats": ("POST", "/v1/embeddings", asked(model="fake", input=[f"{number} x" for number in range(2048)])),
    "tokens": ("POST", "/v1/embeddings", asked(model="fake", input=[[1000] * 1500] * 1000)),
    "ids": ("DELETE", "/documents", asked(ids=[f"id {number}" for number in range(49_000)])),
    "removed": ("DELETE", "/documents", asked(filter={"none": {"$in": list(range(49_000))}})),
    "file": ("POST", "/files", asked(name="a.txt", content=b64encode(b"Tea is steeped. " * 20_000).decode())),
    "documents": ("GET", "/documents", b""),
    "metadata keys": ("GET", "/metadata", b""),
    "rerank": ("POST", "/rerank", asked(query="x y " * 20_000, documents=["x y " * 1000] * 2000)),
}


@pytest.mark.parametrize("name", DEAR)
async def test_the_dearest_requests_hold_up_nobody(name: str, url: str, steps: Steps) -> None:
    app = application(url)
    method, path, body = DEAR[name]
    async with app.router.lifespan_context(app):
        await ask(app, "POST", "/search", JSON, asked(query="tea"))  # what is loaded once is loaded
        gc.collect()
        steps.longest = 0.0
        answered = await ask(app, method, path, JSON, body)
    assert answered.status in (200, 400), answered.body[:200]
    assert steps.longest < MOST_S


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """In which threads each kind of work was done that goes by the size of a request."""
    found: dict[str, set[int]] = {}

    def watched(where: Any, name: str) -> None:
        work: Callable[..., Any] = getattr(where, name)

        def noted(*args: Any, **options: Any) -> Any:
            found.setdefault(name, set()).add(threading.get_ident())
            return work(*args, **options)

        monkeypatch.setattr(where, name, noted)

    from embedpipe.server.routes import openai
    from embedpipe.server.web import json_response

    watched(RequestBody, "_check_values")
    watched(In, "__post_init__")
    watched(statement_cache, "_compile")
    watched(RecursiveChunker, "chunk")
    watched(json_response, "_list_body")
    watched(openai, "_texts")
    watched(types, "best_snippet")
    watched(context, "best_snippet")
    return found


async def test_what_goes_by_the_size_of_a_request_is_done_beside_the_loop(
    url: str, threads: dict[str, set[int]]
) -> None:
    app = application(url)
    async with app.router.lifespan_context(app):
        await ask(app, "POST", "/search", JSON, asked(query="tea"))
        threads.clear()
        for name in ("values", "like", "pieces", "vectors", "floats", "results", "answer"):
            await ask(app, DEAR[name][0], DEAR[name][1], JSON, DEAR[name][2])
        large = asked(texts=["x" * 90_000] * 2)
        assert (await ask(app, "POST", "/embed/batch", JSON, large)).status == 200
    loop = threading.get_ident()
    small = threads.pop("_check_values")
    assert small - {loop}, "the large bodies were counted on the loop"
    assert threads.keys() == {"__post_init__", "_compile", "chunk", "_list_body", "_texts", "best_snippet"}
    compiled = threads.pop("_compile")
    assert compiled - {loop}
    for name, ran in threads.items():
        assert loop not in ran, f"{name} ran on the loop"


async def test_a_time_limit_ends_the_statement_too(url: str) -> None:
    app = application(url, request_timeout_s=1.0)
    with psycopg.connect(url) as blocker, psycopg.connect(url, autocommit=True) as observer:
        async with app.router.lifespan_context(app):
            assert (await ask(app, "POST", "/search", JSON, asked(query="tea"))).status == 200
            blocker.execute("LOCK TABLE embedpipe.c1_chunks IN ACCESS EXCLUSIVE MODE")
            late = await ask(app, "POST", "/search", JSON, asked(query="tea"))
            assert (late.status, code(late)) == (504, "timeout")
            running = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
            )
            until = time.monotonic() + 30
            while observer.execute(running).fetchone() != (0,):
                assert time.monotonic() < until, "the statement went on after its request was given up"
                await asyncio.sleep(0.05)
            blocker.rollback()
            assert (await ask(app, "POST", "/search", JSON, asked(query="tea"))).status == 200


async def test_metadata_is_bounded_since_each_chunk_is_stored_with_it(url: str) -> None:
    app = application(url)
    for metadata in ({"a": "x" * 60_000}, {"k" * 60_000: 1}, {"a": [1] * 30_000}, {"a": {"b": ["x" * 100] * 600}}):
        document = {"id": "a", "text": "b", "metadata": metadata}
        refused = await ask(app, "POST", "/documents", JSON, asked(documents=[document]))
        assert (refused.status, code(refused)) == (400, "metadata_too_long")


def test_a_statement_that_is_remembered_keeps_nobodys_values(url: str) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(64), database=url)
    for k in range(1, 4):
        assert service.search("tea", k, filter={"a": {"$in": list(range(30 * k))}})
    service.close()
    del service
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, In)] == []


def values(value: Any) -> int:
    """How many values and keys there are, by reading."""
    if isinstance(value, dict):
        return 1 + sum(1 + values(inner) for inner in value.values())
    return 1 + sum(map(values, value)) if isinstance(value, list) else 1


def made(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth > 4 or kind < 0.4:
        return chance.choice([1, -1.5e9, None, True, 'a,[{"\\', '\\\\"', "ä\u2028" * 3, ""])
    if kind < 0.7:
        return [made(chance, depth + 1) for _ in range(chance.randrange(8))]
    return {f'k{number}",[{{\\' * chance.randrange(3): made(chance, depth + 1) for number in range(chance.randrange(8))}


def test_values_are_counted_about_as_a_reader_meets_them(chance: random.Random) -> None:
    for _ in range(scaled(500, 50_000)):
        value = [made(chance) for _ in range(5)]
        body = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode()
        count = values(value)
        assert count / 2 - 1 <= values_in(body) <= count * 2
    numbers = json.dumps([list(range(100))] * 10).encode()
    assert values_in(numbers, number_weight=0.1) == pytest.approx(11 + 99, abs=12)


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) - 1, (1 << 20) + 1, 3 << 20])
def test_values_are_counted_across_the_pieces_that_a_body_is_looked_at_in(size: int) -> None:
    text = "x," * (size // 2)
    assert values_in(json.dumps([text, [], [text, 1]]).encode()) in (5, 6)


def test_a_query_of_many_operators_is_refused_and_a_long_one_is_not() -> None:
    assert parse_query("a-b " * 20_000).constraint is None
    assert parse_query("-a " * MOST_OPERATORS).constraint is not None
    for query in ("-a " * (MOST_OPERATORS + 1), '"a b" ' * (MOST_OPERATORS + 1), '"a" or -b ' * MOST_OPERATORS):
        with pytest.raises(InputError, match="At most 1000 are possible"):
            parse_query(query)


def test_no_word_of_a_query_is_longer_than_the_database_reads_quickly() -> None:
    assert max(map(len, parse_query("a-b." * 25_000).words.split())) <= 500


GROWING = """
import sys
from embedpipe.errors import InputError
from embedpipe.storage.types.jsonb import dumps
values = [1] * 200_000
dumps({"k" * 2_000_000: values}, what="metadata")  # a path for each value would be 400 gigabytes to copy
dumps({"k" * 2_000_000: {str(number): number for number in range(100_000)}}, what="metadata")
try:
    dumps({"outer": {"k" * 2_000_000: [*values, object()]}}, what="metadata")
except InputError as error:
    sys.exit(len(str(error)) > 1000)
sys.exit("not refused")
"""


def test_metadata_is_written_in_time_by_its_size() -> None:
    done = subprocess.run([sys.executable, "-c", GROWING], timeout=120, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def no_debt() -> Iterator[None]:
    """Collect what earlier tests left, which a step of the loop would else be charged with."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
