"""`AsyncBatchProcessor`: streams in order, looks ahead no further than it must, and loses nothing through any fault."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedpipe import AsyncBatchProcessor, Document, EmbeddingGenerator, ProcessedDocument, RecursiveChunker
from embedpipe.embedding import FileCache, Limits, Retry
from embedpipe.errors import AuthenticationError, ConfigurationError, InputError, ProviderError
from embedpipe.ingest import ProgressBar
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel, Fault
from embedpipe.types import Chunk, Kind, Vectors

KEY = "sk-very-secret-0123456789"
MODEL = FakeEmbeddingModel(1536)
LINES = RecursiveChunker(chunk_size=30)


def documents(count: int = 40) -> list[Document]:
    """Documents of three chunks each."""
    return [
        Document(id=f"{i}", text="\n\n".join(f"Part {part} of document {i}." for part in "abc")) for i in range(count)
    ]


async def arriving(source: Sequence[Document]) -> AsyncIterator[Document]:
    for document in source:
        await asyncio.sleep(0)
        yield document


async def streamed(processor: AsyncBatchProcessor, source: Any) -> list[ProcessedDocument]:
    return [document async for document in processor.stream(source)]


def over(server: EmbeddingServer, **settings: Any) -> AsyncBatchProcessor:
    """A processor over the server, with ten documents in a batch and five chunks in a request."""
    generator = EmbeddingGenerator(
        "text-embedding-3-small",
        base_url=server.url,
        api_key=KEY,
        limits=Limits(batch_items=5, concurrency=4),
        **{"retry": Retry(attempts=20, initial_s=0.01, max_s=0.05), **settings},
    )
    return AsyncBatchProcessor(generator, chunker=LINES, batch_documents=10)


def assert_right(processed: Sequence[ProcessedDocument], source: Sequence[Document], model: FakeEmbeddingModel) -> None:
    """Every document is there once, in order, cut exactly, each chunk with its own vector."""
    assert [item.document_id for item in processed] == [document.id for document in source]
    for item, document in zip(processed, source, strict=True):
        assert item.error is None
        assert [chunk.text for chunk in item.chunks] == document.text.split("\n\n")
        assert all(document.text[c.start_index : c.end_index] == c.text for c in item.chunks)
        assert {chunk.document_id for chunk in item.chunks} == {document.id}
        expected = model.embed([chunk.text for chunk in item.chunks], "document")
        np.testing.assert_array_equal(item.vectors, expected)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("way", [list, iter, arriving])
async def test_any_iterable_streams_in_order(way: Any, concurrency: int) -> None:
    model, source = FakeEmbeddingModel(16), documents()
    processor = AsyncBatchProcessor(model, chunker=LINES, batch_documents=7, concurrency=concurrency)
    assert_right(await streamed(processor, way(source)), source, model)


class Slow(FakeEmbeddingModel):
    """Takes the longer, the earlier the text."""

    limits = Limits(concurrency=4)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        time.sleep(0.08 if "document 0." in texts[0] or "document 0." in texts[-1] else 0.0)
        return super().embed(texts, kind)


async def test_a_slow_batch_delays_the_others_but_changes_no_order() -> None:
    model, source = Slow(16), documents(30)
    processor = AsyncBatchProcessor(model, chunker=LINES, batch_documents=5)
    assert_right(await streamed(processor, source), source, model)


class Meeting(FakeEmbeddingModel):
    """Embeds only once several calls have come together."""

    limits = Limits(concurrency=3)

    def __init__(self) -> None:
        super().__init__(16)
        self.barrier = threading.Barrier(3, timeout=10)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.barrier.wait()
        return super().embed(texts, kind)


async def test_batches_are_embedded_while_others_are() -> None:
    source = documents(30)
    processed = await streamed(AsyncBatchProcessor(Meeting(), chunker=LINES, batch_documents=10), source)
    assert_right(processed, source, FakeEmbeddingModel(16))


class Counting(FakeEmbeddingModel):
    """Knows the most calls that were under way at once."""

    limits = Limits(concurrency=2)

    def __init__(self) -> None:
        super().__init__(16)
        self.now = self.most = 0
        self.lock = threading.Lock()

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.005)
        with self.lock:
            self.now -= 1
        return super().embed(texts, kind)


@pytest.mark.parametrize("mode", ["tasks", "threads"])
async def test_the_models_concurrency_holds_over_all_batches(mode: str) -> None:
    model = Counting()
    generator = EmbeddingGenerator(model)
    if mode == "tasks":
        await streamed(AsyncBatchProcessor(generator, chunker=LINES, batch_documents=2, concurrency=8), documents())
    else:
        await asyncio.gather(*(asyncio.to_thread(generator.generate_batch, [f"text {n}"]) for n in range(20)))
    assert model.most == 2


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_endless_source_is_not_read_far_ahead(kind: str) -> None:
    pulled = 0

    def endless() -> Iterator[Document]:
        nonlocal pulled
        for pulled in itertools.count(1):
            yield Document(id=str(pulled), text=f"text {pulled}")

    async def aendless() -> AsyncIterator[Document]:
        for document in endless():
            yield document

    processor = AsyncBatchProcessor(FakeEmbeddingModel(16), batch_documents=10, concurrency=3)
    stream = processor.stream(endless() if kind == "plain" else aendless())
    for taken in range(1, 60):
        await anext(stream)
        await asyncio.sleep(0.002)  # time to read on, if it would
        assert pulled <= taken + 10 * (3 + 1)
    await stream.aclose()


async def test_a_source_that_is_not_read_to_its_end_is_closed_by_its_reader() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def endless() -> AsyncIterator[Document]:
        tasks.append(asyncio.current_task())
        try:
            for number in itertools.count():
                yield Document(id=str(number), text=f"text {number}")
        finally:
            tasks.append(asyncio.current_task())

    stream = AsyncBatchProcessor(FakeEmbeddingModel(16), batch_documents=10).stream(endless())
    await anext(stream)
    await stream.aclose()
    began, ended = tasks
    assert began is ended


class Refusing(FakeEmbeddingModel):
    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if any("document 3." in text for text in texts):
            raise ProviderError("the model refuses this", status=400)
        return super().embed(texts, kind)


class Failing:
    """A chunker of a user's own, with a fault."""

    def chunk(self, text: str) -> list[Chunk]:
        if "document 4." in text:
            raise ZeroDivisionError("by no one")
        return [Chunk.whole(text)]


