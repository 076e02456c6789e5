"""Locations of a document: which chunks get their metadata, and what happens to wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from embedpipe import Document, EmbeddingGenerator, RecursiveChunker
from embedpipe.errors import EmbedPipeError
from embedpipe.files.parsed import Parsed, joined
from embedpipe.ingest import DocumentPreparer, IngestSettings
from embedpipe.storage.write import Known
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Location

GENERATOR = EmbeddingGenerator(FakeEmbeddingModel(dimensions=8))
PREPARER = DocumentPreparer(IngestSettings(chunker=RecursiveChunker(chunk_size=12)), GENERATOR.model, GENERATOR.spec)
TEXT = "Green tea.\n\nBlack tea.\n\nWhite tea."


def chunks_of(document: Document) -> Sequence[Chunk]:
    failures: dict[str, EmbedPipeError] = {}
    prepared = PREPARER.prepare(PREPARER.rows([document], failures), Known({}, set()), failures)
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
