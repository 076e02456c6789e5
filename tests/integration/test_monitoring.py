"""One observer, given once, hears of every stage: ingest, search, answer, on threads and on an event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace

from chat_server import running
from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingGenerator, Limits
from embedpipe.errors import GenerationError, InputError
from embedpipe.ingest import AsyncBatchProcessor
from embedpipe.metrics import EmbeddingMetrics
from embedpipe.rag import ContextSettings, OpenAIChat, RAGPipeline
from embedpipe.reranking import LexicalReranker
from embedpipe.service import SemanticSearchService
from embedpipe.storage import AsyncPgVectorStore, Database, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Document, ModelSpec
from tracing import Tracing, tracing

DOCUMENTS = [
    Document(id=f"d{n}", text=f"Text number {n} is about bees.\n\nAnd this part about tides.") for n in range(6)
]
INGEST = {
    "ingest": {"ingest.batch", "store.count", "store.refresh_statistics", "store.ensure_index"},
    "ingest.batch": {"store.known_documents", "ingest.cut", "embed", "store.write_documents"},
    "embed": {"embed.cache", "embed.tokenize", "embed.request"},
}
RETRIEVE = {"embed", "store.search", "rerank"}


@pytest.fixture
def seen() -> Tracing:
    return tracing()


@pytest.fixture
def metrics() -> EmbeddingMetrics:
    return EmbeddingMetrics()


@pytest.fixture(params=["sync", "async"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def service(
    database_url: str, tmp_path: Any, seen: Tracing, metrics: EmbeddingMetrics
) -> AsyncIterator[SemanticSearchService]:
    limits = Limits(batch_items=4, concurrency=2)
    made = SemanticSearchService(
        EmbeddingGenerator(FakeEmbeddingModel(16), cache=tmp_path, limits=limits),
        database=database_url,
        chunker=RecursiveChunker(chunk_size=40),
        reranker=LexicalReranker(),
        metrics=[seen.observer, metrics],
    )
    made.settings = made.settings.__class__(chunker=made.settings.chunker, batch_documents=2)
    yield made
    await made.aclose()


async def run(how: str, target: Any, name: str, *args: Any, **options: Any) -> Any:
    """The method, in a thread, or its async form."""
    if how == "sync":
        return await asyncio.to_thread(getattr(target, name), *args, **options)
    return await getattr(target, f"a{name}")(*args, **options)


async def test_one_ingest_is_one_trace_with_every_stage(
    service: SemanticSearchService, seen: Tracing, metrics: EmbeddingMetrics, how: str
) -> None:
    report = await run(how, service, "ingest", DOCUMENTS)
    [whole] = seen.traces()
    assert whole.tree() == INGEST
    assert len(whole.of("ingest.batch")) == len(whole.of("store.write_documents")) == 3
    assert sum(whole.amounts("embedpipe.documents")) == len(DOCUMENTS) * 2  # as a batch, and as cut
    summary = metrics.summary()
    assert (summary.documents, summary.texts) == (len(DOCUMENTS), report.chunks)
    assert summary.requests == report.requests == len(whole.of("embed.request"))
    assert summary.tokens == sum(whole.amounts("gen_ai.usage.input_tokens"))
    assert not any(stage.errors for stage in summary.stages.values())


async def test_one_question_is_one_trace_with_every_stage(
    service: SemanticSearchService, seen: Tracing, metrics: EmbeddingMetrics, how: str
) -> None:
    service.ingest(DOCUMENTS)
    seen.exporter.clear()
    with running() as server:
        llm = OpenAIChat("some-model", base_url=server.base_url, api_key="a secret key")
        pipeline = RAGPipeline(service, llm, context=ContextSettings(window=1))
        response = await run(how, pipeline, "query", "What is about tides?")
    [whole] = seen.traces()
    assert whole.tree() == {
        "query": {"retrieve", "store.neighbors", "answer"},
        "retrieve": RETRIEVE,
        "embed": {"embed.cache", "embed.tokenize", "embed.request"},
    }
    [answer], [retrieve], [search] = (whole.of(name) for name in ("answer", "retrieve", "store.search"))
    assert (answer.name, answer.kind) == ("chat some-model", trace.SpanKind.CLIENT)
    attributes = dict(answer.attributes or {})
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (30, 12)
    assert (attributes["gen_ai.operation.name"], attributes["gen_ai.provider.name"]) == ("chat", "openai")
    assert retrieve.name == "retrieval default"
    assert search.name == "search default"
    assert search.attributes is not None
    assert search.attributes["db.system.name"] == "postgresql"
    assert search.attributes["db.response.returned_rows"] == len(DOCUMENTS) * 2
    exported = "".join(one.to_json() for one in whole.spans)
    for private in ("tides", "a secret key", server.base_url, response.answer):
        assert private not in exported
    summary = metrics.summary()
    assert (summary.searches, summary.answers, summary.answer_tokens) == (1, 1, 42)


async def test_text_leaves_where_it_is_asked_for(database_url: str) -> None:
    seen = tracing(capture_text=True)
    service = SemanticSearchService(FakeEmbeddingModel(8), database=database_url, metrics=seen.observer)
    service.ingest(DOCUMENTS)
    seen.exporter.clear()
    response = await RAGPipeline(service).aquery("What is about tides?")
    [whole] = seen.traces()
    [retrieve], [answer] = whole.of("retrieve"), whole.of("answer")
    assert retrieve.attributes is not None
    assert retrieve.attributes["gen_ai.retrieval.query.text"] == "What is about tides?"
    assert response.answer.split()[0] in str((answer.attributes or {})["gen_ai.output.messages"])
    assert answer.name == "answer"
    await service.aclose()


async def test_an_answer_that_streams_is_one_trace_and_not_its_readers(
    service: SemanticSearchService, seen: Tracing
) -> None:
    service.ingest(DOCUMENTS)
    seen.exporter.clear()
    with running() as server:
        pipeline = RAGPipeline(service, OpenAIChat("some-model", base_url=server.base_url))
        for _ in pipeline.stream("What is about tides?"):
            assert trace.get_current_span() is trace.INVALID_SPAN
        async for _ in pipeline.astream("What is about tides?"):
            assert trace.get_current_span() is trace.INVALID_SPAN
    traces = seen.traces()
    assert len(traces) == 2
    for whole in traces:
        assert whole.tree()["query"] == {"retrieve", "answer"}
        assert whole.amounts("gen_ai.usage.output_tokens") == [12]


async def test_errors_are_counted_where_they_arise_and_where_they_end_a_stage(
    service: SemanticSearchService, seen: Tracing, metrics: EmbeddingMetrics, how: str
) -> None:
    service.ingest(DOCUMENTS)
    with pytest.raises(InputError):
        await run(how, service, "search", "text", filter={"$bad": 1})
    with running() as server:
        server.faults.append(400)
        pipeline = RAGPipeline(service, OpenAIChat("some-model", base_url=server.base_url))
        with pytest.raises(GenerationError):
            await run(how, pipeline, "query", "What is about tides?")
    stages = metrics.summary().stages
    failed = {name: stage.errors for name, stage in stages.items() if stage.errors}
    assert failed == {
        "retrieve": {"InputError": 1},
        "query": {"GenerationError": 1},
        "answer": {"GenerationError": 1},
    }
    [whole] = [one for one in seen.traces() if one.of("query")]
    [answer] = whole.of("answer")
    assert answer.status.status_code is trace.StatusCode.ERROR
    assert "planned 400" not in answer.to_json()


async def test_queries_at_once_are_not_mixed_up(service: SemanticSearchService, seen: Tracing, how: str) -> None:
    service.ingest(DOCUMENTS)
    seen.exporter.clear()
    if how == "sync":
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: service.search(f"query {number}"), range(24)))
    else:
        await asyncio.gather(*(service.asearch(f"query {number}") for number in range(24)))
    traces = seen.traces()
    assert len(traces) == 24
    for whole in traces:
        assert whole.tree()["retrieve"] == RETRIEVE
        assert [len(whole.of(name)) for name in ("retrieve", "embed", "store.search", "rerank")] == [1, 1, 1, 1]


async def test_a_processor_and_what_runs_within_are_observed(seen: Tracing) -> None:
    processor = AsyncBatchProcessor(FakeEmbeddingModel(8), batch_documents=2, metrics=seen.observer)
    await processor.process(DOCUMENTS, sink=[])
    [whole] = seen.traces()
    batch = {"ingest.batch": {"ingest.cut", "embed"}, "embed": {"embed.tokenize", "embed.request"}}
    assert whole.tree() == {"ingest": {"ingest.batch"}} | batch
    assert len(whole.of("ingest.batch")) == 3
    seen.exporter.clear()
    async for _ in processor.stream(DOCUMENTS):
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert [one.tree() for one in seen.traces()] == [batch] * 3


def calls(store: PgVectorStore | AsyncPgVectorStore) -> dict[str, Callable[[], Any]]:
    """What a store can be asked for, by the stage that it is."""
    chunk, vector = Chunk.whole("text", id="a"), [1.0, 0, 0, 0]
    return {
        "store.upsert": lambda: store.upsert([chunk], [vector]),
        "store.get": lambda: store.get(["a"]),
        "store.find": store.find,
        "store.search": lambda: store.search(vector, "text", mode="hybrid"),
        "store.similar": lambda: store.similar("a"),
        "store.neighbors": lambda: store.neighbors(["a"]),
        "store.vectors": store.vectors,
        "store.count": store.count,
        "store.metadata_sample": store.metadata_sample,
        "store.create_index": store.create_index,
        "store.drop_index": store.drop_index,
        "store.index_metadata": lambda: store.index_metadata("year"),
        "store.metadata_indexes": store.metadata_indexes,
        "store.drop_metadata_index": lambda: store.drop_metadata_index("year"),
        "store.known_documents": lambda: store.known_documents(["a"]),
        "store.prune_documents": lambda: store.prune_documents(["a"]),
        "store.ensure_index": lambda: store.ensure_index(min_rows=10),
        "store.refresh_statistics": store.refresh_statistics,
        "store.delete": lambda: store.delete(["a"]),
        "store.clear": store.clear,
        "store.reembed": lambda: store.reembed(
            lambda texts: [[1.0, 0.0] for _ in texts], model=ModelSpec(name="other", dimensions=2)
        ),
    }


async def test_every_operation_of_a_store_is_a_stage_of_its_name(database: Database, how: str) -> None:
    metrics = EmbeddingMetrics()
    kind = PgVectorStore if how == "sync" else AsyncPgVectorStore
    store = kind(database, model=ModelSpec(name="m", dimensions=4), metrics=metrics)
    expected = calls(store)
    for call in expected.values():
        answer = call()
        if inspect.isawaitable(answer):
            await answer
    assert set(metrics.summary().stages) == set(expected)
    await database.aclose()
