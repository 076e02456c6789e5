"""The whole way on real text, real weights and a real database."""

from __future__ import annotations

import asyncio
import pydoc_data.topics
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from embedpipe import Document, EmbeddingGenerator, Field, SemanticSearchService
from embedpipe.errors import InputError
from embedpipe.reranking import LexicalReranker
from embedpipe.storage import Database
from embedpipe.storage.embedded.server import stop_embedded
from embedpipe.testing import EmbeddingServer
from embedpipe.types import SearchMode

TOPICS = ["yield", "with", "lambda", "try", "slicings", "imaginary", "comparisons", "del"]


@pytest.fixture(scope="module")
def filled(shared_database_url: str, minilm: EmbeddingGenerator) -> str:
    """The URL of a database with the topics in it."""
    service = SemanticSearchService(minilm, database=shared_database_url)
    texts = {name: pydoc_data.topics.topics[name][:4000] for name in TOPICS}
    report = service.ingest([Document(id=name, text=text, metadata={"topic": name}) for name, text in texts.items()])
    assert report.failures == {}
    service.close()
    return shared_database_url


@pytest.fixture
async def service(filled: str, minilm: EmbeddingGenerator) -> Any:
    made = SemanticSearchService(minilm, database=filled)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("small anonymous function", "lambda"),
        ("resume the execution of a generator", "yield"),
        ("handle exceptions and clean up", "try"),
        ("select a range of items in a sequence", "slicings"),
    ],
)
async def test_questions_find_their_topic(service: SemanticSearchService, query: str, expected: str) -> None:
    assert service.search(query, k=1)[0].document_id == expected
    assert (await service.asearch(query, k=1))[0].document_id == expected


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
async def test_every_result_knows_what_was_searched_for(service: SemanticSearchService, mode: SearchMode) -> None:
    for results in (
        service.search("handle exceptions", mode=mode, k=2),
        await service.asearch("handle exceptions", mode=mode, k=2),
        service.expand(service.search("handle exceptions", mode=mode, k=1), window=1),
    ):
        assert {result.query for result in results} == {"handle exceptions"}
    best = service.search("handle exceptions", mode=mode, k=1)[0]
    text = pydoc_data.topics.topics[str(best.document_id)]
    found = best.snippet()
    assert found.spans
    for span in found.spans:
        assert text[span.start_index : span.end_index] == found.text[span.start : span.end]
    assert "handle exceptions" not in repr(best)
    assert {result.query for result in service.similar(best.id, k=2)} == {None}


def test_a_snippet_does_not_mark_excluded_words(service: SemanticSearchService) -> None:
    [found] = service.search('"anonymous functions" -imaginary or lambda', k=1, mode="lexical")
    assert found.query == "anonymous functions lambda"


def test_every_result_carries_both_scores_and_exact_offsets(service: SemanticSearchService) -> None:
    results = service.search("imaginary literal", k=10)
    assert results == sorted(results, key=lambda result: (-result.score, result.id))
    for result in results:
        source = pydoc_data.topics.topics[str(result.document_id)]
        assert source[result.chunk.start_index : result.chunk.end_index] == result.text
        assert result.similarity is not None
        assert result.lexical_score is not None
        assert result.dense_rank is not None or result.lexical_rank is not None
    assert any(result.lexical_rank is None and result.lexical_score == 0 for result in results)


def test_modes_agree_on_what_they_share(service: SemanticSearchService) -> None:
    query = "context manager"
    everything = service.store.count()
    hybrid = {result.id: result for result in service.search(query, k=everything)}
    for result in service.search(query, k=everything, mode="dense"):
        assert hybrid[result.id].similarity == pytest.approx(result.similarity)
        assert hybrid[result.id].dense_rank == result.dense_rank
    for result in service.search(query, k=everything, mode="lexical"):
        assert hybrid[result.id].lexical_score == pytest.approx(result.lexical_score)
        assert hybrid[result.id].lexical_rank == result.lexical_rank


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_threshold_is_the_similarity_in_every_mode(service: SemanticSearchService, mode: Any) -> None:
    everything = service.store.count()
    every = service.search("exception", k=everything, mode="hybrid")
    wanted = {result.id for result in every if result.similarity is not None and result.similarity >= 0.3}
    if mode == "lexical":
        wanted &= {result.id for result in service.search("exception", k=everything, mode="lexical")}
    found = service.search("exception", k=everything, mode=mode, threshold=0.3)
    assert {result.id for result in found} == wanted
    assert wanted


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_a_filter_holds_for_every_leg(service: SemanticSearchService, mode: Any) -> None:
    results = service.search("the yield expression", k=50, mode=mode, filter=Field("topic").is_in(["with", "del"]))
    assert results
    assert {result.document_id for result in results} <= {"with", "del"}
    assert service.search("yield", k=50, mode=mode, filter={"topic": "nothing has this"}) == []


