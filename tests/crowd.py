"""A process in which threads and tasks do everything to one collection at once, and say what came of it.

python crowd.py URL SEED SECONDS TENANT
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable

import loading
from embedpipe import Document, SemanticSearchService
from embedpipe.errors import CollectionNotFoundError, ModelMismatchError
from embedpipe.metrics import Event, observing
from embedpipe.storage import Database, Field, PgVectorStore, VectorIndex
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk

SCHEMA = "tenants"
DOCUMENTS = 24
MODELS = ("fake", "new")
THREADS, TASKS = 3, 2
RIGHT = (ModelMismatchError, CollectionNotFoundError)
"""What a store is told whose collection was embedded anew or dropped."""

OFTEN = ("ingest", "upsert", "delete_ids", "delete_documents", "delete_filter", "prune", "search", "search", "look")
SELDOM = ("clear", "create_index", "build_beside", "drop_index", "index_metadata", "refresh", "ensure_index")
ONCE = ("reembed", "drop")
"""What cannot be done to a collection of tenants, or by one of them."""


def database_of(url: str, tenant: str) -> Database:
    return Database(url, schema=SCHEMA) if tenant else Database(url)


def every_document(version: int) -> list[Document]:
    """All documents at a version."""
    return [Document(id=str(n), text=loading.text_of(n, version), metadata={"n": n}) for n in range(DOCUMENTS)]


def documents(version: int, chance: random.Random) -> list[Document]:
    """Some of the documents at a version, in an order of their own."""
    return chance.sample(every_document(version), chance.randint(3, DOCUMENTS))


class Member:
    """One of the crowd, with stores of its own."""

    def __init__(self, database: Database, chance: random.Random, tenant: str) -> None:
        self.database, self.chance, self.tenant = database, chance, tenant or None
        self.model = MODELS[0]
        self.service = self.opened()

    def opened(self) -> SemanticSearchService:
        model = FakeEmbeddingModel(16, name=self.model)
        return SemanticSearchService(model, database=self.database, chunker=loading.CHUNKER, tenant=self.tenant)

    def some_ids(self) -> list[str]:
        return self.chance.sample([str(number) for number in range(DOCUMENTS)], 5)

    def do(self, name: str) -> None:
        """Do that. A store that was told to be open for the former model is opened for the other."""
        try:
            getattr(self, name)(self.service.store)
        except ModelMismatchError:
            self.turn()
            raise

    def turn(self) -> None:
        self.model = MODELS[self.model == MODELS[0]]
        self.service = self.opened()

    def ingest(self, store: PgVectorStore) -> None:
        self.service.ingest(documents(self.chance.randrange(5), self.chance))

    def prune(self, store: PgVectorStore) -> None:
        self.service.ingest(documents(self.chance.randrange(5), self.chance), prune=True)

    def upsert(self, store: PgVectorStore) -> None:
        names = self.chance.sample(range(40), 10)
        chunks = [Chunk.whole(f"{name} at {self.chance.random()}", id=f"u{name}") for name in names]
        store.upsert(chunks, loading.model(self.model).embed([chunk.text for chunk in chunks], "document"))

    def delete_ids(self, store: PgVectorStore) -> None:
        store.delete([f"u{number}" for number in self.chance.sample(range(40), 8)])

    def delete_documents(self, store: PgVectorStore) -> None:
        store.delete(document_ids=self.some_ids())

    def delete_filter(self, store: PgVectorStore) -> None:
        store.delete(filter=Field("n") >= self.chance.randrange(DOCUMENTS // 2, DOCUMENTS))

    def clear(self, store: PgVectorStore) -> None:
        store.clear()

    def search(self, store: PgVectorStore) -> None:
        for mode in ("dense", "lexical", "hybrid"):
            self.service.search(
                "document part version", 5, mode=mode, filter=self.chance.choice([None, Field("n") > 3])
            )

    def look(self, store: PgVectorStore) -> None:
        store.known_documents(self.some_ids())
        store.vectors()
        store.health()
        self.database.collections()
        self.database.diagnose()

    def create_index(self, store: PgVectorStore) -> None:
        store.create_index(self.chance.choice([None, VectorIndex(kind="half"), VectorIndex(m=8)]))

    def build_beside(self, store: PgVectorStore) -> None:
        store.create_index(self.chance.choice([None, VectorIndex(kind="half")]), concurrently=True)

    def drop_index(self, store: PgVectorStore) -> None:
        store.drop_index()

    def index_metadata(self, store: PgVectorStore) -> None:
        if self.tenant is None:
            store.index_metadata("n")
            store.drop_metadata_index("n")

    def refresh(self, store: PgVectorStore) -> None:
        store.refresh_statistics()

    def ensure_index(self, store: PgVectorStore) -> None:
        store.ensure_index(min_rows=1)

    def reembed(self, store: PgVectorStore) -> None:
        other = loading.model(MODELS[self.model == MODELS[0]])
        store.reembed(lambda texts: other.embed(texts, "document"), model=other.spec)
        self.turn()
        if self.chance.random() < 0.5:
            self.service.store.drop_embedding_versions()

    def drop(self, store: PgVectorStore) -> None:
        store.drop()


class AsyncMember(Member):
    """The same on an event loop, as far as there is another way there."""

    async def ado(self, name: str) -> None:
        store, version = self.service.async_store, self.chance.randrange(5)
        try:
            match name:
                case "ingest" | "prune":
                    await self.service.aingest(documents(version, self.chance), prune=name == "prune")
                case "delete_ids":
                    await store.delete([f"u{number}" for number in self.chance.sample(range(40), 8)])
                case "delete_documents":
                    await store.delete(document_ids=self.some_ids())
                case "clear":
                    await store.clear()
                case "refresh":
                    await store.refresh_statistics()
                case "ensure_index":
                    await store.ensure_index(min_rows=1)
                case "create_index" | "build_beside":
                    await store.create_index(concurrently=name == "build_beside")
                case _:
                    await self.service.asearch("document part version", 5)
        except ModelMismatchError:
            self.turn()
            raise


class Told:
    """What came of all that was done."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.wrong: list[str] = []

    def __call__(self, event: Event) -> None:
        if event.stage == "database.retry":
            self.retries[str(event.error)] += 1
        if event.stage == "database.wait":
            self.waits[str(event.error)] += 1

    def right(self, name: str, error: BaseException | None) -> None:
        self.done[name] += 1
        if error is not None and not isinstance(error, RIGHT):
            self.wrong.append(name + ": " + "".join(traceback.format_exception(error)))

    def printed(self) -> str:
        told = {"done": self.done, "retries": self.retries, "waits": self.waits, "wrong": self.wrong}
        return json.dumps(told)


