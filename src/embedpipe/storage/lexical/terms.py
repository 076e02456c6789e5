"""Terms and their counts: the expressions that writes of the lexical index and searches of it share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    SmallInteger,
    Subquery,
    TableValuedAlias,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.sql.selectable import LateralFromClause

from embedpipe.storage.lexical.languages import query_words
from embedpipe.storage.lexical.query_parser import ASIAN, JOINED, NO_SIGN, SIGNS, WORD
from embedpipe.storage.tables import BM25, DIMENSIONS, Collection, LexicalTables, SchemaFunction

MOST_TERMS = 16_000
"""The entries that a sparsevec can have."""

_PART = 0.25
"""What a part of a compound counts in a query, beside the compound itself, which should come first.

Over eleven sets of questions .1, .25 and .5 made no significant difference. 1 cost up to .015 nDCG@10, where accents do
not matter.
"""

_NGRAM = 4
_NGRAM_WEIGHT = 0.15
"""What a character n-gram counts in a query, beside a word.

A word has about six of them. Together they then have .3 of the lexical score.
"""

_LONGEST_WORD = 40
"""Longer words are numbers, addresses and the like, and have no n-grams."""

_MOST_TEXT, _MOST_PIECES = 250_000, 200_000
"""The bytes that a text may have to be taken apart, and the characters of its pieces that count.

One tsvector holds both, and takes a megabyte.
"""

_MASK = literal_column(str(DIMENSIONS - 1), Integer)
_BUCKETS = literal_column("63", Integer)


def _term_of(lexeme: ColumnElement[Any], marker: ColumnElement[int] | None) -> ColumnElement[int]:
    """Return the term of a lexeme, a number from 1 to `DIMENSIONS`. With a marker it is one of that language."""
    if marker is not None:
        hashed = func.hashtextextended(lexeme, cast(marker, BigInteger), type_=BigInteger())
        return cast(hashed.bitwise_and(_MASK), Integer) + literal_column("1", Integer)
    return func.hashtext(lexeme, type_=Integer()).bitwise_and(_MASK) + literal_column("1", Integer)


def bucket_of(term: ColumnElement[int]) -> ColumnElement[int]:
    """Return the bucket of a term, one of 64, by which its deltas are found."""
    return cast(term.bitwise_and(_BUCKETS), SmallInteger)


def language_of(collection: Collection) -> ColumnElement[Any]:
    """Return the collection's text search configuration."""
    return cast(literal(collection.language), REGCONFIG)