async def test_each_failure_is_named_in_its_place_and_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    source = documents(6)
    source[1] = Document(id="1", text=" ")
    source[5] = Document(id="0", text="Again.")
    processor = AsyncBatchProcessor(Refusing(16), chunker=Failing(), batch_documents=2)
    processed = await streamed(processor, source)
    assert [(item.document_id, item.error is None) for item in processed] == [
        ("0", True),
        ("1", False),
        ("2", True),
        ("3", False),
        ("4", False),
        ("0 (again)", False),
    ]
    assert all(len(item.chunks) == len(item.vectors) == (item.error is None) for item in processed)
    sink: list[ProcessedDocument] = []
    stats = await processor.process(source, sink=sink)
    assert [item.document_id for item in sink] == ["0", "2"]
    assert (stats.documents, stats.added, stats.chunks) == (6, 2, 2)
    assert {name: str(error) for name, error in stats.failures.items()} == {
        "1": "Document '1': the text is only white space. Leave the document out.",
        "3": "Document '3': the model refuses this",
        "4": "Document '4': the chunker failed with ZeroDivisionError: by no one",
        "0 (again)": "Document '0' came twice in one ingest. Its first text was taken. Give each an id of its own.",
    }
    assert isinstance(stats.failures["3"], ProviderError)
    assert [record.getMessage() for record in caplog.records] == [f"Not ingested: {e}" for e in stats.failures.values()]


