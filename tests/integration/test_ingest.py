"""Ingest: what a source holds is what the collection holds, and nothing is embedded twice."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from langchain_core import documents as langchain
from llama_index.core import schema as llama_index
from sqlalchemy import select

from embedpipe import (
    AsyncBatchProcessor,
    Document,
    EmbeddingGenerator,
    PgVectorStore,
    RecursiveChunker,
    SemanticSearchService,
)
from embedpipe.errors import (
    AuthenticationError,
    CollectionNotFoundError,
    ConfigurationError,
    InputError,
    ModelMismatchError,
    ProviderError,
)
from embedpipe.ingest import ProcessingStats
from embedpipe.storage import Database
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel, Fault
from embedpipe.text import clean_text
from embedpipe.types import Kind, ModelSpec, Vectors
from nonfinite import examined

PARAGRAPHS = [f"Paragraph {i} speaks of {word}. " * 12 for i, word in enumerate(["cats", "dogs", "birds", "fish"])]


class Recording:
    """A fake model that remembers what it embedded, and refuses texts that hold a word."""

    def __init__(self, refuse: str | None = None) -> None:
        self.model = FakeEmbeddingModel(dimensions=16)
        self.spec: ModelSpec = self.model.spec
        self.embedded: list[str] = []
        self.refuse = refuse

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if self.refuse is not None and any(self.refuse in text for text in texts):
            raise ProviderError("the model refuses this", status=400)
        if kind == "document":
            self.embedded += texts
        return self.model.embed(texts, kind)


@pytest.fixture
def model() -> Recording:
    return Recording()


@pytest.fixture(params=["sync", "async"])
async def service(request: pytest.FixtureRequest, database: Database, model: Recording) -> Any:
    made = SemanticSearchService(model, database=database, chunker=_chunker())
    made.run = _runner(made, request.param)  # type: ignore[attr-defined]  # one face for both twins
    yield made
    await made.aclose()


def _chunker() -> Any:

    return RecursiveChunker(chunk_size=500)


def _runner(service: SemanticSearchService, kind: str) -> Any:
    async def run(documents: Any, **options: Any) -> ProcessingStats:
        if kind == "async":
            return await service.aingest(documents, **options)
        return service.ingest(documents, **options)

    return run


def document(id: str, *paragraphs: str, **metadata: Any) -> Document:
    return Document(id=id, text="\n\n".join(paragraphs), metadata=metadata)


def stored(service: SemanticSearchService) -> dict[str, str]:
    """Each document's text, put together again from its chunks."""
    texts: dict[str, list[str]] = {}
    for chunk in service.store.find():
        texts.setdefault(str(chunk.document_id), []).append(chunk.text)
    return {name: "\n\n".join(parts) for name, parts in texts.items()}


async def test_a_second_ingest_embeds_nothing(service: Any, model: Recording) -> None:
    documents = [document("a", *PARAGRAPHS, lang="en"), document("b", PARAGRAPHS[0])]
    first = await service.run(documents)
    assert (first.added, first.chunks_embedded, first.kept) == (2, 5, 0)
    assert sorted(model.embedded) == sorted({text.strip() for text in PARAGRAPHS})
    second = await service.run(documents)
    assert (second.added, second.changed, second.kept, second.chunks_embedded) == (0, 0, 2, 0)
    assert len(model.embedded) == 4


async def test_offsets_point_into_the_document(service: Any) -> None:
    source = document("a", *PARAGRAPHS)
    await service.run([source])
    chunks = service.store.find()
    assert len(chunks) == 4
    assert all(source.text[chunk.start_index : chunk.end_index] == chunk.text for chunk in chunks)


