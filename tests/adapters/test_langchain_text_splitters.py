"""The LangChain splitters keep what the chunkers know: exact offsets, ids, metadata."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from embedpipe.chunking import RecursiveChunker
from embedpipe.errors import InputError
from embedpipe.langchain.text_splitters import ChunkerTextSplitter, RecursiveTextSplitter

TEXT = "same words again. " * 40


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
