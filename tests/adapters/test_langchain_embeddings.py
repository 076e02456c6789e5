from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
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
