"""LlamaIndex components over the objects of embedpipe: embedding, parsers, vector store, retriever, reranker."""

from embedpipe.llama_index import _required as _required
from embedpipe.llama_index.auto_retrieval import vector_store_info
from embedpipe.llama_index.embeddings import EmbedPipeEmbedding
from embedpipe.llama_index.importing import import_table
from embedpipe.llama_index.node_parsers import (
    MarkdownNodeParser,
    ParagraphNodeParser,
    RecursiveNodeParser,
    SemanticNodeParser,
    SentenceNodeParser,
    TokenNodeParser,
)
from embedpipe.llama_index.postprocessors import EmbedPipeReranker
from embedpipe.llama_index.retrievers import HybridRetriever
from embedpipe.llama_index.tools import search_tool
from embedpipe.llama_index.vector_stores import EmbedPipeVectorStore

__all__ = [
    "EmbedPipeEmbedding",
    "EmbedPipeReranker",
    "EmbedPipeVectorStore",
    "HybridRetriever",
    "MarkdownNodeParser",
    "ParagraphNodeParser",
    "RecursiveNodeParser",
    "SemanticNodeParser",
    "SentenceNodeParser",
    "TokenNodeParser",
    "import_table",
    "search_tool",
    "vector_store_info",
]
