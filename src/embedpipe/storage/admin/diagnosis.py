"""A thorough check of a database: every row is counted and compared, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Table,
    bindparam,
    exists,
    func,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from embedpipe.storage.admin.findings import (
    Finding,
    check_extension,
    check_index,
    check_migrations,
    check_session,
    check_writing,
    find_or_explain,
    index_of,
    index_serves,
)
from embedpipe.storage.database import lasting, network
from embedpipe.storage.indexes import index_states
from embedpipe.storage.lexical import total
from embedpipe.storage.search import CosineSample, cosine_sample
from embedpipe.storage.tables import (
    CHUNKS,
    LENGTHS,
    SEGMENTATION,
    Catalogue,
    Collection,
    LexicalTables,
    embedding_versions,
    lexical_tables,
    quoted,
    written_tables,
)

_SEES_ALL = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
_DEAD_SHARE, _DEAD_ROWS = 0.2, 1000
"""Autovacuum acts at a fifth of a table's rows by default. More is a finding, unless the table is small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionState:
    """The content and the size of a collection.

    Attributes:
        name: Name of the collection.
        model: Name of the model whose vectors are searched.
        dimensions: Of each vector.
        precision: Type of the stored numbers.
        language: Text search configuration of the index of words. None without one.
        documents: Number of documents.
        chunks: Number of chunks.
        vectors: Number of vectors of its model.
        indexed_words: Number of chunks in the index of words. None without one.
        index: Method and kind of the vector index. None without one.
        index_serves: Whether a search uses the vector index. None without one, or without vectors.
        bytes: Size on disk of all tables and indexes.
        index_bytes: Size on disk of the vector index.
        unused_bytes: Size on disk of rows that were rewritten or removed, an estimate.
        other_models: Names of other models of which it has vectors, too.
        cosines: The sample that hybrid searches go by. None in a collection of few chunks, of tenants, or without an
            index of words, and before the first hybrid search.
    """

    name: str
    model: str
    dimensions: int
    precision: str
    language: str | None
    documents: int
    chunks: int
    vectors: int
    indexed_words: int | None
    index: str | None
    index_serves: bool | None
    bytes: int
    index_bytes: int
    unused_bytes: int
    other_models: Sequence[str]
    cosines: CosineSample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The state of a schema: its versions, its collections, and everything that is wrong or could be better.

    `migration` is the number of the last one, None before anything was created.
    """

    server_version: str
    pgvector_version: str | None
    schema: str
    migration: int | None
    collections: Sequence[CollectionState]
    findings: Sequence[Finding]

    @property
    def healthy(self) -> bool:
        """Return whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)


def diagnose(connection: Connection, schema: str) -> Diagnosis:
    """Report what a schema holds and what is wrong with it. Read every collection once from end to end."""
    network.limit_silence(connection, network.LONGEST_S)
    migration, outdated = check_migrations(connection, schema)
    names: Sequence[str] = []
    if migration is not None and not outdated:
        names = connection.scalars(select(Catalogue(schema).collections.c.name).order_by("name")).all()
    findings = [*check_extension(connection), *outdated, *check_session(connection)]
    states = []
    for name in names:
        collection, newer = find_or_explain(connection, schema, name)
        findings += newer
        if collection is not None:
            with lasting():
                state, found = _diagnose_collection(connection, collection)
            states.append(state)
            findings += found
    return Diagnosis(
        server_version=str(connection.scalar(text("SELECT current_setting('server_version')"))),
        pgvector_version=connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")),
        schema=schema,
        migration=migration,
        collections=states,
        findings=findings,
    )


def _diagnose_collection(connection: Connection, collection: Collection) -> tuple[CollectionState, list[Finding]]:
    counts: Any = connection.execute(_counts(collection)).one()
    versions = embedding_versions(connection, collection.schema, collection.name)
    others = [each for each in versions if not each.active]
    space = _space(connection, collection, others)
    index = index_of(connection, collection)
    serves = index_serves(connection, collection) if index and counts.vectors else None
    state = CollectionState(
        name=collection.name,
        model=collection.model.name,
        dimensions=collection.model.dimensions,
        precision=collection.precision,
        language=collection.language if collection.lexical else None,
        documents=counts.documents,
        chunks=counts.chunks,
        vectors=counts.vectors,
        indexed_words=counts.indexed if collection.lexical else None,
        index=index,
        index_serves=serves,
        bytes=int(space.total),
        index_bytes=space.index,
        unused_bytes=int(space.unused),
        other_models=[each.model.name for each in others],
        cosines=cosine_sample.stored(connection, collection),
    )
    if collection.tenants and not connection.scalar(_SEES_ALL):
        message = "Row security hides the rows of the tenants from this role, so they were not checked."
        advice = "Run the check as a superuser, or as a role with BYPASSRLS."
        return state, [Finding(collection.name, message, advice, wrong=False), *_check_space(state, space)]
    findings = [*check_writing(connection, collection), *_check_counts(collection, counts)]
    return state, [*findings, *_check_indexes(connection, collection, state), *_check_space(state, space)]


