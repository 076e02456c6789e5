"""Headers: title and headings are embedded and found, and what is stored and shown stays as it was."""

from __future__ import annotations

from typing import Any

import pytest

from embedpipe import AsyncBatchProcessor, Document, EmbeddingGenerator, SemanticSearchService
from embedpipe.chunking import MarkdownChunker, RecursiveChunker
from embedpipe.ingest import Headers
from embedpipe.ingest.headers import HEADER_TOKENS
from embedpipe.storage import Database
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk

TEXT = (
    "Of all kinds.\n\n# Oolong\n\nSteep it briefly.\n\n## Water\n\nNinety degrees.\n\n# Pu-erh\n\nSteep it briefly.\n"
)
MODEL = FakeEmbeddingModel(16)


def service(database: Database, **settings: Any) -> SemanticSearchService:
    chosen = {"chunker": MarkdownChunker(chunk_size=40), "headers": True, **settings}
    return SemanticSearchService(MODEL, database=database, **chosen)


def teas(**metadata: Any) -> Document:
    return Document(id="teas", text=TEXT, metadata=metadata)


def test_headers_are_embedded_and_indexed_beside_the_exact_text(database: Database) -> None:
    tea = service(database)
    tea.ingest([teas(title="Tea  book")]).raise_for_failures()
    chunks = tea.store.find()
    assert [(chunk.header, chunk.text) for chunk in chunks] == [
        ("Tea book", "Of all kinds."),
        ("Tea book > Oolong", "# Oolong\n\nSteep it briefly."),
        ("Tea book > Oolong > Water", "## Water\n\nNinety degrees."),
        ("Tea book > Pu-erh", "# Pu-erh\n\nSteep it briefly."),
    ]
    assert all(TEXT[chunk.start_index : chunk.end_index] == chunk.text for chunk in chunks)
    assert tea.store.get([str(chunks[2].id)]) == [chunks[2]]
    for chunk in chunks:
        vector = MODEL.embed([f"{chunk.header}\n{chunk.text}"], "document")[0]
        [found] = tea.store.search(vector, k=1, mode="dense")
        assert found.chunk == chunk
        assert found.similarity == pytest.approx(1.0)
    [water] = tea.store.search(text="oolong ninety", k=1, mode="lexical")
    assert water.chunk == chunks[2]
    assert [result.chunk for result in tea.store.search(text='"oolong water"', mode="lexical")] == [chunks[2]]
    assert {result.text for result in tea.store.search(text="tea -oolong", mode="lexical")} == {
        chunks[0].text,
        chunks[3].text,
    }


def test_without_the_option_nothing_is_added(database: Database) -> None:
    tea = service(database, headers=False)
    tea.ingest([teas(title="Tea book")])
    assert {chunk.header for chunk in tea.store.find()} == {None}
    assert tea.store.search(text="book", mode="lexical") == []


def test_what_is_embedded_decides_what_is_embedded_again(database: Database) -> None:
    tea, plain = service(database), service(database, headers=False)
    assert tea.ingest([teas(title="Tea book")]).chunks_embedded == 4
    assert tea.ingest([teas(title="Tea book")]).kept == 1
    assert tea.ingest([teas(title="Tea book", year=2020)]).chunks_embedded == 0
    renamed = tea.ingest([teas(title="Book of teas")])
    assert (renamed.chunks_embedded, renamed.chunks_removed) == (4, 4)
    off = plain.ingest([teas(title="Book of teas")])
    assert (off.chunks_embedded, off.chunks_removed) == (4, 4)
    assert {chunk.header for chunk in plain.store.find()} == {None}


def test_a_new_model_embeds_the_headers_too(database: Database) -> None:
    tea = service(database)
    tea.ingest([teas(title="Tea book")])
    other = FakeEmbeddingModel(24, name="other")
    changed = tea.reembed(other)
    [chunk] = changed.store.find(limit=1)
    [found] = changed.store.search(other.embed([chunk.embedded_text], "document")[0], k=1)
    assert found.chunk == chunk
    assert found.similarity == pytest.approx(1.0)
    assert changed.ingest([teas(title="Tea book")]).chunks_embedded == 0


