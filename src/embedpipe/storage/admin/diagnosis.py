"""Whether what a database holds is whole, and whether searches are served as they should be: read, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Table,
    bindparam,
    exists,
    func,
    inspect,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from embedpipe.errors import SchemaError
from embedpipe.storage.database import lasting, network
from embedpipe.storage.indexes import has_index, index_states
from embedpipe.storage.lexical import CHUNKS, LENGTHS, total
from embedpipe.storage.search import dense
from embedpipe.storage.tables import (
    INDEX_FROM,
    Catalogue,
    Collection,
    LexicalTables,
    embedding_versions,
    find_collection,
    lexical_tables,
    pending_migrations,
    quoted,
    written_tables,
)
from embedpipe.storage.types import bound_vector

_SEES_ALL = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
_SESSION = text("SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only")
_LACKING = text(
    "SELECT name, string_agg(privilege, ', ' ORDER BY privilege) "
    "FROM unnest(:tables) AS name CROSS JOIN unnest(:privileges) AS privilege "
    "WHERE has_table_privilege(to_regclass(name), privilege) IS NOT TRUE GROUP BY name ORDER BY name"
).bindparams(bindparam("tables", type_=ARRAY(TEXT)), bindparam("privileges", type_=ARRAY(TEXT)))
_MAY_MAKE = text(
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)"
    "       THEN has_schema_privilege(:schema, 'CREATE')"
    "       ELSE has_database_privilege(current_database(), 'CREATE') END"
)
_DEAD_SHARE = 0.2
_DEAD_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in words, and what to do. Where it is `wrong`, results are or may be; else it costs time or space.

    `collection` is None where it is about the whole database.
    """

    collection: str | None
    message: str
    advice: str
    wrong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionState:
    """What a collection holds. Sizes are bytes on disk; `unused_bytes` are those of rows that are gone.

    `index_serves` says whether a search goes by the vector index; None where there is none, or nothing to be found.
    `other_models` are those of which it holds vectors beside its own.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The state of a database's schema. `migration` is None where nothing was made yet."""

    server_version: str
    pgvector_version: str | None
    schema: str
    migration: int | None
    collections: Sequence[CollectionState]
    findings: Sequence[Finding]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)


def diagnose(connection: Connection, schema: str) -> Diagnosis:
    """What is there, and what is wrong with it. Reads every collection once: its rows are counted and compared."""
    network.limit_silence(connection, network.LONGEST_S)
    findings = list(of_extension(connection))
    migration = None
    names: Sequence[str] = []
    if inspect(connection).has_table("migrations", schema=schema):
        migration = connection.scalar(select(func.max(Catalogue(schema).migrations.c.number)))
        outdated = of_schema(connection, schema)
        if outdated is None:
            names = connection.scalars(select(Catalogue(schema).collections.c.name).order_by("name")).all()
        else:
            findings.append(outdated)
    findings += of_session(connection)
    states = []
    for name in names:
        collection, newer = found_or_finding(connection, schema, name)
        findings += newer
        if collection is not None:
            with lasting():
                state, found = _of_collection(connection, collection)
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


def of_extension(connection: Connection) -> Iterator[Finding]:
    """What is to be said of pgvector."""
    versions = text("SELECT installed_version, default_version FROM pg_available_extensions WHERE name = 'vector'")
    row = connection.execute(versions).first()
    if row is None:
        yield Finding(None, "The server does not have pgvector.", "Install pgvector 0.8 or newer there.", wrong=True)
    elif row.installed_version is None:
        advice = "Run `embedpipe db migrate`, or have an administrator run what it prints with --sql."
        yield Finding(None, "pgvector is not in the database.", advice, wrong=True)
    elif row.installed_version != row.default_version:
        message = f"The database has pgvector {row.installed_version}, the server {row.default_version}."
        yield Finding(None, message, "Run: ALTER EXTENSION vector UPDATE;", wrong=False)


