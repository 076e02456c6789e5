"""Rerankers behind a network: what each service is sent, and requests with more texts than it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bad_provider import Handler, serving
from embedpipe.errors import ConfigurationError, RerankError
from embedpipe.reranking import CohereReranker, JinaReranker, TEIReranker, VoyageReranker, as_reranker
from embedpipe.reranking.registry import RERANKERS
from embedpipe.types import Chunk, SearchResult
from provider_habits import CLIENTS, KEY, RERANKS

LOCAL = {"lexical", "cross-encoder", "late-interaction"}
every_service = pytest.mark.parametrize("name", RERANKS)


def results(count: int) -> list[SearchResult]:
    chunks = [Chunk.whole(f"text {n}", id=f"{n:03}") for n in range(count)]
    return [SearchResult(chunk=chunk, score=1.0) for chunk in chunks]


def scored(name: str, texts: Sequence[str], *, first: int = 0) -> Any:
    """A service's reply, best first, that rates a text by its number."""
    field = "score" if name == "tei" else "relevance_score"
    rows = [{"index": n + first, field: int(text.split()[1]) / 1000} for n, text in enumerate(texts)]
    rows.reverse()
    return rows if name == "tei" else {"data" if name == "voyage" else "results": rows, "id": "1", "meta": {}}


def test_every_reranker_behind_a_network_has_its_habits_on_record() -> None:
    assert set(RERANKERS.own) - LOCAL == set(RERANKS)


SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "cohere": ("/v2/rerank", {"model": "rerank-v3.5"}),
    "infinity": ("/rerank", {"model": "m", "return_documents": False}),
    "jina": ("/v1/rerank", {"model": "jina-reranker-v2-base-multilingual", "return_documents": False}),
    "tei": ("/rerank", {"texts": ["text 0", "text 1", "text 2"], "truncate": True, "model": None}),
    "voyage": ("/v1/rerank", {"model": "rerank-2.5", "return_documents": False}),
}


@every_service
def test_each_service_gets_what_its_interface_asks_for(name: str) -> None:
    path, fields = SENT[name]
    with serving(lambda handler, body, texts: handler.send_json(scored(name, texts))) as server:
        reranker = CLIENTS[f"{name} rerank"].made(server.origin)
        found = reranker.rerank("which text?", results(3))
        assert [(result.id, result.rerank_score) for result in found] == [("002", 0.002), ("001", 0.001), ("000", 0.0)]
        assert reranker.rerank("which text?", []) == []
        assert server.paths == [path]
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        (body,) = server.requests
        assert body["query"] == "which text?"
        assert body.get("documents", body.get("texts")) == ["text 0", "text 1", "text 2"]
        assert {field: body.get(field) for field in fields} == fields


@every_service
def test_texts_that_are_counted_from_one_are_understood(name: str) -> None:
    with serving(lambda handler, body, texts: handler.send_json(scored(name, texts, first=1))) as server:
        found = CLIENTS[f"{name} rerank"].made(server.origin).rerank("which?", results(3))
        assert [result.id for result in found] == ["002", "001", "000"]


@every_service
@pytest.mark.parametrize("first", [-1, 2])
def test_scores_for_other_texts_are_an_error(name: str, first: int) -> None:
    with (
        serving(lambda handler, body, texts: handler.send_json(scored(name, texts, first=first))) as server,
        pytest.raises(RerankError, match="texts its scores are for"),
    ):
        CLIENTS[f"{name} rerank"].made(server.origin).rerank("which?", results(3))


@every_service
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_with_too_many_texts_is_divided_and_the_size_is_remembered(name: str, status: int) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if len(texts) > 4:
            handler.send_json({"error": f"batch size {len(texts)} > maximum allowed batch size 4"}, status=status)
        else:
            handler.send_json(scored(name, texts))

    with serving(reply) as server:
        reranker = CLIENTS[f"{name} rerank"].made(server.origin)
        ids = [f"{n:03}" for n in reversed(range(11))]
        assert [result.id for result in reranker.rerank("which?", results(11))] == ids
        before = len(server.requests)
        assert [result.id for result in reranker.rerank("which?", results(11))] == ids
        sizes = [len(body["texts" if name == "tei" else "documents"]) for body in server.requests[before:]]
        assert max(sizes) <= 4
        assert len(sizes) <= 4


@every_service
def test_a_text_that_is_refused_alone_is_an_error_with_the_service_s_words(name: str) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if "text 5" in texts:
            handler.send_json({"detail": "text 5 is too long"}, status=422)
        else:
            handler.send_json(scored(name, texts))

    with serving(reply) as server:
        with pytest.raises(RerankError, match="text 5 is too long") as caught:
            CLIENTS[f"{name} rerank"].made(server.origin).rerank("which?", results(8))
        assert caught.value.status == 422
        assert len(server.requests) <= 7


def test_what_a_service_is_known_to_take_is_not_exceeded() -> None:
    with serving(lambda handler, body, texts: handler.send_json(scored("voyage", texts))) as server:
        reranker = VoyageReranker(base_url=server.origin, api_key=KEY)
        assert len(reranker.rerank("which?", results(1001))) == 1001
        assert [len(body["documents"]) for body in server.requests] == [1000, 1]


def test_names_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert repr(as_reranker("voyage:rerank-2.5-lite")) == "VoyageReranker('rerank-2.5-lite')"
    assert repr(as_reranker("voyage")) == "VoyageReranker('rerank-2.5')"
    assert isinstance(as_reranker("jina"), JinaReranker)
    assert isinstance(as_reranker("cohere", base_url="http://127.0.0.1:1"), CohereReranker)
    shown = "TEIReranker('http://127.0.0.1:8080')"
    assert repr(as_reranker("tei:http://me:secret@127.0.0.1:8080")) == shown
    assert repr(as_reranker("tei", base_url="http://127.0.0.1:8080")) == shown
    assert repr(as_reranker("infinity:owner/name", base_url="http://127.0.0.1:1")) == "InfinityReranker('owner/name')"
    with pytest.raises(ConfigurationError, match="'infinity:MODEL'"):
        as_reranker("infinity")
    with pytest.raises(ConfigurationError, match="TEI_BASE_URL"):
        as_reranker("tei")
    monkeypatch.setenv("TEI_BASE_URL", "http://127.0.0.1:1")
    assert isinstance(as_reranker("tei"), TEIReranker)
    with pytest.raises(ConfigurationError, match="twice"):
        as_reranker("tei:http://127.0.0.1:1", base_url="http://127.0.0.1:2")
    with pytest.raises(ConfigurationError, match="'lexical' takes no base_url"):
        as_reranker("lexical", base_url="http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="given by name"):
        as_reranker(VoyageReranker(), base_url="http://127.0.0.1:1")


@pytest.mark.parametrize("name", ["voyage", "jina"])
def test_a_missing_key_is_named_before_anything_is_sent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{name.upper()}_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=f"{name.upper()}_API_KEY"):
        as_reranker(name).rerank("which?", results(1))
