"""`BatchWork`: its steps without a database, and that it pickles between any two of them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from embedpipe import Document, EmbeddingGenerator, RecursiveChunker
from embedpipe.errors import UnknownCommitError
from embedpipe.ingest import BatchWork, DocumentPreparer, IngestSettings, SourceBatch
from embedpipe.storage.write import ConcurrentChangeError, Known, Written
from embedpipe.testing import FakeEmbeddingModel

GENERATOR = EmbeddingGenerator(FakeEmbeddingModel(dimensions=8))
PREPARER = DocumentPreparer(IngestSettings(chunker=RecursiveChunker(chunk_size=20)), GENERATOR.model, GENERATOR.spec)
NOTHING = Known({}, set())


def begun(*texts: str) -> BatchWork:
    documents = [Document(id=f"{number}", text=text) for number, text in enumerate(texts)]
    return BatchWork.of(SourceBatch(documents, repeated=["0"]), PREPARER)


def sent(work: BatchWork) -> BatchWork:
    """Return the work as it arrives at another machine."""
    copy = pickle.loads(pickle.dumps(work))  # noqa: S301 - made here
    assert isinstance(copy, BatchWork)
    return copy


def embedded(work: BatchWork, known: Known = NOTHING) -> BatchWork:
    work.plan(known, PREPARER)
    if work.unembedded:
        work.take(GENERATOR.attempt(work.texts))
    return work


def stored(work: BatchWork) -> Known:
    """Return what a store has after the work was written."""
    batch = work.to_write()
    assert batch is not None
    chunks = {str(chunk.id) for rows in (batch.kept, batch.new) for chunk in rows.chunks}
    return Known({row.id: row.hash for row in batch.documents}, chunks)


def test_the_steps_lead_to_a_report_on_several_machines() -> None:
    work = sent(begun("Green tea.\n\nIt is steeped for two minutes.", " ", "Black tea."))
    assert work.document_ids == ["0", "2"]
    work.plan(NOTHING, PREPARER)
    work = sent(work)
    assert "Black tea." in work.texts
    work.take(GENERATOR.attempt(work.texts))
    work = sent(work)
    batch = work.to_write()
    assert batch is not None
    expected = GENERATOR.generate_batch([chunk.text for chunk in batch.new.chunks]).vectors
    np.testing.assert_array_equal(batch.vectors, expected)
    work.written = Written(0)
    work = sent(work)
    assert work.to_write() is None
    report = work.report()
    assert (report.added, report.chunks_embedded, list(report.failures)) == (
        2,
        len(batch.new.chunks),
        ["1", "0 (again)"],
    )


def test_what_another_writer_changed_is_planned_again_and_not_embedded_again() -> None:
    work = embedded(begun("Green tea.", "Black tea."))
    work.retry(ConcurrentChangeError("Another writer was first."))
    assert not work.is_planned
    work.plan(stored(embedded(begun("Green tea."))), PREPARER)
    assert not work.unembedded
    batch = work.to_write()
    assert batch is not None
    assert [row.id for row in batch.documents] == ["1"]


def test_the_last_attempt_counts_on_no_stored_chunk_and_then_the_error_is_raised() -> None:
    known = Known({"0": b"of another text"}, stored(embedded(begun("Green tea."))).chunk_ids)
    work = embedded(begun("Green tea."), known)
    error = ConcurrentChangeError("Another writer was first.")
    for attempt in (1, 2, 3):
        batch = work.to_write()
        assert batch is not None
        assert len(batch.new.chunks) == (attempt == 3)
        if attempt < 3:
            work.retry(error)
            embedded(work, known)
    with pytest.raises(ConcurrentChangeError):
        work.retry(error)


def test_a_write_of_unknown_outcome_counts_if_the_store_has_it() -> None:
    known = Known({"0": b"of an earlier text"}, {"an earlier chunk"})
    work = embedded(begun("Green tea."), known)
    work.retry(UnknownCommitError("The connection was lost."))
    work = sent(work)
    work.plan(stored(embedded(begun("Green tea."))), PREPARER)
    assert work.to_write() is None
    report = work.report()
    assert (report.added, report.changed, report.kept, report.chunks_embedded, report.chunks_removed) == (0, 1, 0, 1, 1)


def test_a_write_of_unknown_outcome_is_made_again_if_the_store_has_it_not() -> None:
    work = embedded(begun("Green tea."))
    work.retry(UnknownCommitError("The connection was lost."))
    work.plan(NOTHING, PREPARER)
    batch = work.to_write()
    assert batch is not None
    assert not work.unembedded
    assert len(batch.new.chunks) == 1
