"""The same question gets the same answer, whatever order the chunks were written in and however they lie on disk."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from sqlalchemy import bindparam, event, select, text

from conftest import opened_as_ordinary
from embedpipe.storage import Database, Field, Fusion, PgVectorStore, VectorIndex
from embedpipe.storage.lexical.bm25 import TIED
from embedpipe.storage.types import bound_vector
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec, SearchResult, Vectors
from soaking import scaled

D = 8
SPEC = ModelSpec(name="unit-test", dimensions=D)
MODEL = FakeEmbeddingModel(D)
WORDS = ["tea", "green", "black", "white", "leaf", "water", "cup", "pot", "hill", "rain", "field", "steam"]
GROUPS = (1, 2, 3, 10, TIED - 1, TIED, TIED + 1, 2 * TIED, 150)


def chunks_of(draw: random.Random) -> list[Chunk]:
    """Chunks of which many are the same, some in all but their vector, some by their words or their length alone."""
    chunks = []
    for group in draw.sample(GROUPS, scaled(3, 4)):
        said = " ".join(draw.sample(WORDS, draw.randint(1, 5)))
        for _ in range(group):
            kept = draw.random() < 0.9
            chunks.append(said if kept else " ".join(draw.sample(said.split(), len(said.split()))))
    ids = draw.sample(range(10_000), len(chunks))
    return [
        Chunk.whole(said, id=f"{name:04}", metadata={"even": name % 2 == 0, "n": name})
        for name, said in zip(ids, chunks, strict=True)
    ]


def vectors_of(chunks: Sequence[Chunk]) -> Vectors:
    """Equal for the same words in any order: others tie, too, whose texts are not the same."""
    return MODEL.embed([" ".join(sorted(chunk.text.split())) for chunk in chunks], "document")


def build(store: PgVectorStore, chunks: Sequence[Chunk], draw: random.Random, index: VectorIndex | None) -> None:
    """Write the chunks in random order and batches, some of them over others, and among some that go again."""
    gone = [Chunk.whole(" ".join(draw.sample(WORDS, 4)), id=f"gone {i}") for i in range(20)]
    first = draw.sample(chunks, len(chunks) // 3)
    order = [*gone, *(chunk._replace(text=" ".join(draw.sample(WORDS, 3))) for chunk in first)]
    draw.shuffle(order)
    order += draw.sample(chunks, len(chunks))
    indexed_at = draw.randrange(len(order))
    start = 0
    while start < len(order):
        if index and start <= indexed_at:
            store.create_index(index)
        stop = start + draw.choice((1, 40, 200))
        store.upsert(order[start:stop], vectors_of(order[start:stop]))
        start = stop
    store.delete([str(chunk.id) for chunk in gone])
    if store.tenant is None and draw.random() < 0.5:
        vacuum(store)
        again = draw.sample(chunks, len(chunks) // 2)
        store.upsert(again, vectors_of(again))


def vacuum(store: PgVectorStore) -> None:
    with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in (store.collection.chunks, store.collection.vectors):
            connection.execute(text(f"VACUUM {table.fullname}"))


def reaches_every_row(store: PgVectorStore, index: VectorIndex | None) -> bool:
    """Whether the index finds all rows. Where many are equal, pgvector's HNSW may never come to some of the others."""
    if index is None:
        return True
    collection = store.collection
    embedding, precision = collection.vectors.c.embedding, collection.precision
    vector = bindparam("vector", bound_vector(np.ones(D, dtype=np.float32), precision), type_=embedding.type)
    indexed = [index.expression(each, dimensions=D, precision=precision) for each in (embedding, vector)]
    ordered = select(collection.vectors.c.key).order_by(index.distance(*indexed))
    with store.database.engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        return len(connection.execute(ordered).all()) == store.count()


Answer = list[tuple[Any, ...]]


def answers(store: PgVectorStore, asked: Sequence[Callable[[PgVectorStore], list[SearchResult]]]) -> list[Answer]:
    return [
        [(hit.id, hit.score, hit.similarity, hit.lexical_score, hit.dense_rank, hit.lexical_rank) for hit in ask(store)]
        for ask in asked
    ]


def searched(vector: Vectors, said: str, options: dict[str, Any], store: PgVectorStore) -> list[SearchResult]:
    return store.search(vector, said, **options)


def similar(name: str, k: int, store: PgVectorStore) -> list[SearchResult]:
    return store.similar(name, k=k)


