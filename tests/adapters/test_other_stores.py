"""Our embeddings, splitters, rerankers, answers and evaluation over the frameworks' own stores, in process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import uuid4

import chromadb
import faiss
import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_qdrant import QdrantVectorStore
from llama_index.core import Document as LlamaDocument
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.faiss import FaissVectorStore

from embedpipe import Chunk, EmbeddingGenerator, RAGPipeline, SearchResult
from embedpipe.evaluation import EvaluationSet, evaluate
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeReranker, RecursiveTextSplitter
from embedpipe.llama_index import EmbedPipeEmbedding, RecursiveNodeParser
from embedpipe.llama_index import EmbedPipeReranker as NodeReranker
from embedpipe.reranking import LexicalReranker

SIZE = 60
TEXTS = {
    "green": "Green tea is steeped at 80 °C. Its leaves are not oxidised.",
    "black": "Black tea takes boiling water. Milk is added last.\n\nMilk is added last, say others.",
    "oolong": "Oolong is half oxidised.\n\nIt is steeped at 90 °C, for three minutes.",
    "mate": "Mate is no tea: it is made of a South American holly.",
    "coffee": "Coffee is ground before water is poured over it.",
}
QUESTIONS = {
    "black": "Which tea is made with boiling water?",
    "mate": "What is made from holly leaves?",
    "coffee": "What has to be ground first?",
}

Answer: TypeAlias = tuple[str, str, int]
"""The document, the text and where it begins there."""


def chroma_collection() -> Any:
    return chromadb.EphemeralClient().create_collection(str(uuid4()), metadata={"hnsw:space": "cosine"})


def langchain_chroma(embeddings: Embeddings, chunks: list[Document]) -> VectorStore:
    return Chroma.from_documents(
        chunks, embeddings, collection_name=str(uuid4()), collection_metadata={"hnsw:space": "cosine"}
    )


def langchain_qdrant(embeddings: Embeddings, chunks: list[Document]) -> VectorStore:
    return QdrantVectorStore.from_documents(chunks, embeddings, location=":memory:", collection_name="teas")


def llama_faiss() -> BasePydanticVectorStore:
    return FaissVectorStore(faiss_index=faiss.IndexFlatIP(384))


def llama_chroma() -> BasePydanticVectorStore:
    return ChromaVectorStore(chroma_collection=chroma_collection())


@dataclass
class Retrieved:
    """A framework's store as what pipelines and evaluations search with."""

    retrieve: Callable[[str, int], Sequence[Answer]]

    def search(self, query: str, k: int = 5) -> list[SearchResult]:
        return [
            SearchResult(
                chunk=Chunk(text, start, start + len(text), place, {}, document_id=document_id, id=str(place)),
                score=1 / (1 + place),
            )
            for place, (document_id, text, start) in enumerate(self.retrieve(query, k))
        ]

    async def asearch(self, query: str, k: int = 5) -> list[SearchResult]:
        return self.search(query, k)

    def expand(self, results: Sequence[SearchResult]) -> list[SearchResult]:
        return list(results)

    async def aexpand(self, results: Sequence[SearchResult]) -> list[SearchResult]:
        return list(results)


def over_langchain(
    make: Callable[[Embeddings, list[Document]], VectorStore], generator: EmbeddingGenerator
) -> Retrieved:
    documents = [Document(page_content=text, metadata={"source": name}) for name, text in TEXTS.items()]
    splitter = RecursiveTextSplitter(chunk_size=SIZE, add_start_index=True)
    store = make(EmbedPipeEmbeddings(generator), splitter.split_documents(documents))
    reranker = EmbedPipeReranker(reranker=LexicalReranker())

    def retrieve(query: str, k: int) -> list[Answer]:
        found = reranker.compress_documents(store.similarity_search(query, k=k), query)
        return [(chunk.metadata["source"], chunk.page_content, chunk.metadata["start_index"]) for chunk in found]

    return Retrieved(retrieve)


def over_llama_index(make: Callable[[], BasePydanticVectorStore], generator: EmbeddingGenerator) -> Retrieved:
    embed_model: BaseEmbedding = EmbedPipeEmbedding(generator)
    index = VectorStoreIndex.from_documents(
        [LlamaDocument(text=text, id_=name) for name, text in TEXTS.items()],
        StorageContext.from_defaults(vector_store=make()),
        embed_model=embed_model,
        transformations=[RecursiveNodeParser(chunk_size=SIZE)],
    )
    reranker = NodeReranker(reranker=LexicalReranker())

    def retrieve(query: str, k: int) -> list[Answer]:
        found = index.as_retriever(similarity_top_k=k).retrieve(query)
        nodes = [hit.node for hit in reranker.postprocess_nodes(found, query_str=query)]
        return [
            (node.ref_doc_id or "", node.text, node.start_char_idx or 0) for node in nodes if isinstance(node, TextNode)
        ]

    return Retrieved(retrieve)


LANGCHAIN = [langchain_chroma, langchain_qdrant]
LLAMA_INDEX = [llama_faiss, llama_chroma]


@pytest.fixture(params=[*LANGCHAIN, *LLAMA_INDEX], ids=lambda make: make.__name__)
def retrieved(request: pytest.FixtureRequest, minilm: EmbeddingGenerator) -> Retrieved:
    make = request.param
    return over_langchain(make, minilm) if make in LANGCHAIN else over_llama_index(make, minilm)


def test_chunks_come_back_with_their_places(retrieved: Retrieved) -> None:
    everything = retrieved.retrieve("tea", 20)
    assert {name for name, _, _ in everything} == TEXTS.keys()
    assert len(everything) > len(TEXTS)
    for name, text, start in everything:
        assert TEXTS[name][start : start + len(text)] == text


def test_the_nearest_are_those_of_the_vectors(retrieved: Retrieved, minilm: EmbeddingGenerator) -> None:
    texts = [text for _, text, _ in retrieved.retrieve("tea", 20)]
    for question in QUESTIONS.values():
        similarities = minilm.generate_batch(texts).vectors @ minilm.generate(question, "query").embedding
        nearest = {texts[place] for place in np.argsort(-similarities)[:3]}
        assert {text for _, text, _ in retrieved.retrieve(question, 3)} == nearest


def test_answers_cite_the_documents(retrieved: Retrieved) -> None:
    answer = RAGPipeline(retrieved, k=2).query(QUESTIONS["black"])
    assert "boiling" in answer.answer
    assert answer.citations
    for citation in answer.citations:
        assert citation.document_id is not None
        assert TEXTS[citation.document_id][citation.start_index : citation.end_index] == citation.quote


def test_a_store_is_evaluated(retrieved: Retrieved) -> None:
    dataset = EvaluationSet(name="teas", queries=QUESTIONS, relevant={name: {name: 1} for name in QUESTIONS})
    run = evaluate(dataset, retrieved.search, name="other", measures=["RR", "R@5"])
    assert run.mean("RR") == 1.0
    assert run.mean("R@5") == 1.0
