"""LangChain components over the objects of embedpipe: embeddings, splitters, vector store, retriever, reranker."""

from embedpipe.langchain import _required as _required
from embedpipe.langchain.compressors import EmbedPipeReranker
from embedpipe.langchain.embeddings import EmbedPipeEmbeddings
from embedpipe.langchain.importing import import_collection, import_table
from embedpipe.langchain.retrievers import HybridRetriever
from embedpipe.langchain.self_query import EmbedPipeTranslator, attribute_info
from embedpipe.langchain.text_splitters import (
    ChunkerTextSplitter,
    MarkdownTextSplitter,
    ParagraphTextSplitter,
    RecursiveTextSplitter,
    SemanticTextSplitter,
    SentenceTextSplitter,
    TokenTextSplitter,
)
from embedpipe.langchain.tools import search_tool
from embedpipe.langchain.vectorstores import EmbedPipeVectorStore

__all__ = [
    "ChunkerTextSplitter",
    "EmbedPipeEmbeddings",
    "EmbedPipeReranker",
    "EmbedPipeTranslator",
    "EmbedPipeVectorStore",
    "HybridRetriever",
    "MarkdownTextSplitter",
    "ParagraphTextSplitter",
    "RecursiveTextSplitter",
    "SemanticTextSplitter",
    "SentenceTextSplitter",
    "TokenTextSplitter",
    "attribute_info",
    "import_collection",
    "import_table",
    "search_tool",
]
