"""Every argument of the public calls, with values of every wrong kind: a right answer or an error of ours, and nothing
written. `tests/unit/test_checks.py` does the same for settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import fresh_database
from embedpipe import Document, RAGPipeline, SemanticSearchService
from embedpipe.errors import EmbedPipeError, InputError
from embedpipe.export import export_collection, load_export
from embedpipe.storage import Fusion
from embedpipe.testing import FakeEmbeddingModel

MODEL = FakeEmbeddingModel(dimensions=4)
DOCUMENTS = [Document(id=f"d{i}", text=f"Text {i} on TCP. And more.", metadata={"n": i}) for i in range(3)]
VECTOR = [0.5, 0.5, 0.5, 0.5]
NASTY: list[Any] = [
    *(None, True, 0, -1, 1.5, nan, inf, 10**400, 10**5000, 2**31, 2**63, Decimal("1.5"), 1j),
    *("", "x", "a\x00b", "\ud800", "false", "x" * 3000, b"x"),
    *([], ["x"], [None], ["\ud800"], [[1, 2], [3]], (), {}, {"a": 1}, {"$and": 5}, {"a": {"$in": 5}}, {"x"}),
    *([10**400] * 4, [1j] * 4, ["1"] * 4, [nan] * 4, [0] * 4),
    *(object(), int, np.int64(3), np.array([1, 2, 3]), np.array(["a"])),
]


@pytest.fixture(scope="module")
def service(server_url: str) -> Iterator[SemanticSearchService]:
    with fresh_database(server_url) as url:
        made = SemanticSearchService(MODEL, database=url, reranker="lexical")
        made.ingest(DOCUMENTS)
        yield made
        made.close()


def calls(service: SemanticSearchService, folder: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Return the calls, each with arguments that are right."""
    store, results = service.store, service.search("tcp", 2)
    one = results[0].id
    answer = RAGPipeline(service).query("tcp?")
    vectors = {"filter": None, "threshold": None}
    return {
        "search": (
            service.search,
            {"query": "tcp", "k": 2, "mode": "hybrid", "candidates": 3, "fusion": Fusion(), "as_of": None, **vectors},
        ),
        "verify": (service.verify, {"answer": answer}),
        "affected": (service.affected, {"document_ids": ["d0"]}),
        "keep_answer": (service.keep_answer, {"response": answer}),
        "similar": (service.similar, {"id": one, "k": 2, **vectors}),
        "near_duplicates": (service.near_duplicates, {"threshold": 0.9, "filter": None}),
        "expand": (service.expand, {"results": results, "window": 1, "parent": None}),
        "ingest": (service.ingest, {"documents": DOCUMENTS[:1], "prune": False}),
        "query": (RAGPipeline(service).query, {"question": "tcp?", "k": 2, "filter": None}),
        "store.search": (
            store.search,
            {"vector": VECTOR, "text": "tcp", "k": 2, "mode": "hybrid", "fusion": Fusion(), "with_vectors": False},
        ),
        "neighbors": (store.neighbors, {"ids": [one], "window": 1, "parent": None}),
        "find": (store.find, {"filter": None, "document_ids": None, "limit": None}),
        "get": (store.get, {"ids": [one]}),
        "vectors": (store.vectors, {"ids": [one], "filter": None}),
        "delete": (store.delete, {"ids": ["none"], "document_ids": ["none"], "filter": {"a": "none"}}),
        "upsert": (store.upsert, {"chunks": [results[0].chunk], "vectors": [VECTOR]}),
        "create_index": (store.create_index, {"index": None, "concurrently": False}),
        "refresh_statistics": (store.refresh_statistics, {"exact": False}),
        "reembed": (store.reembed, {"embed": MODEL.embed, "model": MODEL.spec, "precision": None}),
        "export": (export_collection, {"store": store, "folder": folder / "there", "vectors": "float32"}),
        "load_export": (load_export, {"folder": folder / "there"}),
    }


NAMES = [
    *("search", "verify", "affected", "keep_answer"),
    *("similar", "near_duplicates", "expand", "ingest", "query", "store.search", "neighbors", "find", "get"),
    *("vectors", "delete", "upsert", "create_index", "refresh_statistics", "reembed", "export", "load_export"),
]


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_of_any_kind_is_taken_or_refused_by_us(
    service: SemanticSearchService, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = calls(service, tmp_path)
    assert list(listed) == NAMES
    call, good = listed[name]
    if name == "load_export":
        export_collection(service.store, good["folder"])
    call(**good)
    before = service.store.count()
    for argument in good:
        for value in NASTY:
            if name == "ingest" and argument == "prune" and value is True:
                continue  # it does remove the others
            with suppress(EmbedPipeError):
                call(**{**good, argument: value})
            assert service.store.count() == before, (argument, type(value))


def test_a_callback_that_raises_ends_the_work_for_threads_and_event_loops(
    service: SemanticSearchService,
) -> None:
    class StopError(Exception):
        pass

    def stop(progress: object) -> None:
        raise StopError

    async def on_loop() -> None:
        store = service.store.to_async()
        with pytest.raises(StopError):
            await store.create_index(on_progress=stop)
        with pytest.raises(StopError):
            await service.aingest(DOCUMENTS, on_progress=stop)

    with pytest.raises(StopError):
        service.ingest(DOCUMENTS, on_progress=stop)
    with pytest.raises(StopError):
        service.store.create_index(on_progress=stop)
    asyncio.run(on_loop())


@pytest.mark.parametrize(
    "vector", [[10**400, 0, 0, 0], [[1.0] * 4], [[1.0], [1.0, 2.0]], ["1"] * 4, [1j] * 4, [None] * 4]
)
def test_a_vector_that_is_none_is_refused_by_what_it_is(service: SemanticSearchService, vector: Any) -> None:
    with pytest.raises(InputError, match="vector"):
        service.store.search(vector)
