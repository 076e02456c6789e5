"""Processes that write until they are killed, and what must hold of the database whenever they were.

python loading.py URL ingest VERSION | upsert WRITER | reembed MODEL
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import text

from embedpipe import Document, EmbedPipeError, RecursiveChunker, SemanticSearchService
from embedpipe.storage import Database, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Vectors

DOCUMENTS = 600
CHUNKER = RecursiveChunker(chunk_size=300)
FAILED = 3
"""What a process ends with that an error of ours stopped."""


def model(name: str = "fake") -> FakeEmbeddingModel:
    return FakeEmbeddingModel(16, name=name)


def documents(version: int) -> list[Document]:
    """What a source has at a time: some paragraphs of a document change from one version to the next."""
    return [Document(id=str(number), text=text_of(number, version)) for number in range(DOCUMENTS)]


def text_of(number: int, version: int) -> str:
    changed = [version if (number + place + version) % 3 == 0 else 0 for place in range(4)]
    return "\n\n".join(f"Document {number}, part {place}, version {v}. " * 6 for place, v in enumerate(changed))


def service(database: Database | str, name: str = "fake") -> SemanticSearchService:
    made = SemanticSearchService(model(name), database=database, chunker=CHUNKER)
    made.settings = replace(made.settings, batch_documents=16)
    return made


def started(url: str, *work: str) -> subprocess.Popen[str]:
    """A process at work: it has opened the collection."""
    command = [sys.executable, __file__, url, *work]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n", process.communicate()
    return process


def ended(process: subprocess.Popen[str]) -> int:
    """The exit status of a process that was left alone; its traceback where that is none of ours."""
    _, said = process.communicate()
    assert process.returncode in (0, FAILED), said
    return process.returncode


def check_whole(database: Database, versions: Iterable[int], *, name: str = "fake") -> dict[str, int]:
    """{document: its version}, after it was seen that each is there whole, once, and with its own vectors."""
    wait_for_servers_of_the_killed(database)
    store = PgVectorStore(database, model=model(name).spec)
    chunks = store.find()
    check_vectors(store, chunks, name)
    parts: dict[str, list[str]] = defaultdict(list)
    for chunk in chunks:
        parts[str(chunk.document_id)].append(chunk.text)
    found = {}
    for document, texts in parts.items():
        of = {tuple(part.text for part in CHUNKER.chunk(text_of(int(document), v))): v for v in sorted(versions)}
        assert tuple(texts) in of, f"document {document} is none of its versions: {texts}"
        found[document] = of[tuple(texts)]
    assert store.known_documents(list(parts)).hashes.keys() == parts.keys()
    wrong = [finding for finding in database.diagnose().findings if finding.wrong]
    assert wrong == []
    return found


def wait_for_servers_of_the_killed(database: Database) -> None:
    """Wait until no other transaction is under way. One that a killed process sent may commit after the kill."""
    under_way = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' AND state <> 'idle'"
    )
    deadline = time.monotonic() + 60
    while database.read(lambda connection: connection.scalar(under_way)):
        assert time.monotonic() < deadline, "a transaction of a killed process goes on"
        time.sleep(0.01)


def check_vectors(store: PgVectorStore, chunks: Sequence[Chunk], name: str = "fake") -> None:
    """Each chunk has one vector, that of its own text."""
    stored = store.vectors()
    texts = {chunk.id: chunk.embedded_text for chunk in chunks}
    assert sorted(stored.ids) == sorted(str(each) for each in texts)
    expected = model(name).embed([texts[each] for each in stored.ids], "document")
    np.testing.assert_allclose(stored.vectors, expected, atol=1e-6)


def say_started() -> None:
    sys.stdout.write("started\n")
    sys.stdout.flush()


def ingest(url: str, version: str) -> None:
    at_work = service(url)
    at_work.store.create()
    say_started()
    at_work.ingest(documents(int(version)))


def upsert(url: str, writer: str) -> None:
    """Writes the same 300 ids again and again, in orders of its own."""
    store, rng = PgVectorStore(url, model=model().spec), np.random.default_rng(int(writer))
    store.create()
    say_started()
    for attempt in range(10):
        names = [str(number) for number in rng.permutation(300)[:200]]
        chunks = [Chunk.whole(f"{writer} wrote {name} at {attempt}", id=name) for name in names]
        store.upsert(chunks, model().embed([chunk.text for chunk in chunks], "document"))
        store.delete([names[0]])


def reembed(url: str, name: str) -> None:
    store = PgVectorStore(url)
    store.count()
    say_started()

    def embed(texts: Sequence[str]) -> Vectors:
        time.sleep(0.1)  # a model that takes its time
        return model(name).embed(texts, "document")

    store.reembed(embed, model=model(name).spec)


if __name__ == "__main__":
    work = {"ingest": ingest, "upsert": upsert, "reembed": reembed}[sys.argv[2]]
    try:
        work(sys.argv[1], sys.argv[3])
    except EmbedPipeError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(FAILED)
