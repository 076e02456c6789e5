"""Filters that models write: LangChain's self-query retriever and LlamaIndex's auto retriever, with scripted models."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_classic.retrievers.self_query.base import SelfQueryRetriever
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langchain_core.structured_query import (
    Comparator,
    Comparison,
    FilterDirective,
    Operation,
    Operator,
    StructuredQuery,
)
from llama_index.core import VectorStoreIndex
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import VectorIndexAutoRetriever
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from embedpipe import Document, EmbeddingGenerator, SemanticSearchService, llama_index
from embedpipe.errors import InputError
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeTranslator, EmbedPipeVectorStore, attribute_info
from embedpipe.storage.metadata import MetadataDescription

TEAS: dict[str, dict[str, Any]] = {
    "green": {"year": 2021, "tags": ["mild"], "tested": "2024-01-05", "origin": {"country": "Japan"}},
    "black": {"year": 2023, "tags": ["strong", "hot"], "tested": "2024-03-01", "origin": {"country": "India"}},
    "oolong": {"year": 2022, "tags": ["mild", "hot"], "tested": "2024-02-10", "origin": {"country": "Taiwan"}},
}


@pytest.fixture(scope="module")
def teas(shared_database_url: str, minilm: EmbeddingGenerator) -> Iterator[SemanticSearchService]:
    made = SemanticSearchService(minilm, database=shared_database_url, chunker=None)
    made.ingest(Document(id=name, text=f"{name} tea", metadata=each) for name, each in TEAS.items())
    yield made
    made.close()


@pytest.fixture(scope="module")
def description(teas: SemanticSearchService) -> MetadataDescription:
    return teas.describe_metadata()


@pytest.fixture
def vectors(teas: SemanticSearchService) -> EmbedPipeVectorStore:
    return EmbedPipeVectorStore(store=teas.store, embedding=EmbedPipeEmbeddings(teas.generator))


def names(texts: list[str]) -> set[str]:
    return {text.split()[0] for text in texts}


def compared(comparator: Comparator, attribute: str, value: Any) -> Comparison:
    return Comparison(comparator=comparator, attribute=attribute, value=value)


C = Comparator
EVERY: list[tuple[FilterDirective, set[str]]] = [
    (compared(C.EQ, "year", "2021"), {"green"}),
    (compared(C.NE, "year", 2021), {"black", "oolong"}),
    (compared(C.GT, "year", 2022), {"black"}),
    (compared(C.GTE, "year", "2022"), {"black", "oolong"}),
    (compared(C.LT, "tested", {"date": "2024-02-10", "type": "date"}), {"green"}),
    (compared(C.LTE, "tested", "2024/2/10"), {"green", "oolong"}),
    (compared(C.CONTAIN, "tags", "hot"), {"black", "oolong"}),
    (compared(C.CONTAIN, "origin.country", "pa"), {"green"}),
    (compared(C.EQ, "tags", "strong"), {"black"}),
    (compared(C.LIKE, "origin.country", "india"), {"black"}),
    (compared(C.LIKE, "origin.country", "%an"), {"green", "oolong"}),
    (compared(C.IN, "year", ["2021", 2023]), {"green", "black"}),
    (compared(C.NIN, "year", [2021]), {"black", "oolong"}),
    (compared(C.IN, "year", 2021), {"green"}),
    (
        Operation(operator=Operator.AND, arguments=[compared(C.GT, "year", 2021), compared(C.CONTAIN, "tags", "mild")]),
        {"oolong"},
    ),
    (
        Operation(operator=Operator.OR, arguments=[compared(C.EQ, "year", 2021), compared(C.EQ, "year", 2023)]),
        {"green", "black"},
    ),
    (Operation(operator=Operator.NOT, arguments=[compared(C.EQ, "year", 2021)]), {"black", "oolong"}),
]


@pytest.mark.parametrize(("condition", "expected"), EVERY, ids=str)
async def test_every_comparator_and_operator_finds_what_it_says(
    condition: FilterDirective, expected: set[str], vectors: EmbedPipeVectorStore, description: MetadataDescription
) -> None:
    query = StructuredQuery(query="tea", filter=condition, limit=None)
    retriever = SelfQueryRetriever(
        vectorstore=vectors,
        llm_chain=RunnableLambda(lambda _: query),
        structured_query_translator=EmbedPipeTranslator(description),
    )
    assert names([each.page_content for each in retriever.invoke("x")]) == expected


def test_a_translator_without_a_description_leaves_values_as_they_are(vectors: EmbedPipeVectorStore) -> None:
    query = StructuredQuery(query="tea", filter=compared(C.EQ, "year", "2021"), limit=None)
    text, options = EmbedPipeTranslator().visit_structured_query(query)
    assert (text, vectors.similarity_search("tea", **options)) == ("tea", [])
    assert EmbedPipeTranslator().visit_structured_query(StructuredQuery("tea", None, None)) == ("tea", {})


def test_a_key_that_the_collection_does_not_have_is_refused(description: MetadataDescription) -> None:
    query = StructuredQuery(query="tea", filter=compared(C.EQ, "genre", "x"), limit=None)
    with pytest.raises(InputError, match="No chunk has the metadata key 'genre'"):
        EmbedPipeTranslator(description).visit_structured_query(query)


def test_a_model_writes_the_query_from_the_attributes(
    vectors: EmbedPipeVectorStore, description: MetadataDescription
) -> None:
    pytest.importorskip("lark", reason="LangChain reads a model's query with lark")
    written = {"query": "strong tea", "filter": 'and(gte("year", 2022), contain("tags", "hot"))', "limit": 1}
    model = FakeListChatModel(responses=[f"```json\n{json.dumps(written)}\n```"])
    retriever = SelfQueryRetriever.from_llm(
        model,
        vectors,
        "teas",
        attribute_info(description),
        structured_query_translator=EmbedPipeTranslator(description),
        enable_limit=True,
    )
    [found] = retriever.invoke("What strong tea is from 2022 or later?")
    assert found.page_content == "black tea"


def test_the_attributes_say_type_and_values(description: MetadataDescription) -> None:
    assert {
        "name": "origin.country",
        "type": "string",
        "description": 'string, one of: "India", "Japan", "Taiwan"',
    } in (attribute_info(description))
    assert {each["name"]: each["type"] for each in attribute_info(description)} == {
        "origin.country": "string",
        "tags": "list[string]",
        "tested": "date",
        "year": "number",
    }


class ScriptedLLM(MockLLM):
    """A LlamaIndex model that writes one given text."""

    _written: str = PrivateAttr(default="")
    _prompts: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    def predict(self, *args: Any, **kwargs: Any) -> str:
        self._prompts.append(kwargs)
        return self._written


class TestLlamaIndex:
    @pytest.fixture
    def store(self, teas: SemanticSearchService, description: MetadataDescription) -> llama_index.EmbedPipeVectorStore:
        return llama_index.EmbedPipeVectorStore(
            teas.store, embed_model=llama_index.EmbedPipeEmbedding(teas.generator), description=description
        )

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ([{"key": "year", "value": "2022", "operator": ">="}], {"black", "oolong"}),
            ([{"key": "tested", "value": "2024/2/10", "operator": "<"}], {"green"}),
            ([{"key": "tags", "value": "hot", "operator": "=="}], {"black", "oolong"}),
            ([{"key": "origin.country", "value": "India", "operator": "=="}], {"black"}),
        ],
        ids=str,
    )
    def test_a_model_writes_the_filters(
        self,
        filters: list[dict[str, Any]],
        expected: set[str],
        store: llama_index.EmbedPipeVectorStore,
        description: MetadataDescription,
    ) -> None:
        embed_model = store._embed_model
        assert embed_model is not None
        info = llama_index.vector_store_info(description, "teas")
        model = ScriptedLLM(max_tokens=None)
        model._written = json.dumps({"query": "tea", "filters": filters, "top_k": 3})
        index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)
        retriever = VectorIndexAutoRetriever(index, vector_store_info=info, llm=model, similarity_top_k=3)
        assert names([node.get_content() for node in retriever.retrieve("Which teas?")]) == expected
        [prompt] = model._prompts
        assert "number, one of: 2021, 2022, 2023" in prompt["info_str"]

    def test_an_unknown_key_is_refused(self, store: llama_index.EmbedPipeVectorStore) -> None:
        index = VectorStoreIndex.from_vector_store(store, embed_model=store._embed_model)
        retriever = index.as_retriever(filters=MetadataFilters(filters=[MetadataFilter(key="genre", value="x")]))
        with pytest.raises(InputError, match="No chunk has the metadata key 'genre'"):
            retriever.retrieve("tea")

    def test_the_description_travels_with_a_pickle(
        self, description: MetadataDescription, minilm: EmbeddingGenerator
    ) -> None:
        store = llama_index.EmbedPipeVectorStore(description=description)
        assert pickle.loads(pickle.dumps(store))._description == description  # noqa: S301 - made here