def in_place(collection: Collection, text: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text for phrases: with its compounds taken apart where they stand, and a space between words."""
    if collection.segmentation == 1:
        return _spaced(text)
    whole = evaluated(text)
    apart = evaluated(_word_pieces(collection, cut(whole.c.text), true()))
    short = evaluated(cut(apart.c.text))
    return select(_spaced(short.c.text)).scalar_subquery()


def tsvector(
    collection: Collection, text: ColumnElement[str], configuration: ColumnElement[Any] | None = None
) -> ColumnElement[Any]:
    """Return the lexemes of a text with their positions, among which phrases are found.

    They are those of the collection's text search configuration, or of another one.
    """
    of = language_of(collection) if configuration is None else configuration
    return func.to_tsvector(of, in_place(collection, text))


def evaluated(text: ColumnElement[str], *further: ColumnElement[Any]) -> Subquery:
    """Return a subquery of one row and the column `text`, which is computed once, however often it is read.

    Written out in each place, a chunk's text would be decompressed, and looked through for long words, as many times.
    """
    return select(text.label("text"), *further).offset(0).correlate_except().subquery()


def _spaced(text: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text with a space between words, for scripts that have none.

    There, each two neighboring characters make a word, which overlap. A text of ASCII alone stays as it is.
    """
    runs = func.regexp_replace(text, f"([{ASIAN}]+)", r" \1 ", "g")
    pairs = func.regexp_replace(runs, f"(?<=[{ASIAN}])([{ASIAN}])(?=[{ASIAN}])", r"\1 \1", "g", type_=Text())
    return case((func.octet_length(text) == func.char_length(text), text), else_=pairs)


def cut(text: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text with a space within long words, as `query_parser.cut`.

    A pattern of {500} is not possible in PostgreSQL, and one of 100 is looked for in half the time.
    """
    long = and_(func.char_length(text) > 450, text.regexp_match(r"\S{100}"))
    words = func.regexp_replace(text, f"({WORD}{{250}}{WORD}{{250}})", r"\1 ", "g", type_=Text())
    compounds = func.regexp_replace(
        words, f"({JOINED}{{225}}{JOINED}{{225}}{NO_SIGN}*[{SIGNS}])", r"\1 ", "g", type_=Text()
    )
    return case((long, compounds), else_=text)


def _word_pieces(collection: Collection, *arguments: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the words that compounds add to a text, by the schema's own function."""
    return SchemaFunction("word_pieces", *arguments, packagenames=(collection.schema,), type_=Text())


def occurrences(
    collection: Collection, text: ColumnElement[str], language: LateralFromClause | None = None
) -> Select[Any]:
    """Select `term` and `length` for each term of a chunk's text.

    `length` is how often PostgreSQL's parser finds the term, and the chunk's length is the sum of these. It is 0 for a
    term that is only a piece of compounds, which counts once, however many compounds it is in: a chunk does not become
    longer by being looked at more closely.

    Args:
        collection: Whose chunk.
        text: The text of the chunk.
        language: The chunk's own language, see `languages`. None in a collection of one.
    """
    of, whole = language_of(collection), evaluated(text)
    marker: ColumnElement[int] | None = None
    if collection.segmentation == 1:
        each = _unnested(func.to_tsvector(of, _spaced(whole.c.text)))
        source: FromClause = whole.join(each, true())
    else:
        short = evaluated(cut(whole.c.text), *(() if language is None else language.c))
        if language is not None:
            of, marker = short.c.configuration, short.c.marker
        found = _word_pieces(collection, short.c.text)
        kept = case((func.octet_length(short.c.text) <= _MOST_TEXT, func.left(found, _MOST_PIECES)), else_="")
        pieces = select(kept.label("text")).offset(0).correlate(short).lateral()
        own = func.to_tsvector(of, _spaced(short.c.text))
        # Stripped of their positions, pieces are told from words. One tsvector takes less time than a union of two.
        both = own.op("||")(func.strip(func.to_tsvector(of, pieces.c.text)))
        each = _unnested(case((pieces.c.text == "", own), else_=both))
        source = short.join(pieces, true()).join(each, true())
    rows = _with_ngrams(collection, each, source, marker, ngram=1).subquery()
    return select(rows.c.term, func.sum(rows.c.n, type_=Integer()).label("length")).group_by(rows.c.term)


def query_occurrences(collection: Collection, text: ColumnElement[str]) -> Select[Any]:
    """Select `term` and `count` for each term of a query. What is only a part of a compound counts less.

    In a collection of several languages, select `chunks`, too: how many chunks are in the term's language.
    """
    if weighing(collection).by_language:
        return _query_occurrences_by_language(collection, text)
    of = language_of(collection)
    if collection.segmentation == 1:
        own = _unnested(func.to_tsvector(of, _spaced(text)))
        found: Any = _with_ngrams(collection, own, own, ngram=_NGRAM_WEIGHT)
    else:
        short, lines = _query_texts(collection, text)
        own = _unnested(func.to_tsvector(of, short))
        found = union_all(
            _with_ngrams(collection, own, own, ngram=_NGRAM_WEIGHT),
            lexemes(func.to_tsvector(of, lines[0]), piece=1),
            lexemes(func.to_tsvector(of, lines[1]), piece=_PART),
        )
    rows = found.subquery()
    return select(rows.c.term, _count(rows).label("count")).group_by(rows.c.term)


def _query_occurrences_by_language(collection: Collection, text: ColumnElement[str]) -> Select[Any]:
    short, lines = _query_texts(collection, text)
    languages, words = query_words(collection, short)
    of = languages.c.configuration
    found = union_all(
        _with_ngrams(collection, words, words, words.c.marker, ngram=_NGRAM_WEIGHT).add_columns(words.c.marker),
        lexemes(func.to_tsvector(of, lines[0]), languages, piece=1).add_columns(languages.c.marker),
        lexemes(func.to_tsvector(of, lines[1]), languages, piece=_PART).add_columns(languages.c.marker),
    )
    rows = found.subquery()
    count = _count(rows) * func.max(languages.c.share)
    each = select(rows.c.term, count.label("count"), func.max(languages.c.chunks).label("chunks"))
    return each.join_from(rows, languages, languages.c.marker == rows.c.marker).group_by(rows.c.term)


def _query_texts(
    collection: Collection, text: ColumnElement[str]
) -> tuple[ScalarSelect[str], list[ColumnElement[str]]]:
    """Return a query's text for the parser, and the two lines of its pieces."""
    # Materialized, so that each is computed once.
    whole = select(cut(text).label("text")).cte("lexical_text").prefix_with("MATERIALIZED")
    pieces = select(_word_pieces(collection, whole.c.text).label("text"))
    both = select(pieces.cte("lexical_pieces").prefix_with("MATERIALIZED").c.text).scalar_subquery()
    lines: list[ColumnElement[str]] = [
        func.split_part(both, literal_column("E'\\n'"), literal_column(str(line))) for line in (1, 2)
    ]
    return select(_spaced(whole.c.text)).scalar_subquery(), lines


def _count(rows: Subquery) -> ColumnElement[float]:
    return func.greatest(func.sum(rows.c.n), func.max(rows.c.least), type_=Float())


def lexemes(vector: ColumnElement[Any], languages: FromClause | None = None, *, piece: float = 0) -> Select[Any]:
    """Select `term`, `n` and `least` for each lexeme of a tsvector.

    `n` is how often it occurs, and 0 for a piece of a compound. `least` is what it counts if it occurs only as a piece.

    Args:
        vector: One tsvector, or one for each row of `languages`.
        languages: What has the `marker` of each tsvector. None in a collection of one language.
        piece: What the lexemes count as pieces of compounds. 0 if they are none.
    """
    each = _unnested(vector)
    n = literal_column("0") if piece else func.cardinality(each.c.positions)
    term = _term_of(each.c.lexeme, None if languages is None else languages.c.marker)
    rows = select(term.label("term"), n.label("n"), literal_column(str(piece)).label("least"))
    return rows if languages is None else rows.select_from(languages.join(each, true()))


def term_array(vector: ColumnElement[Any], languages: FromClause) -> ScalarSelect[Any]:
    """Return the terms of a tsvector as an array, NULL if it has none, for one row of `languages`."""
    each = _unnested(vector)
    terms = select(func.array_agg(_term_of(each.c.lexeme, languages.c.marker))).select_from(each)
    return terms.correlate(languages).scalar_subquery()


def _with_ngrams(
    collection: Collection,
    word: FromClause,
    source: FromClause,
    marker: ColumnElement[int] | None = None,
    *,
    ngram: float,
) -> Any:
    """Select what `lexemes` does, and the character n-grams of the words if the collection has them.

    An n-gram never adds to the length of a chunk. It counts `ngram`, however often it occurs. A space stands before
    and behind each word, and another one before each n-gram, which keeps it apart from the words. Scripts
    without spaces between words have none: their words are pairs of characters.

    Args:
        collection: Whose words.
        word: Lexemes, of which those without positions are pieces of compounds, and have no n-grams.
        source: What they are read from, and they themselves.
        marker: That of their language, if the collection has several.
        ngram: What an n-gram counts.
    """
    none: ColumnElement[int] = literal_column("0")
    n = func.coalesce(func.cardinality(word.c.positions), none, type_=Integer())
    if not weighing(collection).character_ngrams:
        whole = select(_term_of(word.c.lexeme, marker).label("term"), n.label("n"), none.label("least"))
        return whole.select_from(source)
    whole = select(word.c.lexeme, n.label("n"), none.label("least"))
    letters = func.char_length(word.c.lexeme)
    start = func.generate_series(1, letters + 3 - _NGRAM).table_valued("at", name="start").render_derived()
    part = func.substr(func.concat(" ", word.c.lexeme, " "), start.c.at, _NGRAM)
    parts: Any = select(func.concat(" ", part), none, literal_column(str(ngram)))
    parts = parts.select_from(start).where(letters.between(3, _LONGEST_WORD), word.c.positions.is_not(None))
    each = union_all(whole.correlate(word), parts.correlate(word)).lateral("each")
    term = _term_of(each.c.lexeme, marker).label("term")
    return select(term, each.c.n, each.c.least).select_from(source.join(each, true()))


def _unnested(vector: ColumnElement[Any]) -> TableValuedAlias:
    return func.unnest(vector).table_valued("lexeme", "positions", "weights", name="lexemes")


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
