"""Languages: which one stems a chunk, which ones a collection holds, and which of them a query is in.

Only a collection with `BM25(by_language=True)` has several. Each is a text search configuration with a number, its
marker. A chunk has the marker of its language among its terms, so the statistics of words count the chunks of each
language. All other terms are hashed with the marker: "die" is one term in English and another one in German, each with
the frequency that it has in its own language.

A query is read in every language that the collection holds. It is written in one of them: that under which it has the
most stop words, and so the fewest words left. In that one its words count in full, in the others `OTHER`. A word that
the language of the query leaves out is left out in all: "what" is rare in German texts, and would decide. If several
languages leave as few words, the query is in each of them. A query of names, without any stop word, is in all.

The language under which XQuAD's questions have the most stop words was the right one for 884 of 894 in English, German
and Spanish. The other ten were found to be in several. `OTHER` may be between 0 and .5 without any effect there. At .75
and 1, nDCG@10 is .002 and .016 lower. 0 loses .08 where PostgreSQL knows no stop words of the language (Vietnamese).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Float,
    Integer,
    SmallInteger,
    Text,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, REGCONFIG
from sqlalchemy.sql.selectable import LateralFromClause

from embedpipe.storage.tables import DIMENSIONS, Collection, SchemaFunction, lexical_tables, once

OTHER = 0.5
"""What a word counts in a language that the query is not in."""

_CONFIGURATIONS = table("pg_ts_config", column("oid"), column("cfgname"), schema="pg_catalog")
_MARKERS = 2 * DIMENSIONS
"""The least marker. Those of terms are up to `DIMENSIONS`."""


def chunk_language(collection: Collection) -> LateralFromClause:
    """Return `configuration` and `marker` of a chunk, to be joined to the collection's chunks."""
    chunks, of = collection.chunks, _CONFIGURATIONS.c
    arguments = (chunks.c.metadata["language"].astext, _default(collection))
    own = SchemaFunction("text_configuration", *arguments, packagenames=(collection.schema,), type_=REGCONFIG())
    found = select(cast(of.oid, REGCONFIG).label("configuration"), _marker(of.cfgname).label("marker"))
    return found.where(of.oid == own).correlate(chunks).lateral("language")


@once
def languages(collection: Collection) -> CTE:
    """Return `configuration` and `marker` of each language that the collection holds, and its number of `chunks`."""
    of, config = lexical_tables(collection), _CONFIGURATIONS.c
    folded = select(of.terms.c.term, of.terms.c.chunks).where(of.terms.c.term >= _MARKERS)
    # Every marker is in the bucket of 0, see `_marker`.
    each = func.unnest(of.deltas.c.terms, of.deltas.c.chunks).table_valued("term", "chunks").render_derived("each")
    recent = select(each.c.term, each.c.chunks).select_from(of.deltas.join(each, true()))
    since = recent.where(of.deltas.c.bucket == literal_column("0"), each.c.term >= _MARKERS)
    parts = union_all(folded, since).subquery("parts")
    number = func.sum(parts.c.chunks)
    held = select(parts.c.term, number.label("chunks")).group_by(parts.c.term).having(number > 0).subquery("held")
    usable = or_(func.pg_ts_config_is_visible(config.oid), config.oid == _default(collection))
    columns = [cast(config.oid, REGCONFIG).label("configuration"), held.c.term.label("marker")]
    rows = select(*columns, cast(held.c.chunks, Float).label("chunks"))
    rows = rows.join_from(held, _CONFIGURATIONS, _marker(config.cfgname) == held.c.term).where(usable)
    return rows.cte("lexical_languages").prefix_with("MATERIALIZED")


def query_words(collection: Collection, text: ColumnElement[str]) -> tuple[CTE, CTE]:
    """Return the languages that a query is read in, and its words in each of them.

    Returns:
        `configuration`, `marker`, `chunks` and the `share` that words count, a row for each language. Then `marker`,
        `lexeme`, and the `positions` at which it counts, a row for each word of each language.
    """
    of = languages(collection)
    vector = func.to_tsvector(of.c.configuration, text).label("vector")
    stemmed = select(of.c.marker, vector).cte("lexical_stemmed").prefix_with("MATERIALIZED")
    positions = column("positions", ARRAY(SmallInteger))
    word = func.unnest(stemmed.c.vector).table_valued("lexeme", positions, "weights", name="word").render_derived()
    place = func.unnest(word.c.positions).table_valued("at", name="place").render_derived()
    every = select(stemmed.c.marker, place.c.at).select_from(stemmed.join(word, true()).join(place, true()))
    places = every.cte("lexical_places").prefix_with("MATERIALIZED")
    # A language under which every word is a stop word leaves none, and is not the query's: "die" alone is not German.
    left = select(places.c.marker, func.count(places.c.at.distinct()).label("words")).group_by(places.c.marker)
    lefts = left.cte("lexical_left").prefix_with("MATERIALIZED")
    least = select(func.min(lefts.c.words)).scalar_subquery()
    own = select(lefts.c.marker).where(lefts.c.words == least).cte("lexical_own").prefix_with("MATERIALIZED")
    share = case((of.c.marker.in_(select(own.c.marker)), 1.0), else_=OTHER)
    shares = select(of, share.label("share")).cte("lexical_shares").prefix_with("MATERIALIZED")
    of_own = select(func.array_agg(places.c.at.distinct())).where(places.c.marker.in_(select(own.c.marker)))
    kept = select(of_own.scalar_subquery().label("at")).cte("lexical_kept_places").prefix_with("MATERIALIZED")
    counting = func.unnest(word.c.positions).table_valued("at", name="counting").render_derived()
    both = select(func.array_agg(counting.c.at)).where(counting.c.at == func.any(kept.c.at)).select_from(counting)
    here = both.correlate(word, kept).scalar_subquery()
    rows = select(stemmed.c.marker, word.c.lexeme, here.label("positions"))
    rows = rows.select_from(stemmed.join(word, true()).join(kept, word.c.positions.op("&&")(kept.c.at)))
    return shares, rows.cte("lexical_read").prefix_with("MATERIALIZED")


def _default(collection: Collection) -> ColumnElement[Any]:
    return cast(literal(collection.language), REGCONFIG)


def _marker(name: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the marker of a text search configuration's name: beyond all terms, and a multiple of 64.

    The number of a configuration would be another one in a restored database.
    """
    hashed = func.hashtext(cast(name, Text), type_=Integer()).bitwise_and(literal_column("16777215"))
    return literal_column(str(_MARKERS)) + hashed * literal_column("64")
