from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import ValidationError

from embedpipe import EmbeddingGenerator, SemanticSearchService
from embedpipe.errors import InputError, RerankError
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeReranker, EmbedPipeVectorStore, HybridRetriever
from embedpipe.reranking import LexicalReranker
from embedpipe.storage import Field, Fusion
from embedpipe.types import SearchResult

QUESTION = "How do I write a small anonymous function?"


class TestStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _searched(self, service: SemanticSearchService) -> None:
        self.service = service

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return HybridRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"service": self.service}

    @property
    def retriever_query_example(self) -> str:
        return QUESTION


def topics(documents: list[Document]) -> list[str]:
    return [document.metadata["topic"] for document in documents]


class TestRetriever:
    async def test_it_finds_what_the_service_finds(self, service: SemanticSearchService) -> None:
        retriever = HybridRetriever(service=service, k=4)
        found = retriever.invoke(QUESTION)
        expected = service.search(QUESTION, k=4)
        assert [(d.id, d.page_content, d.metadata) for d in found] == [(r.id, r.text, r.metadata) for r in expected]
        assert topics(found)[0] == "lambda"
        assert await retriever.ainvoke(QUESTION) == found

    async def test_under_a_source_key_the_metadata_say_where_a_document_comes_from(
        self, service: SemanticSearchService
    ) -> None:
        retriever = HybridRetriever(service=service, k=2, source_key="source")
        found = retriever.invoke(QUESTION)
        assert await retriever.ainvoke(QUESTION) == found
        for document, result in zip(found, service.search(QUESTION, k=2), strict=True):
            source = document.metadata.pop("source")
            assert document.metadata == result.metadata
            assert (source["document_id"], source["score"]) == (result.document_id, result.score)
            assert source["end_index"] - source["start_index"] == len(document.page_content)
            assert (source["similarity"], source["lexical_score"]) == (result.similarity, result.lexical_score)
        together = await asyncio.gather(*(retriever.ainvoke(QUESTION, k=k) for k in (1, 2, 3)))
        assert [len(each) for each in together] == [1, 2, 3]

    async def test_a_source_key_writes_over_no_metadata(self, service: SemanticSearchService) -> None:
        retriever = HybridRetriever(service=service, source_key="topic")
        with pytest.raises(InputError, match=r"'topic' is a metadata key.*Choose another"):
            retriever.invoke(QUESTION)
        with pytest.raises(InputError, match=r"'topic' is a metadata key.*Choose another"):
            await retriever.ainvoke(QUESTION)

    @pytest.mark.parametrize("condition", [{"length": {"$lte": 3}}, Field("length") <= 3])
    def test_options_hold_for_the_retriever_or_for_one_call(
        self, service: SemanticSearchService, condition: Any
    ) -> None:
        short = HybridRetriever(service=service, k=9, filter=condition)
        assert set(topics(short.invoke("statement"))) == {"try", "del"}
        assert set(topics(HybridRetriever(service=service).invoke("statement", filter=condition))) == {"try", "del"}
        assert topics(short.invoke("resume a generator", filter=None, k=1)) == ["yield"]
        lexical = HybridRetriever(service=service, mode="lexical")
        assert lexical.invoke("zebra crossing") == []
        assert len(lexical.invoke("zebra crossing", mode="dense")) == 5
        assert HybridRetriever(service=service, threshold=0.99).invoke("zebra crossing") == []

    def test_quoted_phrases_are_required_where_asked(self, service: SemanticSearchService) -> None:
        question = 'a statement with "anonymous functions"'
        retriever = HybridRetriever(service=service, k=9)
        assert len(set(topics(retriever.invoke(question)))) > 1
        assert set(topics(retriever.invoke(question, required_phrases=True))) == {"lambda"}
        assert set(topics(HybridRetriever(service=service, required_phrases=True).invoke(question))) == {"lambda"}

    def test_a_fusion_is_passed_on(self, service: SemanticSearchService) -> None:
        by_words = HybridRetriever(service=service, fusion=Fusion(dense_weight=0.0), source_key="source")
        expected = service.search(QUESTION, fusion=Fusion(dense_weight=0.0))
        assert {result.dense_weight for result in expected} == {0}
        scores = [document.metadata["source"]["score"] for document in by_words.invoke(QUESTION)]
        assert scores == [result.score for result in expected]
        assert topics(by_words.invoke(QUESTION, fusion="ranks")) == [
            result.metadata["topic"] for result in service.search(QUESTION, fusion="ranks")
        ]

    def test_an_option_that_does_not_exist_is_refused(self, service: SemanticSearchService) -> None:
        with pytest.raises(ValidationError, match="top_k"):
            HybridRetriever(service=service, top_k=3)  # type: ignore[call-arg]  # what is tested
        with pytest.raises(InputError, match=r"'top_k'.*k, mode, filter"):
            HybridRetriever(service=service).invoke(QUESTION, top_k=3)
        with pytest.raises(ValidationError, match="hybird"):
            HybridRetriever(service=service, mode="hybird")  # type: ignore[arg-type]  # what is tested
        with pytest.raises(ValidationError):
            HybridRetriever(service=service, k=0)

    def test_no_url_in_what_is_shown_or_serialised(self, minilm: EmbeddingGenerator) -> None:
        secret = SemanticSearchService(minilm, database="postgresql://user:hunter2@localhost:1/none")
        retriever = HybridRetriever(service=secret)
        for shown in (repr(retriever), str(retriever), dumps(retriever), retriever.model_dump_json()):
            assert "hunter2" not in shown

    async def test_a_chain(self, service: SemanticSearchService) -> None:
        def joined(documents: list[Document]) -> str:
            return "\n".join(topics(documents))

        seen: list[str] = []

        def note(value: PromptValue) -> PromptValue:
            seen.append(value.to_string())
            return value

        prompt = ChatPromptTemplate.from_template("{context} || {question}")
        chain = (
            {"context": HybridRetriever(service=service, k=1) | joined, "question": RunnablePassthrough()}
            | prompt
            | note
            | FakeListChatModel(responses=["one", "two"])
            | StrOutputParser()
        )
        assert chain.invoke(QUESTION) == "one"
        assert await chain.ainvoke(QUESTION) == "two"
        assert seen == [f"Human: lambda || {QUESTION}"] * 2

    def test_as_a_tool(self, service: SemanticSearchService) -> None:
        tool = create_retriever_tool(HybridRetriever(service=service, k=1), "python_topics", "Looks up a topic")
        assert "lambda" in tool.invoke({"query": QUESTION})

    def test_in_an_ensemble(self, service: SemanticSearchService, minilm: EmbeddingGenerator) -> None:
        store = EmbedPipeVectorStore(store=service.store, embedding=EmbedPipeEmbeddings(minilm))
        lexical = HybridRetriever(service=service, mode="lexical", k=3)
        dense = store.as_retriever(search_kwargs={"k": 3})
        ensemble = EnsembleRetriever(retrievers=[dense, lexical], weights=[0.5, 0.5])
        found = ensemble.invoke(QUESTION)
        assert topics(found)[0] == "lambda"
        assert len({document.id for document in found}) == len(found)


