"""The stages that workers run: one batch's way, cut into what happens where.

A batch goes the way of `batch_flow`, as in a local ingest. The cutting worker runs it up to its first request for
vectors and hands on what it had found; the writing worker runs it again with those answers, so that nothing is cut or
embedded twice, and on from there.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from threading import Event
from typing import Any

from embedpipe.distributed.shared import SharedLimiter, answered
from embedpipe.distributed.sources import Columns
from embedpipe.embedding import EmbeddingAttempt, EmbeddingGenerator
from embedpipe.errors import ConfigurationError, EmbedPipeError
from embedpipe.ingest import IngestSettings, ProcessingStats
from embedpipe.ingest.cutting import Cut, Cutter
from embedpipe.ingest.drivers import drive
from embedpipe.ingest.flow import Embed, Read, batch_flow
from embedpipe.ingest.source import Batch, SeenIds, batches
from embedpipe.storage import PgVectorStore
from embedpipe.storage.admin.collections import made_at
from embedpipe.storage.write.documents import DocumentBatch, DocumentRow, Known, Written
from embedpipe.types import Document


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker needs to take part: the model, how documents are taken, and where they go.

    `origin` tells the collection apart from one of the same name in another database.
    """

    generator: EmbeddingGenerator
    settings: IngestSettings
    store: PgVectorStore
    origin: str | None
    columns: Columns
    claims: Any
    limiter: Any


@dataclass(frozen=True, slots=True)
class Work:
    """A batch on its way, with the answers that its flow was given so far."""

    batch: Batch
    known: Known
    taken: list[tuple[Document, DocumentRow]] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    failures: dict[str, EmbedPipeError] = field(default_factory=dict)
    texts: Sequence[str] = ()
    attempt: EmbeddingAttempt | None = None


def _work(row: Mapping[str, bytes]) -> Work | ProcessingStats | EmbedPipeError:
    """What a row between two stages holds, in bytes, since Arrow has no type for it.

    A report goes on as it is, and so does an error, which ends the run.
    """
    work: Work | ProcessingStats | EmbedPipeError = pickle.loads(row["work"])  # noqa: S301 - another worker of this run has written it
    return work


