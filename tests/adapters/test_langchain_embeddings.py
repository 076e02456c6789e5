from __future__ import annotations

from typing import Any

import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import IndexingResult, InMemoryRecordManager, index
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import ConfigurationError
from embedpipe.langchain.embeddings import EmbedPipeEmbeddings
from embedpipe.metrics import EmbeddingMetrics
from embedpipe.testing import FakeEmbeddingModel


class TestFakeModelUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return EmbedPipeEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"generator": EmbeddingGenerator(FakeEmbeddingModel(8))}


class TestLocalModel(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return EmbedPipeEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"generator": EmbeddingGenerator("all-MiniLM-L6-v2")}


@pytest.mark.parametrize("given", ["all-MiniLM-L6-v2", None, FakeEmbeddingModel(8)])
def test_what_is_no_generator_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Pass EmbeddingGenerator\(model\)"):
        EmbedPipeEmbeddings(given)


def test_documents_and_queries_are_told_apart() -> None:
    model = FakeEmbeddingModel(8, query_prompt="query: ")
    embeddings = EmbedPipeEmbeddings(EmbeddingGenerator(model))
    assert embeddings.embed_documents(["a", "b"]) == model.embed(["a", "b"], "document").tolist()
    assert embeddings.embed_query("a") == model.embed(["a"], "query")[0].tolist()
    assert embeddings.embed_documents([]) == []


def test_inside_an_in_memory_store() -> None:
    store = InMemoryVectorStore(EmbedPipeEmbeddings(EmbeddingGenerator(FakeEmbeddingModel(8))))
    store.add_texts(["cats", "dogs"])
    assert store.similarity_search("cats", k=1)[0].page_content == "cats"


def test_inside_langchains_cache() -> None:
    model, store = FakeEmbeddingModel(8), InMemoryByteStore()
    counted = EmbeddingMetrics()
    cached = CacheBackedEmbeddings.from_bytes_store(
        EmbedPipeEmbeddings(EmbeddingGenerator(model, metrics=counted)), store, namespace="m", key_encoder="sha256"
    )
    expected = model.embed(["a", "b", "c"], "document").tolist()
    assert cached.embed_documents(["a", "b"]) == expected[:2]
    assert cached.embed_documents(["c", "b", "a"]) == expected[::-1]
    assert counted.summary().texts == 3
    assert cached.embed_query("a") == model.embed(["a"], "query")[0].tolist()


def test_index_embeds_only_what_has_changed() -> None:
    counted = EmbeddingMetrics()
    generator = EmbeddingGenerator(FakeEmbeddingModel(8), metrics=counted)
    store, records = InMemoryVectorStore(EmbedPipeEmbeddings(generator)), InMemoryRecordManager("test")
    records.create_schema()

    def indexed(*texts: str) -> IndexingResult:
        documents = [Document(text, metadata={"source": "one"}) for text in texts]
        return index(documents, records, store, cleanup="full", key_encoder="sha256")

    assert indexed("cats", "dogs")["num_added"] == 2
    again = indexed("cats", "birds")
    assert (again["num_added"], again["num_skipped"], again["num_deleted"]) == (1, 1, 1)
    assert counted.summary().texts == 3
    assert {found.page_content for found in store.similarity_search("birds", k=5)} == {"cats", "birds"}
