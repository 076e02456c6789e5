"""Conditions on metadata: the expressions that users write, LangChain's notation, and the SQL of both.

Imported from outside of `embedpipe.storage` too, by adapters that translate filters of their own.
"""

from embedpipe.storage.filters.conditions import (
    Among,
    And,
    Comparison,
    Filter,
    In,
    Not,
    OfPayload,
    Or,
    parts_of,
    restricts,
)
from embedpipe.storage.filters.notation import Condition, aparse_filter, parse_filter
from embedpipe.storage.filters.operators import Field, MetadataKey, ValueType
from embedpipe.storage.filters.sql import where

__all__ = [
    "Among",
    "And",
    "Comparison",
    "Condition",
    "Field",
    "Filter",
    "In",
    "MetadataKey",
    "Not",
    "OfPayload",
    "Or",
    "ValueType",
    "aparse_filter",
    "parse_filter",
    "parts_of",
    "restricts",
    "where",
]