async def test_a_source_that_fails_gives_up_what_came_before() -> None:
    def broken() -> Iterator[Document]:
        yield from documents(20)
        raise OSError("the disk is gone")

    sink: list[ProcessedDocument] = []
    processor = AsyncBatchProcessor(FakeEmbeddingModel(16), chunker=LINES, batch_documents=5)
    with pytest.raises(OSError, match="the disk is gone"):
        await processor.process(broken(), sink=sink)
    assert_right(sink, documents(20), FakeEmbeddingModel(16))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (documents(1)[0], "Put it into a list"),
        ("text", "Put it into a list"),
        ({"id": "a", "text": "b"}, "documents is one dict. Put it into a list"),
        (["text"], r"is a builtins\.str\. Pass an embedpipe\.Document.*LangChain or LlamaIndex"),
        ([Path("a.txt")], "Read the file first: embedpipe.files.read_documents"),
        ([documents(1)], r"is a builtins\.list\. Pass the documents one by one"),
        (7, "documents is a int. Pass an iterable"),
    ],
)
async def test_what_is_no_source_is_refused(source: Any, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        await streamed(AsyncBatchProcessor(FakeEmbeddingModel(16)), source)


async def test_settings_and_sinks_that_cannot_work_are_refused() -> None:
    for name in ("concurrency", "batch_documents", "batch_characters"):
        with pytest.raises(ConfigurationError, match=f"{name}=0 is out of range. Pass a whole number, 1 or more"):
            AsyncBatchProcessor(FakeEmbeddingModel(16), **{name: 0})  # type: ignore[arg-type]  # one of several
    with pytest.raises(InputError, match="sink is a set"):
        await AsyncBatchProcessor(FakeEmbeddingModel(16)).process([], sink=set())  # type: ignore[arg-type]


async def test_a_second_run_with_a_cache_embeds_nothing(tmp_path: Path) -> None:
    with EmbeddingServer(MODEL) as server:
        processor = over(server, cache=tmp_path)
        first = await processor.process(documents(), sink=[])
        again: list[ProcessedDocument] = []
        second = await processor.process(arriving(documents()), sink=again)
    assert (first.chunks, first.cache_hits, first.requests) == (120, 0, 24)
    assert (second.chunks, second.cache_hits, second.requests) == (120, 120, 0)
    assert_right(again, documents(), MODEL)


async def test_progress_is_told_after_each_batch() -> None:
    seen: list[tuple[int, int]] = []
    processor = AsyncBatchProcessor(FakeEmbeddingModel(16), chunker=LINES, batch_documents=15)
    await processor.process(
        documents(), sink=[], on_progress=lambda stats: seen.append((stats.documents, stats.chunks))
    )
    assert seen == [(15, 45), (30, 90), (40, 120)]


async def test_the_bar_shows_documents_chunks_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    source = [*documents(), Document(id="empty", text="")]
    with ProgressBar(total=41) as bar:
        await AsyncBatchProcessor(FakeEmbeddingModel(16), chunker=LINES).process(source, sink=[], on_progress=bar)
    assert "41/41" in capsys.readouterr().err.rsplit("\r", 1)[-1]


STORMS = {
    "429 without Retry-After": [Fault.status(429)] * 8,
    "429 with Retry-After": [Fault.status(429, retry_after=0.1)] * 5,
    "500s": [Fault.status(500), Fault.status(503), Fault.status(502), Fault.status(500)],
    "cut short": [Fault.cut()] * 4,
    "a vector missing": [Fault.damaged("missing")] * 3,
    "out of order": [Fault.damaged("shuffled")] * 6,
    "wrong dimension": [Fault.damaged("wrong_dimension")] * 3,
    "NaN": [Fault.damaged("nan")] * 3,
}


@pytest.mark.parametrize("storm", STORMS)
async def test_every_document_gets_through_a_storm(storm: str) -> None:
    with EmbeddingServer(MODEL, faults=STORMS[storm]) as server:
        sink: list[ProcessedDocument] = []
        stats = await over(server).process(documents(), sink=sink)
        failures = 0 if storm == "out of order" else len(STORMS[storm])
        assert (stats.requests, stats.retries) == (24 + failures, failures)
        assert len(server.requests) == 24 + failures
    assert_right(sink, documents(), MODEL)


async def test_a_server_that_is_killed_and_comes_back_costs_nothing() -> None:
    with EmbeddingServer(MODEL, latency_s=0.02) as server:
        processor = over(server, retry=Retry(attempts=50, initial_s=0.05, max_s=0.1))

        def restart() -> None:
            while len(server.requests) < 6:
                time.sleep(0.005)
            server.stop()
            time.sleep(0.3)
            server.start()

        killer = threading.Thread(target=restart)
        killer.start()
        processed = await streamed(processor, documents())
        killer.join()
    assert_right(processed, documents(), MODEL)


async def test_replies_that_never_come_are_asked_for_again() -> None:
    from embedpipe.embedding import OpenAIModel

    with EmbeddingServer(MODEL, faults=[Fault.hang()] * 3) as server:
        model = OpenAIModel("text-embedding-3-small", base_url=server.url, api_key=KEY, timeout_s=0.5)
        generator = EmbeddingGenerator(model, retry=Retry(attempts=5, initial_s=0.01))
        processed = await streamed(AsyncBatchProcessor(generator, chunker=LINES, batch_documents=10), documents())
    assert_right(processed, documents(), MODEL)


async def test_a_refused_text_costs_its_document_alone() -> None:
    with EmbeddingServer(MODEL, refuse=lambda text: "b of document 17." in text) as server:
        processed = await streamed(over(server), documents())
    failed = [item for item in processed if item.error is not None]
    assert [item.document_id for item in failed] == ["17"]
    assert str(failed[0].error).startswith("Document '17': ")
    assert_right([item for item in processed if item.error is None], [d for d in documents() if d.id != "17"], MODEL)


async def test_a_server_that_is_gone_names_every_document() -> None:
    server = EmbeddingServer(MODEL).start()
    server.stop()
    stats = await over(server, max_retries=1).process(documents(), sink=[])
    assert list(stats.failures) == [document.id for document in documents()]


async def test_a_refused_key_ends_the_stream_and_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), EmbeddingServer(MODEL, api_key="another") as server:
        processor = over(server)
        with pytest.raises(AuthenticationError) as caught:
            await processor.process(documents(200), sink=[])
        assert len(server.requests) <= 6 * 4  # of 120: the batches that were under way
    shown = [repr(processor), caplog.text, *traceback.format_exception(caught.value)]
    assert not [text for text in shown if KEY in text]