class Backwards:
    """A reranker that turns the order round."""

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        scored = [SearchResult(chunk=r.chunk, score=r.score, rerank_score=float(i)) for i, r in enumerate(results)]
        return scored[::-1]


class Failing:
    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        raise RerankError("no luck")


DOCUMENTS = [Document(id=name, page_content=f"about {name}", metadata={"n": name}) for name in ("a", "lambda", "b")]


class TestReranker:
    async def test_it_orders_and_cuts_and_leaves_the_given_as_they_were(self) -> None:
        reranker = EmbedPipeReranker(reranker=Backwards(), top_n=2)
        best = reranker.compress_documents(DOCUMENTS, "q")
        assert best == [
            Document(id="b", page_content="about b", metadata={"n": "b", "relevance_score": 2.0}),
            Document(id="lambda", page_content="about lambda", metadata={"n": "lambda", "relevance_score": 1.0}),
        ]
        assert await reranker.acompress_documents(DOCUMENTS, "q") == best
        assert DOCUMENTS[2].metadata == {"n": "b"}
        assert reranker.compress_documents([], "q") == []

    def test_the_words_of_the_query_count(self) -> None:
        best = EmbedPipeReranker(reranker=LexicalReranker()).compress_documents(DOCUMENTS, "lambda")
        assert best[0].id == "lambda"
        assert len(best) == 3

    def test_a_failure_is_no_silent_fallback(self) -> None:
        with pytest.raises(RerankError, match="no luck"):
            EmbedPipeReranker(reranker=Failing()).compress_documents(DOCUMENTS, "q")
        with pytest.raises(ValidationError, match="top_k"):
            EmbedPipeReranker(reranker=Backwards(), top_k=3)  # type: ignore[call-arg]  # what is tested

    @pytest.mark.parametrize("wrong", ["rerank", None, 5, LexicalReranker])
    def test_what_cannot_be_a_reranker_is_refused_at_once(self, wrong: Any) -> None:
        with pytest.raises(ValidationError, match="reranker"):
            EmbedPipeReranker(reranker=wrong)

    def test_what_a_service_takes_is_taken(self) -> None:
        def score(query: str, texts: list[str]) -> list[float]:
            return [float(query in text) for text in texts]

        for reranker in (score, EmbedPipeReranker(reranker=LexicalReranker())):
            best = EmbedPipeReranker(reranker=reranker).compress_documents(DOCUMENTS, "lambda")  # type: ignore[arg-type]  # pydantic's plugin has no converters
            assert best[0].id == "lambda"

    async def test_in_a_compression_retriever(self, service: SemanticSearchService) -> None:
        compressed = ContextualCompressionRetriever(
            base_retriever=HybridRetriever(service=service, k=10),
            base_compressor=EmbedPipeReranker(reranker=LexicalReranker(), top_n=2),
        )
        best = compressed.invoke("lambda expressions")
        assert topics(best)[0] == "lambda"
        assert len(best) == 2
        assert best[0].metadata["relevance_score"] >= best[1].metadata["relevance_score"]
        assert await compressed.ainvoke("lambda expressions") == best
