"""How a hybrid search makes one score of two, and the sample of cosines that it goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, text

from conftest import opened_as_ordinary
from embedpipe.errors import ConfigurationError
from embedpipe.storage import Database, Fusion, PgVectorStore
from embedpipe.storage.search import cosine_sample
from embedpipe.storage.search.cosine_sample import LEAST_CHUNKS, CosineSample
from embedpipe.storage.search.fusion import KNOWN, LEAST_WEIGHT, MOST_WEIGHT, NEIGHBORS, UNKNOWN, UNSAMPLED_WEIGHT
from embedpipe.types import Chunk, ModelSpec, SearchResult, Vectors

D = 32
SPEC = ModelSpec(name="unit-test", dimensions=D)
WORDS = ["tea", "green", "black", "white", "leaf", "water", "cup", "pot", "hill", "rain", "field", "steam"]
SAMPLE = "SELECT cosine_mean, cosine_spread, cosine_chunks FROM embedpipe.vector_sets ORDER BY collection, number"


def vectors(count: int, seed: int = 0) -> Vectors:
    """Vectors with something in common, as a model's are."""
    return (np.random.default_rng(seed).standard_normal((count, D)) + 0.3).astype(np.float32)


def chunks(count: int, first: int = 0) -> list[Chunk]:
    draw = np.random.default_rng(1)
    said = [" ".join(draw.choice(WORDS, 4, replace=False)) for _ in range(first + count)]
    return [Chunk.whole(said[i], id=f"{i:05}") for i in range(first, first + count)]


def filled(database: Database, count: int, **options: Any) -> PgVectorStore:
    store = PgVectorStore(database, model=SPEC, **options)
    store.upsert(chunks(count), vectors(count))
    return store


def samples(database: Database) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(SAMPLE))]


def expected(found: list[SearchResult], mean: float, spread: float, weight: float | None) -> tuple[Vectors, float]:
    """The fused scores of all candidates, and the weight of the dense leg."""
    cosine = np.array([hit.similarity for hit in found])
    bm25 = np.array([hit.lexical_score for hit in found])
    meaning, words = (cosine - mean) / spread, bm25 / max(bm25.std(), 1)
    if weight is None:
        known = np.clip((meaning.max() - UNKNOWN) / (KNOWN - UNKNOWN), 0, 1)
        weight = float(LEAST_WEIGHT + (MOST_WEIGHT - LEAST_WEIGHT) * known)
    fused = weight * meaning + (1 - weight) * words
    return (1 + fused / (1 + abs(fused))) / 2, weight


@pytest.mark.parametrize("near", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weight", [None, 0.0, 0.6, 1.0])
def test_zscores_are_those_of_the_formula(database: Database, near: float, weight: float | None) -> None:
    count = 150
    store = filled(database, count)
    store.refresh_statistics()
    stored = vectors(count).astype(np.float64)
    unit = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(count, 1)]
    [(mean, spread, of)] = samples(database)
    assert of == count
    assert database.diagnose().collections[0].cosines == CosineSample(mean, spread, of)
    assert [mean, spread] == pytest.approx([cosines.mean(), cosines.std()], abs=1e-5)
    query = near * stored[7] - (1 - near) * stored.mean(axis=0)
    found = store.search(query, "green tea", k=count, mode="hybrid", fusion=Fusion(dense_weight=weight))
    assert len(found) == count
    scores, used = expected(found, mean, spread, weight)
    assert [hit.score for hit in found] == pytest.approx(scores)
    assert [hit.dense_weight for hit in found] == pytest.approx([used] * count)
    if weight is None and near != 0.3:
        assert used == (MOST_WEIGHT if near else LEAST_WEIGHT)