def of_schema(connection: Connection, schema: str) -> Finding | None:
    """What is to be said of migrations that the schema lacks, or has too many."""
    try:
        pending = pending_migrations(connection, schema)
    except SchemaError as error:
        return Finding(None, str(error), "Until then nothing here can be read.", wrong=True)
    if not pending:
        return None
    return Finding(None, f"{len(pending)} migrations are not applied.", "Run `embedpipe db migrate`.", wrong=True)


def found_or_finding(connection: Connection, schema: str, name: str) -> tuple[Collection | None, list[Finding]]:
    """Return the collection, or what is to be said of one that a newer embedpipe has recorded."""
    try:
        return find_collection(connection, schema, name), []
    except SchemaError as error:
        return None, [Finding(name, str(error), "Until then it can be neither searched nor written.", wrong=True)]


def of_session(connection: Connection) -> Iterator[Finding]:
    """What is to be said of a database that takes no writes."""
    state = connection.execute(_SESSION).one()
    if state.standby:
        advice = "Searches work. Connect to the primary to ingest."
        yield Finding(None, "The database is a standby, which takes no writes.", advice, wrong=True)
    elif state.read_only:
        message = "The database takes no writes: default_transaction_read_only is on."
        yield Finding(None, message, "Set it to off, for the server, the database, the role or in the URL.", wrong=True)


def of_reading(connection: Connection, collection: Collection) -> Iterator[Finding]:
    """What is to be said of tables that the role may not read."""
    yield from _of_privileges(connection, collection, "SELECT")


def of_writing(connection: Connection, collection: Collection) -> Iterator[Finding]:
    """What is to be said of tables that the role may not write."""
    yield from _of_privileges(connection, collection, "INSERT", "UPDATE", "DELETE")


def of_making(connection: Connection, schema: str) -> Iterator[Finding]:
    """What is to be said of a role that may not make a collection."""
    if not connection.scalar(_MAY_MAKE, {"schema": schema}):
        message = f"The role may not make a collection in schema {schema!r}."
        advice = "`embedpipe db migrate --sql --collection NAME --model MODEL --grant-to ROLE` prints what makes it."
        yield Finding(None, message, advice, wrong=True)


def _of_privileges(connection: Connection, collection: Collection, *privileges: str) -> Iterator[Finding]:
    names = [quoted(connection, table) for table in written_tables(collection)]
    lacking = connection.execute(_LACKING, {"tables": names, "privileges": list(privileges)}).all()
    if lacking:
        what = ", ".join(f"{privilege} on {table}" for table, privilege in lacking)
        advice = "`embedpipe db migrate --sql --collection NAME --grant-to ROLE` prints what grants it."
        yield Finding(collection.name, f"The role lacks {what}.", advice, wrong=True)


def _of_collection(connection: Connection, collection: Collection) -> tuple[CollectionState, list[Finding]]:
    counts: Any = connection.execute(_counts(collection)).one()
    sets = embedding_versions(connection, collection.schema, collection.name)
    others = [each for each in sets if not each.active]
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
    )
    if collection.tenants and not connection.scalar(_SEES_ALL):
        message = "Row security hides the rows of its tenants from this role: they were not looked at."
        advice = "Ask as a superuser, or as a role with BYPASSRLS."
        return state, [Finding(collection.name, message, advice, wrong=False), *_of_space(state, space)]
    findings = [*of_writing(connection, collection), *_of_counts(collection, counts)]
    return state, [*findings, *_of_indexes(connection, collection, state), *_of_space(state, space)]


def _counts(collection: Collection) -> Select[Any]:
    """Every count in one statement, so that all are of one moment."""
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
    """How many terms are recorded in another number of chunks than hold them."""
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


