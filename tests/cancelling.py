"""A process that cancels what it calls, each time at a random moment, and fails if anything is left behind.

python cancelling.py URL PART,PART... TIMES SEED

Prints how many calls were cancelled. Whatever stands on stderr is a fault, too.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import socket
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx

import chat_server
import embedpipe
import loading
from embedpipe import AsyncBatchProcessor, Document, EmbeddingGenerator, RAGPipeline, SemanticSearchService
from embedpipe.embedding import Limits
from embedpipe.server import create_app
from embedpipe.storage import AsyncPgVectorStore, Database
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel
from embedpipe.types import Chunk, SearchResult
from serving import serving

Call: TypeAlias = Callable[[], Coroutine[Any, Any, object]]

DOCUMENTS = 100
_TURNS = 100
_QUESTION = "What is part 1?"
_OURS = str(Path(embedpipe.__file__).parent)


_LEFT: list[str] = []
"""The package's async generators that nobody finished or closed."""


def note_left_generators() -> None:
    """Have every event loop note whose generators the garbage collector has it close."""
    close = asyncio.BaseEventLoop._asyncgen_finalizer_hook  # type: ignore[attr-defined]

    def noted(loop: asyncio.AbstractEventLoop, generator: Any) -> None:
        if generator.ag_code.co_filename.startswith(_OURS):
            _LEFT.append(generator.ag_code.co_qualname)
        close(loop, generator)

    asyncio.BaseEventLoop._asyncgen_finalizer_hook = noted  # type: ignore[attr-defined]


@dataclass
class Cancelling:
    """Cancels calls at moments of `chance`, and looks at what they leave."""

    database: Database
    times: int
    chance: random.Random
    cancelled: int = 0

    async def each(self, *calls: Call) -> None:
        """Cancel each call as often as was asked for, and have it succeed afterwards."""
        for call in calls:
            took = await _seconds(call)
            for _ in range(self.times):
                await self.one(call, took)
            await call()

    async def one(self, call: Call, took: float) -> None:
        """Cancel the call before it would have ended, perhaps twice; nothing of it goes on then."""
        task = asyncio.create_task(call())
        await asyncio.sleep(self.chance.uniform(0, took))
        task.cancel()
        if self.chance.random() < 0.3:
            await asyncio.sleep(self.chance.uniform(0, took / 10))
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.cancelled += 1
        gc.collect()  # which finds what was left unfinished
        await self.check_ended()
        assert not _LEFT, f"the package left generators to the garbage collector: {_LEFT}"

    async def check_ended(self) -> None:
        """No task goes on, no thread is inside the package, and every connection is back in its pool.

        A library's generator that was left unfinished gets some turns of the event loop, which closes it.
        """
        closing = {task for task in other_tasks() if type(task.get_coro()).__name__ == "async_generator_athrow"}
        assert not (others := other_tasks() - closing), f"tasks go on: {others}"
        await asyncio.sleep(0)  # which begins the tasks that close
        for _ in range(_TURNS):
            if others := other_tasks():
                await asyncio.sleep(0)
        assert not others, f"tasks go on: {others}"
        assert not (busy := busy_threads()), f"threads go on: {busy}"
        check_pools(self.database)


async def _seconds(call: Call) -> float:
    await call()  # opens connections and loads what is loaded once
    started = asyncio.get_running_loop().time()
    await call()
    return asyncio.get_running_loop().time() - started


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks of this event loop but for this one."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def busy_threads() -> list[str]:
    """The threads that run code of the package, but for this one."""
    frames = sys._current_frames()
    return [
        each.name
        for each in threading.enumerate()
        if each is not threading.current_thread() and _is_ours(frames.get(each.ident or 0))
    ]


def _is_ours(frame: Any) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS) and "/testing/" not in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def check_pools(database: Database) -> None:
    for engines in database._async_engines.values():
        pool: Any = engines.autocommit.pool
        assert pool.checkedout() == 0, pool.status()


async def others_ended() -> None:
    """Wait until no other task goes on: who leaves a stream by `break` does not wait for its end."""
    gc.collect()
    await asyncio.sleep(0)  # which begins the task that closes the stream
    _LEFT.clear()
    while others := other_tasks():
        await asyncio.wait(others)


def documents(version: int) -> list[Document]:
    return loading.documents(version)[:DOCUMENTS]


# One function for each part of the package


