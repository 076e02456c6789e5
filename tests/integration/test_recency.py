"""New chunks gain by a date of their metadata, and nothing that stands there instead of a date ends a search."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from embedpipe.errors import ConfigurationError
from embedpipe.storage import Database, Fusion, PgVectorStore, Recency
from embedpipe.types import Chunk, ModelSpec, SearchResult

SPEC = ModelSpec(name="unit-test", dimensions=8)
COUNT = 60
WORDS = ["tea", "green", "black", "leaf", "water", "cup"]


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    made = PgVectorStore(database, model=SPEC)
    draw, now = np.random.default_rng(0), datetime.now(UTC)
    written: list[Any] = [(now - timedelta(days=int(days))).isoformat() for days in draw.integers(0, 200, COUNT)]
    written[:4] = [None, "yesterday", (now + timedelta(days=3)).timestamp(), ["2026"]]
    chunks = [
        Chunk.whole(" ".join(draw.choice(WORDS, 3)), id=f"{n:03}", metadata={} if date is None else {"at": date})
        for n, date in enumerate(written)
    ]
    made.upsert(chunks, draw.standard_normal((COUNT, 8)).astype(np.float32))
    return made


def search(store: PgVectorStore, fusion: Fusion, **options: Any) -> dict[str, SearchResult]:
    found = store.search(np.ones(8), "green tea", mode="hybrid", k=COUNT, fusion=fusion, **options)
    assert [hit.id for hit in found] == [hit.id for hit in sorted(found, key=lambda hit: (-hit.score, hit.id))]
    return {hit.id: hit for hit in found}


def raw(method: str, score: float) -> float:
    """The score that a date adds to: z, for zscores."""
    return (2 * score - 1) / (1 - abs(2 * score - 1)) if method == "zscores" else score


@pytest.mark.parametrize("method", ["zscores", "scores", "ranks"])
def test_a_date_adds_a_share_of_the_range_that_halves_with_the_age(store: PgVectorStore, method: Any) -> None:
    recency = Recency(key="at", half_life_days=20, weight=0.4)
    plain = search(store, Fusion(method=method))
    found = search(store, Fusion(method=method, recency=recency))
    scores = [raw(method, hit.score) for hit in plain.values()]
    span = max(scores) - min(scores)
    for name, hit in found.items():
        assert hit.undated == 3
        boost = 0.0 if hit.age_days is None else 0.4 * 0.5 ** (hit.age_days / 20) * span
        assert raw(method, hit.score) == pytest.approx(raw(method, plain[name].score) + boost, abs=1e-9)
        assert hit.recency_boost == pytest.approx(hit.score - plain[name].score, abs=1e-9)
        assert (plain[name].recency_boost, plain[name].age_days, plain[name].undated) == (None, None, None)
    assert {name for name, hit in found.items() if hit.age_days is None} == {"000", "001", "003"}
    assert found["002"].age_days == 0
    assert found["000"].recency_boost == 0
    assert "by its date: +0.0000, no date; candidates without a date: 3" in found["000"].explain()
    assert f"+{found['002'].recency_boost:.4f}, 0.0 days old" in found["002"].explain()


def test_dates_go_with_phrases_neighbors_thresholds_and_filters(store: PgVectorStore) -> None:
    fusion = Fusion(neighbor_weight=0.3, recency=Recency(key="at"))
    [best, *_] = store.search(np.ones(8), '"green tea" leaf', mode="hybrid", k=COUNT, fusion=fusion)
    assert None not in (best.recency_boost, best.neighbor_boost, best.phrase_boost)
    assert all(hit.similarity >= 0.2 for hit in search(store, fusion, threshold=0.2).values() if hit.similarity)
    assert search(store, fusion, filter={"at": "yesterday"}).keys() == {"001"}
    for mode in ("dense", "lexical"):
        vector = np.ones(8) if mode == "dense" else None
        assert store.search(vector, "tea", mode=mode, fusion=fusion)[0].recency_boost is None


def test_the_newer_of_equal_chunks_comes_first_and_ties_are_in_the_order_of_ids(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    dates = {"a": "2001", "b": "2020-01-01", "c": "2020-01-01", "d": 2021}
    chunks = [Chunk.whole("green tea", id=name, metadata={"at": date}) for name, date in dates.items()]
    store.upsert(chunks, np.ones((4, 8), np.float32))
    for method in ("zscores", "scores", "ranks"):
        fusion = Fusion(method=method, recency=Recency(key="at", half_life_days=1000))
        assert list(search(store, fusion)) == ["d", "b", "c", "a"]
    shortest = Fusion(recency=Recency(key="at", half_life_days=1e-6, weight=1e-6))
    assert all(hit.recency_boost == 0 for hit in search(store, shortest).values())  # no underflow


DATES = [
    *("2024-02-29", "2024-02-29T12:30:00+02:00", "2024-02-29 12:30:00.5Z", "0001-01-01", "9999-12-31", " 2024-01-01 "),
    *("2024-01-01T00:00:00+0530", "2024-01-01T00:00:00.123456", "2024-06-30T23:59:59-11:30", "2024-01-01T08:15"),
]
NONE: list[Any] = [
    *("", "2023-02-30", "2023-02-29", "0000", "24-1-1", "2024-13-01", "2024-00-01", "2024-01-01T25:00", "x" * 100_000),
    *("2024-01-01T10:00:60", "now", "infinity", "2024-01-01T00:00+24:00", "12024-01-01", "1e400"),
    *(True, None, [1], {"a": 1}, 1e300, -1e300, 1e14),
]


def seconds(database: Database, value: Any) -> float | None:
    call = text("SELECT embedpipe.seconds_of_date(CAST(:value AS jsonb))")
    with database.engine.connect() as connection:
        found: float | None = connection.scalar(call, {"value": json.dumps(value)})
        return found


def test_dates_are_read_as_python_reads_them_and_all_else_is_none(database: Database) -> None:
    PgVectorStore(database, model=SPEC).create()
    for date in DATES:
        read = datetime.fromisoformat(date.strip())
        assert seconds(database, date) == (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp(), date
    assert seconds(database, "2024") == seconds(database, "2024-01") == seconds(database, 2024) == 1704067200
    assert [seconds(database, number) for number in (0, -5, 1.7e9, 1.7e12, 2024.5)] == [0, -5, 1.7e9, 1.7e9, 2024.5]
    assert {str(value)[:20]: seconds(database, value) for value in NONE} == {str(value)[:20]: None for value in NONE}


@pytest.mark.parametrize(
    "settings",
    [{"half_life_days": 0}, {"half_life_days": 1e-9}, {"weight": 0}, {"weight": 1.5}, {"key": 5}, {"key": "\0"}],
)
def test_recency_refuses_what_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Recency(**{"key": "at"} | settings)
    with pytest.raises(ConfigurationError):
        Fusion(recency="at")  # type: ignore[arg-type]