async def test_a_stream_has_them_too() -> None:
    processor = AsyncBatchProcessor(MODEL, chunker=None, headers=True)
    [item] = [item async for item in processor.stream([Document(id="a", text="Text.", metadata={"title": "A"})])]
    assert item.chunks[0].embedded_text == "A\nText."
    assert item.vectors.tolist() == MODEL.embed(["A\nText."], "document").tolist()


def test_the_models_limit_holds_with_header_and_text(database: Database, minilm: EmbeddingGenerator) -> None:
    tea = SemanticSearchService(minilm, database=database, chunker=RecursiveChunker(chunk_size="model"), headers=True)
    title = "An unabridged monograph on camellia sinensis, " * 9
    tea.ingest([Document(id="a", text="Steep it briefly, in hot water. " * 200, metadata={"title": title})])
    chunks = tea.store.find()
    counter: Any = minilm.model.counter  # type: ignore[attr-defined]  # a local model has one
    counts = counter.count_many([chunk.embedded_text for chunk in chunks])
    assert len(chunks) > 5
    assert 256 - 2 - 16 < max(counts) <= 256 - 2
    assert all(str(chunk.header).startswith("An unabridged monograph") for chunk in chunks)


@pytest.mark.parametrize(
    ("title", "path", "expected"),
    [
        (None, None, None),
        (" \n ", [], None),
        (1984, None, "1984"),
        ("Tea", ["Tea", "Water"], "Tea > Water"),
        ("Tea", ["middle " * 30, "Water"], "Tea > Water"),
        ("Tea " * 60, ["Water"], " ".join(["Tea"] * 45)),
        ("", ["Only"], "Only"),
    ],
)
def test_headers_are_short(title: Any, path: Any, expected: str | None) -> None:
    headers = Headers.of(FakeEmbeddingModel(8))
    chunk = Chunk.whole("text")._replace(metadata={"heading_path": path} if path is not None else {})
    [made] = headers.add(Document(id="a", text="text", metadata={"title": title}), [chunk])
    assert made.header == expected
    assert headers.counter.count(made.header or "") < HEADER_TOKENS


TABLE = "# Stock\n\n| part | price |\n|---|---|\n" + "".join(
    f"| hinge {number} | {number * 3} |\n" for number in range(20)
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (False, {"# Stock": None, "| hinge": "part | price"}),
        (True, {"# Stock": "Shop > Stock", "| hinge": "Shop > Stock\npart | price"}),
    ],
)
@pytest.mark.parametrize("clean_text", [False, True])
def test_later_chunks_of_a_table_are_found_by_its_columns(
    database: Database, headers: bool, clean_text: bool, expected: dict[str, str | None]
) -> None:
    shop = service(database, headers=headers, clean_text=clean_text, chunker=MarkdownChunker(chunk_size=100))
    document = Document(id="stock", text=TABLE, metadata={"title": "Shop"})
    assert shop.ingest([document]).chunks_embedded > 4
    chunks = shop.store.find()
    assert {chunk.text[:7].replace("\n", ""): chunk.header for chunk in chunks} == expected
    assert all(TABLE[chunk.start_index : chunk.end_index] == chunk.text for chunk in chunks)
    [found] = shop.store.search(text="price +17", k=1, mode="lexical")
    assert "| hinge 17 |" in found.text
    changed = shop.reembed(FakeEmbeddingModel(24, name="other"))
    assert [chunk.header for chunk in changed.store.find()] == [chunk.header for chunk in chunks]
    assert changed.ingest([document]).chunks_embedded == 0


def test_the_models_limit_holds_with_a_tables_header(database: Database, minilm: EmbeddingGenerator) -> None:
    columns = " | ".join(f"a column of number {number}" for number in range(40))
    table = f"{columns}\n{'--- | ' * 39}---\n" + f"{'forty | ' * 39}forty\n" * 30
    shop = SemanticSearchService(minilm, database=database, chunker=MarkdownChunker(chunk_size="model"), headers=True)
    shop.ingest([Document(id="stock", text=table, metadata={"title": "An unabridged price list " * 20})])
    chunks = shop.store.find()
    counter: Any = minilm.model.counter  # type: ignore[attr-defined]  # a local model has one
    assert all("a column of number 0 | a column" in str(chunk.header) for chunk in chunks[1:])
    assert max(counter.count_many([chunk.embedded_text for chunk in chunks])) <= 256 - 2