def _counts(collection: Collection) -> Select[Any]:
    """Select every count in one statement, so that all are of one moment."""
    chunks, vectors = collection.chunks, collection.vectors
    lacking = ~exists().where(vectors.c.key == chunks.c.key)
    numbers = {
        "documents": _count(collection.documents),
        "chunks": _count(chunks),
        "vectors": _count(vectors),
        "without_vector": _count(chunks, lacking),
    }
    if collection.lexical:
        of = lexical_tables(collection)
        numbers |= {
            "indexed": _count(of.index),
            "without_words": _count(chunks, ~exists().where(of.index.c.key == chunks.c.key)),
            "words_of_none": _count(of.index, ~exists().where(of.index.c.key == chunks.c.key)),
            "counted_chunks": total(of, CHUNKS),
            "counted_length": total(of, LENGTHS),
            "length": select(func.coalesce(func.sum(of.index.c.length), 0)).scalar_subquery(),
            "miscounted_terms": _miscounted(of),
        }
    return select(*[value.label(name) for name, value in numbers.items()])


def _count(table: Table, condition: ColumnElement[bool] | None = None) -> ScalarSelect[Any]:
    rows = select(func.count()).select_from(table)
    return (rows if condition is None else rows.where(condition)).scalar_subquery()


def _miscounted(of: LexicalTables) -> ScalarSelect[Any]:
    """Count the terms whose recorded number of chunks is not the number of chunks that hold them."""
    each = select(func.unnest(of.index.c.terms).label("term")).subquery()
    held = select(each.c.term, func.count().label("chunks")).group_by(each.c.term).subquery()
    since = select(func.unnest(of.deltas.c.terms).label("term"), func.unnest(of.deltas.c.chunks).label("chunks"))
    parts = union_all(select(of.terms.c.term, of.terms.c.chunks), since).subquery()
    number = func.sum(parts.c.chunks)
    recorded = select(parts.c.term, number.label("chunks")).where(parts.c.term > 0).group_by(parts.c.term)
    known = recorded.having(number != 0).subquery()
    both = held.join(known, held.c.term == known.c.term, full=True)
    differs = held.c.chunks.is_distinct_from(known.c.chunks)
    return select(func.count()).select_from(both).where(differs).scalar_subquery()


def _check_counts(collection: Collection, counts: Any) -> Iterator[Finding]:
    again = "Ingest these documents again."
    if counts.without_vector:
        message = f"{counts.without_vector} chunks have no vector. Only a search by words finds them."
        yield Finding(collection.name, message, again, wrong=True)
    if not collection.lexical:
        return
    if collection.segmentation < SEGMENTATION:
        message = "An earlier version built the index of words. It does not find TCP in TCP/IP, nor cafe in café."
        yield Finding(collection.name, message, "Run `embedpipe db upgrade`.", wrong=False)
    if counts.without_words or counts.words_of_none:
        message = (
            f"{counts.without_words} chunks are not in the index of words. "
            f"{counts.words_of_none} of its rows belong to no chunk."
        )
        yield Finding(collection.name, message, again, wrong=True)
    recorded, held = (counts.counted_chunks, counts.counted_length), (counts.indexed, counts.length)
    if recorded != held or counts.miscounted_terms:
        message = (
            f"The statistics of words are wrong. They count {counts.counted_chunks} chunks, and {counts.indexed} are "
            f"indexed. For {counts.miscounted_terms} words the number of chunks is wrong."
        )
        yield Finding(collection.name, message, "Scores by words are wrong until then. " + again, wrong=True)


def _check_indexes(connection: Connection, collection: Collection, state: CollectionState) -> Iterator[Finding]:
    invalid = [name for name, valid in index_states(connection, collection).items() if not valid]
    if invalid:
        message = f"The index {', '.join(invalid)} is invalid. A failed build left it, and it slows down writes."
        yield Finding(collection.name, message, "Call create_index(), which drops it.", wrong=True)
    yield from check_index(collection.name, state.index, serves=state.index_serves, vectors=state.vectors)


def _space(connection: Connection, collection: Collection, others: Sequence[Collection]) -> Any:
    """Return the bytes of all tables, of the vector index, and of dead rows in the tables."""
    tables = [*written_tables(collection), *(each.vectors for each in others)]
    statement = text(
        "SELECT coalesce(sum(size), 0) AS total, coalesce(max(dead::float / nullif(dead + live, 0)), 0) AS share,"
        "       coalesce(sum(size * dead::float / nullif(dead + live, 0)), 0) AS unused, max(dead) AS dead,"
        "       coalesce((SELECT pg_relation_size(to_regclass(:index))), 0) AS index "
        "FROM (SELECT pg_total_relation_size(relid) AS size, n_dead_tup AS dead, n_live_tup AS live"
        "      FROM pg_stat_all_tables WHERE relid = ANY (:tables ::regclass[])) AS tables"
    ).bindparams(bindparam("tables", type_=ARRAY(TEXT)))
    index = f"{_quote(connection, collection.schema)}.{_quote(connection, collection.vector_index)}"
    names = [quoted(connection, table) for table in tables]
    return connection.execute(statement, {"index": index, "tables": names}).one()


def _quote(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)


def _check_space(state: CollectionState, space: Any) -> Iterator[Finding]:
    if space.share > _DEAD_SHARE and space.dead > _DEAD_ROWS:
        message = f"Rows that were rewritten or removed take about {space.unused / 1e6:.0f} MB."
        advice = "Run VACUUM on the tables, and find out why autovacuum does not."
        yield Finding(state.name, message, advice, wrong=False)
    if state.other_models:
        message = f"There are also vectors of other models: {', '.join(state.other_models)}."
        advice = "Continue with reembed(), or remove them with drop_embedding_versions()."
        yield Finding(state.name, message, advice, wrong=False)