def asked(server: EmbeddingServer) -> None:
    while not server.requests:
        time.sleep(0.01)


@pytest.mark.parametrize("end", ["cancelled", "left"])
async def test_who_stops_listening_pays_no_more(end: str) -> None:
    with EmbeddingServer(MODEL, latency_s=0.1) as server:
        stream = over(server).stream(documents(1000))
        if end == "left":
            await anext(stream)
            await stream.aclose()
        else:
            task = asyncio.ensure_future(anext(stream))
            await asyncio.to_thread(asked, server)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.sleep(0.3)  # what was on its way arrives
        sent = len(server.requests)
        await asyncio.sleep(0.3)
        assert 0 < len(server.requests) == sent < 100
    assert asyncio.all_tasks() == {asyncio.current_task()}


WORKER = """
import asyncio, sys
from embedpipe import AsyncBatchProcessor, Document, EmbeddingGenerator
from embedpipe.embedding import Limits

generator = EmbeddingGenerator(
    "text-embedding-3-small", base_url=sys.argv[1], api_key="any", cache=sys.argv[2], limits=Limits(batch_items=100)
)
documents = (Document(id=str(n), text=f"text {n}") for n in range(5000))
sink = []
stats = asyncio.run(AsyncBatchProcessor(generator, batch_documents=300).process(documents, sink=sink))
assert [item.chunks[0].text for item in sink] == [f"text {n}" for n in range(5000)]
print("done", stats.cache_hits)
"""


def test_a_rerun_after_sigkill_pays_only_for_what_is_missing(tmp_path: Path) -> None:
    with EmbeddingServer(MODEL, latency_s=0.05) as server:
        command = [sys.executable, "-c", WORKER, server.url, str(tmp_path)]
        with subprocess.Popen(command) as worker:
            while len(server.requests) < 20:
                time.sleep(0.01)
            worker.send_signal(signal.SIGKILL)
        kept = FileCache(tmp_path).stats().entries
        assert 0 < kept < 5000
        server.requests.clear()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["done", str(kept)]
        paid = [text for request in server.requests for text in request.texts]
    assert len(paid) == len(set(paid)) == 5000 - kept
