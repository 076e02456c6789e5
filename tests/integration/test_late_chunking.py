"""Late chunking in an ingest: what is embedded together, what is embedded again, and what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from embedpipe import AsyncBatchProcessor, ContextualHeader, Document, OpenAIChat, SemanticSearchService
from embedpipe.chunking import MarkdownChunker, ParagraphChunker
from embedpipe.errors import ConfigurationError, EmbeddingError
from embedpipe.storage import Database
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Vectors

PARTS = ("Oolong is steeped for three minutes.", "The water has ninety degrees.", "It is poured out whole.")
TEA = Document(id="tea", text="\n\n".join(PARTS), metadata={"title": "Tea"})


class LateModel(FakeEmbeddingModel):
    """Gives each span a vector of the whole text and the span. `documents` are the texts that came."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(16, **settings)
        self.documents: list[str] = []

    def embed_document(self, text: str, spans: Sequence[tuple[int, int]]) -> Vectors:
        self.documents.append(text)
        if "broken" in text:
            raise EmbeddingError("this document cannot be embedded")
        return self.embed([f"{text}|{text[start:end]}" for start, end in spans], "document")


def service(database: Database, model: FakeEmbeddingModel, **settings: Any) -> SemanticSearchService:
    return SemanticSearchService(model, database=database, **{"chunker": ParagraphChunker(chunk_size=40), **settings})


def vectors(tea: SemanticSearchService) -> dict[str, Vectors]:
    chunks = tea.store.find()
    ids, found = tea.store.vectors()
    by_id = dict(zip([str(each) for each in ids], found, strict=True))
    return {chunk.text: by_id[str(chunk.id)] for chunk in chunks}


def test_each_chunk_is_embedded_in_its_document(database: Database) -> None:
    model = LateModel()
    tea = service(database, model)
    stats = tea.ingest([TEA], late_chunking=True)
    assert (stats.chunks_embedded, model.documents) == (3, [TEA.text])
    for text in PARTS:
        [found] = tea.store.search(model.embed([f"{TEA.text}|{text}"], "document")[0], k=1, mode="dense")
        assert (found.text, found.chunk.header) == (text, None)
        assert found.similarity == pytest.approx(1.0, abs=1e-5)


def test_the_whole_document_decides_what_is_embedded_again(database: Database) -> None:
    model = LateModel()
    tea = service(database, model)
    tea.ingest([TEA], late_chunking=True)
    assert tea.ingest([TEA], late_chunking=True).kept == 1
    retitled = Document(id="tea", text=TEA.text, metadata={"title": "Other"})
    assert tea.ingest([retitled], late_chunking=True).chunks_embedded == 0
    longer = Document(id="tea", text=TEA.text + "\n\nAnd drunk.", metadata={"title": "Other"})
    grown = tea.ingest([longer], late_chunking=True)
    assert (grown.chunks_embedded, grown.chunks_removed) == (len(tea.store.find()), 3)
    plain = tea.ingest([longer])
    assert plain.chunks_kept == 0
    assert {chunk.text for chunk in tea.store.find()} >= set(PARTS[:2])
    assert len(model.documents) == 2


def test_a_change_of_model_is_followed_by_late_vectors_again(database: Database) -> None:
    tea = service(database, LateModel())
    tea.ingest([TEA], late_chunking=True)
    other = LateModel(name="other")
    changed = tea.reembed(other)
    assert other.documents == []
    again = changed.ingest([TEA], late_chunking=True)
    assert (again.chunks_embedded, other.documents) == (3, [TEA.text])


def test_headers_are_indexed_and_not_embedded(database: Database) -> None:
    model = LateModel()
    text = "# Oolong\n\nSteep it briefly.\n\n# Pu-erh\n\nSteep it long.\n"
    tea = service(database, model, chunker=MarkdownChunker(chunk_size=40), headers=True)
    tea.ingest([Document(id="tea", text=text, metadata={"title": "Book"})], late_chunking=True)
    assert len(tea.store.search(text="book", mode="lexical")) == 2
    [found] = tea.store.search(model.embed([f"{text}|# Pu-erh\n\nSteep it long."], "document")[0], k=1, mode="dense")
    assert found.similarity == pytest.approx(1.0, abs=1e-5)


def test_a_document_that_fails_costs_no_other(database: Database) -> None:
    tea = service(database, LateModel())
    stats = tea.ingest([TEA, Document(id="bad", text="This is broken.\n\nTwice.")], late_chunking=True)
    assert str(stats.failures["bad"]) == "Document 'bad': this document cannot be embedded"
    assert {chunk.document_id for chunk in tea.store.find()} == {"tea"}


async def test_the_twins_for_event_loops_do_the_same(database: Database) -> None:
    model = LateModel()
    tea = service(database, model)
    assert (await tea.aingest([TEA], late_chunking=True)).chunks_embedded == 3
    collected: list[Any] = []
    await AsyncBatchProcessor(model, chunker=ParagraphChunker(chunk_size=40), late_chunking=True).process(
        [TEA], sink=collected
    )
    assert model.documents == [TEA.text] * 2
    stored = vectors(tea)
    for chunk, vector in zip(collected[0].chunks, collected[0].vectors, strict=True):
        assert np.allclose(stored[chunk.text], vector, atol=1e-6)


def test_what_cannot_be_is_refused_before_anything_is_sent(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="cannot embed chunks in the context"):
        service(database, FakeEmbeddingModel(16)).ingest([TEA], late_chunking=True)
    llm = OpenAIChat("gpt", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigurationError, match="Choose one"):
        service(database, LateModel()).ingest([TEA], late_chunking=True, context=ContextualHeader(llm, cache=False))
