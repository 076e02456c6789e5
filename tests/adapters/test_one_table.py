"""What one framework wrote, the other reads, and so does the core."""

from __future__ import annotations

from dataclasses import replace

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from llama_index.core import Document as LlamaDocument
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters, VectorStoreQuery

from embedpipe import Document as CoreDocument
from embedpipe import EmbeddingGenerator, SemanticSearchService
from embedpipe.embedding import WrappedModel
from embedpipe.errors import ModelMismatchError
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeVectorStore, RecursiveTextSplitter
from embedpipe.llama_index import EmbedPipeEmbedding, RecursiveNodeParser
from embedpipe.llama_index import EmbedPipeVectorStore as LlamaVectorStore
from embedpipe.storage import Database, PgVectorStore
from embedpipe.types import ModelSpec

TEXT = "Oranges are sweet and round.\n\nThe sky is blue by day, and black at night.\n\nLemons are sour."


def langchain_store(database: Database, minilm: EmbeddingGenerator) -> EmbedPipeVectorStore:
    return EmbedPipeVectorStore(store=PgVectorStore(database), embedding=EmbedPipeEmbeddings(minilm))


def llama_store(database: Database, minilm: EmbeddingGenerator) -> LlamaVectorStore:
    return LlamaVectorStore(PgVectorStore(database), embed_model=EmbedPipeEmbedding(minilm))


def test_llama_index_reads_what_langchain_wrote(database: Database, minilm: EmbeddingGenerator) -> None:
    source = Document(page_content=TEXT, metadata={"year": 2020, "tags": ["a"]}, id="doc")
    pieces = RecursiveTextSplitter(chunk_size=50).split_documents([source])
    langchain_store(database, minilm).add_documents(pieces)

    store = llama_store(database, minilm)
    nodes = {node.node_id: node for node in store.get_nodes()}
    assert {(node.node_id, node.get_content()) for node in nodes.values()} == {(p.id, p.page_content) for p in pieces}
    for piece in pieces:
        node = nodes[str(piece.id)]
        assert isinstance(node, TextNode)
        assert node.metadata == piece.metadata
        assert TEXT[node.start_char_idx : node.end_char_idx] == node.text

    index = VectorStoreIndex.from_vector_store(store, embed_model=EmbedPipeEmbedding(minilm))
    filters = MetadataFilters(filters=[MetadataFilter(key="year", value=2020)])
    best = index.as_retriever(similarity_top_k=1, filters=filters).retrieve("What colour is the sky?")[0]
    assert best.get_content() == "The sky is blue by day, and black at night."


def test_langchain_reads_what_llama_index_wrote(database: Database, minilm: EmbeddingGenerator) -> None:
    store = llama_store(database, minilm)
    VectorStoreIndex.from_documents(
        [LlamaDocument(id_="doc", text=TEXT, metadata={"year": 2020})],
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=EmbedPipeEmbedding(minilm),
        transformations=[RecursiveNodeParser(chunk_size=60)],
    )
    langchain = langchain_store(database, minilm)
    nodes = store.get_nodes()
    documents = langchain.get_by_ids([node.node_id for node in nodes])
    assert [(d.id, d.page_content, d.metadata) for d in documents] == [
        (node.node_id, node.get_content(), {"year": 2020}) for node in nodes
    ]
    best = langchain.similarity_search("What colour is the sky?", k=1, filter={"year": {"$gte": 2020}})[0]
    assert best.page_content == "The sky is blue by day, and black at night."
    assert langchain.delete(filter={"year": 2020})
    assert store.get_nodes() == []


def test_both_read_what_a_service_ingested_and_it_finds_theirs(database: Database, minilm: EmbeddingGenerator) -> None:
    service = SemanticSearchService(minilm, database=database)
    service.ingest([CoreDocument(id="core", text=TEXT, metadata={"from": "core"})])
    langchain, llama = langchain_store(database, minilm), llama_store(database, minilm)
    langchain.add_texts(["Grass is green."], [{"from": "langchain"}], ids=["grass"])
    vector = minilm.generate("The sea is deep.").embedding.tolist()
    llama.add([TextNode(id_="sea", text="The sea is deep.", metadata={"from": "llama"}, embedding=vector)])

    query = VectorStoreQuery(query_embedding=vector, similarity_top_k=9)
    assert {str(node.metadata["from"]) for node in llama.query(query).nodes or []} == {"core", "langchain", "llama"}
    assert {document.metadata["from"] for document in langchain.similarity_search("x", k=9)} == {
        "core",
        "langchain",
        "llama",
    }
    assert service.search("How deep is the sea?", k=1)[0].id == "sea"
    assert service.search("What is green?", k=1)[0].id == "grass"


