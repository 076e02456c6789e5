"""The HTTP server over real sockets, weights and database: what each route answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

import chat_server
from asgi import ask
from embedpipe import EmbeddingGenerator, OpenAIChat
from embedpipe.server import create_app
from serving import serving

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "with", "text": "The with statement closes a file when its block ends.", "metadata": {"year": 2006}},
    {"id": "open/close", "text": "Call close() on a file that open() gave you.", "metadata": {"year": 1991}},
    {"id": "cats", "text": "Cats sleep for most of the day, and hunt at dusk.", "metadata": {"year": 2020}},
]
SCORES = {"score", "similarity", "dense_rank", "lexical_score", "lexical_rank", "rerank_score"}


@pytest.fixture(scope="module")
def client(minilm: EmbeddingGenerator, shared_database_url: str) -> Iterator[httpx.Client]:
    app = create_app(minilm.model, database=shared_database_url)
    with serving(app) as url, httpx.Client(base_url=url, timeout=30) as opened:
        opened.post("/documents", json={"documents": DOCUMENTS}).raise_for_status()
        yield opened


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [result["document_id"] for result in response.json()["results"]]


def test_embedding_a_text_cuts_it_into_chunks(client: httpx.Client, minilm: EmbeddingGenerator) -> None:
    text = "One sentence about a cat. Another one about a dog."
    answer = client.post("/embed", json={"text": text, "chunkSize": 30}).json()
    assert answer["success"] is True
    assert answer["totalChunks"] == len(answer["chunks"]) == 2
    assert [chunk["text"] for chunk in answer["chunks"]] == ["One sentence about a cat.", "Another one about a dog."]
    expected = minilm.generate_batch([chunk["text"] for chunk in answer["chunks"]])
    np.testing.assert_allclose([chunk["embedding"] for chunk in answer["chunks"]], expected.vectors, atol=1e-5)
    assert [chunk["tokenCount"] for chunk in answer["chunks"]] == expected.token_counts.tolist()


def test_embedding_texts_gives_each_its_vector(client: httpx.Client, minilm: EmbeddingGenerator) -> None:
    texts = ["a cat", "ein Hund", "a cat"]
    answer = client.post("/embed/batch", json={"texts": texts}).json()
    assert [each["text"] for each in answer["embeddings"]] == texts
    vectors = [each["embedding"] for each in answer["embeddings"]]
    np.testing.assert_allclose(vectors, minilm.generate_batch(texts).vectors, atol=1e-5)


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_search_gives_places_scores_and_ranks(client: httpx.Client, mode: str) -> None:
    answer = client.post("/search", json={"query": "close a file", "mode": mode, "k": 2}).json()
    assert (answer["mode"], answer["collection"], answer["reranked"]) == (mode, "default", False)
    best = answer["results"][0]
    assert best.keys() == SCORES | {"id", "text", "snippet", "document_id", "title", "start", "end", "metadata"}
    stored = {document["id"]: document for document in DOCUMENTS}[best["document_id"]]
    assert stored["text"][best["start"] : best["end"]] == best["text"]
    assert best["title"] == best["document_id"].rpartition("/")[2]
    snippet = best["snippet"]
    assert snippet["text"] == best["text"]
    assert {snippet["text"][span["start"] : span["end"]] for span in snippet["spans"]} >= {"file"}
    for span in snippet["spans"]:
        place = stored["text"][span["start_index"] : span["end_index"]]
        assert place == snippet["text"][span["start"] : span["end"]]
    assert best["metadata"] == stored["metadata"]
    assert (best["dense_rank"] is not None) == (mode != "lexical")
    assert (best["lexical_rank"] is not None) == (mode != "dense")
    assert [result["score"] for result in answer["results"]] == sorted(
        (result["score"] for result in answer["results"]), reverse=True
    )


def test_search_takes_filters_thresholds_and_reranking(client: httpx.Client) -> None:
    assert ids(client.post("/search", json={"query": "file", "filter": {"year": {"$gte": 2010}}})) == ["cats"]
    assert ids(client.post("/search", json={"query": "cats asleep", "mode": "dense", "threshold": 0.5})) == ["cats"]
    reranked = client.post("/search", json={"query": "close a file", "rerank": True, "candidates": 3, "k": 3}).json()
    scores = [result["rerank_score"] for result in reranked["results"]]
    assert reranked["reranked"]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


def test_search_and_answers_require_quoted_phrases_where_asked(client: httpx.Client) -> None:
    search = {"query": 'sleep "its block"', "k": 3}
    assert len(ids(client.post("/search", json=search))) == 3
    assert ids(client.post("/search", json={**search, "required_phrases": True})) == ["with"]
    question = {"question": 'What closes "its block"?', "k": 3, "required_phrases": True}
    answer = client.post("/answer", json=question).json()
    assert {source["document_id"] for source in answer["sources"]} == {"with"}


def test_new_documents_gain_in_searches_and_answers(client: httpx.Client) -> None:
    recency = {"key": "year", "half_life_days": 1000, "weight": 1}
    search = {"query": "close a file", "k": 10}
    plain, found = (client.post("/search", json=body).json() for body in (search, search | {"recency": recency}))
    before = {result["document_id"]: result["score"] for result in plain["results"]}
    gained = {result["document_id"]: result["score"] - before[result["document_id"]] for result in found["results"]}
    assert gained["cats"] > gained["with"] > 0  # of 2020 and 2006
    answer = client.post("/answer", json={"question": "How do I close a file?", "k": 1, "recency": recency})
    assert answer.status_code == 200
    for wrong in (
        {"key": ""},
        {"key": "\0"},
        {"key": "year", "weight": 2},
        {"key": "year", "half_life_days": 0},
        {"weight": 0.1},
    ):
        assert client.post("/search", json=search | {"recency": wrong}).status_code == 400


def test_reranking_orders_texts_by_the_query(client: httpx.Client) -> None:
    texts = ["The weather is fine.", "Cats sleep all day.", "A cat naps."]
    answer = client.post("/rerank", json={"query": "sleeping cats", "documents": texts, "return_documents": True})
    results = answer.json()["results"]
    assert results[0]["document"] == texts[results[0]["index"]] == "Cats sleep all day."
    assert [result["index"] for result in results][-1] == 0
    best = client.post("/rerank", json={"query": "sleeping cats", "documents": texts, "top_n": 1}).json()["results"]
    assert [result["index"] for result in best] == [1]


def test_documents_are_taken_in_once_changed_and_removed(client: httpx.Client) -> None:
    body = {
        "documents": [{"id": "a", "text": "Bees dance."}, {"id": "b", "text": "Ants carry."}],
        "collection": "insects",
    }
    first, again = (client.post("/documents", json=body).json() for _ in range(2))
    assert (first["added"], first["chunks_embedded"], first["failures"]) == (2, 2, {})
    assert (again["added"], again["kept"], again["chunks_embedded"]) == (0, 2, 0)
    assert ids(client.post("/search", json={"query": "dance", "collection": "insects", "mode": "lexical"})) == ["a"]
    assert client.delete("/documents/a", params={"collection": "insects"}).json()["chunks_removed"] == 1
    assert client.request("DELETE", "/documents", json={"document_ids": ["b"], "collection": "insects"}).json() == {
        "collection": "insects",
        "chunks_removed": 1,
    }
    assert client.post("/documents", json=body).json()["chunks_embedded"] == 2


def test_a_document_that_cannot_be_taken_costs_no_other(client: httpx.Client) -> None:
    fine, bad = {"id": "fine", "text": "It is fine."}, {"id": "bad", "text": "A NUL \x00 is in it."}
    answer = client.post("/documents", json={"documents": [fine, bad], "collection": "partly"})
    assert answer.status_code == 200
    assert answer.json()["added"] == 1
    assert answer.json()["failures"].keys() == {"bad"}
    refused = client.post("/documents", json={"documents": [bad], "collection": "partly"})
    assert refused.status_code == 400
    assert "NUL" in refused.json()["error"]["message"]


def test_collections_are_listed(client: httpx.Client) -> None:
    listed = {each["name"]: each for each in client.get("/collections").json()["collections"]}
    assert listed["default"]["documents"] == 3
    assert listed["default"]["model"] == "all-MiniLM-L6-v2"
    assert listed["default"]["default"]
    assert listed["default"]["current"]


def test_an_answer_quotes_its_sources(client: httpx.Client) -> None:
    answer = client.post("/answer", json={"question": "When do cats hunt?", "k": 1}).json()
    assert "dusk" in answer["answer"]
    assert answer["sources"][0]["document_id"] == answer["sources"][0]["title"] == "cats"
    assert answer["sources"][0]["snippet"]["text"] == "Cats sleep for most of the day, and hunt at dusk."
    assert answer["statements"][0]["citations"][0]["status"] == "quoted"
    assert answer["model"] is None


def events(text: str) -> list[tuple[str, Any]]:
    found = [block.split("\n", 1) for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in found]


def test_a_model_s_answer_streams(minilm: EmbeddingGenerator, shared_database_url: str, client: httpx.Client) -> None:
    with chat_server.running() as chat:
        llm = OpenAIChat("chat", base_url=chat.base_url, api_key="none")
        with serving(create_app(minilm.model, database=shared_database_url, llm=llm)) as url:
            body = {"question": "When do cats hunt?", "stream": True, "k": 1}
            response = httpx.post(f"{url}/answer", json=body, timeout=30)
            assert response.headers["content-type"].startswith("text/event-stream")
            *pieces, last = events(response.text)
            assert len(pieces) > 3
            assert {name for name, _ in pieces} == {"text"}
            assert last[0] == "answer"
            assert last[1]["answer"] == "".join(data["text"] for _, data in pieces)
            assert last[1]["statements"][0]["citations"][0]["status"] == "quoted"
            chat.faults = [500] * 20
            failed = httpx.post(f"{url}/answer", json=body | {"stream": False}, timeout=30)
            assert failed.status_code == 502
            assert "planned" not in failed.text


def test_a_stream_that_breaks_off_ends_with_an_error(
    minilm: EmbeddingGenerator, shared_database_url: str, client: httpx.Client
) -> None:
    with chat_server.running(faults=[0]) as chat:
        llm = OpenAIChat("chat", base_url=chat.base_url, api_key="none")
        with serving(create_app(minilm.model, database=shared_database_url, llm=llm)) as url:
            response = httpx.post(f"{url}/answer", json={"question": "When do cats hunt?", "stream": True}, timeout=30)
            found = events(response.text)
            assert found[0][0] == "text"
            assert found[-1][0] == "error"
            assert found[-1][1]["error"]["code"] == "generation_failed"


@pytest.mark.usefixtures("client")
async def test_a_client_that_goes_leaves_no_answer_under_way(
    minilm: EmbeddingGenerator, shared_database_url: str
) -> None:
    with chat_server.running() as chat:
        llm = OpenAIChat("chat", base_url=chat.base_url, api_key="none")
        app = create_app(minilm.model, database=shared_database_url, llm=llm)
        async with app.router.lifespan_context(app):
            before = asyncio.all_tasks()
            body = json.dumps({"question": "When do cats hunt?", "stream": True}).encode()
            asked = await ask(app, "POST", "/answer", {"content-type": "application/json"}, body, leaves=True)
            assert [name for name, _ in events(asked.body.decode())] == ["text"]
            assert asyncio.all_tasks() <= before


def test_a_stream_of_a_collection_that_is_not_there_is_an_error_at_once(client: httpx.Client) -> None:
    response = client.post("/answer", json={"question": "Anyone?", "stream": True, "collection": "nowhere"})
    assert response.status_code == 404


def test_metrics_count_requests_and_stages(client: httpx.Client) -> None:
    client.post("/search", json={"query": "count this", "rerank": True})
    text = client.get("/metrics").text
    assert 'embedpipe_http_requests_total{method="POST",route="/search",status="200"}' in text
    assert 'embedpipe_stage_seconds_count{model="",stage="retrieve"}' in text
    assert 'embedpipe_stage_seconds_count{model="",stage="rerank"}' in text
    assert "embedpipe_batch_texts_bucket" in text


def test_it_says_whether_it_is_well(client: httpx.Client) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "model": "all-MiniLM-L6-v2"}
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "reading": "ok", "writing": "ok", "model": "ok"}
    for part in ("reading", "writing", "model"):
        assert client.get(f"/readyz/{part}").json() == {"status": "ok"}
    assert client.get("/readyz/nothing").status_code == 400


def test_it_says_where_the_database_is_gone(minilm: EmbeddingGenerator) -> None:
    app = create_app(minilm.model, database="postgresql://someone:secret@127.0.0.1:9/none")
    with serving(app) as url:
        health = httpx.get(f"{url}/readyz", timeout=30)
        assert health.status_code == 503
        assert health.json() == {"status": "failing", "reading": "failing", "writing": "failing", "model": "ok"}
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200  # a restart would not help
        search = httpx.post(f"{url}/search", json={"query": "x"}, timeout=30)
        assert search.status_code == 503
        assert search.json()["error"]["code"] == "database"
        assert "secret" not in search.text + health.text
        assert "127.0.0.1" not in search.text + health.text
        assert httpx.post(f"{url}/embed/batch", json={"texts": ["still"]}, timeout=30).status_code == 200


def test_the_interface_is_documented(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert {
        "/embed",
        "/embed/batch",
        "/v1/embeddings",
        "/v1/models",
        "/rerank",
        "/documents",
        "/search",
        "/answer",
    } <= (described["paths"].keys())


def test_the_interfaces_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 3
    for file in files:
        assert client.get(file).status_code == 200, file
    assert "://" not in page
