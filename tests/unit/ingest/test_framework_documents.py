"""Documents of LangChain and LlamaIndex: their text and metadata as they are, and the same id in every run."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import closing
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.documents import Document as LangChain
from llama_index.core import Document as LlamaIndex
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import NodeWithScore, TextNode

from embedpipe import AsyncBatchProcessor, Document
from embedpipe.ingest import Intake, SeenIds
from embedpipe.testing import FakeEmbeddingModel

RANDOM = str(uuid.uuid4())


def taken(*items: object) -> list[Document]:
    """Return the documents as one ingest takes them. Each has an id of its own."""
    with closing(SeenIds()) as seen:
        pairs = [*map(Intake(seen).take, items)]
    assert all(is_new for _, is_new in pairs)
    return [document for document, _ in pairs]


def langchain(text: str = "Green tea.", id: str | None = None, **metadata: Any) -> LangChain:
    return LangChain(page_content=text, id=id, metadata=metadata)


def llama_index(text: str = "Green tea.", **metadata: Any) -> LlamaIndex:
    return LlamaIndex(text=text, metadata=metadata)


@pytest.mark.parametrize(
    ("item", "id"),
    [
        (langchain(id="tea", source="tea.md"), "tea"),
        (langchain(source="tea.md"), "tea.md"),
        (langchain(source=PurePosixPath("tea.md")), "tea.md"),
        (langchain(url="https://tea.example/"), "https://tea.example/"),
        (langchain(source="tea.csv", row=0), "tea.csv#row=0"),
        (langchain(source="tea.pdf", page=0, page_label="i", total_pages=9), "tea.pdf#page=1"),
        (langchain(source="tea.pdf", page_number=4), "tea.pdf#page=4"),
        (langchain(source="tea.pdf", page=0, total_pages=9, start_index=80), "tea.pdf#page=1&start_index=80"),
        (LlamaIndex(id_="tea", text="x", metadata={"file_path": "a/tea.md"}), "tea"),
        (LlamaIndex(id_=RANDOM, text="x", metadata={"file_path": "a/tea.md"}), RANDOM),
        (llama_index(file_path="a/tea.md", file_name="tea.md"), "a/tea.md"),
        (llama_index(file_path="a/tea.pdf", page_label="7"), "a/tea.pdf#page=7"),
        (llama_index(file_path="a/tea.pdf", source="7", total_pages=9), "a/tea.pdf"),
        (TextNode(id_="node-1", text="x"), "node-1"),
        (NodeWithScore(node=TextNode(id_="node-1", text="x"), score=0.5), "node-1"),
        (SimpleNamespace(page_content="x", metadata={"source": "double.md"}), "double.md"),
    ],
)
def test_the_id_is_the_documents_own_else_its_source_and_place(item: object, id: str) -> None:
    assert [document.id for document in taken(item)] == [id]


@pytest.mark.parametrize("make", [langchain, llama_index])
def test_without_id_and_source_the_text_makes_the_id(make: Any) -> None:
    first, second = taken(make("Green tea."), make("Black tea."))
    assert first.id != second.id
    assert [document.id for document in taken(make("Black tea."), make("Green tea."))] == [second.id, first.id]


def test_parts_of_one_source_get_ids_of_their_own() -> None:
    parts = [langchain(text, source="tea.md") for text in ("Green tea.", "Black tea.", "Oolong.", "Oolong.")]
    ids = [document.id for document in taken(*parts)]
    assert ids[0] == "tea.md"
    assert len(set(ids)) == 4
    assert all(name.startswith("tea.md#") for name in ids[1:])
    assert [document.id for document in taken(parts[0], *parts[2:], parts[1])] == [ids[0], *ids[2:], ids[1]]


def test_pages_that_share_an_id_are_kept_apart_by_their_page() -> None:
    pages = [langchain(f"Page {page}.", id="tea", source="tea.pdf", page=page, total_pages=2) for page in (0, 1)]
    assert [document.id for document in taken(*pages)] == ["tea", "tea#page=2"]


def test_an_id_that_came_before_with_another_text_is_not_taken() -> None:
    with closing(SeenIds()) as seen:
        intake = Intake(seen)
        assert [intake.take(langchain(text, id="tea"))[1] for text in ("Green tea.", "Black tea.")] == [True, False]


@pytest.mark.parametrize(
    ("settings", "source"), [({"id_": "guide"}, "guide"), ({"metadata": {"file_path": "guide.md"}}, "guide.md")]
)
def test_nodes_of_a_node_parser_have_the_same_ids_in_each_run(settings: dict[str, Any], source: str) -> None:
    text = " ".join(f"Tea number {number} is steeped for a while." for number in range(40))
    splitter = SentenceSplitter(chunk_size=60, chunk_overlap=0)
    runs = [splitter.get_nodes_from_documents([LlamaIndex(text=text, **settings)]) for _ in range(2)]
    first, second = (taken(*nodes) for nodes in runs)
    assert len(first) > 2
    assert first == second
    assert first[0].id == f"{source}#start_index=0"
    assert {document.id for document in taken(*reversed(runs[0]))} == {document.id for document in first}


@pytest.mark.parametrize(
    ("metadata", "page"),
    [
        ({"page": 0, "total_pages": 3}, 1),
        ({"page": 2, "total_pages": 3, "page_label": "iii"}, 3),
        ({"page": 3}, 3),
        ({"page": "iv", "total_pages": 9}, "iv"),
        ({"page_number": 4}, 4),
        ({"page_label": "iv"}, None),
        ({}, None),
    ],
)
def test_pages_are_counted_from_1(metadata: dict[str, Any], page: object) -> None:
    [document] = taken(langchain(**metadata))
    assert document.metadata.get("page") == page


def test_text_and_metadata_are_taken_without_what_the_framework_adds() -> None:
    nested: dict[str, Any]
    day, nested = dt.date(2026, 5, 1), {"tags": ["tea"], "title": "Tea", "rating": 4.5, "draft": False, "by": None}
    [ours, theirs] = taken(
        langchain("Green tea.", **nested, published=day, path=PurePosixPath("a/b"), size=(1, 2)),
        LlamaIndex(text="Black tea.", metadata={"title": "Tea"}, excluded_embed_metadata_keys=["title"]),
    )
    assert ours.text == "Green tea."
    assert ours.metadata == {**nested, "published": "2026-05-01", "path": "a/b", "size": [1, 2]}
    assert (theirs.text, theirs.metadata) == ("Black tea.", {"title": "Tea"})


def test_the_frameworks_documents_are_not_changed() -> None:
    item = langchain(source="tea.pdf", page=0, total_pages=3)
    taken(item)
    assert item == langchain(source="tea.pdf", page=0, total_pages=3)


async def test_a_form_feed_in_a_loaders_page_does_not_change_its_page() -> None:
    page = langchain("Green tea.\f", source="tea.pdf", page=6, total_pages=9)
    processor = AsyncBatchProcessor(FakeEmbeddingModel(16))
    [document] = [document async for document in processor.stream([page])]
    assert [chunk.metadata["page"] for chunk in document.chunks] == [7]