def test_neighbors_in_the_document_add_a_share_of_their_mean_z(database: Database) -> None:
    count, of_document = 150, 14
    store = PgVectorStore(database, model=SPEC)
    placed = [
        chunk._replace(document_id=None if i < 10 else f"d{i // of_document}", chunk_index=i % of_document)
        for i, chunk in enumerate(chunks(count))
    ]
    store.upsert(placed, vectors(count))
    store.refresh_statistics()
    [(mean, spread, _)] = samples(database)
    query = (vectors(1, seed=3)[0], "green tea")
    fusion = Fusion(neighbor_weight=0.3)
    found = {hit.id: hit for hit in store.search(*query, k=count, mode="hybrid", fusion=fusion)}
    alone = {hit.id: hit for hit in store.search(*query, k=count, mode="hybrid")}
    cosine, bm25 = (
        np.array([getattr(alone[f"{i:05}"], name) for i in range(count)], dtype=float)
        for name in ("similarity", "lexical_score")
    )
    weight = float(alone["00000"].dense_weight or 0)
    z = weight * (cosine - mean) / spread + (1 - weight) * bm25 / max(float(bm25.std()), 1.0)
    for i, chunk in enumerate(placed):
        near = [
            z[j]
            for j, other in enumerate(placed)
            if other.document_id == chunk.document_id is not None
            and 0 < abs(other.chunk_index - chunk.chunk_index) <= NEIGHBORS
        ]
        total = float(z[i] + 0.3 * (np.mean(near) if near else 0))
        hit, plain = found[f"{i:05}"], alone[f"{i:05}"]
        assert hit.score == pytest.approx((1 + total / (1 + abs(total))) / 2)
        assert hit.neighbor_boost == pytest.approx(hit.score - plain.score, abs=1e-12)
        assert plain.neighbor_boost is None
    assert f"by its neighbors in the document: {found['00020'].neighbor_boost:+.4f}" in found["00020"].explain()