def chosen(chance: random.Random, tenant: str) -> str:
    drawn = chance.random()
    if drawn < 0.02 and not tenant:
        return chance.choice(ONCE)
    return chance.choice(SELDOM if drawn < 0.15 else OFTEN)


def in_thread(member: Member, told: Told, until: float) -> None:
    with observing(told):
        while time.monotonic() < until:
            name = chosen(member.chance, member.tenant or "")
            error: BaseException | None = None
            try:
                member.do(name)
            except Exception as failed:  # noqa: BLE001 - told at the end
                error = failed
            told.right(name, error)


async def in_task(member: AsyncMember, told: Told, until: float) -> None:
    with observing(told):
        while time.monotonic() < until:
            name = chosen(member.chance, member.tenant or "")
            error: BaseException | None = None
            try:
                await member.ado(name)
            except Exception as failed:  # noqa: BLE001 - as above
                error = failed
            told.right(name, error)


def crowd(url: str, seed: int, seconds: float, tenant: str) -> Told:
    told, until = Told(), time.monotonic() + seconds
    database = database_of(url, tenant)
    work: list[Callable[[], None]] = []
    for number in range(THREADS):
        member = Member(database, random.Random(seed + number), tenant)
        work.append(lambda member=member: in_thread(member, told, until))  # type: ignore[misc]

    async def tasks() -> None:
        members = [AsyncMember(database, random.Random(seed + 100 + number), tenant) for number in range(TASKS)]
        await asyncio.gather(*[in_task(member, told, until) for member in members])
        await database.aclose()

    work.append(lambda: asyncio.run(tasks()))
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


if __name__ == "__main__":
    sys.stdout.write(crowd(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]).printed())
