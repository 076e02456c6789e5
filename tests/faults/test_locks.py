"""Everything beside everything: no deadlock, no error but those that are right, and each document whole afterwards."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

import crowd
import loading
from conftest import as_ordinary, opened_as_ordinary
from embedpipe import Document, SemanticSearchService
from embedpipe.storage import Database, Field, PgVectorStore, VectorIndex
from embedpipe.storage.tables import lexical_tables
from embedpipe.storage.tables.collection import Collection
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk
from soaking import scaled

OLD, NEW = FakeEmbeddingModel(16, name="fake"), FakeEmbeddingModel(16, name="new")
PREPARED = 7
"""Runs after which the driver has prepared a statement on the server, where its tables are locked in another order."""


def documents(version: int, count: int = 6) -> list[Document]:
    """Documents of which every third changes wholly, and the others in part or not at all."""
    texts = [f"shared line\n\nline of {version if number % 3 == 0 else 0}" for number in range(count)]
    return [Document(id=f"d{number}", text=text, metadata={"n": number}) for number, text in enumerate(texts)]


class Target:
    """A collection and everything that can be done to it, each thing once per call and in one thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.version = 0
        self.service = self.made()

    def made(self) -> SemanticSearchService:
        service = SemanticSearchService(OLD, database=self.database, chunker=loading.CHUNKER)
        service.ingest(documents(self.version))
        return service

    @property
    def store(self) -> PgVectorStore:
        return self.service.store

    def ingest(self) -> None:
        self.version += 1
        self.service.ingest(documents(self.version))

    def upsert(self) -> None:
        self.version += 1
        written = [Chunk.whole(f"chunk {self.version}", id=name) for name in ("c", "b", "a")]
        self.store.upsert(written, OLD.embed([chunk.text for chunk in written], "document"))

    def delete_ids(self) -> None:
        self.upsert()
        self.store.delete(["a", "b"])

    def delete_documents(self) -> None:
        self.store.delete(document_ids=["d1", "d4"])
        self.ingest()

    def delete_filter(self) -> None:
        self.store.delete(filter=Field("n") >= 3)
        self.ingest()

    def prune(self) -> None:
        self.service.ingest(documents(self.version, 3), prune=True)
        self.ingest()

    def clear(self) -> None:
        self.store.clear()
        self.ingest()

    def search(self) -> None:
        vector = OLD.embed(["shared line"], "query")[0]
        for mode in ("dense", "lexical", "hybrid"):
            self.store.search(vector, "shared line", mode=mode, k=3)
            self.store.search(vector, "shared -nothing", mode=mode, k=3, filter=Field("n") >= 1, with_vectors=True)
            self.store.search(vector, "shared line", mode=mode, k=3, threshold=0.1, exact=True)

    def look(self) -> None:
        ids = [str(chunk.id) for chunk in self.store.find(limit=3)]
        self.store.similar(ids[0])
        self.store.neighbors(ids)
        self.store.vectors()
        self.store.known_documents(["d1"])
        self.database.collections()
        self.database.diagnose()
        self.store.health()

    def create_index(self) -> None:
        self.store.create_index()
        self.store.create_index(VectorIndex(kind="half"))
        self.store.drop_index()

    def create_index_beside(self) -> None:
        self.store.create_index(VectorIndex(m=8, ef_construction=32), concurrently=True)
        self.store.drop_index()

    def index_metadata(self) -> None:
        self.store.index_metadata("n")
        self.store.drop_metadata_index("n")

    def refresh_statistics(self) -> None:
        self.store.refresh_statistics()

    def ensure_index(self) -> None:
        self.store.ensure_index(min_rows=1)
        self.store.drop_index()

    def reembed(self) -> None:
        there = self.store.reembed(lambda texts: NEW.embed(texts, "document"), model=NEW.spec)
        there.reembed(lambda texts: OLD.embed(texts, "document"), model=OLD.spec).drop_embedding_versions()

    def drop(self) -> None:
        self.store.drop()
        self.service = self.made()


OPERATIONS = [
    name for name, value in vars(Target).items() if callable(value) and name != "made" and not name.startswith("_")
]
PREPARABLE = {"ingest", "upsert", "delete_ids", "delete_filter", "search", "look"}
"""Of which the driver prepares statements that no other operation has."""