class _Stage:
    """What a worker opens at its first batch.

    An error of ours goes on in the batch's place, since Ray would hand over nothing but its words.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @cached_property
    def _generator(self) -> EmbeddingGenerator:
        plan = self._plan
        return plan.generator if plan.limiter is None else plan.generator.keeping_to(SharedLimiter(plan.limiter))

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self._plan.settings, self._generator.model, self._generator.spec)

    @cached_property
    def _store(self) -> PgVectorStore:
        """The store, once it was seen that this worker reaches the same database as the process that began the run."""
        store = self._plan.store
        if store.database.read(made_at, store.database.schema, store.name) != self._plan.origin:
            raise ConfigurationError(
                f"A worker reaches another database than the process that began the ingest: collection "
                f"{store.name!r} is not the same there. Set EMBEDPIPE_DATABASE_URL to one server on every node."
            )
        return store


class CutStage(_Stage):
    """Documents to `Work`: each batch up to its first request for vectors."""

    def __call__(self, table: Any) -> dict[str, list[bytes]]:
        try:
            return {"work": [pickle.dumps(work) for work in self._works(table)]}
        except EmbedPipeError as error:
            return {"work": [pickle.dumps(error)]}

    def _works(self, table: Any) -> Iterator[Work | ProcessingStats]:
        columns = self._plan.columns
        unread = columns.errors(table)
        if unread:
            yield ProcessingStats(failures=unread)
        fresh, repeated = self._claimed(columns.documents(table))
        fresh = [document for document in fresh if document.id not in unread]
        with closing(SeenIds()) as seen:
            for batch in batches(fresh, self._plan.settings, seen):
                yield self._begun(batch)
        if repeated:
            yield self._begun(Batch(repeated=repeated))

    def _claimed(self, documents: Sequence[Document]) -> tuple[list[Document], list[str]]:
        """The documents that may be taken, and the ids of those whose id came with another content."""
        claims = self._plan.claims
        firsts = {document.id: document for document in reversed(documents)}
        answers = answered(claims.claim.remote([(name, _digest(first)) for name, first in firsts.items()]))
        refused = {name for name, granted in zip(firsts, answers, strict=True) if not granted}
        return [d for d in documents if d.id not in refused], [d.id for d in documents if d.id in refused]

    def _begun(self, batch: Batch) -> Work:
        cutter = _Recording(self._cutter)
        flow = batch_flow(batch, cutter)
        asked = next(flow)
        assert isinstance(asked, Read)  # noqa: S101 - a flow begins by it
        known = self._store.known_documents(asked.document_ids)
        try:
            step = flow.send(known)
        except StopIteration:
            step = None
        texts = step.texts if isinstance(step, Embed) else ()
        return Work(batch, known, cutter.taken, cutter.cut, cutter.failures, texts)


class EmbedStage(_Stage):
    """`Work` to the same with its vectors."""

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        work = _work(row)
        if not isinstance(work, Work) or not work.texts:
            return row
        try:
            return {"work": pickle.dumps(replace(work, attempt=self._generator.attempt(work.texts)))}
        except EmbedPipeError as error:
            return {"work": pickle.dumps(error)}


class WriteStage(_Stage):
    """`Work` to the report on its documents, which are in the database by then."""

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        work = _work(row)
        if not isinstance(work, Work):
            return {"report": row["work"]}
        try:
            return {"report": pickle.dumps(self._written(work))}
        except EmbedPipeError as error:
            return {"report": pickle.dumps(error)}

    def _written(self, work: Work) -> ProcessingStats:
        flow = batch_flow(work.batch, _Replayed(work, self._cutter))
        return drive(flow, _Embedded(work, self._generator), _Answered(work, self._store), Event())


class _Recording:
    """A cutter that keeps what it answered."""

    def __init__(self, cutter: Cutter) -> None:
        self.spec = cutter.spec
        self.taken: list[tuple[Document, DocumentRow]] = []
        self.cut: list[Cut] = []
        self.failures: dict[str, EmbedPipeError] = {}
        self._cutter = cutter

    def rows(
        self, documents: Sequence[Document], failures: dict[str, EmbedPipeError]
    ) -> list[tuple[Document, DocumentRow]]:
        self.taken = list(self._cutter.rows(documents, failures))
        return self.taken

    def cuts(
        self, stored: Sequence[tuple[Document, DocumentRow]], known: Known, failures: dict[str, EmbedPipeError]
    ) -> list[Cut]:
        self.cut = list(self._cutter.cuts(stored, known, failures))
        self.failures = dict(failures)
        return self.cut


class _Replayed:
    """A cutter whose first answers were given elsewhere."""

    def __init__(self, work: Work, cutter: Cutter) -> None:
        self.spec = cutter.spec
        self._work: Work | None = work
        self._cutter = cutter

    def rows(
        self, documents: Sequence[Document], failures: dict[str, EmbedPipeError]
    ) -> Sequence[tuple[Document, DocumentRow]]:
        assert self._work is not None  # noqa: S101 - a flow asks for rows first, and once
        failures.update(self._work.failures)
        return self._work.taken

    def cuts(
        self, stored: Sequence[tuple[Document, DocumentRow]], known: Known, failures: dict[str, EmbedPipeError]
    ) -> Iterator[Cut]:
        work, self._work = self._work, None
        return iter(work.cut) if work is not None else self._cutter.cuts(stored, known, failures)


class _Answered:
    """A store whose first answer was given elsewhere."""

    def __init__(self, work: Work, store: PgVectorStore) -> None:
        self._known: Known | None = work.known
        self._store = store

    def known_documents(self, document_ids: Sequence[str]) -> Known:
        known, self._known = self._known, None
        return known if known is not None else self._store.known_documents(document_ids)

    def write_documents(self, batch: DocumentBatch) -> Written:
        return self._store.write_documents(batch)


class _Embedded:
    """A generator whose first answer was given elsewhere."""

    def __init__(self, work: Work, generator: EmbeddingGenerator) -> None:
        self._attempt = work.attempt
        self._generator = generator

    def attempt(self, texts: Sequence[str]) -> EmbeddingAttempt:
        attempt, self._attempt = self._attempt, None
        return attempt if attempt is not None else self._generator.attempt(texts)


def _digest(document: Document) -> bytes:
    content = repr((document.text, sorted(document.metadata.items(), key=str)))
    return blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