async def ingest(at: Cancelling, url: str) -> None:
    """Documents into a store, from iterables of both kinds."""
    service = loading.service(at.database)
    versions = count(1)

    async def asynchronous(version: int) -> AsyncIterator[Document]:
        for document in documents(version):
            await asyncio.sleep(0)
            yield document

    async def plain() -> None:
        await service.aingest(documents(next(versions)))

    async def pruning() -> None:
        await service.aingest(iter(documents(next(versions))), prune=True)

    async def from_async() -> None:
        await service.aingest(asynchronous(next(versions)))

    async def by_a_processor() -> None:
        processor = AsyncBatchProcessor(service.generator, chunker=loading.CHUNKER, batch_documents=16)
        await processor.process(documents(next(versions)), sink=service.async_store)

    async def from_a_failing_source() -> None:
        version = next(versions)
        with suppress(ZeroDivisionError):
            await service.aingest(document for n, document in enumerate(documents(version)) if 1 / (n - DOCUMENTS // 2))

    await at.each(plain, pruning, from_async, by_a_processor, from_a_failing_source)
    print(next(versions))  # noqa: T201 - for the parent, which looks at what was written


async def stream(at: Cancelling, url: str) -> None:
    """Documents past any store, with and without an end."""
    processor = AsyncBatchProcessor(loading.model(), chunker=loading.CHUNKER, batch_documents=16)
    source = documents(0)

    async def process() -> None:
        await processor.process(iter(source), sink=[])

    async def whole() -> None:
        async for _ in processor.stream(source):
            pass

    async def left_early() -> None:
        left = at.chance.randrange(len(source))
        async for _ in processor.stream(iter(source)):
            left -= 1
            if left < 0:
                break

    await at.each(process, whole)
    for _ in range(at.times):
        await left_early()
        await others_ended()
        await at.check_ended()
    _KEPT.extend(processor.stream(source) for _ in range(3))
    for kept in _KEPT:
        await anext(kept)
    await left_early()


_KEPT: list[AsyncGenerator[object, None]] = []
"""Streams that the end of the event loop has to close."""


async def store(at: Cancelling, url: str) -> None:
    """Every method of the store that reads or writes."""
    service = loading.service(at.database)
    await service.aingest(loading.documents(0)[:100])
    opened, model, attempts = service.async_store, service.generator.model, count()
    upserting = AsyncPgVectorStore(at.database, collection="upserted", model=model.spec)

    async def upsert() -> None:
        attempt = next(attempts)
        chunks = [Chunk.whole(f"{number} at {attempt}", id=str(number)) for number in range(200)]
        await upserting.upsert(chunks, model.embed([chunk.text for chunk in chunks], "document"))

    async def delete() -> None:
        await upserting.delete([str(number) for number in range(200)])
        await upsert()

    async def clear() -> None:
        await upserting.clear()
        await upsert()

    ids = [str(chunk.id) for chunk in await opened.find(limit=3)]
    text = loading.text_of(3, 0)
    vector = model.embed([text], "query")[0]
    await at.each(
        lambda: service.asearch("Document 3"),
        lambda: service.asearch("Document 3", mode="lexical"),
        lambda: service.aexpand([SearchResult(chunk=Chunk.whole("x", id=ids[0]), score=1.0)], window=2),
        lambda: service.asimilar(ids[0]),
        lambda: service.anear_duplicates(),
        lambda: service.ahealth(),
        lambda: opened.search(vector, text, mode="hybrid"),
        lambda: opened.vectors(),
        lambda: opened.documents(["1", "2"]),
        lambda: opened.known_documents(["1", "2"]),
        lambda: opened.count(),
        lambda: opened.metadata_indexes(),
        lambda: opened.refresh_statistics(),
        lambda: at.database.acollections(),
        lambda: at.database.adiagnose(),
    )
    await at.each(upsert, delete, clear)

    async def from_no_connection() -> None:
        await at.database.aclose()
        await opened.count()

    await at.each(from_no_connection)
    written = {chunk.text.partition(" at ")[2] for chunk in await upserting.find()}
    assert len(written) == 1, f"parts of several writes: {written}"


async def rebuild(at: Cancelling, url: str) -> None:
    """What takes long, in a thread: the index, and other vectors for every chunk."""
    service = loading.service(at.database)
    await service.aingest(documents(0))
    opened = service.async_store
    names = count(1)

    async def index() -> None:
        await opened.drop_index()
        await opened.create_index()

    async def index_beside() -> None:
        await opened.drop_index()
        await opened.create_index(concurrently=True)

    async def reembed() -> None:
        nonlocal opened
        model = loading.model(f"model {next(names)}")
        opened = await opened.reembed(lambda texts: model.embed(texts, "document"), model=model.spec)

    await at.each(index, index_beside)
    at.times = max(at.times // 2, 1)  # whatever a cancelled one has begun is finished, by name, in the next
    await at.each(reembed)
    await opened.drop_embedding_versions()


async def embedding(at: Cancelling, url: str) -> None:
    """Vectors of a provider and of a model in a thread, with a cache and without."""
    provided = FakeEmbeddingModel(8, name="text-embedding-3-small")
    with EmbeddingServer(provided) as server, TemporaryDirectory() as folder:
        options: dict[str, Any] = {"base_url": server.url, "api_key": "any", "dimensions": 8}
        options["limits"] = Limits(batch_items=32)
        for remote in (
            EmbeddingGenerator(provided.spec.name, **options),
            EmbeddingGenerator(provided.spec.name, cache=folder, **options),
        ):
            await _vectors(at, remote)
            texts = [f"text {number}" for number in range(300)]
            assert ((await remote.agenerate_batch(texts)).vectors == provided.embed(texts, "document")).all()
        await _vectors(at, EmbeddingGenerator(FakeEmbeddingModel(8), cache=folder))


async def _vectors(at: Cancelling, generator: EmbeddingGenerator) -> None:
    fresh = count()

    def texts() -> list[str]:
        number = next(fresh)
        return [f"{number}: text {place}" for place in range(300)]

    await at.each(
        lambda: generator.agenerate_batch(texts()),
        lambda: generator.aattempt(texts()),
        lambda: generator.agenerate(texts()[0]),
    )


async def answers(at: Cancelling, url: str) -> None:
    """Questions, whole and as streams, with a language model and without."""
    service = loading.service(at.database)
    await service.aingest(loading.documents(0)[:20])
    with chat_server.running() as chat:
        model = embedpipe.OpenAIChat("a-model", base_url=chat.base_url, max_retries=0)
        await _pieces(at, RAGPipeline(service))
        await _pieces(at, RAGPipeline(service, model))
        async for _ in RAGPipeline(service, model).astream(_QUESTION):
            return  # and the end of the loop has to close it


async def _pieces(at: Cancelling, pipeline: RAGPipeline) -> None:
    async def whole() -> None:
        async for _ in pipeline.astream(_QUESTION):
            pass

    async def left_early() -> None:
        async for _ in pipeline.astream(_QUESTION):
            break

    await at.each(lambda: pipeline.aquery(_QUESTION), whole)
    for _ in range(at.times):
        await left_early()
        await others_ended()
        await at.check_ended()


async def langchain(at: Cancelling, url: str) -> None:
    """What LangChain calls."""
    from langchain_core.documents import Document as LangChainDocument

    from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeReranker, EmbedPipeVectorStore, HybridRetriever
    from embedpipe.reranking import LexicalReranker

    service = SemanticSearchService(loading.model(), database=at.database, chunker=None)
    await service.aingest(loading.documents(0)[:20])
    embeddings = EmbedPipeEmbeddings(service.generator)
    documents = [LangChainDocument(page_content=f"text {number}", id=f"lc{number}") for number in range(50)]
    stored = EmbedPipeVectorStore(store=service.store, embedding=embeddings)
    retriever = HybridRetriever(service=service)
    reranker = EmbedPipeReranker(reranker=LexicalReranker())

    async def opened_anew() -> None:
        anew = EmbedPipeVectorStore(store=service.store, embedding=embeddings)
        await anew.asimilarity_search("text 3")

    await at.each(
        lambda: stored.aadd_documents(documents),
        lambda: stored.adelete([str(document.id) for document in documents]),
        lambda: stored.asimilarity_search("text 3"),
        lambda: stored.amax_marginal_relevance_search("text 3"),
        lambda: stored.aget_by_ids(["lc1"]),
        lambda: retriever.ainvoke("text 3"),
        lambda: embeddings.aembed_documents(["one", "two"]),
        lambda: reranker.acompress_documents(documents, "text 3"),
        opened_anew,
    )


async def llama_index(at: Cancelling, url: str) -> None:
    """What LlamaIndex calls."""
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.core.vector_stores import VectorStoreQuery

    from embedpipe.llama_index import EmbedPipeEmbedding, EmbedPipeReranker, EmbedPipeVectorStore, HybridRetriever
    from embedpipe.reranking import LexicalReranker

    service = SemanticSearchService(loading.model(), database=at.database, chunker=None)
    await service.aingest(loading.documents(0)[:20])
    embedding = EmbedPipeEmbedding(service.generator)
    vectors = service.generator.generate_batch([f"text {number}" for number in range(50)]).to_lists()
    nodes = [TextNode(id_=f"n{n}", text=f"text {n}", embedding=vector) for n, vector in enumerate(vectors)]
    stored = EmbedPipeVectorStore(service.store, embed_model=embedding)
    retriever = HybridRetriever(service)
    reranker = EmbedPipeReranker(reranker=LexicalReranker())
    scored = [NodeWithScore(node=node, score=0.5) for node in nodes]
    query = VectorStoreQuery(query_embedding=vectors[3], query_str="text 3", similarity_top_k=3)
    await at.each(
        lambda: stored.async_add(nodes),
        lambda: stored.aquery(query),
        lambda: stored.aget_nodes(["n1"]),
        lambda: stored.adelete_nodes(["n1", "n2"]),
        lambda: retriever.aretrieve("text 3"),
        lambda: embedding.aget_text_embedding_batch(["one", "two"]),
        lambda: reranker.apostprocess_nodes(scored, query_str="text 3"),
    )


# A server, whose clients hang up


def hang_up(address: tuple[str, int], path: str, body: Mapping[str, Any], chance: random.Random, took: float) -> None:
    """Send a request, or a part of it, wait or read a part of the answer, and go."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    request = f"{head}\r\n\r\n".encode() + data
    with socket.create_connection(address, timeout=30) as connection:
        if chance.random() < 0.3:
            connection.sendall(request[: chance.randrange(len(request))])
        else:
            connection.sendall(request)
            connection.settimeout(max(chance.uniform(0, took), 1e-3))
            with suppress(TimeoutError):
                connection.recv(chance.randrange(1, 400))


def serve(url: str, times: int, chance: random.Random) -> None:
    """Clients that go in the middle of a body and of an answer."""
    with chat_server.running() as chat:
        model = embedpipe.OpenAIChat("a-model", base_url=chat.base_url, max_retries=0)
        app = create_app(loading.model(), database=url, llm=model)
        documents = [{"id": each.id, "text": each.text} for each in loading.documents(1)]
        requests: list[tuple[str, dict[str, Any]]] = [
            ("/documents", {"documents": documents}),
            ("/search", {"query": "Document 3"}),
            ("/embed/batch", {"texts": [f"text {number}" for number in range(500)]}),
            ("/answer", {"question": _QUESTION}),
            ("/answer", {"question": _QUESTION, "stream": True}),
        ]
        with serving(app) as served, httpx.Client(base_url=served, timeout=60) as client:
            at = urlsplit(served)
            for path, body in requests:
                for _ in range(2):
                    answer = client.post(path, json=body)
                    assert answer.status_code == 200, answer.text
                took = answer.elapsed.total_seconds()
                for _ in range(times):
                    hang_up((str(at.hostname), at.port or 0), path, body, chance, took)
                wait_until_idle(client)
                gc.collect()
                assert not _LEFT, f"the package left generators to the garbage collector: {_LEFT}"
                check_pools(app.state.resources.database)
                assert client.post(path, json=body).status_code == 200
    print(times * len(requests))  # noqa: T201 - for the parent


def wait_until_idle(client: httpx.Client) -> None:
    """Wait until the request that asks is the only one under way."""
    while "embedpipe_http_requests_under_way 1.0" not in client.get("/metrics").text:
        pass


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.aclose()


async def main(part: Callable[[Cancelling, str], Awaitable[None]], url: str, times: int, chance: random.Random) -> None:
    gc.collect()
    gc.freeze()  # what is imported need not be looked through after each call
    _LEFT.clear()  # the part before may end within a stream
    async with opened(url) as database:
        at = Cancelling(database, times, chance)
        await part(at, url)
        print(at.cancelled)  # noqa: T201 - for the parent


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    url, parts, times, seed = sys.argv[1:]
    note_left_generators()
    chance = random.Random(f"{parts} {seed}")
    for part in parts.split(","):
        if part == "serve":
            serve(url, int(times), chance)
        else:
            asyncio.run(main(globals()[part], url, int(times), chance))
        gc.collect()
    assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
