"""The LangChain splitters keep what the chunkers know: exact offsets, ids, metadata."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_core.documents import Document

from embedpipe.chunking import RecursiveChunker
from embedpipe.errors import InputError
from embedpipe.langchain.text_splitters import (
    ChunkerTextSplitter,
    MarkdownTextSplitter,
    ParagraphTextSplitter,
    RecursiveTextSplitter,
    SemanticTextSplitter,
    SentenceTextSplitter,
    TokenTextSplitter,
)
from embedpipe.testing import FakeEmbeddingModel

TEXT = "same words again. " * 40

SPLITTERS: dict[str, tuple[type[ChunkerTextSplitter], dict[str, Any]]] = {
    "recursive": (RecursiveTextSplitter, {"chunk_size": 50, "chunk_overlap": 10}),
    "recursive, tokens": (RecursiveTextSplitter, {"chunk_size": 12, "unit": "tokens", "tokenizer": "cl100k_base"}),
    "tokens": (TokenTextSplitter, {"chunk_size": 10, "chunk_overlap": 3}),
    "sentences": (SentenceTextSplitter, {"max_sentences": 2, "overlap_sentences": 1}),
    "paragraphs": (ParagraphTextSplitter, {"chunk_size": 50}),
    "Markdown": (MarkdownTextSplitter, {"chunk_size": 50}),
    "semantic": (SemanticTextSplitter, {"model": FakeEmbeddingModel(), "chunk_size": 60}),
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_every_splitter_gives_exact_offsets_and_travels(name: str) -> None:
    build, settings = SPLITTERS[name]
    splitter = build(**settings)
    source = Document(page_content="# Title\n\n" + TEXT, metadata={"page": 3}, id="doc")
    pieces = splitter.split_documents([source])
    assert len(pieces) > 5
    for number, piece in enumerate(pieces):
        start = piece.metadata["start_index"]
        assert source.page_content[start : start + len(piece.page_content)] == piece.page_content
        assert piece.metadata["page"] == 3
        assert piece.id == f"doc:{number}"
    copy = pickle.loads(pickle.dumps(splitter))  # noqa: S301 - our own bytes
    assert copy.split_documents([source]) == pieces


def test_markdown_headings_become_metadata() -> None:
    pieces = MarkdownTextSplitter().create_documents(["# A\n\ntext\n\n## B\n\nmore"])
    assert [piece.metadata["heading_path"] for piece in pieces] == [["A"], ["A", "B"]]


def test_create_documents_gives_exact_offsets_for_repeated_text() -> None:
    pieces = RecursiveTextSplitter(chunk_size=50, chunk_overlap=10).create_documents([TEXT], [{"page": 3}])
    assert len(pieces) > 10
    for piece in pieces:
        start = piece.metadata["start_index"]
        assert TEXT[start : start + len(piece.page_content)] == piece.page_content
        assert piece.metadata["page"] == 3
    starts = [piece.metadata["start_index"] for piece in pieces]
    assert starts == sorted(set(starts))


def test_metadata_is_copied_and_ids_lead_back_to_the_source() -> None:
    source = Document(page_content=TEXT, metadata={"tags": ["a"]}, id="doc")
    pieces = RecursiveTextSplitter(chunk_size=100).transform_documents([source])
    pieces[0].metadata["tags"].append("b")
    assert source.metadata == {"tags": ["a"]}
    assert pieces[1].metadata["tags"] == ["a"]
    assert [piece.id for piece in pieces] == [f"doc:{i}" for i in range(len(pieces))]


def test_start_index_may_be_declined() -> None:
    splitter = ChunkerTextSplitter(RecursiveChunker(chunk_size=100), add_start_index=False)
    assert all(piece.metadata == {} for piece in splitter.create_documents([TEXT]))
    assert splitter.split_text(TEXT) == [chunk.text for chunk in RecursiveChunker(chunk_size=100).chunk(TEXT)]


def test_too_few_metadatas_are_refused() -> None:
    with pytest.raises(InputError, match="one metadata for each of 2 texts, got 1"):
        RecursiveTextSplitter().create_documents(["a", "b"], [{}])
