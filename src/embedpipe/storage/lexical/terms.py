"""Terms and their counts: the expressions that writes of the lexical index and searches of it share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    ScalarSelect,
    SmallInteger,
    Text,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import REGCONFIG

from embedpipe.storage.tables import BM25, DIMENSIONS, Collection, LexicalTables

CHUNKS, LENGTHS = 0, -1
"""Stand in place of a term: the counts then are the number of chunks, and the sum of their lengths."""

_MASK = literal_column(str(DIMENSIONS - 1), Integer)
_BUCKETS = literal_column("63", Integer)

_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # noqa: E501 - one class
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Kana, Han."""


def _term_of(lexeme: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the term of a lexeme, a number from 1 to `DIMENSIONS`."""
    return func.hashtext(lexeme, type_=Integer()).bitwise_and(_MASK) + literal_column("1", Integer)


def bucket_of(term: ColumnElement[int]) -> ColumnElement[int]:
    """Return the bucket of a term, one of 64, by which its deltas are found."""
    return cast(term.bitwise_and(_BUCKETS), SmallInteger)


def language_of(collection: Collection) -> ColumnElement[Any]:
    """Return the collection's text search configuration."""
    return cast(literal(collection.language), REGCONFIG)


def segmented(text: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text with a space between words, for scripts that have none.

    There, each two neighboring characters make a word, which overlap. A text of ASCII alone stays as it is.
    """
    runs = func.regexp_replace(text, f"([{_ASIAN}]+)", r" \1 ", "g")
    pairs = func.regexp_replace(runs, f"(?<=[{_ASIAN}])([{_ASIAN}])(?=[{_ASIAN}])", r"\1 \1", "g", type_=Text())
    return case((func.octet_length(text) == func.char_length(text), text), else_=pairs)


def tsvector(collection: Collection, text: ColumnElement[str]) -> ColumnElement[Any]:
    """Return the lexemes of a text with their positions."""
    return func.to_tsvector(language_of(collection), segmented(text))


def occurrences(collection: Collection, text: ColumnElement[str]) -> Any:
    """Select `term` and `count`, a row for each term of a text."""
    lexemes = func.unnest(tsvector(collection, text)).table_valued("lexeme", "positions", "weights", name="lexemes")
    rows = select(_term_of(lexemes.c.lexeme).label("term"), func.cardinality(lexemes.c.positions).label("n")).subquery()
    return select(rows.c.term, func.sum(rows.c.n, type_=Integer()).label("count")).group_by(rows.c.term)


def weighing(collection: Collection) -> BM25:
    """Return the collection's parameters of BM25."""
    assert collection.lexical is not None  # noqa: S101 - without words there is no lexical index to come here for
    return collection.lexical


def saturation(of: BM25, length: ColumnElement[Any], average: ColumnElement[float]) -> ColumnElement[float]:
    """Return K of BM25's tf * (k1 + 1) / (tf + K), which is k1 * (1 - b + b * length / average)."""
    return literal(of.k1 * (1 - of.b), Float()) + literal(of.k1 * of.b, Float()) * length / average


def total(of: LexicalTables, term: int) -> ScalarSelect[Any]:
    """Return the number under `CHUNKS` or `LENGTHS`. It is 0 if nothing is indexed."""
    number = literal_column(str(term), Integer)
    folded = select(of.terms.c.chunks).where(of.terms.c.term == number)
    here = of.deltas.c.chunks[func.array_position(of.deltas.c.terms, number)]
    since = select(here).where(of.deltas.c.bucket == bucket_of(number))
    rows = union_all(folded, since).subquery()
    return select(func.coalesce(func.sum(rows.c[0]), 0)).scalar_subquery()
