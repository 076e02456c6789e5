from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from chat_server import running
from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import InputError
from embedpipe.rag import ContextSettings, OpenAIChat, RAGPipeline, RAGResponse
from embedpipe.reranking import LexicalReranker
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Field
from embedpipe.types import Document

TEXTS = {
    "bees": "A honey bee colony has one queen. Workers live six weeks in summer — “busy” weeks 🐝. "
    "In winter they live for months.\n\nDrones do not sting. They leave the hive in autumn.",
    "tides": "Spring tides come at new and full moon. Neap tides come at the quarters.",
    "蜂": "蜜蜂的寿命很短。工蜂在夏天只活六周。",
}


@pytest.fixture
async def service(database_url: str, minilm: EmbeddingGenerator) -> AsyncIterator[SemanticSearchService]:
    opened = SemanticSearchService(minilm, database=database_url, chunker=RecursiveChunker(chunk_size=90))
    documents = [Document(id=name, text=text, metadata={"length": len(text)}) for name, text in TEXTS.items()]
    opened.ingest(documents).raise_for_failures()
    yield opened
    await opened.aclose()


def assert_cited(response: RAGResponse) -> None:
    assert response.citations
    assert not response.problems
    for citation in response.citations:
        assert citation.document_id is not None
        assert TEXTS[citation.document_id][citation.start_index : citation.end_index] == citation.quote
    for source in response.sources:
        assert source.document_id is not None
        whole = TEXTS[source.document_id]
        assert all(
            whole[source.start_index + a : source.start_index + b] == source.text[a:b] for a, b in source.stretches
        )


async def test_citations_point_into_the_documents_every_way_it_is_asked(service: SemanticSearchService) -> None:
    rag = RAGPipeline(service)
    stream, astream = rag.stream("How long do worker bees live?"), rag.astream("How long do worker bees live?")
    text = "".join(stream)
    assert "".join([piece async for piece in astream]) == text
    both = [rag.query("How long do worker bees live?"), await rag.aquery("How long do worker bees live?")]
    for response in [*both, stream.response, astream.response]:
        assert response.answer == text
        assert_cited(response)
    assert "Workers live six weeks" in both[0].statements[0].text


async def test_a_language_model_gets_merged_sources_and_its_quotes_are_found(service: SemanticSearchService) -> None:
    with running() as server:
        chat = OpenAIChat("gpt-test", base_url=server.base_url, api_key="k")
        rag = RAGPipeline(service, chat, k=4, context=ContextSettings(order="edges"))
        response = await rag.aquery("When do drones leave the hive?", filter=Field("length") > 100)
        assert_cited(response)
        assert {source.document_id for source in response.sources} == {"bees"}
        assert len(response.sources) == 1
        assert len(response.sources[0].results) > 1
        prompt = server.requests[0]["messages"][1]["content"]
    assert prompt.count("Drones do not sting.") == 1
    assert "Spring tides" not in prompt


async def test_questions_at_once_do_not_mix(service: SemanticSearchService) -> None:
    rag = RAGPipeline(service, k=2)
    questions = ["When do spring tides come?", "Do drones sting?", "工蜂活多久？"] * 4
    answers = await asyncio.gather(*(rag.aquery(question) for question in questions))
    assert [response.question for response in answers] == questions
    assert [response.answer for response in answers[:3]] * 4 == [response.answer for response in answers]
    assert "full moon" in answers[0].answer
    assert "Drones do not sting." in answers[1].answer
    assert "工蜂在夏天只活六周。" in answers[2].answer


def test_rerank_scores_come_along(service: SemanticSearchService) -> None:
    service.reranker = LexicalReranker()
    response = RAGPipeline(service).query("Do drones sting?", candidates=20)
    assert_cited(response)
    assert all(result.rerank_score is not None for source in response.sources for result in source.results)


def test_a_threshold_nothing_reaches_finds_nothing(service: SemanticSearchService) -> None:
    response = RAGPipeline(service).query("Do drones sting?", threshold=0.999)
    assert (response.sources, response.citations) == ((), [])
    with pytest.raises(InputError):
        RAGPipeline(service).query(" ")
