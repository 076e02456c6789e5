"""A piece that goes on with a table's rows knows their columns, in both frameworks."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.schema import MetadataMode

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeReranker, EmbedPipeVectorStore
from embedpipe.langchain.text_splitters import ChunkerTextSplitter, MarkdownTextSplitter, RecursiveTextSplitter
from embedpipe.llama_index import EmbedPipeVectorStore as LlamaVectorStore
from embedpipe.llama_index.node_parsers import ChunkerNodeParser, MarkdownNodeParser, RecursiveNodeParser
from embedpipe.reranking import as_reranker
from embedpipe.storage import Database, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel

TABLE = "# Stock\n\n| part | price |\n|---|---|\n" + "".join(
    f"| hinge {number} | {number * 3} |\n" for number in range(20)
)
MODEL = FakeEmbeddingModel(16)


@pytest.mark.parametrize(
    "splitter", [MarkdownTextSplitter(chunk_size=100), RecursiveTextSplitter(chunk_size=100, language="markdown")]
)
def test_langchain(splitter: ChunkerTextSplitter, database: Database) -> None:
    pieces = splitter.split_documents([Document(id="stock", page_content=TABLE)])
    assert [piece.metadata.get("table_header") for piece in pieces] == [None, *["part | price"] * (len(pieces) - 1)]
    assert all(TABLE[piece.metadata["start_index"] :].startswith(piece.page_content) for piece in pieces)
    made = EmbedPipeVectorStore(
        store=PgVectorStore(database, model=MODEL.spec), embedding=EmbedPipeEmbeddings(EmbeddingGenerator(MODEL))
    )
    made.add_documents(pieces)
    [found] = made.store.search(MODEL.embed([f"part | price\n{pieces[-1].page_content}"], "document")[0], k=1)
    assert found.similarity == pytest.approx(1.0)
    [piece] = made.get_by_ids([str(pieces[-1].id)])
    assert piece == pieces[-1]
    assert made.store.search(text="price +17", mode="lexical")[0].text.find("hinge 17") > 0


def test_the_reranker_of_langchain_reads_the_header() -> None:
    pieces = [
        Document(page_content="| cup | 5 |"),
        Document(page_content="| pot | 4 |", metadata={"table_header": "price"}),
    ]
    reranker = EmbedPipeReranker(reranker=as_reranker(lambda query, texts: [float("price" in text) for text in texts]))
    best, _ = reranker.compress_documents(pieces, "price?")
    assert best.page_content == "| pot | 4 |"


@pytest.mark.parametrize(
    "parser", [MarkdownNodeParser(chunk_size=100), RecursiveNodeParser(chunk_size=100, language="markdown")]
)
def test_llama_index(parser: ChunkerNodeParser, database: Database) -> None:
    nodes = parser.get_nodes_from_documents([LlamaDocument(id_="stock", text=TABLE)])
    assert [node.metadata.get("table_header") for node in nodes] == [None, *["part | price"] * (len(nodes) - 1)]
    assert "part | price" in nodes[-1].get_content(MetadataMode.EMBED)
    store = LlamaVectorStore(PgVectorStore(database, model=MODEL.spec))
    for node in nodes:
        node.embedding = MODEL.embed([node.get_content(MetadataMode.EMBED)], "document")[0].tolist()
    store.add(nodes)
    assert "hinge 17" in PgVectorStore(database).search(text="price +17", mode="lexical")[0].text
    assert {node.node_id: node.metadata for node in store.get_nodes()} == {
        node.node_id: node.metadata for node in nodes
    }