def questions(chunks: Sequence[Chunk], draw: random.Random) -> list[Callable[[PgVectorStore], list[SearchResult]]]:
    """Searches of every mode, most of them for what a chunk says, so that the best of the results tie."""
    asked: list[Callable[[PgVectorStore], list[SearchResult]]] = []
    for _ in range(scaled(20, 60)):
        like = draw.choice(chunks)
        said = like.text if draw.random() < 0.5 else " ".join(draw.sample(WORDS, draw.randint(1, 3)))
        options: dict[str, Any] = {
            "k": draw.choice((1, 3, 5, 20, 70)),
            "mode": draw.choice(("dense", "lexical", "hybrid")),
            "filter": draw.choice((None, None, Field("even") == True, Field("n") < 5000)),  # noqa: E712
            "threshold": draw.choice((None, None, -0.5, 0.5)),
            "fusion": draw.choice((None, Fusion(method="ranks"), Fusion(candidates=draw.choice((1, 5, 30))))),
            "exact": draw.random() < 0.2,
        }
        vector = vectors_of([like])[0]
        asked += [partial(searched, vector, said, options), partial(similar, str(like.id), options["k"])]
    return asked


@contextmanager
def stores(database: Database, tenants: bool, count: int) -> Iterator[list[PgVectorStore]]:
    names = [f"build {i}" for i in range(count)]
    yield [PgVectorStore(database, collection=name, model=SPEC, tenant="a" if tenants else None) for name in names]


INDEXES = {
    "none": None,
    "hnsw": VectorIndex(),
    "half": VectorIndex(kind="half"),
    "prefix": VectorIndex(kind="prefix", dimensions=D),
    "binary": VectorIndex(kind="binary"),
    "ivfflat": VectorIndex(method="ivfflat", lists=1),
}


@pytest.mark.parametrize("index", INDEXES)
def test_a_collection_that_was_built_anew_answers_alike(database_url: str, chance: random.Random, index: str) -> None:
    """With an index that reaches every row, and with all its candidates, since overwritten rows take places, too."""
    database = Database(database_url, ef_search=1000)
    chunks = chunks_of(chance)
    asked = questions(chunks, chance)
    with stores(database, tenants=False, count=scaled(2, 4)) as built:
        found = []
        for store in built:
            build(store, chunks, chance, INDEXES[index])
            if reaches_every_row(store, INDEXES[index]):
                found.append(answers(store, asked))
        for other in found[1:]:
            assert other == found[0]
    database.close()


def test_a_tenants_chunks_answer_alike(database_url: str, chance: random.Random) -> None:
    chunks = chunks_of(chance)
    asked = questions(chunks, chance)
    with opened_as_ordinary(database_url) as database, stores(database, tenants=True, count=2) as built:
        found = []
        for store in built:
            build(store, chunks, chance, None)
            found.append(answers(store, asked))
        assert found[1] == found[0]


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid", "similar"])
@pytest.mark.parametrize("index", [None, VectorIndex()])
def test_the_best_of_many_that_tie_are_the_first_by_id(
    database: Database, chance: random.Random, mode: Any, index: VectorIndex | None
) -> None:
    store = PgVectorStore(database, model=SPEC)
    size = chance.choice((20, 100, scaled(300, 1500)))
    tied = [Chunk.whole("green tea", id=f"tied {i:04}") for i in range(size)]
    rest = [Chunk.whole(f"leaf {i} hill", id=f"rest {i:04}") for i in range(scaled(2000, 8000))]
    every = chance.sample([*tied, *rest], size + len(rest))
    store.upsert(every, vectors_of(every))
    if index:
        store.create_index(index)
    store.refresh_statistics()
    vector = vectors_of(tied)[0]
    assert (index is None) or database.diagnose().collections[0].index_serves
    for k in (1, 3, 10):
        if mode == "similar":
            name = chance.choice(tied).id
            found = [hit.id for hit in store.similar(str(name), k=k)]
            assert found == [chunk.id for chunk in tied if chunk.id != name][:k]
        else:
            found = [hit.id for hit in store.search(vector, "tea", k=k, mode=mode)]
            assert found == [chunk.id for chunk in tied[:k]]


def test_weights_of_repeated_words_may_be_made_exact(database: Database, chance: random.Random) -> None:
    chunks = [
        chunk._replace(text=" ".join([*chunk.text.split(), *chance.choices(WORDS, k=chance.randint(1, 30))]))
        for chunk in chunks_of(chance)
    ]
    asked = questions(chunks, chance)
    found = []
    with stores(database, tenants=False, count=2) as built:
        for store in built:
            build(store, chunks, chance, None)
            store.refresh_statistics(exact=True)
            found.append(answers(store, asked))
            assert store.refresh_statistics(exact=True) == 0
        for other in found[1:]:
            assert other == found[0]


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_where_nothing_ties_one_statement_answers(database: Database, chance: random.Random, mode: Any) -> None:
    store = PgVectorStore(database, model=SPEC)
    chunks = [Chunk.whole(" ".join(WORDS[: i + 1]), id=str(i)) for i in range(len(WORDS))]
    store.upsert(chance.sample(chunks, len(chunks)), vectors_of(chunks))
    sent: list[str] = []
    store.count()
    with database.engine.connect() as connection:
        event.listen(connection.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
        store.search(vectors_of(chunks)[3], "tea", k=3, mode=mode, connection=connection)
    assert sum("_chunks" in statement for statement in sent) == 1