async def test_only_what_is_new_is_embedded(service: Any, model: Recording) -> None:
    one, two, three, four = PARAGRAPHS
    await service.run([document("a", one, two, three)])
    before = {chunk.text: chunk.id for chunk in service.store.find()}
    model.embedded.clear()
    changed = document("a", four, one, three)
    report = await service.run([changed])
    assert model.embedded == [four.strip()]
    assert (report.changed, report.chunks_embedded, report.chunks_kept, report.chunks_removed) == (1, 1, 2, 1)
    after = service.store.find()
    assert [chunk.text for chunk in after] == [four.strip(), one.strip(), three.strip()]
    assert all(changed.text[chunk.start_index : chunk.end_index] == chunk.text for chunk in after)
    assert {chunk.text: chunk.id for chunk in after if chunk.text in before}.items() <= before.items()


async def test_new_metadata_embeds_nothing(service: Any, model: Recording) -> None:
    await service.run([document("a", *PARAGRAPHS, year=2020)])
    model.embedded.clear()
    report = await service.run([document("a", *PARAGRAPHS, year=2021)])
    assert (report.changed, report.chunks_embedded, report.chunks_kept) == (1, 0, 4)
    assert model.embedded == []
    assert {chunk.metadata["year"] for chunk in service.store.find()} == {2021}


async def test_the_same_paragraph_twice_is_two_chunks(service: Any, model: Recording) -> None:
    await service.run([document("a", PARAGRAPHS[0], PARAGRAPHS[1], PARAGRAPHS[0])])
    assert service.store.count() == 3
    assert len(model.embedded) == 2


async def test_prune_removes_what_the_source_no_longer_has(service: Any) -> None:
    await service.run([document("a", PARAGRAPHS[0]), document("b", PARAGRAPHS[1])])
    kept = await service.run([document("a", PARAGRAPHS[0])])
    assert (kept.removed, service.store.count()) == (0, 2)
    pruned = await service.run([document("a", PARAGRAPHS[0])], prune=True)
    assert (pruned.removed, pruned.chunks_removed) == (1, 1)
    assert set(stored(service)) == {"a"}
    several = [document(name, *PARAGRAPHS[:2]) for name in "abc"]
    await service.run([*several, document("d", PARAGRAPHS[3])])
    pruned = await service.run(several, prune=True)
    assert (pruned.removed, pruned.chunks_removed) == (1, 1)
    assert set(stored(service)) == {"a", "b", "c"}


async def test_a_document_that_fails_costs_no_other(service: Any, model: Recording) -> None:
    model.refuse = "dogs"
    documents = [
        document("good", PARAGRAPHS[0]),
        document("half", PARAGRAPHS[2], PARAGRAPHS[1]),
        document("blank", "  \n "),
        document("nul", "a\x00b"),
        document("tuple", PARAGRAPHS[3], bad=(1, 2)),
    ]
    report = await service.run(documents)
    assert list(report.failures) == ["half", "blank", "nul", "tuple"]
    assert (report.added, report.documents) == (1, 5)
    assert "white space" in str(report.failures["blank"])
    assert "tuple" in str(report.failures["tuple"])
    assert set(stored(service)) == {"good"}
    with pytest.raises(ProviderError, match="Document 'half': the model refuses this"):
        report.raise_for_failures()
    model.refuse = None
    model.embedded.clear()
    again = await service.run(documents[:2])
    assert (again.added, again.kept) == (1, 1)
    assert set(stored(service)) == {"good", "half"}


async def test_a_failure_leaves_what_was_stored(service: Any, model: Recording) -> None:
    await service.run([document("a", PARAGRAPHS[0])])
    model.refuse = "dogs"
    report = await service.run([document("a", PARAGRAPHS[1])])
    assert set(report.failures) == {"a"}
    assert stored(service) == {"a": PARAGRAPHS[0].strip()}


async def test_a_document_that_comes_twice_is_said(service: Any) -> None:
    report = await service.run([document("a", PARAGRAPHS[0]), document("a", PARAGRAPHS[1])])
    assert "twice" in str(next(iter(report.failures.values())))
    assert stored(service) == {"a": PARAGRAPHS[0].strip()}


