from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.langchain.embeddings import EmbedPipeEmbeddings
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