def test_of_chunks_without_a_place_in_their_document_ten_count(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    store.upsert([chunk._replace(document_id="d") for chunk in chunks(30)], vectors(30))
    store.refresh_statistics()
    fusion = Fusion(neighbor_weight=1, dense_weight=1)
    found = {hit.id: hit for hit in store.search(vectors(1)[0], "tea", k=30, mode="hybrid", fusion=fusion)}
    cosine = np.array([found[f"{i:05}"].similarity for i in range(30)], dtype=float)
    standard = (cosine - cosine.mean()) / cosine.std()
    total = standard[20] + standard[:10].mean()
    assert found["00020"].score == pytest.approx((1 + total / (1 + abs(total))) / 2)


@pytest.mark.parametrize("method", ["scores", "ranks"])
def test_neighbors_need_standardised_scores(method: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"neighbor_weight needs standardised scores, .*{method}"):
        Fusion(method=method, neighbor_weight=0.3)


def test_a_small_collection_goes_by_its_candidates(database: Database) -> None:
    store = filled(database, LEAST_CHUNKS - 1)
    store.refresh_statistics()
    assert samples(database) == [(None, None, None)]
    found = store.search(vectors(1, seed=3)[0], "green tea", k=LEAST_CHUNKS, mode="hybrid")
    cosine = np.array([hit.similarity for hit in found])
    scores, _ = expected(found, float(cosine.mean()), float(cosine.std()), UNSAMPLED_WEIGHT)
    assert [hit.score for hit in found] == pytest.approx(scores)
    assert found[0].dense_weight == UNSAMPLED_WEIGHT
    assert "fused: 0.50 by meaning, 0.50 by words" in found[0].explain()


def test_scores_that_do_not_differ_rank_by_the_other_leg(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    same = np.tile(vectors(1), (3, 1))
    store.upsert([Chunk.whole(said, id=said) for said in ("tea", "green tea", "water")], same)
    assert [hit.id for hit in store.search(same[0], "green tea", mode="hybrid")] == ["green tea", "tea", "water"]
    assert [hit.score for hit in store.search(same[0], "unknown", mode="hybrid")] == [0.5, 0.5, 0.5]


def test_a_search_samples_when_the_collection_has_doubled(database: Database) -> None:
    store = filled(database, LEAST_CHUNKS - 1)
    query = (vectors(1)[0], "green tea")
    store.search(*query, mode="hybrid")
    assert samples(database) == [(None, None, None)]
    store.upsert(chunks(21, LEAST_CHUNKS - 1), vectors(21))
    first = store.search(*query, mode="hybrid")
    [(_, _, count)] = samples(database)
    assert count == 120
    assert store.search(*query, mode="hybrid") == first
    store.upsert(chunks(119, 120), vectors(119))
    store.search(*query, mode="hybrid")
    assert samples(database)[0][2] == 120
    store.upsert(chunks(1, 239), vectors(1))
    store.search(*query, mode="hybrid")
    assert samples(database)[0][2] == 240


async def test_an_async_search_samples_too(database: Database) -> None:
    store = filled(database, 120).to_async()
    await store.search(vectors(1)[0], "green tea", mode="hybrid")
    assert samples(database)[0][2] == 120
    await database.aclose()


def test_nothing_is_sampled_in_the_callers_transaction(database: Database) -> None:
    store = filled(database, 120)
    with database.engine.begin() as connection:
        assert store.search(vectors(1)[0], "green tea", mode="hybrid", connection=connection)
    assert samples(database) == [(None, None, None)]


def test_a_search_that_cannot_sample_answers_and_does_not_try_again(database: Database) -> None:
    store = filled(database, 120)
    with database.engine.begin() as connection:
        connection.execute(
            text(f"ALTER DATABASE {database.engine.url.database} SET default_transaction_read_only = on")
        )
    database.close()
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    for _ in range(2):
        assert len(store.search(vectors(1)[0], "green tea", mode="hybrid")) == 5
    assert sum("has_column_privilege" in statement for statement in sent) == 1
    assert samples(database) == [(None, None, None)]


def test_nothing_is_stored_about_tenants(database_url: str) -> None:
    with opened_as_ordinary(database_url) as database:
        store = filled(database, 120, tenant="a")
        found = store.search(vectors(1)[0], "green tea", mode="hybrid")
        store.refresh_statistics()
        assert {hit.dense_weight for hit in found} == {UNSAMPLED_WEIGHT}
        assert database.read(cosine_sample.stored, store.collection) is None


def test_a_role_that_may_not_write_the_sample_searches(database: Database) -> None:
    store = filled(database, 120)
    with database.engine.begin() as connection:
        connection.execute(text("CREATE ROLE fusion_reader NOLOGIN"))
        connection.execute(text("GRANT USAGE ON SCHEMA embedpipe TO fusion_reader"))
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA embedpipe TO fusion_reader"))
        connection.execute(
            text(f"ALTER ROLE CURRENT_USER IN DATABASE {database.engine.url.database} SET role = fusion_reader")
        )
    database.close()
    assert len(store.search(vectors(1)[0], "green tea", mode="hybrid")) == 5
    assert samples(database) == [(None, None, None)]


def test_the_same_chunks_give_the_same_sample(database: Database) -> None:
    """Whatever order they were written in, and whatever was written before."""
    every, of = chunks(400), vectors(400)
    for name, order in (("a", np.arange(400)), ("b", np.random.default_rng(2).permutation(400))):
        store = PgVectorStore(database, model=SPEC, collection=name)
        for part in np.array_split(order, 3):
            store.upsert([every[i] for i in part], of[part])
            store.search(of[0], "green tea", mode="hybrid")
        store.refresh_statistics()
    first, second = samples(database)
    assert first == second
    assert first[2] == 400


def test_a_model_has_a_sample_of_its_own(database: Database) -> None:
    store = filled(database, 120)
    store.refresh_statistics()
    other = ModelSpec(name="other", dimensions=4)
    made = np.random.default_rng(5).standard_normal((200, 4)).astype(np.float32)
    again = store.reembed(lambda texts: made[: len(texts)], model=other)
    old, new = samples(database)
    assert (old[2], new[2]) == (120, 120)
    assert new[:2] != old[:2]
    again.drop_embedding_versions()
    assert samples(database) == [new]
    again.drop()
    assert samples(database) == []


async def test_a_store_tells_the_cosines_that_were_sampled(database: Database) -> None:
    store = filled(database, LEAST_CHUNKS)
    assert store.cosines() is None
    store.refresh_statistics()
    ((mean, spread, count),) = samples(database)
    assert store.cosines() == CosineSample(mean, spread, count)
    assert await store.to_async().cosines() == store.cosines()
    await store.database.aclose()