async def test_cleaning_shifts_no_offset(database: Database, model: Recording) -> None:
    text = "A\x00 \r\n\r\n\r\n" + "Cafe\u0301  \ud800 " * 60 + "\n\n\x00\n\n" + "the  end. " * 60
    service = SemanticSearchService(model, database=database, chunker=_chunker(), clean_text=True)
    service.ingest([Document(id="a", text=text)]).raise_for_failures()
    chunks = service.store.find()
    assert len(chunks) > 2
    for chunk in chunks:
        assert clean_text(text[chunk.start_index : chunk.end_index]) == chunk.text
        assert "\x00" not in chunk.text
    assert chunks[1].text.startswith("Café Café")
    with database.engine.connect() as connection:
        content = connection.scalar(select(service.store.collection.documents.c.content))
    assert content == text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


async def test_what_is_no_document_is_refused(service: Any) -> None:
    with pytest.raises(InputError, match=r"is a builtins\.str\. Pass an embedpipe\.Document"):
        await service.run(["just text"])
    with pytest.raises(InputError, match="is no str"):
        await service.run([Document(id=5, text="x")])  # type: ignore[arg-type]  # what a caller without types might pass


async def test_documents_of_all_kinds_are_ingested_together_and_known_in_the_next_run(service: Any) -> None:
    def source() -> list[object]:
        return [
            document("ours", PARAGRAPHS[0]),
            langchain.Document(page_content=PARAGRAPHS[1], metadata={"source": "a.pdf", "page": 0, "total_pages": 2}),
            langchain.Document(page_content=PARAGRAPHS[2], metadata={"source": "a.pdf", "page": 1, "total_pages": 2}),
            llama_index.Document(text=PARAGRAPHS[3], metadata={"file_path": "b.md"}),
        ]

    first = await service.run(source())
    assert (first.added, first.failures) == (4, {})
    assert set(stored(service)) == {"ours", "a.pdf#page=1", "a.pdf#page=2", "b.md"}
    assert {chunk.metadata.get("page") for chunk in service.store.find()} == {None, 1, 2}
    again = await service.run(source(), prune=True)
    assert (again.kept, again.removed) == (4, 0)


@pytest.mark.parametrize("single", [langchain.Document(page_content="x"), llama_index.Document(text="x")])
async def test_a_single_document_of_a_framework_is_refused(service: Any, single: Any) -> None:
    with pytest.raises(InputError, match="Put it into a list"):
        await service.run(single)


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("text", [None, 5, b"bytes"])
async def test_a_text_of_another_type_costs_no_other_document(service: Any, text: Any, clean: bool) -> None:
    service.settings = replace(service.settings, clean_text=clean)
    report = await service.run([document("a", PARAGRAPHS[0]), Document(id="none", text=text)])
    assert (report.added, list(report.failures)) == (1, ["none"])
    assert type(text).__name__ in str(report.failures["none"])
    assert set(stored(service)) == {"a"}


async def test_what_would_lose_data_or_cannot_work_is_refused_at_once(service: Any, model: Recording) -> None:
    await service.run([document("a", PARAGRAPHS[0])])
    with pytest.raises(InputError, match="clear"):
        await service.run([], prune=True)
    with pytest.raises(InputError, match="Put it into a list"):
        await service.run(document("b", PARAGRAPHS[0]))
    nested: dict[str, Any] = {}
    for _ in range(5000):
        nested = {"deeper": nested}
    report = await service.run([document("good", PARAGRAPHS[1]), document("deep", PARAGRAPHS[2], nested=nested)])
    assert set(report.failures) == {"deep"}
    assert "nested too deeply" in str(report.failures["deep"])
    assert set(stored(service)) == {"a", "good"}


