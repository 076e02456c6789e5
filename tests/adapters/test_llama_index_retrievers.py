from __future__ import annotations

from collections.abc import Sequence

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
from pydantic import ValidationError

from embedpipe import SemanticSearchService
from embedpipe.errors import InputError, RerankError
from embedpipe.llama_index import EmbedPipeReranker, HybridRetriever
from embedpipe.reranking import LexicalReranker
from embedpipe.storage import Field, Fusion
from embedpipe.types import SearchResult

QUESTION = "How do I write a small anonymous function?"


def topics(nodes: Sequence[NodeWithScore]) -> list[str]:
    return [node.metadata["topic"] for node in nodes]


class TestRetriever:
    async def test_it_finds_what_the_service_finds(self, service: SemanticSearchService) -> None:
        retriever = HybridRetriever(service, k=4)
        found = retriever.retrieve(QUESTION)
        expected = service.search(QUESTION, k=4)
        assert [(n.node_id, n.text, n.metadata, n.score) for n in found] == [
            (r.id, r.text, r.metadata, r.score) for r in expected
        ]
        first = found[0].node
        assert isinstance(first, TextNode)
        assert first.ref_doc_id == "lambda"
        assert (first.start_char_idx, first.end_char_idx) == expected[0].chunk[1:3]
        assert await retriever.aretrieve(QUESTION) == found

    @pytest.mark.parametrize(
        "condition",
        [
            MetadataFilters(filters=[MetadataFilter(key="topic", value=["try", "del"], operator="in")]),  # type: ignore[arg-type]  # pydantic takes the word
            Field("topic").is_in(["try", "del"]),
            {"topic": {"$in": ["try", "del"]}},
        ],
        ids=["llama-index", "field", "dictionary"],
    )
    def test_filters(self, service: SemanticSearchService, condition: MetadataFilters) -> None:
        assert set(topics(HybridRetriever(service, k=9, filters=condition).retrieve("statement"))) == {"try", "del"}

    def test_mode_and_threshold(self, service: SemanticSearchService) -> None:
        assert HybridRetriever(service, mode="lexical").retrieve("zebra crossing") == []
        assert HybridRetriever(service, threshold=0.99).retrieve("zebra crossing") == []
        with pytest.raises(TypeError, match="top_k"):
            HybridRetriever(service, top_k=3)  # type: ignore[call-arg]  # what is tested

    def test_quoted_phrases_are_required_where_asked(self, service: SemanticSearchService) -> None:
        question = 'a statement with "anonymous functions"'
        assert len(set(topics(HybridRetriever(service, k=9).retrieve(question)))) > 1
        assert set(topics(HybridRetriever(service, k=9, required_phrases=True).retrieve(question))) == {"lambda"}

    def test_a_fusion_is_passed_on(self, service: SemanticSearchService) -> None:
        by_words = HybridRetriever(service, fusion=Fusion(dense_weight=0.0)).retrieve(QUESTION)
        expected = service.search(QUESTION, fusion=Fusion(dense_weight=0.0))
        assert [node.score for node in by_words] == [result.score for result in expected]

    async def test_a_query_engine_with_a_reranker(self, service: SemanticSearchService) -> None:
        engine = RetrieverQueryEngine.from_args(
            HybridRetriever(service, k=10),
            llm=MockLLM(),
            node_postprocessors=[EmbedPipeReranker(reranker=LexicalReranker(), top_n=1)],
        )
        response = engine.query("anonymous lambda functions")
        assert topics(response.source_nodes) == ["lambda"]
        assert topics((await engine.aquery("anonymous lambda functions")).source_nodes) == ["lambda"]

    def test_no_url_in_what_is_shown(self, service: SemanticSearchService) -> None:
        assert repr(HybridRetriever(service)).startswith("HybridRetriever(service=SemanticSearchService(")
        assert "postgresql" not in repr(HybridRetriever(service))


class Backwards:
    """A reranker that turns the order round, and remembers the texts that it read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        self.texts = [result.text for result in results]
        scored = [SearchResult(chunk=r.chunk, score=r.score, rerank_score=float(i)) for i, r in enumerate(results)]
        return scored[::-1]


class Failing:
    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        raise RerankError("no luck")


def nodes() -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(id_=name, text=name, metadata={"n": name}), score=score)
        for name, score in (("a", 0.9), ("b", None), ("c", 12.0))
    ]


class TestReranker:
    async def test_it_orders_and_cuts_and_leaves_the_given_as_they_were(self) -> None:
        given, backwards = nodes(), Backwards()
        reranker = EmbedPipeReranker(reranker=backwards, top_n=2)
        best = reranker.postprocess_nodes(given, query_str="q")
        assert [(node.node_id, node.score) for node in best] == [("c", 2.0), ("b", 1.0)]
        assert given == nodes()
        assert backwards.texts == [node.node.get_content(MetadataMode.EMBED) for node in given]
        assert await reranker.apostprocess_nodes(given, query_str="q") == best
        assert reranker.postprocess_nodes([], query_str="q") == []

    def test_it_tells_the_callbacks(self) -> None:
        handler = LlamaDebugHandler(print_trace_on_end=False)
        reranker = EmbedPipeReranker(reranker=Backwards(), callback_manager=CallbackManager([handler]))
        reranker.postprocess_nodes(nodes(), query_str="q")
        assert len(handler.get_event_pairs(CBEventType.RERANKING)) == 1

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(RerankError, match="no luck"):
            EmbedPipeReranker(reranker=Failing()).postprocess_nodes(nodes(), query_str="q")
        with pytest.raises(InputError, match="query"):
            EmbedPipeReranker(reranker=Backwards()).postprocess_nodes(nodes())
        with pytest.raises(ValidationError, match="top_k"):
            EmbedPipeReranker(reranker=Backwards(), top_k=3)  # type: ignore[call-arg]  # what is tested

    def test_it_is_serialised_without_the_reranker(self) -> None:
        given = EmbedPipeReranker(reranker=Backwards(), top_n=2)
        assert EmbedPipeReranker.from_dict(given.to_dict(), reranker=given.reranker).top_n == 2
