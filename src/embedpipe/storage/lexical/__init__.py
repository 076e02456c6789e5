"""Words: BM25 over plain PostgreSQL, the index that it reads, and the language of queries."""

from embedpipe.storage.lexical import bm25, index
from embedpipe.storage.lexical.query_parser import ParsedQuery, parse_query, unquoted
from embedpipe.storage.lexical.terms import CHUNKS, LENGTHS, total

__all__ = ["CHUNKS", "LENGTHS", "ParsedQuery", "bm25", "index", "parse_query", "total", "unquoted"]