def test_a_lone_hit_that_matches_has_the_best_score(service: SemanticSearchService) -> None:
    [only] = service.search("imaginary literal", k=5, filter={"topic": "imaginary"})
    assert only.score > 0.8
    vector = service.generator.generate("imaginary literal", kind="query").embedding
    wanted: dict[str, Any] = {"mode": "hybrid", "fusion": "scores", "filter": {"topic": "imaginary"}}
    [only] = service.store.search(vector, "imaginary literal", **wanted)
    assert only.score == 1
    [only] = service.search("the literals", k=5, mode="dense", filter={"topic": "imaginary"})
    assert only.score == only.similarity


def test_phrases_and_exclusions_hold_for_the_whole_hybrid_search(service: SemanticSearchService) -> None:
    for result in service.search('"context manager" -async', k=50, required_phrases=True):
        assert "context manager" in " ".join(result.text.lower().replace('"', "").replace("*", "").split())
        assert "async" not in result.text.lower().split()


@pytest.mark.parametrize("query", ["the of and", "!!! ???", "🦜", "xyzzyplugh", "日本語", "qx | & ! ( ) :*", "\\"])
def test_queries_without_a_matching_word_fall_back_to_meaning(service: SemanticSearchService, query: str) -> None:
    dense = service.search(query, k=5, mode="dense")
    assert [result.id for result in service.search(query, k=5)] == [result.id for result in dense]
    assert service.search(query, k=5, mode="lexical") == []


def test_a_query_of_a_hundred_kilobytes_is_answered(service: SemanticSearchService) -> None:
    query = "context manager with statement " * 3300
    assert service.search(query, k=3, mode="lexical")[0].document_id == "with"


@pytest.mark.parametrize("query", ["", "  \n", None, 5])
def test_an_empty_query_is_refused(service: SemanticSearchService, query: Any) -> None:
    modes: list[SearchMode] = ["dense", "lexical", "hybrid"]
    for mode in modes:
        with pytest.raises(InputError):
            service.search(query, mode=mode)


def test_a_reranker_chooses_from_more_candidates(service: SemanticSearchService) -> None:
    service.reranker = LexicalReranker()
    results = service.search("lambda parameters expression", k=3)
    assert len(results) == 3
    assert all(result.rerank_score is not None for result in results)
    service.reranker = None
    with pytest.raises(InputError, match="reranker"):
        service.search("lambda", candidates=20)


async def test_concurrent_queries_never_see_each_other(service: SemanticSearchService) -> None:
    queries = [*TOPICS, "generator", "exception", "slice of a list"]
    alone = [service.search(query, k=5) for query in queries]
    together = await asyncio.gather(*(service.asearch(query, k=5) for query in queries * 2))
    threads = await asyncio.gather(*(asyncio.to_thread(service.search, query, 5) for query in queries * 2))
    assert together == alone * 2
    assert threads == alone * 2


async def test_a_service_outlives_a_stop_of_the_embedded_server(
    minilm: EmbeddingGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(tempfile.mkdtemp(prefix="embedpipe-test-"))
    monkeypatch.setenv("EMBEDPIPE_HOME", str(home))
    service = SemanticSearchService(minilm)
    service.ingest([Document(id="a", text="Green tea is steeped at 80 degrees.")])
    assert len(await service.asearch("tea")) == 1
    stop_embedded()
    assert len(service.search("tea")) == 1
    stop_embedded()
    assert len(await service.asearch("tea")) == 1
    await service.aclose()
    stop_embedded()
    shutil.rmtree(home)


def test_an_openai_compatible_endpoint_serves_the_whole_way(database: Database, minilm: EmbeddingGenerator) -> None:
    with EmbeddingServer(minilm.model, api_key="key") as server:
        generator = EmbeddingGenerator("openai:all-MiniLM-L6-v2", base_url=server.url, api_key="key")
        service = SemanticSearchService(generator, database=database)
        texts = {name: pydoc_data.topics.topics[name][:2000] for name in TOPICS[:3]}
        service.ingest([Document(id=name, text=text) for name, text in texts.items()]).raise_for_failures()
        [best] = service.search("small anonymous function", k=1, mode="dense")
    assert best.document_id == "lambda"
    query = minilm.generate("small anonymous function", kind="query").embedding
    assert best.similarity == pytest.approx(float(query @ minilm.generate(best.text).embedding), abs=1e-4)
    assert server.requests
