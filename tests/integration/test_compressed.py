"""Vectors that are made shorter after the model: told apart, searched, and cached as the model made them."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.vector_stores import VectorStoreQuery

from embedpipe.compression import EmbeddingCompressor, Truncation
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import ConfigurationError, InputError, ModelMismatchError
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeVectorStore
from embedpipe.llama_index import EmbedPipeEmbedding
from embedpipe.llama_index import EmbedPipeVectorStore as LlamaIndexStore
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Database, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Document, Kind, Vectors

TEXTS = [f"text number {number} about {'bees' if number % 2 else 'tides'}" for number in range(60)]


class Counting(FakeEmbeddingModel):
    """Counts the texts that it embedded."""

    def __init__(self, dimensions: int = 32) -> None:
        super().__init__(dimensions)
        self.embedded = 0

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.embedded += len(texts)
        return super().embed(texts, kind)


def fitted(dimensions: int = 8, texts: Sequence[str] = TEXTS) -> EmbeddingCompressor:
    return EmbeddingCompressor(dimensions).fit(FakeEmbeddingModel(32).embed(texts, "document"))


@pytest.fixture(params=["PCA", "truncation"])
def compressor(request: pytest.FixtureRequest) -> EmbeddingCompressor | Truncation:
    return fitted() if request.param == "PCA" else Truncation(8)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_what_comes_is_what_the_compressor_makes_of_the_models_vectors(
    compressor: EmbeddingCompressor | Truncation, how: str
) -> None:
    plain = EmbeddingGenerator(FakeEmbeddingModel(32))
    generator = EmbeddingGenerator(FakeEmbeddingModel(32), compressor=compressor)
    texts = [*TEXTS, TEXTS[3]]
    if how == "sync":
        batch, attempt = generator.generate_batch(texts), generator.attempt([TEXTS[0], "", TEXTS[1]])
    else:
        batch, attempt = await generator.agenerate_batch(texts), await generator.aattempt([TEXTS[0], "", TEXTS[1]])
    assert generator.spec.dimensions == 8
    assert generator.spec.normalized
    np.testing.assert_array_equal(batch.vectors, compressor.compress(plain.generate_batch(texts).vectors))
    np.testing.assert_allclose(np.linalg.norm(batch.vectors, axis=1), 1, rtol=1e-5)
    assert attempt.positions == [0, 2]
    np.testing.assert_array_equal(attempt.batch.vectors, batch.vectors[:2])
    assert len(generator.generate(TEXTS[0], kind="query").to_list()) == 8


def test_every_way_to_compress_has_a_fingerprint_of_its_own() -> None:
    model = FakeEmbeddingModel(32)
    made = [None, fitted(), fitted(texts=TEXTS[:40]), fitted(9), Truncation(8), Truncation(9)]
    prints = [EmbeddingGenerator(model, compressor=each).spec.fingerprint for each in made]
    assert len(set(prints)) == len(made)
    assert prints[0] == model.spec.fingerprint
    assert EmbeddingGenerator(model, compressor=fitted()).spec.fingerprint == prints[1]


def test_another_compressor_embeds_nothing_that_is_cached(tmp_path: Path) -> None:
    model = Counting()
    for compressor in (None, fitted(), Truncation(4), fitted(3)):
        generator = EmbeddingGenerator(model, compressor=compressor, cache=tmp_path)
        batch = generator.generate_batch(TEXTS)
        assert batch.vectors.shape == (len(TEXTS), generator.spec.dimensions)
        assert model.embedded == len(TEXTS)


def test_one_that_is_fitted_anew_changes_no_generator() -> None:
    compressor = fitted()
    generator = EmbeddingGenerator(FakeEmbeddingModel(32), compressor=compressor)
    before = generator.generate(TEXTS[0]).embedding
    compressor.fit(FakeEmbeddingModel(32).embed(TEXTS[:20], "document"))
    np.testing.assert_array_equal(generator.generate(TEXTS[0]).embedding, before)
    assert generator.spec.compression != compressor.fingerprint
    copy = pickle.loads(pickle.dumps(generator))  # noqa: S301 - made here
    assert copy.spec == generator.spec
    np.testing.assert_array_equal(copy.generate(TEXTS[0]).embedding, before)


def test_what_cannot_work_is_refused_before_anything_is_embedded() -> None:
    model = Counting(16)
    for compressor in (fitted(), Truncation(17)):
        generator = EmbeddingGenerator(model, compressor=compressor)
        with pytest.raises(ConfigurationError, match="does not take the 16 dimensions of fake"):
            generator.generate("text")
        with pytest.raises(ConfigurationError, match="does not take the"):
            _ = generator.spec
    assert model.embedded == 0
    with pytest.raises(InputError, match="sample of at least"):
        _ = EmbeddingGenerator(model, compressor=EmbeddingCompressor(4)).spec
    wrong: Any = 8
    with pytest.raises(ConfigurationError, match="Pass a fitted EmbeddingCompressor"):
        EmbeddingGenerator(model, compressor=wrong)


async def test_the_collection_tells_compressed_from_plain_vectors_and_changes_between_them(database: Database) -> None:
    model, documents = Counting(), [Document(id=str(n), text=text) for n, text in enumerate(TEXTS)]
    first, second = fitted(16), fitted(16, TEXTS[:50])
    service = SemanticSearchService(model, database=database)
    service.ingest(documents)
    for compressor in (first, second):
        other = SemanticSearchService(EmbeddingGenerator(model, compressor=compressor), database=database)
        with pytest.raises(ModelMismatchError, match="compressed by"):
            other.search("bees")
    compressed = service.reembed(EmbeddingGenerator(model, compressor=first))
    assert compressed.store.collection.model.dimensions == 16
    assert compressed.search(TEXTS[7], k=1, mode="dense")[0].document_id == "7"
    assert (await compressed.asearch(TEXTS[7], k=1))[0].document_id == "7"
    with pytest.raises(ModelMismatchError):
        service.search("bees")
    with pytest.raises(ModelMismatchError):
        SemanticSearchService(EmbeddingGenerator(model, compressor=second), database=database).search("bees")
    reopened = SemanticSearchService(EmbeddingGenerator(model, compressor=first), database=database)
    assert reopened.ingest(documents).kept == 0  # the model changed, and so each document is cut again
    assert reopened.search(TEXTS[9], k=1)[0].document_id == "9"
    await compressed.aclose()


def test_both_frameworks_work_on_compressed_vectors(database: Database) -> None:
    generator = EmbeddingGenerator(FakeEmbeddingModel(32), compressor=fitted(16))
    embeddings = EmbedPipeEmbeddings(generator)
    assert [len(row) for row in embeddings.embed_documents(TEXTS[:2])] == [16, 16]
    store = EmbedPipeVectorStore.from_texts(TEXTS, embeddings, store=PgVectorStore(database, collection="chain"))
    assert store.similarity_search(TEXTS[5], k=1)[0].page_content == TEXTS[5]
    embedding = EmbedPipeEmbedding(generator)
    assert len(asyncio.run(embedding.aget_query_embedding("text"))) == 16
    with pytest.raises(ConfigurationError, match="or a compressor"):
        EmbedPipeEmbedding.from_dict(embedding.to_dict())
    bound = LlamaIndexStore(PgVectorStore(database, collection="chain", model=generator.spec))
    query = VectorStoreQuery(query_embedding=embedding.get_text_embedding(TEXTS[5]), similarity_top_k=1)
    assert [node.get_content() for node in bound.query(query).nodes or []] == [TEXTS[5]]


def test_a_named_model_with_a_compressor_is_not_serialised_as_if_it_had_none() -> None:
    plain = EmbeddingGenerator("text-embedding-3-small", api_key="any")
    short = EmbeddingGenerator("text-embedding-3-small", api_key="any", compressor=Truncation(256))
    assert plain.source["model"] == "text-embedding-3-small"
    assert short.source == {}
    assert (short.spec.dimensions, short.spec.name) == (256, "text-embedding-3-small")
