"""A search run on a collection: its statement sent, and its rows made results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from embedpipe._checks import checked_array
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage.database import run_off_loop
from embedpipe.storage.search import history
from embedpipe.storage.search.dense import tune
from embedpipe.storage.search.options import Search
from embedpipe.storage.search.statement_cache import prepared, takes_long
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import Precision, bound_vector, checked_vectors, ordered, unpack_vector
from embedpipe.types import Chunk, SearchResult


class SearchOutcome(NamedTuple):
    """The results of a search, and whether `cosine_sample.refresh` should run before the next one."""

    results: list[SearchResult]
    sample_due: bool


def search(connection: Connection, collection: Collection, options: Search) -> SearchOutcome:
    """Return at most k results, best first, ties by id.

    Where the vector index brings fewer than k, and fewer than there are, the exact scan answers: an index search under
    a filter can end early, and a graph may not lead to every row. What a threshold cuts was brought, and needs no scan.
    """
    if options.mode != "dense" and not collection.lexical:
        raise ConfigurationError(
            f"A {options.mode} search needs the words of collection {collection.name!r}, which was made with "
            "lexical=False. Search with mode='dense', or make a collection that has them."
        )
    if options.as_of is not None:
        collection = history.at(connection, collection, options.as_of)
    tune(connection, collection)
    values: dict[str, Any] = {
        "threshold": options.threshold,
        "dense_weight": options.fusion.weight,
        "rrf_k": options.fusion.rrf_k,
        "phrase_boost": options.fusion.phrase_boost,
        "neighbor_weight": options.fusion.neighbor_weight,
    }
    if (recency := options.fusion.recency) is not None:
        values["recency_key"] = recency.key
        values["recency_weight"] = recency.weight
        values["half_life"] = recency.half_life_days
    if options.vector is not None:
        dimensions, precision, owner = (
            collection.model.dimensions,
            collection.precision,
            f"Collection {collection.name!r}",
        )
        one = checked_array("vector", options.vector)
        if one.ndim != 1:
            raise InputError(f"vector has the shape {one.shape}. Pass one vector, ({dimensions},).")
        [vector] = checked_vectors([one], count=1, dimensions=dimensions, owner=owner, precision=precision)
        values["vector"] = bound_vector(vector, precision)
    rows = _rows(connection, collection, options, values)
    due = options.mode == "hybrid" and not collection.then and any(row.due for row in rows[:1])
    return SearchOutcome(_results(rows, options, collection.precision), due)


def _rows(connection: Connection, collection: Collection, options: Search, values: dict[str, Any]) -> Sequence[Any]:
    """Return at most k rows. One statement answers, unless it says itself that it may have missed some.

    It is then sent again without the vector index, if this brought too few. And it asks for one more of the nearest,
    which shows whether the last place is shared. Only then is it sent again for all that share it, since for these a
    scan has to sort every row.
    """
    bound = values if options.query is None else {**values, **options.query.values}
    exact, ties = options.exact or options.mode == "lexical" or collection.then, False
    while True:
        if takes_long(options):
            sql, of_filter = run_off_loop(connection, prepared, collection, options, connection.dialect, exact, ties)
        else:
            sql, of_filter = prepared(collection, options, connection.dialect, exact, ties)
        rows = connection.exec_driver_sql(sql, {**bound, **of_filter}).all()
        if not exact and rows[0].too_few:
            exact = True
        elif not ties and rows and rows[-1].cut:
            ties = True
        else:
            return [row for row in rows if row.id is not None]


def _results(rows: Sequence[Any], options: Search, precision: Precision) -> list[SearchResult]:
    """Make rows results: a chunk's columns, the scores of the mode, the packed vector where it was asked for."""
    results = []
    has_phrases, has_neighbors, has_recency = options.has_phrases, options.has_neighbors, options.has_recency
    query = options.text if options.query is None else options.query.words
    for place, row in enumerate(rows, 1):
        chunk_id, document_id, chunk_index, content, start, end, metadata, payload, header, key_order, *scores = row
        vector = unpack_vector(scores.pop(), precision) if options.with_vectors else None
        if key_order is not None:
            metadata, payload = ordered(metadata, key_order, "metadata"), ordered(payload, key_order, "payload")
        chunk = Chunk(content, start, end, chunk_index, metadata, document_id, chunk_id, payload, header)
        lexical_score = dense_rank = lexical_rank = dense_weight = None
        if options.mode == "dense":
            similarity, *_ = scores
            score, dense_rank = similarity, place
        elif options.mode == "lexical":
            lexical_score, similarity, *_ = scores
            score, lexical_rank = lexical_score, place
        else:
            similarity, lexical_score, dense_rank, lexical_rank, dense_weight, score, *_ = scores
        results.append(
            SearchResult(
                chunk=chunk,
                score=score,
                similarity=similarity,
                lexical_score=lexical_score,
                dense_rank=dense_rank,
                lexical_rank=lexical_rank,
                dense_weight=dense_weight,
                phrase_boost=row.phrase_boost if has_phrases else None,
                neighbor_boost=row.neighbor_boost if has_neighbors else None,
                recency_boost=row.recency_boost if has_recency else None,
                age_days=row.age_days if has_recency else None,
                undated=row.undated if has_recency else None,
                vector=vector,
                query=query,
            )
        )
    return results