async def test_small_ingests_build_the_index_too_once_there_is_enough(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedpipe.ingest.ingestor.INDEX_FROM", 32)
    await service.run([document(str(i), f"Text number {i}.") for i in range(31)])
    [info] = service.store.database.collections()
    assert not info.indexed
    await service.run([document("one more", "The text that makes it enough.")])
    [info] = service.store.database.collections()
    assert info.indexed


async def test_a_refused_key_ends_the_ingest(database: Database) -> None:
    with EmbeddingServer(FakeEmbeddingModel(dimensions=1536), faults=[Fault.status(401)] * 3) as server:
        generator = EmbeddingGenerator("text-embedding-3-small", base_url=server.url, api_key="wrong")
        with pytest.raises(AuthenticationError):
            SemanticSearchService(generator, database=database).ingest([document("a", PARAGRAPHS[0])])


async def test_a_search_makes_no_collection(database: Database, model: Recording) -> None:
    service = SemanticSearchService(model, database=database, collection="typo")
    with pytest.raises(CollectionNotFoundError, match="'typo' yet"):
        service.search("anything")
    with pytest.raises(CollectionNotFoundError, match="'typo' yet"):
        await service.asearch("anything")
    assert database.collections() == []
    with pytest.raises(ConfigurationError, match="is empty"):
        SemanticSearchService(model, database=database, collection="").ingest([document("a", PARAGRAPHS[0])])
    await service.aclose()


async def test_a_chunk_deleted_by_hand_comes_back(service: Any) -> None:
    documents = [document("a", *PARAGRAPHS)]
    await service.run(documents)
    chunks = service.store.find()
    service.store.delete([str(chunks[1].id)])
    report = await service.run(documents)
    assert (report.changed, report.chunks_embedded, report.chunks_kept) == (1, 1, 3)
    assert service.store.find() == chunks


async def test_progress_and_report_read_well(service: Any) -> None:
    seen: list[int] = []
    report = await service.run([document("a", PARAGRAPHS[0])], on_progress=lambda stats: seen.append(stats.documents))
    assert seen == [1]
    assert "1 documents" in str(report)
    assert "1 added" in str(report)


async def test_no_more_is_read_than_is_under_way(service: Any) -> None:
    service.settings = replace(service.settings, chunker=None, concurrency=2)
    pulled = 0

    def source() -> Iterator[Document]:
        nonlocal pulled
        for i in range(3000):
            pulled += 1
            yield document(str(i), f"Text number {i}")

    seen: list[tuple[int, int]] = []
    await service.run(source(), on_progress=lambda stats: seen.append((stats.added, pulled)))
    assert [added for added, _ in seen] == [*range(256, 3000, 256), 3000]
    assert all(pulled <= added + 256 * (2 + 1) for added, pulled in seen)


async def test_async_iterables_are_ingested_too(database: Database, model: Recording) -> None:
    async def source() -> AsyncIterator[Document]:
        for name, text in zip("abcd", PARAGRAPHS, strict=True):
            await asyncio.sleep(0)
            yield document(name, text)

    service = SemanticSearchService(model, database=database, chunker=_chunker())
    report = await service.aingest(source())
    assert (report.added, report.chunks) == (4, 4)
    assert stored(service) == {name: text.strip() for name, text in zip("abcd", PARAGRAPHS, strict=True)}
    with pytest.raises(InputError, match="aingest"):
        service.ingest(source())  # type: ignore[arg-type]  # what a caller without types might pass
    await service.aclose()


@pytest.mark.parametrize("twin", ["sync", "async"])
async def test_a_store_is_a_sink_and_a_rerun_embeds_what_is_missing(
    database: Database, model: Recording, twin: str
) -> None:
    store = PgVectorStore(database, model=model.spec)
    processor = AsyncBatchProcessor(model, chunker=_chunker(), batch_documents=3)
    sink = store if twin == "sync" else store.to_async()
    documents = [document(str(i), PARAGRAPHS[i % 4], f"Number {i}.") for i in range(10)]
    first = await processor.process(documents[:8], sink=sink)
    assert (first.added, first.chunks, store.count()) == (8, 8, 8)
    model.embedded.clear()
    second = await processor.process(documents, sink=sink)
    assert (second.kept, second.added, len(model.embedded)) == (8, 2, 2)
    service = SemanticSearchService(model, database=database, chunker=_chunker())
    assert service.ingest(documents).kept == 10  # which is the same engine
    await database.aclose()


class Interrupted(Recording):
    """Is interrupted by the user, once, after it has embedded some batches."""

    interrupted = False
    pressed_in = threading.get_ident()

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if len(self.embedded) >= 30 and not self.interrupted:
            self.interrupted = True
            signal.pthread_kill(self.pressed_in, signal.SIGINT)  # as a terminal does
            time.sleep(0.05)
        return super().embed(texts, kind)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_leaves_whole_documents_and_the_next_run_takes_the_rest(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    model = Interrupted()
    service = SemanticSearchService(model, database=database, chunker=_chunker())
    service.settings = replace(service.settings, batch_documents=5)
    documents = [document(str(i), *PARAGRAPHS, f"Number {i}.") for i in range(100)]
    with pytest.raises(KeyboardInterrupt):
        service.ingest(documents)
    assert "Ended by KeyboardInterrupt" in caplog.text
    whole = stored(service)
    assert 0 < len(whole) < 100
    assert all("\n\n".join([*(p.strip() for p in PARAGRAPHS[:3]), ""]) in text for text in whole.values())
    again = SemanticSearchService(Recording(), database=database, chunker=_chunker()).ingest(documents)
    assert (again.kept, again.added) == (len(whole), 100 - len(whole))


def test_a_document_that_the_database_refuses_costs_no_other(database: Database, model: Recording) -> None:
    service = SemanticSearchService(model, database=database)
    service.ingest([document("a", PARAGRAPHS[0])])
    table = service.store.collection.chunks.fullname
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT no_dogs CHECK (content NOT LIKE '%%dogs%%')")
    report = service.ingest([document("a", PARAGRAPHS[2]), document("b", PARAGRAPHS[1])])
    with pytest.raises(InputError, match=r"Document 'b'.*no_dogs"):
        report.raise_for_failures()
    assert (report.changed, report.added) == (1, 0)
    assert stored(service) == {"a": PARAGRAPHS[2].strip()}


def test_another_model_is_refused_by_both_names(database: Database) -> None:
    SemanticSearchService(FakeEmbeddingModel(name="first"), database=database).ingest([document("a", "text")])
    other = SemanticSearchService(FakeEmbeddingModel(name="second"), database=database)
    with pytest.raises(ModelMismatchError, match=r"first.*second"):
        other.ingest([document("b", "text")])
    with pytest.raises(ModelMismatchError, match=r"first.*second"):
        other.search("text")


def test_two_ingests_of_the_same_documents_end_as_one(database: Database) -> None:
    versions = [
        [document(str(i), *np.random.default_rng(i + seed).permutation(PARAGRAPHS)[: 2 + seed]) for i in range(40)]
        for seed in range(2)
    ]
    failures: list[BaseException] = []

    def ingest(version: int) -> None:
        service = SemanticSearchService(Recording(), database=database, chunker=_chunker())
        try:
            for _ in range(4):
                service.ingest(versions[version])
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)

    SemanticSearchService(Recording(), database=database).store.create()
    threads = [threading.Thread(target=ingest, args=(number % 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    service = SemanticSearchService(Recording(), database=database, chunker=_chunker())
    whole = stored(service)
    for i in range(40):
        assert whole[str(i)] in {"\n\n".join(p.strip() for p in v[i].text.split("\n\n")) for v in versions}
    report = service.ingest(versions[0])
    assert report.documents == 40
    assert stored(service) == {d.id: "\n\n".join(part.strip() for part in d.text.split("\n\n")) for d in versions[0]}


def test_a_chunker_takes_the_models_limit(database: Database, minilm: EmbeddingGenerator) -> None:
    chunker = RecursiveChunker(chunk_size="model")
    service = SemanticSearchService(minilm, database=database, chunker=chunker)
    source = document("a", *PARAGRAPHS * 3)
    report = service.ingest([source])
    assert not report.failures, f"{report.failures}\n{examined(minilm, source.text, chunker)}"
    counts = minilm.model.counter.count_many([chunk.text for chunk in service.store.find()])  # type: ignore[attr-defined]  # a local model has one
    assert 1 < len(counts) < 12
    assert max(counts) <= 256 - 2
    with pytest.raises(ConfigurationError, match="no counter"):
        SemanticSearchService(Recording(), database=database, collection="other", chunker=chunker)