class _Named(DeterministicFakeEmbedding):
    """Embeddings of another package, as LangChain's own: what is known of their model is the name that they state."""

    model: str


@pytest.mark.parametrize(
    ("stated", "taken"),
    [
        ("text-embedding-3-small", True),
        ("a-deployment-of-some-model", True),
        ("text-embedding-ada-002", False),
        ("openai:text-embedding-ada-002", False),
    ],
)
def test_foreign_embeddings_that_state_another_published_model_are_refused(
    database: Database, stated: str, taken: bool
) -> None:
    store = PgVectorStore(database)
    first = EmbedPipeVectorStore(store=store, embedding=_Named(size=8, model="text-embedding-3-small"))
    first.add_texts(["Oranges are sweet."], ids=["orange"])
    langchain = EmbedPipeVectorStore(store=store, embedding=_Named(size=8, model=stated))
    llama = LlamaVectorStore(store, embed_model=MockEmbedding(embed_dim=8, model_name=stated))
    query = VectorStoreQuery(query_embedding=[1.0] * 8, similarity_top_k=1)
    if taken:
        assert [document.id for document in langchain.similarity_search("x")] == ["orange"]
        assert llama.query(query).ids == ["orange"]
        return
    with pytest.raises(ModelMismatchError, match="text-embedding-ada-002"):
        langchain.add_texts(["Lemons are sour."])
    with pytest.raises(ModelMismatchError, match="Pass embeddings of text-embedding-3-small"):
        llama.query(query)


class _Stated:
    """Another package's embeddings of a model: the same vectors, under a name that they state."""

    def __init__(self, minilm: EmbeddingGenerator, model_name: str) -> None:
        self.embed_documents = lambda texts: minilm.generate_batch(texts).to_lists()
        self.embed_query = lambda text: minilm.generate(text).to_list()
        self.model_name = model_name


@pytest.mark.parametrize("name", ["sentence-transformers/all-MiniLM-L6-v2", "All-MiniLM-L6-v2"])
@pytest.mark.parametrize("first_is_ours", [True, False])
def test_a_published_model_is_the_same_whoever_embeds_with_it(
    database: Database, minilm: EmbeddingGenerator, name: str, first_is_ours: bool
) -> None:
    foreign = EmbeddingGenerator(WrappedModel(_Stated(minilm, name)))
    one, other = (minilm, foreign) if first_is_ours else (foreign, minilm)
    langchain_store(database, one).add_texts(["Oranges are sweet."], ids=["orange"])
    assert [found.id for found in langchain_store(database, other).similarity_search("x")] == ["orange"]
    service = SemanticSearchService(other, database=database)
    service.ingest([CoreDocument(id="lemon", text="Lemons are sour.")])
    assert service.search("What is sour?", k=1)[0].document_id == "lemon"
    nodes = llama_store(database, other).query(VectorStoreQuery(query_embedding=[1.0] * 384, similarity_top_k=9)).nodes
    assert len(nodes or []) == 2


@pytest.mark.parametrize(
    "name", ["sentence-transformers/all-mpnet-base-v2", "somebody/all-MiniLM-L6-v2", "all-MiniLM-L12-v2", ""]
)
def test_a_model_that_only_looks_the_same_is_another(database: Database, minilm: EmbeddingGenerator, name: str) -> None:
    langchain_store(database, EmbeddingGenerator(WrappedModel(_Stated(minilm, name)))).add_texts(["Oranges"])
    with pytest.raises(ModelMismatchError):
        langchain_store(database, minilm).similarity_search("x")
    tuned = replace(minilm.spec, revision="other weights")
    assert not tuned.is_same(minilm.spec)
    stated = ModelSpec(name="HuggingFaceEmbeddings:sentence-transformers/all-MiniLM-L6-v2", dimensions=128)
    assert not minilm.spec.is_same(stated)
    assert not replace(minilm.spec, compression="pca", dimensions=384).is_same(replace(stated, dimensions=384))
