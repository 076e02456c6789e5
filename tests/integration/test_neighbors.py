"""What stands near a stored chunk: its vector, what is like it, and what stands around it in its document."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedpipe.chunking import RecursiveChunker
from embedpipe.errors import InputError
from embedpipe.rag import ContextSettings, RAGPipeline
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Database, Field
from embedpipe.types import Chunk, Document, ModelSpec
from stores import awaitable

SPEC = ModelSpec(name="unit-test", dimensions=2)


@pytest.fixture(params=["sync", "async"])
async def store(request: pytest.FixtureRequest, database: Database) -> Any:
    yield awaitable(request.param, database, model=SPEC)
    await database.aclose()


def at(*degrees: float) -> Any:
    """Unit vectors at these angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def chunk(document: str | None, place: int, **metadata: Any) -> Chunk:
    return Chunk(f"{document} {place}", place * 10, place * 10 + 5, place, metadata, document, f"{document}-{place}")


async def test_the_chunks_most_like_one_come_without_itself_best_first(store: Any) -> None:
    await store.upsert([chunk("a", i, even=i % 2 == 0) for i in range(5)], at(0, 80, 10, 170, 30))
    found = await store.similar("a-0", k=3)
    assert [(result.id, result.dense_rank) for result in found] == [("a-2", 1), ("a-4", 2), ("a-1", 3)]
    assert found[0].similarity == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    assert [result.id for result in await store.similar("a-0", k=5, filter=Field("even") == False)] == ["a-1", "a-3"]  # noqa: E712 - builds a filter
    assert [result.id for result in await store.similar("a-0", k=5, threshold=0.9)] == ["a-2"]


async def test_copies_of_a_chunk_do_not_push_it_out_of_its_own_place(store: Any) -> None:
    await store.upsert([chunk("a", i) for i in range(4)], at(0, 0, 0, 0))
    for i in range(4):
        assert {result.id for result in await store.similar(f"a-{i}", k=4)} == {f"a-{j}" for j in range(4) if j != i}


async def test_what_is_not_stored_is_like_nothing(store: Any) -> None:
    await store.create()
    with pytest.raises(InputError, match="no chunk with the id 'none'"):
        await store.similar("none")
    with pytest.raises(InputError, match="k=0 is out of range"):
        await store.similar("none", k=0)


async def test_vectors_come_back_with_their_ids_as_they_were_written(store: Any) -> None:
    written = at(0, 80, 10)
    await store.upsert([chunk("a", i, page=i) for i in range(3)], written)
    ids, vectors = await store.vectors()
    assert ids == ["a-0", "a-1", "a-2"]
    np.testing.assert_array_equal(vectors, written)
    assert vectors.dtype == np.float32
    assert (await store.vectors(["a-2", "none"])).ids == ["a-2"]
    assert (await store.vectors(filter=Field("page") >= 1)).ids == ["a-1", "a-2"]
    assert (await store.vectors(["none"])).vectors.shape == (0, 2)


async def test_the_chunks_around_one_are_those_of_its_document_in_order(store: Any) -> None:
    chunks = [chunk("a", i) for i in (3, 1, 0, 2, 4)] + [chunk("b", i) for i in range(3)] + [chunk(None, 0)]
    await store.upsert(chunks, at(*range(9)))
    around = await store.neighbors(["a-1", "b-0", "None-0", "none"])
    assert {key: [found.id for found in value] for key, value in around.items()} == {
        "a-1": ["a-0", "a-2"],
        "b-0": ["b-1"],
    }
    assert around["b-0"] == [chunk("b", 1)]
    whole = await store.neighbors(["a-3"], parent="document")
    assert [found.id for found in whole["a-3"]] == ["a-0", "a-1", "a-2", "a-4"]
    assert await store.neighbors(["a-1"], window=0) == {}


async def test_a_section_is_what_stands_under_the_same_headings(store: Any) -> None:
    paths = [None, ["Guide"], ["Guide", "Install"], ["Guide", "Install"], ["Guide", "Use"]]
    chunks = [chunk("a", i, **({} if path is None else {"heading_path": path})) for i, path in enumerate(paths)]
    await store.upsert([*chunks, chunk("b", 0, heading_path=["Guide", "Install"])], at(*range(6)))
    around = await store.neighbors([f"a-{i}" for i in range(5)], parent="section")
    assert {key: [found.id for found in value] for key, value in around.items()} == {"a-2": ["a-3"], "a-3": ["a-2"]}


async def test_a_negative_window_is_refused(store: Any) -> None:
    with pytest.raises(InputError, match="window=-1"):
        await store.neighbors(["a"], window=-1)


async def test_a_service_expands_its_results_and_finds_what_says_the_same(minilm: Any, database: Database) -> None:
    lines = ["Cats sleep all day.", "Dogs bark at night.", "Owls hunt at night.", "Cats sleep the whole day."]
    service = SemanticSearchService(minilm, database=database, chunker=RecursiveChunker(chunk_size=26))
    service.ingest([Document(id="pets", text="\n\n".join(lines))])
    [hit] = service.search("What do dogs do?", k=1)
    for found in (service.expand([hit]), await service.aexpand([hit])):
        assert [result.text for result in found] == [lines[1], lines[0], lines[2]]
    every = await service.aexpand([hit], parent="document")
    assert {result.text for result in every} == set(lines)
    answer = RAGPipeline(service, k=1, context=ContextSettings(window=1)).query("What do dogs do?")
    assert answer.sources[0].text == "\n\n".join(lines[:3])

    cats = next(result.id for result in every if result.text == lines[0])
    for similar in (service.similar(cats, k=1), await service.asimilar(cats, k=1)):
        assert [result.text for result in similar] == [lines[3]]
    for pairs in (service.near_duplicates(0.9), await service.anear_duplicates(0.9)):
        assert {(pair.first, pair.second) for pair in pairs} == {(cats, similar[0].id)}
    await service.aclose()
