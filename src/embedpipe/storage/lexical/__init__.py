"""Words: BM25 over plain PostgreSQL, the index that it reads, and the language of queries."""

from embedpipe.storage.lexical import bm25
from embedpipe.storage.lexical.index import (
    WEIGHT_TOLERANCE,
    Refreshed,
    index_changed_languages,
    index_chunks,
    refresh_weights,
    remove_chunks,
)
from embedpipe.storage.lexical.query_parser import ParsedQuery, parse_query
from embedpipe.storage.lexical.terms import total
from embedpipe.storage.lexical.upgrade import UpgradeProgress, upgrade

__all__ = [
    "WEIGHT_TOLERANCE",
    "ParsedQuery",
    "Refreshed",
    "UpgradeProgress",
    "bm25",
    "index_changed_languages",
    "index_chunks",
    "parse_query",
    "refresh_weights",
    "remove_chunks",
    "total",
    "upgrade",
]
