"""Conditions on metadata: the expressions that users write, LangChain's notation, and the SQL of both.

Imported from outside of `embedpipe.storage` too, by adapters that translate filters of their own.
"""

from embedpipe.storage.filters.fields import (
    Among,
    And,
    Field,
    Filter,
    Not,
    OfPayload,
    Or,
    ValueType,
    parts_of,
    restricts,
)
from embedpipe.storage.filters.notation import aparse_filter, parse_filter
from embedpipe.storage.filters.sql import ordered_by, where

__all__ = [
    "Among",
    "And",
    "Field",
    "Filter",
    "Not",
    "OfPayload",
    "Or",
    "ValueType",
    "aparse_filter",
    "ordered_by",
    "parse_filter",
    "parts_of",
    "restricts",
    "where",
]