@contextmanager
def locked(url: str, table: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection that looks on while another one keeps everybody from the table."""
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as looker:
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier("embedpipe", table)))
        yield looker
        holder.rollback()


_HELD = """
SELECT held.relation::regclass::text FROM pg_locks AS wanted JOIN pg_locks AS held USING (pid)
WHERE NOT wanted.granted AND wanted.relation = %s::regclass AND held.granted AND held.locktype = 'relation'
"""
_WAITS = "SELECT FROM pg_locks WHERE NOT granted AND relation = %s::regclass"


def rank(table: str) -> int:
    """Where a table stands in the order: documents, chunks, what hangs on them."""
    if table.endswith("_documents"):
        return 0
    return 1 if table.endswith("_chunks") else 2


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_statement_locks_tables_in_one_order(operation: str, database: Database, database_url: str) -> None:
    """Whoever waits for a table holds none that comes after it."""
    target = Target(database)
    run, waited = getattr(target, operation), 0
    for times in (0, PREPARED) if operation in PREPARABLE else (0,):
        for _ in range(times):
            run()
        for place in range(6):
            every = tables_of(target.store.collection)
            thread = threading.Thread(target=run, daemon=True)
            with locked(database_url, every[place]) as looker:
                thread.start()
                while thread.is_alive() and not waits(looker, every[place]):
                    thread.join(0.01)
                held = held_by_who_waits(looker, every[place]) if thread.is_alive() else []
            thread.join(60)
            assert not thread.is_alive()
            waited += bool(held)
            later = {name for name in held if name in every and rank(name) > rank(every[place])}
            assert later == set(), f"held, waiting for {every[place]}"
    assert waited


def tables_of(collection: Collection) -> list[str]:
    words = lexical_tables(collection)
    every = (collection.documents, collection.chunks, collection.vectors, words.index, words.terms, words.deltas)
    return [table.name for table in every]


def waits(looker: psycopg.Connection[tuple[Any, ...]], table: str) -> bool:
    return looker.execute(_WAITS, [f"embedpipe.{table}"]).fetchone() is not None


def held_by_who_waits(looker: psycopg.Connection[tuple[Any, ...]], table: str) -> list[str]:
    return [name.removeprefix("embedpipe.") for (name,) in looker.execute(_HELD, [f"embedpipe.{table}"])]


def said(processes: Sequence[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What the processes of a crowd say when they have ended."""
    told = []
    for process in processes:
        out, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        told.append(json.loads(out))
    return told


def crowd_on(url: str, chance: random.Random, tenants: Sequence[str]) -> None:
    """Run a process for each tenant, and see that nothing went wrong and hardly anything was tried twice."""
    script, seconds = str(crowd.__file__), str(scaled(6, 30))
    processes = [
        subprocess.Popen(
            [sys.executable, script, url, str(chance.randrange(2**31)), seconds, tenant],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for tenant in tenants
    ]
    told = said(processes)
    wrong = [error for each in told for error in each["wrong"]]
    assert wrong == [], "\n".join(wrong)
    operations = sum(sum(each["done"].values()) for each in told)
    retries = sum((Counter(each["retries"]) for each in told), Counter[str]())
    waits = sum((Counter(each["waits"]) for each in told), Counter[str]())
    print(f"{operations} operations, run again {dict(retries)}, waited {dict(waits)}")  # noqa: T201 - for who looks
    assert sum(retries.values()) <= max(operations // 100, 1)


def test_everything_beside_everything(database: Database, database_url: str, chance: random.Random) -> None:
    crowd_on(database_url, chance, ["", ""])
    names = [info.model.name for info in database.collections()]
    if not names:
        return  # the last word was a drop
    store = PgVectorStore(database)
    loading.check_vectors(store, store.find(), names[0])
    store.delete([str(chunk.id) for chunk in store.find() if chunk.document_id is None])
    loading.check_whole(database, range(5), name=names[0])
    service = SemanticSearchService(loading.model(names[0]), database=database, chunker=loading.CHUNKER)
    service.ingest(crowd.every_document(9))
    assert set(loading.check_whole(database, range(10), name=names[0]).values()) == {9}


def test_tenants_beside_each_other(database_url: str, chance: random.Random) -> None:
    """Each tenant's documents are whole, beside the others' and beside changes of the tables that all share."""
    with opened_as_ordinary(database_url) as database:
        url = as_ordinary(database_url)
        for tenant in ("a", "b"):
            ingest_as(tenant, database, 0)
        crowd_on(url, chance, ["a", "b"])
        for tenant in ("a", "b"):
            ingest_as(tenant, database, 9)
            store = PgVectorStore(database, model=loading.model().spec, tenant=tenant)
            store.delete([str(chunk.id) for chunk in store.find() if chunk.document_id is None])
            chunks = store.find()
            loading.check_vectors(store, chunks)
            expected = [part.text for n in range(crowd.DOCUMENTS) for part in parts(n, 9)]
            assert sorted(chunk.text for chunk in chunks) == sorted(expected)


def ingest_as(tenant: str, database: Database, version: int) -> None:
    service = SemanticSearchService(loading.model(), database=database, chunker=loading.CHUNKER, tenant=tenant)
    service.ingest(crowd.every_document(version))


def parts(number: int, version: int) -> Sequence[Chunk]:
    return loading.CHUNKER.chunk(loading.text_of(number, version))
