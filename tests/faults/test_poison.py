"""One document that only the database refuses costs no other: it is found, named, and all the rest is stored.

The oracle is a clean ingest of the others: the same rows, the same statistics of words.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import text

from embedpipe import AsyncBatchProcessor, Document, SemanticSearchService
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import EmbedPipeError, InputError, StorageError
from embedpipe.server import create_app
from embedpipe.storage import Database, PgVectorStore, VectorIndex
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Kind, ModelSpec, Vectors
from serving import serving
from soaking import scaled

D = 8
HUGE = "a vector past float16"


def made(name: str, text: str, metadata: Mapping[str, Any] | None = None) -> Document:
    return Document(id=name, text=text, metadata=metadata or {})


class Model(FakeEmbeddingModel):
    """A model one of whose texts gets a vector that float32 holds and float16 does not."""

    def __init__(self) -> None:
        super().__init__(D)
        self.spec = ModelSpec(name="fake", dimensions=D, normalized=False)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = super().embed(texts, kind)
        vectors[[HUGE in text for text in texts]] *= 1e6
        return vectors


def words(draw: random.Random) -> str:
    return " ".join(f"word{draw.randrange(10**9)}" for _ in range(17_000))


def chinese(draw: random.Random) -> str:
    return "".join(chr(draw.randrange(0x4E00, 0x9FA0)) for _ in range(17_000))


def megabyte(draw: random.Random) -> str:
    return " ".join(draw.randbytes(900).hex() for _ in range(700))


def incompressible(draw: random.Random) -> str:
    return "".join(chr(draw.randrange(0x4E00, 0x9FA0)) for _ in range(3000))


SQL = {
    "check": "ALTER TABLE embedpipe.c1_chunks ADD CHECK (metadata ->> 'note' <> 'refused')",
    "unique": "CREATE UNIQUE INDEX ON embedpipe.c1_documents ((metadata ->> 'isbn'))",
    "long": "CREATE INDEX own_index ON embedpipe.c1_chunks ((metadata ->> 'note'))",
    "number": "CREATE INDEX ON embedpipe.c1_chunks (((metadata ->> 'year')::integer))",
    "trigger": """
        CREATE FUNCTION embedpipe.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not here'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON embedpipe.c1_documents FOR EACH ROW
        WHEN (NEW.metadata ->> 'note' = 'refused') EXECUTE FUNCTION embedpipe.refuse();
    """,
}


@dataclass(frozen=True)
class Poison:
    """A text or metadata that the database refuses, once it is prepared for that, and what the error says."""

    says: str
    text: Callable[[random.Random], str] = lambda draw: f"text {draw.random()}"
    metadata: Callable[[random.Random], Mapping[str, Any]] = lambda _: {}
    sql: str = ""
    precision: Any = "float32"
    index: VectorIndex | None = None


POISONS = {
    "different words": Poison("16,000 different words.*Use a chunker", words),
    "pairs of Han characters": Poison("16,000 different words.*Use a chunker", chinese),
    "a megabyte of words": Poison("a megabyte of them.*Use a chunker", megabyte),
    "an index of one's own": Poison(
        "index row.*Shorten the value, or drop an index", metadata=lambda d: {"note": incompressible(d)}, sql="long"
    ),
    "a cast of one's own": Poison("invalid input syntax.*left out", metadata=lambda _: {"year": "n.d."}, sql="number"),
    "a constraint": Poison("check constraint", metadata=lambda _: {"note": "refused"}, sql="check"),
    "a trigger": Poison("not here", metadata=lambda _: {"note": "refused"}, sql="trigger"),
    "float16": Poison("too large for cosine distances in float16", lambda _: HUGE, precision="float16"),
    "an index on float16": Poison("halfvec", lambda _: HUGE, index=VectorIndex(kind="half")),
}


def prepared(database: Database, poison: Poison, **options: Any) -> PgVectorStore:
    """A collection with one old chunk, that refuses the poison."""
    store = PgVectorStore(database, model=Model().spec, precision=poison.precision, **options)
    store.upsert([Chunk.whole("old", id="old")], np.ones((1, D)))
    if poison.index:
        store.create_index(poison.index)
    if poison.sql:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(SQL[poison.sql])
    return store


def good(draw: random.Random, count: int) -> list[Document]:
    return [made(f"good {i}", f"text {i} {draw.randrange(9)}", {"note": str(i), "year": str(i)}) for i in range(count)]


def poisoned(draw: random.Random, poison: Poison, count: int) -> list[Document]:
    return [made(f"bad {i}", poison.text(draw), poison.metadata(draw)) for i in range(count)]


def shuffled(draw: random.Random, *parts: Sequence[Document]) -> list[Document]:
    every = [document for part in parts for document in part]
    return draw.sample(every, len(every))


@dataclass
class Report:
    """What an entry point says: the errors by document, and how many documents were stored anew."""

    failures: dict[str, str] = field(default_factory=dict)
    added: int = 0


def ingest(database: Database, documents: Sequence[Document]) -> Report:
    service = SemanticSearchService(Model(), database=database, chunker=None)
    stats = service.ingest(documents)
    return Report({name: str(error) for name, error in stats.failures.items()}, stats.added)


def aingest(database: Database, documents: Sequence[Document]) -> Report:
    async def run() -> Report:
        service = SemanticSearchService(Model(), database=database, chunker=None)
        stats = await service.aingest(documents)
        await database.aclose()
        return Report({name: str(error) for name, error in stats.failures.items()}, stats.added)

    return asyncio.run(run())


def process(database: Database, documents: Sequence[Document]) -> Report:
    async def run() -> Report:
        processor = AsyncBatchProcessor(Model(), chunker=None, batch_documents=9)
        stats = await processor.process(documents, sink=PgVectorStore(database))
        await database.aclose()
        return Report({name: str(error) for name, error in stats.failures.items()}, stats.added)

    return asyncio.run(run())


def post(database: Database, documents: Sequence[Document]) -> Report:
    url = database.engine.url.render_as_string(hide_password=False)
    app = create_app(Model(), database=url)
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        sent = [{"id": each.id, "text": each.text, "metadata": dict(each.metadata)} for each in documents]
        answer = client.post("/documents", json={"documents": sent}).raise_for_status().json()
    return Report(answer["failures"], answer["added"])


ENTRIES = {"ingest": ingest, "aingest": aingest, "process": process, "POST /documents": post}
WHOLE = ("ingest", "aingest", "process")  # those that may store a document as one chunk
UNCUT = ("different words", "pairs of Han characters", "a megabyte of words")


def state(database: Database) -> dict[str, Any]:
    """What is stored: documents, chunks, vectors, and the words with their counts; keys and times left out."""
    queries = {
        "documents": "SELECT id, content, metadata FROM embedpipe.c1_documents ORDER BY id",
        "chunks": "SELECT id, document_id, content, metadata, embedding::text FROM embedpipe.c1_chunks "
        "JOIN embedpipe.c1_vectors_1 USING (key) ORDER BY id",
        "words": "SELECT id, length, (SELECT array_agg(t ORDER BY t) FROM unnest(terms) AS t) "
        "FROM embedpipe.c1_lexical JOIN embedpipe.c1_chunks USING (key) ORDER BY id",
    }
    with database.engine.connect() as connection:
        return {name: connection.execute(text(query)).all() for name, query in queries.items()}


EVERY = [(kind, entry) for kind in POISONS for entry in ENTRIES if entry in WHOLE or kind not in UNCUT]
FEW = [(kind, entry) for place, (kind, entry) in enumerate(EVERY) if kind == "a constraint" or place % 3 == 0]


@pytest.mark.parametrize(("kind", "entry"), scaled(FEW, EVERY))
def test_a_document_that_the_database_refuses_costs_no_other(
    database: Database, chance: random.Random, kind: str, entry: str
) -> None:
    poison = POISONS[kind]
    prepared(database, poison)
    documents = good(chance, scaled(20, 200))
    bad = poisoned(chance, poison, chance.randint(1, 3))
    ENTRIES[entry](database, documents)
    clean = state(database)
    PgVectorStore(database).delete(document_ids=[document.id for document in documents])
    for added in (len(documents), 0):  # a second run names it again, and stores nothing
        report = ENTRIES[entry](database, shuffled(chance, documents, bad))
        assert sorted(report.failures) == sorted(document.id for document in bad)
        assert report.added == added
        for document in bad:
            assert f"Document '{document.id}'" in report.failures[document.id]
            assert re.search(poison.says, report.failures[document.id])
        assert state(database) == clean
    assert database.diagnose().healthy


@pytest.mark.parametrize("entry", WHOLE)
def test_what_was_stored_of_a_document_stays_until_it_can_be_taken(
    database: Database, chance: random.Random, entry: str
) -> None:
    poison = POISONS["different words"]
    prepared(database, poison)
    documents = good(chance, 20)
    assert ENTRIES[entry](database, documents).added == 20
    before = state(database)
    victim = chance.randrange(20)
    spoiled = [*documents]
    spoiled[victim] = made(documents[victim].id, words(chance))
    assert list(ENTRIES[entry](database, spoiled).failures) == [documents[victim].id]
    assert state(database) == before
    assert ENTRIES[entry](database, documents).failures == {}
    assert state(database) == before


def test_two_that_only_together_are_refused_cost_one(database: Database, chance: random.Random) -> None:
    prepared(database, Poison("", sql="unique"))
    documents = [made(f"good {i}", f"text {i}", {"isbn": str(i)}) for i in range(20)]
    twin = made("twin", "another text", {"isbn": str(chance.randrange(20))})
    report = ingest(database, shuffled(chance, documents, [twin]))
    assert report.added == 20
    assert len(report.failures) == 1
    assert "unique constraint" in next(iter(report.failures.values()))


def test_every_document_may_be_refused(database: Database, chance: random.Random) -> None:
    poison = POISONS["a trigger"]
    prepared(database, poison)
    report = ingest(database, poisoned(chance, poison, 40))
    assert (report.added, len(report.failures)) == (0, 40)
    assert [chunk.id for chunk in PgVectorStore(database).find()] == ["old"]


def test_what_is_wrong_with_the_database_ends_an_ingest_at_once(database: Database, chance: random.Random) -> None:
    prepared(database, Poison(""))
    sql = SQL["trigger"].replace("'not here'", "'gone' USING ERRCODE = '53100'")
    with database.engine.begin() as connection:
        connection.exec_driver_sql(sql)
    with pytest.raises(StorageError, match="gone"):
        ingest(database, shuffled(chance, good(chance, 20), poisoned(chance, POISONS["a trigger"], 1)))


def test_a_healthy_batch_is_written_once_and_without_savepoints(database: Database, chance: random.Random) -> None:
    from sqlalchemy import event

    prepared(database, Poison(""))
    service = SemanticSearchService(Model(), database=database, chunker=None)
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    service.ingest(good(chance, 100))
    assert sum("c1_documents" in statement and "INSERT" in statement for statement in sent) == 1
    assert not any("SAVEPOINT" in statement for statement in sent)


CHUNK_KINDS = ("different words", "an index of one's own", "float16", "an index on float16", "a constraint")


def chunks_of(documents: Sequence[Document]) -> tuple[list[Chunk], Vectors]:
    chunks = [Chunk.whole(each.text, id=each.id, metadata=each.metadata) for each in documents]
    return chunks, Model().embed([each.text for each in documents], "document")


def upsert(store: PgVectorStore, documents: Sequence[Document]) -> None:
    store.upsert(*chunks_of(documents))


def upsert_async(store: PgVectorStore, documents: Sequence[Document]) -> None:
    async def run() -> None:
        try:
            await store.to_async().upsert(*chunks_of(documents))
        finally:
            await store.database.aclose()

    asyncio.run(run())


def upsert_in_a_transaction(store: PgVectorStore, documents: Sequence[Document]) -> None:
    """As a caller who goes on with the transaction after the error."""
    with store.database.engine.begin() as connection:
        store.upsert(*chunks_of(good(random.Random(0), 1)), connection=connection)
        try:
            store.upsert(*chunks_of(documents), connection=connection)
        finally:
            assert store.count(connection=connection) == 2
            store.delete(["good 0"], connection=connection)
            connection.commit()


def add_documents(store: PgVectorStore, documents: Sequence[Document]) -> None:
    from langchain_core.documents import Document as LangChainDocument

    from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeVectorStore

    wrapped = EmbedPipeVectorStore(store=store, embedding=EmbedPipeEmbeddings(EmbeddingGenerator(Model())))
    wrapped.add_documents(
        [LangChainDocument(id=each.id, page_content=each.text, metadata=dict(each.metadata)) for each in documents]
    )


def add_nodes(store: PgVectorStore, documents: Sequence[Document]) -> None:
    from llama_index.core.schema import TextNode

    from embedpipe.llama_index import EmbedPipeVectorStore

    vectors = Model().embed([each.text for each in documents], "document")
    nodes = [
        TextNode(id_=each.id, text=each.text, metadata=dict(each.metadata), embedding=vector.tolist())
        for each, vector in zip(documents, vectors, strict=True)
    ]
    EmbedPipeVectorStore(store).add(nodes)


UPSERTS = (upsert, upsert_async, upsert_in_a_transaction, add_documents, add_nodes)
EACH = [(kind, write) for kind in CHUNK_KINDS for write in UPSERTS]
UPSERT_CASES = scaled([*zip(CHUNK_KINDS, UPSERTS, strict=True), *((CHUNK_KINDS[-1], write) for write in UPSERTS)], EACH)


@pytest.mark.parametrize(("kind", "write"), UPSERT_CASES)
def test_an_upsert_names_the_chunk_and_writes_nothing(
    database: Database, chance: random.Random, kind: str, write: Callable[..., None]
) -> None:
    poison = POISONS[kind]
    store = prepared(database, poison)
    documents = shuffled(chance, good(chance, 30), poisoned(chance, poison, 1))
    with pytest.raises(EmbedPipeError, match=f"(?i)(?s)chunk 'bad 0'.*{poison.says}"):
        write(store, documents)
    assert [chunk.id for chunk in store.find()] == ["old"]
    assert database.diagnose().healthy


@pytest.mark.parametrize(
    ("chunk", "says"),
    [
        (Chunk("a", 2**31, 2**31 + 1, 0, {}, None, "x"), "start_index, end_index and chunk_index"),
        (Chunk("a", 0, 1, -(2**31) - 1, {}, None, "x"), "whole numbers below"),
        (Chunk("a", 0.5, 1, 0, {}, None, "x"), "whole numbers below"),  # type: ignore[arg-type]  # that is what is tested
        (Chunk("a", 0, 1, None, {}, None, "x"), "whole numbers below"),  # type: ignore[arg-type]  # that is what is tested
    ],
)
def test_places_that_no_column_holds_are_refused_by_name(database: Database, chunk: Chunk, says: str) -> None:
    store = prepared(database, Poison(""))
    with pytest.raises(InputError, match=f"Chunk 'x'.*{says}"):
        store.upsert([chunk], np.ones((1, D)))


def test_ids_up_to_the_limit_are_stored_whatever_their_characters(database: Database, chance: random.Random) -> None:
    store = prepared(database, Poison(""))
    ids = [
        "".join(chr(chance.randrange(low, high)) for _ in range(2000 // size))
        for size, low, high in ((1, 33, 127), (2, 0xC0, 0x250), (3, 0x4E00, 0x9FA0), (4, 0x1F300, 0x1F600))
    ]
    documents = [made(name, f"text {place}") for place, name in enumerate(ids)]
    upsert(store, documents)
    assert ingest(database, documents).failures == {}
    assert {chunk.document_id for chunk in store.find()} == {None, *ids}
    too_long = [made(f"{name}😀", "text") for name in ids]
    assert sorted(ingest(database, too_long).failures) == sorted(document.id for document in too_long)


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize(("scale", "fits"), [(1e-30, False), (1e-9, None), (1, True), (1e4, True), (1e25, False)])
def test_a_vector_whose_distances_would_be_no_numbers_is_refused(
    database: Database, precision: Any, scale: float, fits: bool | None
) -> None:
    store = PgVectorStore(database, model=Model().spec, precision=precision)
    vectors = np.ones((2, D)) * [[1.0], [scale]]
    chunks = [Chunk.whole("a", id="a"), Chunk.whole("b", id="b")]
    if fits is False or (fits is None and precision == "float16"):
        size = "small" if scale < 1 else "large"
        with pytest.raises(InputError, match=f"chunk 'b': .*too {size} for cosine distances in {precision}"):
            store.upsert(chunks, vectors)
        assert store.count() == 0
    else:
        store.upsert(chunks, vectors)
        assert [round(hit.score, 4) for hit in store.search(vectors[1], k=2)] == [1.0, 1.0]


def test_more_than_one_statement_takes_is_written_in_several(database: Database) -> None:
    """While it soaks, more than PostgreSQL takes at all."""
    store = PgVectorStore(database, model=Model().spec, lexical=False)
    large = {"note": "x" * scaled(1_000_000, 4_000_000)}
    count = scaled(60, 300)
    chunks = [Chunk.whole(str(i), id=str(i), metadata=large) for i in range(count)]
    store.upsert(chunks, np.ones((count, D)))
    assert store.count() == count
