from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.node_parser import SentenceSplitter
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler

from embedpipe.embedding import EmbeddingGenerator, Limits
from embedpipe.errors import ConfigurationError, UnknownOptionError
from embedpipe.llama_index.embeddings import EmbedPipeEmbedding
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel

MODEL = FakeEmbeddingModel(12, query_prompt="query: ")


@pytest.fixture
def embedding() -> EmbedPipeEmbedding:
    return EmbedPipeEmbedding(EmbeddingGenerator(MODEL))


async def test_texts_and_queries_sync_and_async(embedding: EmbedPipeEmbedding) -> None:
    texts = ["one", "two", "one"]
    expected = MODEL.embed(texts, "document").tolist()
    assert embedding.get_text_embedding_batch(texts) == expected
    assert await embedding.aget_text_embedding_batch(texts) == expected
    assert embedding.get_text_embedding("one") == expected[0]
    assert await embedding.aget_text_embedding("one") == expected[0]
    query = MODEL.embed(["one"], "query")[0].tolist()
    assert embedding.get_query_embedding("one") == query
    assert await embedding.aget_query_embedding("one") == query
    assert type(embedding.get_query_embedding("one")[0]) is float


@pytest.mark.parametrize("given", ["all-MiniLM-L6-v2", FakeEmbeddingModel(8)])
def test_what_is_no_generator_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Pass EmbeddingGenerator\(model\)"):
        EmbedPipeEmbedding(given)


def test_an_option_that_does_not_exist_is_refused() -> None:
    generator = EmbeddingGenerator(MODEL)
    with pytest.raises(UnknownOptionError, match=r"no option 'embed_batchsize'\. Did you mean 'embed_batch_size'"):
        EmbedPipeEmbedding(generator, embed_batchsize=3)
    state = EmbedPipeEmbedding(EmbeddingGenerator("all-MiniLM-L6-v2")).to_dict()
    assert EmbedPipeEmbedding.from_dict(state).model_name == "all-MiniLM-L6-v2"
    with pytest.raises(TypeError, match="kind"):
        EmbedPipeEmbedding.from_dict(state, kind="query")


def test_serialised_without_secrets_and_back() -> None:
    with EmbeddingServer(FakeEmbeddingModel(1536)) as server:
        generator = EmbeddingGenerator("text-embedding-3-small", base_url=server.url, api_key="sk-secret-key")
        embedding = EmbedPipeEmbedding(generator)
        embedding.get_text_embedding("a")
        for shown in (str(embedding.to_dict()), embedding.to_json(), str(embedding.to_payload()), repr(embedding)):
            assert "sk-secret-key" not in shown
        again = EmbedPipeEmbedding.from_dict(embedding.to_dict())
        assert again.generator.source == generator.source
    with pytest.raises(ConfigurationError, match="model object"):
        EmbedPipeEmbedding.from_dict(EmbedPipeEmbedding(EmbeddingGenerator(MODEL)).to_dict())
    other = EmbedPipeEmbedding.from_dict(EmbedPipeEmbedding(EmbeddingGenerator("all-MiniLM-L6-v2")).to_dict())
    assert other.generator.spec == EmbeddingGenerator("all-MiniLM-L6-v2").spec
    assert embedding.class_name() == "EmbedPipeEmbedding"


def test_callbacks_and_instrumentation_events() -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    embedding = EmbedPipeEmbedding(EmbeddingGenerator(MODEL), callback_manager=CallbackManager([handler]))
    seen: list[str] = []

    class Handler(BaseEventHandler):
        def handle(self, event: BaseEvent, **kwargs: object) -> None:
            seen.append(event.class_name())

    dispatcher = get_dispatcher()
    before = list(dispatcher.event_handlers)
    dispatcher.add_event_handler(Handler())
    embedding.get_text_embedding_batch(["a", "b"])
    dispatcher.event_handlers = before
    assert len(handler.get_event_pairs(CBEventType.EMBEDDING)) == 1
    assert seen == ["EmbeddingStartEvent", "EmbeddingEndEvent"]


async def test_the_backend_is_reached_without_blocking_the_loop() -> None:
    with EmbeddingServer(FakeEmbeddingModel(1536), latency_s=0.05) as server:
        limits = Limits(batch_items=5, concurrency=8)
        generator = EmbeddingGenerator(base_url=server.url, api_key="any", limits=limits)
        vectors = await EmbedPipeEmbedding(generator).aget_text_embedding_batch([f"text {n}" for n in range(40)])
        assert len(vectors) == 40
        times = [request.at for request in server.requests]
        assert len(times) == 8
        assert max(times) - min(times) < 8 * 0.05  # under way together


def test_in_a_pipeline_and_an_index(embedding: EmbedPipeEmbedding) -> None:
    documents = [Document(text=f"This is document number {n}.") for n in range(5)]
    nodes = IngestionPipeline(transformations=[SentenceSplitter(), embedding]).run(documents=documents)
    assert all(node.embedding is not None and len(node.embedding) == 12 for node in nodes)
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    assert len(index.as_retriever(similarity_top_k=2).retrieve("document number 3")) == 2