def _of_counts(collection: Collection, counts: Any) -> Iterator[Finding]:
    again = "Ingest these documents again."
    if counts.without_vector:
        message = f"{counts.without_vector} chunks have no vector, and are found by words alone."
        yield Finding(collection.name, message, again, wrong=True)
    if not collection.lexical:
        return
    if counts.without_words or counts.words_of_none:
        message = (
            f"{counts.without_words} chunks are not in the index of words, and {counts.words_of_none} of its rows are "
            "of no chunk."
        )
        yield Finding(collection.name, message, again, wrong=True)
    recorded, held = (counts.counted_chunks, counts.counted_length), (counts.indexed, counts.length)
    if recorded != held or counts.miscounted_terms:
        message = (
            f"The statistics of words do not agree with the chunks: {counts.counted_chunks} chunks are counted of "
            f"{counts.indexed}, and {counts.miscounted_terms} terms in another number of chunks than hold them."
        )
        yield Finding(collection.name, message, "Scores by words are off. " + again, wrong=True)


def _of_indexes(connection: Connection, collection: Collection, state: CollectionState) -> Iterator[Finding]:
    invalid = [name for name, valid in index_states(connection, collection).items() if not valid]
    if invalid:
        message = f"The index {', '.join(invalid)} is invalid: it was left by a build that failed, and costs writers."
        yield Finding(collection.name, message, "Call create_index(), which drops it.", wrong=True)
    yield from of_index(collection.name, state.index, serves=state.index_serves, vectors=state.vectors)


def of_index(name: str, index: str | None, *, serves: bool | None, vectors: int) -> Iterator[Finding]:
    """What is to be said of a collection's vector index, or of its having none."""
    if vectors < INDEX_FROM:
        return
    if index is None:
        message = f"There is no vector index: every search compares with {vectors} vectors."
        yield Finding(name, message, "Call create_index().", wrong=False)
    if serves is False:
        message = "There is a vector index, but the planner does not use it."
        advice = "Call refresh_statistics(); look at the server's random_page_cost and enable_* settings."
        yield Finding(name, message, advice, wrong=True)


def index_of(connection: Connection, collection: Collection) -> str | None:
    """The method and kind of the collection's vector index, None where it has none."""
    index = collection.index
    return f"{index.method} {index.kind}" if has_index(connection, collection) else None


def index_serves(connection: Connection, collection: Collection) -> bool:
    """Whether the server's plan of a search goes by the vector index."""
    dense.tune(connection, collection)
    nearest = select(dense.candidates(collection, None, exact=False))
    vector = bound_vector(np.ones(collection.model.dimensions, dtype=np.float32), collection.precision)
    counts = {"candidates": 10, "wide": collection.index.oversampled(10)}
    wanted = nearest.compile(dialect=connection.dialect).construct_expanded_state({"vector": vector, **counts})
    plan = connection.exec_driver_sql("EXPLAIN " + wanted.statement, {**wanted.parameters, "vector": vector}).scalars()
    return any(collection.vector_index in line for line in plan)


def _space(connection: Connection, collection: Collection, others: Sequence[Collection]) -> Any:
    """Bytes of all tables and of the vector index, and what is unused of them."""
    words = lexical_tables(collection)
    tables = [collection.documents, collection.chunks, collection.vectors, *(each.vectors for each in others)]
    tables += [words.index, words.terms, words.deltas] if collection.lexical else []
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


def _of_space(state: CollectionState, space: Any) -> Iterator[Finding]:
    if space.share > _DEAD_SHARE and space.dead > _DEAD_ROWS:
        message = f"About {space.unused / 1e6:.0f} MB are of rows that were rewritten or removed."
        advice = "Run VACUUM on the tables; look at why autovacuum does not."
        yield Finding(state.name, message, advice, wrong=False)
    if state.other_models:
        message = f"There are vectors of other models, too: {', '.join(state.other_models)}."
        advice = "Go on with reembed(), or remove them with drop_embedding_versions()."
        yield Finding(state.name, message, advice, wrong=False)
