"""Locations of a document: which chunks get their metadata, and what happens to wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from embedpipe import Document, EmbeddingGenerator, RecursiveChunker
from embedpipe.errors import EmbedPipeError
from embedpipe.files.parsed import Parsed, joined
from embedpipe.ingest import DocumentPreparer, IngestSettings
from embedpipe.retrieval.context import ContextSettings, Passage, build_context
from embedpipe.storage.write import Known
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Location, SearchResult

GENERATOR = EmbeddingGenerator(FakeEmbeddingModel(dimensions=8))
PREPARER = DocumentPreparer(IngestSettings(chunker=RecursiveChunker(chunk_size=12)), GENERATOR.model, GENERATOR.spec)
TEXT = "Green tea.\n\nBlack tea.\n\nWhite tea."


def chunks_of(document: Document, *, size: int = 12) -> Sequence[Chunk]:
    settings = IngestSettings(chunker=RecursiveChunker(chunk_size=size))
    preparer = DocumentPreparer(settings, GENERATOR.model, GENERATOR.spec)
    failures: dict[str, EmbedPipeError] = {}
    prepared = preparer.prepare(preparer.rows([document], failures), Known({}, set()), failures)
    assert not failures
    return prepared[0].chunks


def test_a_chunk_gets_the_metadata_of_the_location_that_it_begins_in() -> None:
    locations = [Location(12, {"slide": 2, "title": "own"}), Location(24, {"slide": 3})]
    chunks = chunks_of(Document(id="a", text=TEXT, metadata={"title": "all"}, locations=locations))
    assert [chunk.metadata for chunk in chunks] == [
        {"title": "all"},
        {"title": "own", "slide": 2},
        {"title": "all", "slide": 3},
    ]


def test_a_chunk_says_where_it_ends_too() -> None:
    locations = [
        Location(0, {"sheet": "Tea"}),
        Location(0, {"sheet": "Tea", "row": 2}),
        Location(12, {"sheet": "Tea", "row": 3}),
        Location(24, {"sheet": "Prices", "row": 9}),
    ]
    (chunk,) = chunks_of(Document(id="a", text=TEXT, locations=locations), size=100)
    assert chunk.metadata == {"sheet": "Tea", "row": 2, "row_end": 3}
    (chunk,) = chunks_of(Document(id="a", text=TEXT.replace("\n\n", "\n\f")), size=100)
    assert chunk.metadata == {"page": 1, "page_end": 3}


def test_a_citation_has_the_page_of_its_quotation() -> None:
    text = "Green tea.\n\fBlack tea.\n\fWhite tea."
    (chunk,) = chunks_of(Document(id="a", text=text, metadata={"page_label": "iv"}), size=100)
    ((passage, *_), _) = build_context([SearchResult(chunk=chunk, score=1.0)], ContextSettings(max_tokens=None))
    pages = [passage.metadata_at(text.index(word)) for word in ("Green", "tea", "Black", "White")]
    assert [(page["page"], page.get("page_label"), "page_end" in page) for page in pages] == [
        (1, "iv", False),
        (1, "iv", False),
        (2, None, False),
        (3, None, False),
    ]


def passage_of(document: Document) -> Passage:
    chunks = [SearchResult(chunk=chunk, score=1.0) for chunk in chunks_of(document, size=23)]
    ((passage, *others), _) = build_context(chunks, ContextSettings(max_tokens=None))
    assert not others
    return passage


def test_a_citation_has_the_location_of_its_quotation() -> None:
    locations = [
        Location(0, {"sheet": "Tea", "row": 2, "note": "x"}),
        Location(12, {"sheet": "Tea", "row": 7}),
        Location(24, {"sheet": "Prices", "row": 1, "title": "own"}),
        Location(31, {"sheet": "Prices", "row": 3}),
    ]
    passage = passage_of(Document(id="a", text=TEXT, metadata={"title": "all"}, locations=locations))
    assert [passage.metadata_at(TEXT.index(word)) for word in ("tea", "Black", "White", "tea.")] == [
        {"title": "all", "sheet": "Tea", "row": 2, "note": "x"},
        {"title": "all", "sheet": "Tea", "row": 7},
        {"title": "own", "sheet": "Prices", "row": 1},
        {"title": "all", "sheet": "Tea", "row": 2, "note": "x"},
    ]
    assert passage.metadata_at(len(TEXT) - 1) == {"title": "all", "sheet": "Prices", "row": 3}


def test_a_location_that_begins_within_a_chunk_holds_from_there_on() -> None:
    passage = passage_of(Document(id="a", text=TEXT, locations=[Location(12, {"slide": 2})]))
    assert [passage.metadata_at(TEXT.index(word)) for word in ("Green", "Black")] == [{}, {"slide": 2}]


def test_pages_with_labels_have_numbers_too() -> None:
    text = TEXT.replace("\n\n", "\n\f")
    locations = [Location(0, {"page_label": "iv"}), Location(12, {}), Location(24, {"page_label": "2"})]
    passage = passage_of(Document(id="a", text=text, locations=locations))
    assert [passage.metadata_at(text.index(word)) for word in ("Green", "Black", "White")] == [
        {"page": 1, "page_label": "iv"},
        {"page": 2},
        {"page": 3, "page_label": "2"},
    ]


def test_locations_count_as_a_change_of_the_document() -> None:
    hashes = {
        PREPARER.rows([Document(id="a", text=TEXT, locations=locations)], {})[0][1].hash
        for locations in ([], [Location(0, {"row": 1})], [Location(0, {"row": 2})], [Location(1, {"row": 1})])
    }
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("locations", "message"),
    [
        ([Location(5, {}), Location(2, {})], "not in the order of their offsets"),
        ([Location(0, {"page": float("nan")})], "page"),
        ([Location("0", {})], "are not pairs"),  # type: ignore[arg-type]
        ([Location(0, None)], "are not pairs"),  # type: ignore[arg-type]
        ([7], "are not pairs"),
        (7, "are not pairs"),
    ],
)
def test_wrong_locations_are_a_failure_of_their_document(locations: Sequence[Location], message: str) -> None:
    failures: dict[str, EmbedPipeError] = {}
    documents = [Document(id="a", text=TEXT, locations=locations), Document(id="b", text=TEXT)]
    assert [row.id for _, row in PREPARER.rows(documents, failures)] == ["b"]
    assert message in str(failures["a"])


def test_joined_records_keep_their_metadata_and_locations_at_the_right_offsets() -> None:
    first = Parsed("one\n", {"from": "ann"}, left_out=["1 picture"])
    second = Parsed("two\n\nthree\n", {"from": "bob"}, [Location(0, {"part": 1}), Location(5, {"part": 2})])
    whole = joined([first, second])
    assert whole.text == "one\n\ntwo\n\nthree\n"
    assert [(whole.text[start:][:3], metadata) for start, metadata in whole.locations] == [
        ("one", {"record": 1, "from": "ann"}),
        ("two", {"record": 2, "from": "bob"}),
        ("two", {"record": 2, "from": "bob", "part": 1}),
        ("thr", {"record": 2, "from": "bob", "part": 2}),
    ]
    assert whole.left_out == ["record 1: 1 picture"]
