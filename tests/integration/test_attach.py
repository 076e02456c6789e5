"""A collection follows a table of the user's own: whatever happens to the table, a sync ends with what it holds."""

# ruff: noqa: S608 - the statements hold names and numbers of the tests' own

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import psycopg
import pytest
from psycopg import sql

from embedpipe import Document, SemanticSearchService, Table
from embedpipe.cli import main
from embedpipe.errors import ConfigurationError, LockTimeoutError, ProviderError, SchemaError, StorageError
from embedpipe.storage import Database
from embedpipe.storage.attach import Claim
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Kind, Vectors
from soaking import scaled

ARTICLES = Table("articles", key="id", text=["title", "body"], metadata=["author", "year"])
COLUMNS = "title text, body text, author text, year integer, views integer DEFAULT 0"


class Killed(BaseException):
    """Ends a sync as a signal would: nothing handles it."""


class Model(FakeEmbeddingModel):
    """A model that counts its texts, refuses some, and may be killed."""

    def __init__(self) -> None:
        super().__init__(8)
        self.texts: list[str] = []
        self.refused = ""
        self.killed = False

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if self.killed:
            raise Killed
        if self.refused and any(self.refused in text for text in texts):
            raise ProviderError("refused", status=400)
        self.texts += texts
        return super().embed(texts, kind)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def service(database: Database, model: Model) -> SemanticSearchService:
    return SemanticSearchService(model, database=database, collection="followed")


@pytest.fixture
def writer(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE articles (id bigint PRIMARY KEY, {COLUMNS})")
        yield connection


def insert(writer: psycopg.Connection[Any], first: int, last: int) -> None:
    writer.execute(
        "INSERT INTO articles SELECT n, 'Title ' || n, 'Body of number ' || n, 'ann', 2000 + n "
        "FROM generate_series(%s::integer, %s::integer) AS n",
        (first, last),
    )


def entries(service: SemanticSearchService) -> int:
    """The rows that wait, each as often as it was noted."""
    number = service.store.collection.number
    with service.store.database.engine.connect() as connection:
        waiting = connection.exec_driver_sql(f"SELECT coalesce(sum(rows), 0) FROM embedpipe.c{number}_changes")
        return int(waiting.scalar_one())


def found(service: SemanticSearchService, words: str) -> set[str | None]:
    return {hit.document_id for hit in service.search(words, 50, mode="lexical")}


def content(service: SemanticSearchService) -> dict[str, set[tuple[Any, ...]]]:
    """All that searches of the collection go by, without what depends on the order of writing."""
    n = service.store.collection.number
    statements = {
        "documents": f"SELECT id, content, encode(hash, 'hex'), metadata::text FROM embedpipe.c{n}_documents",
        "chunks": f"""
            SELECT id, document_id, chunk_index, content, start_index, end_index, metadata::text, header
            FROM embedpipe.c{n}_chunks
        """,
        "vectors": f"SELECT id, embedding::text FROM embedpipe.c{n}_vectors_1 JOIN embedpipe.c{n}_chunks USING (key)",
        "words": f"""
            SELECT id, length, (SELECT array_agg(term ORDER BY term)::text FROM unnest(terms) AS term)
            FROM embedpipe.c{n}_lexical JOIN embedpipe.c{n}_chunks USING (key)
        """,
        "counts": f"""
            SELECT term, sum(chunks) FROM (
                SELECT term, chunks FROM embedpipe.c{n}_lexical_terms
                UNION ALL
                SELECT d.term, d.chunks FROM embedpipe.c{n}_lexical_deltas, unnest(terms, chunks) AS d (term, chunks)
            ) AS every GROUP BY term HAVING sum(chunks) <> 0
        """,
    }
    with service.store.database.engine.connect() as connection:
        read = {name: connection.exec_driver_sql(statement).all() for name, statement in statements.items()}
    assert all(len(rows) == len(set(map(tuple, rows))) for rows in read.values())
    return {
        name: {tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows}
        for name, rows in read.items()
    }


def assert_like_a_fresh_ingest(service: SemanticSearchService, rows: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
    fresh = SemanticSearchService(Model(), database=service.store.database, collection="fresh")
    fresh.store.create()
    fresh.ingest([Document(id=name, text=text, metadata=metadata) for name, text, metadata in rows])
    assert content(service) == content(fresh)
    fresh.store.drop()


def present(writer: psycopg.Connection[Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """The rows as documents, made without the code that is tested."""
    rows = writer.execute("SELECT id::text, title, body, author, year FROM articles").fetchall()
    made = []
    for key, title, body, author, year in rows:
        parts = [part for part in (title, body) if part and part.strip()]
        made += [(key, "\n\n".join(parts), {"author": author, "year": year})] if parts else []
    return made


def test_rows_are_found_and_followed(
    service: SemanticSearchService, writer: psycopg.Connection[Any], model: Model
) -> None:
    insert(writer, 1, 600)
    service.attach(ARTICLES)
    first = service.sync()
    assert (first.added, first.failures, entries(service)) == (600, {}, 0)
    writer.execute("UPDATE articles SET body = 'Eagles fly' WHERE id = 7")
    writer.execute("DELETE FROM articles WHERE id BETWEEN 10 AND 19")
    writer.execute("INSERT INTO articles (id, title, year) VALUES (1000, 'Flamingos', NULL), (1001, '', 5)")
    stats = service.sync()
    assert (stats.added, stats.changed, stats.removed) == (1, 1, 10)
    assert found(service, "eagles") == {"7"}
    [hit] = service.search("flamingos", 1, mode="lexical")
    assert (hit.document_id, hit.text, hit.metadata) == ("1000", "Flamingos", {"author": None, "year": None})
    assert model.texts.count("Title 8\n\nBody of number 8") == 1
    assert_like_a_fresh_ingest(service, present(writer))


def test_only_named_columns_make_a_change(
    service: SemanticSearchService, writer: psycopg.Connection[Any], model: Model
) -> None:
    insert(writer, 1, 50)
    service.attach(ARTICLES)
    service.sync()
    embedded = len(model.texts)
    writer.execute("UPDATE articles SET views = views + 1, title = title")
    assert entries(service) == 0
    writer.execute("UPDATE articles SET year = 1 WHERE id = 1")
    assert (entries(service), service.sync().changed, len(model.texts)) == (1, 1, embedded)
    assert service.store.find({"year": 1})[0].document_id == "1"


def test_every_kind_of_write_is_noted(service: SemanticSearchService, writer: psycopg.Connection[Any]) -> None:
    writer.execute("CREATE TABLE authors (name text PRIMARY KEY)")
    writer.execute("INSERT INTO authors VALUES ('ann'), ('bob')")
    writer.execute(
        "ALTER TABLE articles ADD FOREIGN KEY (author) REFERENCES authors ON DELETE CASCADE ON UPDATE CASCADE"
    )
    service.attach(ARTICLES)
    with writer.cursor().copy("COPY articles (id, title, author) FROM STDIN") as copy:
        for number in range(5):
            copy.write_row((number, f"Copied {number}", "ann"))
    writer.execute(
        "INSERT INTO articles (id, title, author) VALUES (1, 'Upserted', 'bob'), (9, 'Nine', 'bob') "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title, author = excluded.author"
    )
    if writer.info.server_version >= 150000:
        writer.execute(
            "MERGE INTO articles USING (VALUES (2, 'Merged'), (8, 'Eight')) AS new (id, title) ON new.id = articles.id "
            "WHEN MATCHED THEN UPDATE SET title = new.title "
            "WHEN NOT MATCHED THEN INSERT (id, title) VALUES (8, 'Eight')"
        )
    service.sync()
    assert_like_a_fresh_ingest(service, present(writer))
    writer.execute("UPDATE articles SET id = id + 100 WHERE id = 9")  # another key
    writer.execute("UPDATE authors SET name = 'Ann' WHERE name = 'ann'")
    writer.execute("DELETE FROM authors WHERE name = 'bob'")
    service.sync()
    assert_like_a_fresh_ingest(service, present(writer))
    writer.execute("TRUNCATE articles")
    writer.execute("INSERT INTO articles (id, title) VALUES (3, 'Afterwards')")
    assert service.sync().removed >= 4
    assert_like_a_fresh_ingest(service, present(writer))


def test_what_is_rolled_back_is_not_noted(service: SemanticSearchService, writer: psycopg.Connection[Any]) -> None:
    service.attach(ARTICLES)
    service.sync()
    with writer.transaction(force_rollback=True):
        insert(writer, 1, 3)
    with writer.transaction():
        insert(writer, 4, 4)
        with writer.transaction(force_rollback=True):
            insert(writer, 5, 6)
    assert entries(service) == 1
    assert service.sync().added == 1


@pytest.mark.parametrize(
    ("definition", "key", "value", "id"),
    [
        ("timestamp with time zone", "at", "2020-01-01 12:00:00.5+00", "2020-01-01 12:00:00.5+00"),
        ("interval", "at", "1 day 2 hours", "1 day 02:00:00"),
        ("double precision", "at", "0.1", "0.1"),
        ("bytea", "at", r"\x00ff", r"\x00ff"),
        ("numeric(10, 3)", "at", "1.5", "1.500"),
        ("char(5)", "at", "ab", "ab   "),
        ("uuid", "at", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("mood", "at", "so so", "so so"),
        ("jsonb", "at", '{"b": 1}', '{"b": 1}'),
    ],
)
def test_a_key_may_be_of_any_type(
    service: SemanticSearchService, writer: psycopg.Connection[Any], definition: str, key: str, value: str, id: str
) -> None:
    """Its text is the same in every session, whatever the session's settings."""
    writer.execute("CREATE TYPE mood AS ENUM ('so so', 'fine')")
    writer.execute(f"CREATE TABLE keyed (at {definition} PRIMARY KEY, body text)")
    service.attach(Table("keyed", key=key, text="body"))
    service.sync()
    for setting in ("DateStyle = 'German'", "TimeZone = 'Asia/Tokyo'", "IntervalStyle = 'iso_8601'"):
        writer.execute(f"SET {setting}")
    writer.execute("SET bytea_output = 'escape'")
    writer.execute("SET extra_float_digits = -10")
    writer.execute(sql.SQL("INSERT INTO keyed VALUES ({}, 'a text')").format(sql.Literal(value)))
    assert service.sync().added == 1
    assert [chunk.document_id for chunk in service.store.find()] == [id]
    writer.execute("DELETE FROM keyed")
    assert service.sync().removed == 1


def test_names_are_quoted(service: SemanticSearchService, writer: psycopg.Connection[Any]) -> None:
    writer.execute('CREATE SCHEMA "Schema 店"')
    writer.execute(
        'CREATE TABLE "Schema 店"."Arti""kel %s :x" ("K %(a)s" text, "k\'2" integer, "Text ""ß" text, "select" text, '
        'PRIMARY KEY ("k\'2", "K %(a)s"))'
    )
    name = '"Schema 店"."Arti""kel %s :x"'
    service.attach(Table(name, key=["K %(a)s", "k'2"], text='Text "ß', metadata="select"))
    writer.execute(
        f"INSERT INTO {name} VALUES ('a\"b', 1, 'Eagles', 'x'), ('{{', 2, 'Owls', NULL)".replace("%", "%%"), ()
    )
    assert service.sync().added == 2
    assert found(service, "eagles") == {'["a\\"b", "1"]'}
    writer.execute(f"DELETE FROM {name} WHERE \"select\" = 'x'")
    assert service.sync().removed == 1
    assert service.detach()


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "view": ("CREATE VIEW other AS SELECT * FROM articles", {}, "is a view"),
    "materialized view": ("CREATE MATERIALIZED VIEW other AS SELECT * FROM articles", {}, "is a materialized view"),
    "temporary": ("CREATE TEMPORARY TABLE temp (id integer PRIMARY KEY)", {"name": "temp"}, "There is no table"),
    "unlogged": (f"CREATE UNLOGGED TABLE other (id integer PRIMARY KEY, {COLUMNS})", {}, "is unlogged"),
    "sequence": ("CREATE SEQUENCE other", {}, "is no table"),
    "inherited": (
        f"CREATE TABLE other (id integer PRIMARY KEY, {COLUMNS}); CREATE TABLE c () INHERITS (other)",
        {},
        "inherit",
    ),
    "partition": (
        f"""
        CREATE TABLE whole (id integer PRIMARY KEY, {COLUMNS}) PARTITION BY LIST (id);
        CREATE TABLE other PARTITION OF whole DEFAULT
        """,
        {},
        "is a partition",
    ),
    "row security": ("ALTER TABLE articles ENABLE ROW LEVEL SECURITY", {"name": "articles"}, "row-level security"),
    "own": (
        "SELECT 1",
        {"name": "embedpipe.collections", "key": "number", "text": "name", "metadata": ()},
        "embedpipe's own",
    ),
    "missing": ("SELECT 1", {"name": "nowhere.other"}, "There is no table"),
    "capitals": ("SELECT 1", {"name": '"Articles"'}, "double quotes"),
    "no column": ("SELECT 1", {"name": "articles", "text": "words"}, "no column 'words'"),
    "no key": ("SELECT 1", {"name": "articles", "key": "title"}, "does not identify a row"),
    "part of a key": (f"CREATE TABLE other (id integer, {COLUMNS}, PRIMARY KEY (id, title))", {}, "does not identify"),
    "null": (f"CREATE TABLE other (id integer UNIQUE, {COLUMNS})", {}, "NOT NULL"),
    "partial": (
        f"CREATE TABLE other (id integer NOT NULL, {COLUMNS}); CREATE UNIQUE INDEX ON other (id) WHERE year > 0",
        {},
        "does not identify",
    ),
    "deferrable": (f"CREATE TABLE other (id integer PRIMARY KEY DEFERRABLE, {COLUMNS})", {}, "does not identify"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_attached_is_refused(
    service: SemanticSearchService, writer: psycopg.Connection[Any], name: str
) -> None:
    statements, changes, message = REFUSED[name]
    writer.execute(statements)
    usual: dict[str, Any] = {"name": "other", "key": "id", "text": ["title", "body"], "metadata": ["author"]}
    with pytest.raises(ConfigurationError, match=message):
        service.attach(Table(**usual | changes))
    with pytest.raises(ConfigurationError, match="follows no table"):
        service.sync()


@pytest.mark.parametrize(
    "arguments",
    [
        {"key": ()},
        {"text": []},
        {"key": 5},
        {"key": {"id": 1}},
        {"text": b"body"},
        {"text": [1]},
        {"metadata": {"a"}},
        {"text": ["a", "a"]},
        {"name": "a\x00"},
    ],
)
def test_a_table_that_cannot_be_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Table(**({"name": "articles", "key": "id", "text": "body"} | arguments))


def test_detach_leaves_the_table_as_it_was(service: SemanticSearchService, writer: psycopg.Connection[Any]) -> None:
    state = """
        SELECT (SELECT jsonb_agg(to_jsonb(c) - 'reltuples' - 'relpages' - 'relfrozenxid' - 'relminmxid')
                FROM pg_class AS c WHERE relname LIKE 'articles%'),
               (SELECT jsonb_agg(to_jsonb(a)) FROM pg_attribute AS a WHERE attrelid = 'articles'::regclass),
               (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal), (SELECT count(*) FROM pg_proc),
               (SELECT count(*) FROM pg_constraint), (SELECT array_agg(tablename ORDER BY 1) FROM pg_tables)
    """
    service.store.create()
    before = writer.execute(state).fetchone()
    service.attach(ARTICLES)
    insert(writer, 1, 3)
    service.sync()
    assert service.detach()
    after = writer.execute(state).fetchone()
    assert before is not None
    assert after is not None
    assert after[0][0] | {"relhastriggers": False} == before[0][0]  # PostgreSQL's own hint, which VACUUM resets
    assert after[1:] == before[1:]
    assert not service.detach()
    assert (service.store.count(), service.ingest([Document(id="x", text="More")]).added) == (3, 1)
    with pytest.raises(ConfigurationError, match="holds documents"):
        service.attach(ARTICLES)


async def test_attaches_and_detaches_on_an_event_loop(
    service: SemanticSearchService, writer: psycopg.Connection[Any]
) -> None:
    await service.aattach(ARTICLES)
    insert(writer, 1, 1)
    assert entries(service) == 1
    assert await service.adetach()
    await service.aclose()


def test_nobody_else_writes_the_collection(service: SemanticSearchService, writer: psycopg.Connection[Any]) -> None:
    insert(writer, 1, 3)
    service.attach(ARTICLES)
    service.sync()
    store = service.store
    vectors = FakeEmbeddingModel(8).embed(["text"], "document")
    refused: list[Callable[[], object]] = [
        lambda: service.ingest([Document(id="x", text="text")]),
        lambda: store.upsert([Chunk.whole("text", id="x")], vectors),
        lambda: store.delete(document_ids=["1"]),
        store.clear,
        lambda: store.prune_documents(["1"]),
    ]
    for write in refused:
        with pytest.raises(StorageError, match="follows the table articles, and only sync writes it"):
            write()
    assert store.count() == 3
    store.refresh_statistics(exact=True)
    other = FakeEmbeddingModel(4, name="other")
    renewed = service.reembed(other)
    insert(writer, 4, 4)
    assert (renewed.sync().added, renewed.store.count()) == (1, 4)


def test_other_columns_are_attached_anew(service: SemanticSearchService, writer: psycopg.Connection[Any]) -> None:
    insert(writer, 1, 3)
    service.attach(ARTICLES)
    service.sync()
    service.attach(Table("public.articles", key="id", text="title"))
    assert service.sync().changed == 3
    assert {chunk.text for chunk in service.store.find()} == {"Title 1", "Title 2", "Title 3"}
    writer.execute("CREATE TABLE others (id integer PRIMARY KEY, title text)")
    with pytest.raises(ConfigurationError, match="follows public"):
        service.attach(Table("others", key="id", text="title"))


def test_a_collection_that_is_gone_keeps_nobody_from_writing(
    service: SemanticSearchService, writer: psycopg.Connection[Any]
) -> None:
    service.attach(ARTICLES)
    service.store.drop()
    insert(writer, 1, 3)
    [(triggers,)] = writer.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchall()
    assert triggers == 0


def test_tables_that_are_gone_keep_nobody_from_writing(
    service: SemanticSearchService, writer: psycopg.Connection[Any]
) -> None:
    service.attach(ARTICLES)
    writer.execute(f"DROP TABLE embedpipe.c{service.store.collection.number}_changes")
    insert(writer, 1, 3)
    writer.execute("UPDATE articles SET body = 'other'")
    writer.execute("DELETE FROM articles WHERE id = 1")
    writer.execute("TRUNCATE articles")
    writer.execute("DROP SCHEMA embedpipe CASCADE")
    insert(writer, 1, 3)


def test_changes_of_the_table_are_followed_or_named(
    service: SemanticSearchService, writer: psycopg.Connection[Any]
) -> None:
    service.attach(ARTICLES)
    insert(writer, 1, 3)
    writer.execute("CREATE SCHEMA elsewhere")
    writer.execute("ALTER TABLE articles SET SCHEMA elsewhere")
    writer.execute("ALTER TABLE elsewhere.articles RENAME TO papers")
    assert service.sync().added == 3
    writer.execute("ALTER TABLE elsewhere.papers RENAME id TO number")
    writer.execute("INSERT INTO elsewhere.papers (number, title) VALUES (4, 'Four')")
    writer.execute("DELETE FROM elsewhere.papers WHERE number = 1")
    with pytest.raises(SchemaError, match="no longer has the column 'id'"):
        service.sync()
    assert found(service, "title") == {"1", "2", "3"}
    with pytest.raises(ConfigurationError, match="with the key id"):
        service.attach(Table("elsewhere.papers", key="number", text="title"))
    writer.execute("ALTER TABLE elsewhere.papers RENAME number TO id")
    writer.execute("ALTER TABLE elsewhere.papers RENAME body TO content")
    with pytest.raises(SchemaError, match="no longer has the column 'body'"):
        service.sync()
    service.attach(Table("elsewhere.papers", key="id", text=["title", "content"]))
    service.sync()
    assert found(service, "title four") == {"2", "3", "4"}
    writer.execute("DROP TABLE elsewhere.papers")
    with pytest.raises(SchemaError, match="are gone"):
        service.sync()
    assert service.detach()


def test_a_row_that_fails_is_kept_and_tried_again(
    service: SemanticSearchService, writer: psycopg.Connection[Any], model: Model
) -> None:
    insert(writer, 1, 3)
    service.attach(ARTICLES)
    service.sync()
    model.refused = "poison"
    writer.execute("UPDATE articles SET body = 'poison' WHERE id = 2")
    assert list(service.sync().failures) == ["2"]
    assert found(service, "number") == {"1", "2", "3"}
    assert service.sync(every_failure=False).documents == 0  # not before its time
    assert list(service.sync().failures) == ["2"]
    table = f"embedpipe.c{service.store.collection.number}_failures"
    [(failed, attempts, waits)] = writer.execute(f"SELECT id, attempts, retry_at > now() FROM {table}").fetchall()
    assert (failed, attempts, waits) == ("2", 2, True)
    model.refused = ""
    writer.execute(f"UPDATE {table} SET retry_at = now()")
    assert service.sync(every_failure=False).changed == 1
    assert writer.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert_like_a_fresh_ingest(service, present(writer))


def test_a_role_without_rights_writes_the_table_and_nothing_else(
    service: SemanticSearchService, writer: psycopg.Connection[Any]
) -> None:
    service.attach(ARTICLES)
    service.sync()
    number = service.store.collection.number
    role = sql.Identifier(f"clerk_{writer.info.dbname}")
    writer.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        writer.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON articles TO {}").format(role))
        writer.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(role))
        writer.execute(sql.SQL("GRANT USAGE ON SCHEMA embedpipe TO {}").format(role))
        writer.execute(sql.SQL("SET ROLE {}").format(role))
        insert(writer, 1, 3)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(f"INSERT INTO embedpipe.c{number}_changes (bucket, rows) VALUES (0, 0)")
        writer.execute("CREATE TABLE mine (id integer)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(
                "CREATE TRIGGER t AFTER INSERT ON mine REFERENCING NEW TABLE AS changed_rows "
                f"FOR EACH STATEMENT EXECUTE FUNCTION embedpipe.c{number}_note_changes()"
            )
    finally:
        writer.execute("RESET ROLE")
        writer.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        writer.execute(sql.SQL("DROP ROLE {}").format(role))
    assert service.sync().added == 3


def test_row_security_that_hides_rows_ends_the_sync(
    service: SemanticSearchService, writer: psycopg.Connection[Any]
) -> None:
    """Rows that the role does not see would be taken for deleted."""
    insert(writer, 1, 3)
    service.attach(ARTICLES)
    service.sync()
    writer.execute("ALTER TABLE articles ENABLE ROW LEVEL SECURITY")
    writer.execute("ALTER TABLE articles FORCE ROW LEVEL SECURITY")
    writer.execute("UPDATE articles SET title = 'other'")
    [(bypasses,)] = writer.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = user").fetchall()
    if bypasses:
        service.sync()
    else:
        with pytest.raises(ConfigurationError, match="BYPASSRLS"):
            service.sync()
    assert service.store.count() == 3


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_writers_of_each_isolation_work_beside_a_sync(
    service: SemanticSearchService, writer: psycopg.Connection[Any], isolation: str
) -> None:
    insert(writer, 1, 5)
    service.attach(ARTICLES)
    with writer.transaction():
        writer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        writer.execute("UPDATE articles SET body = 'first' WHERE id = 1")
        service.sync()
        writer.execute("UPDATE articles SET body = 'second' WHERE id < 3")
        writer.execute("DELETE FROM articles WHERE id = 5")
        service.sync()
        insert(writer, 6, 7)
    service.sync()
    assert_like_a_fresh_ingest(service, present(writer))


def write_at_random(url: str, seed: int) -> None:
    chance = random.Random(seed)
    changes = ["UPDATE articles SET body = body || 'x' WHERE id = %s", "DELETE FROM articles WHERE id = %s"]
    with psycopg.connect(url) as connection:
        for _ in range(25):
            # In the order of the keys, as any application does that is not to meet itself.
            for key in sorted(chance.sample(range(1, 21), 3)):
                connection.execute(chance.choice(changes), (key,))
            connection.commit()
            connection.execute(
                "INSERT INTO articles (id, title) SELECT n, 'new' FROM generate_series(1, 20, 4) AS n "
                "ON CONFLICT DO NOTHING"
            )
            connection.commit()


def sync_until(service: SemanticSearchService, done: threading.Event) -> None:
    while not done.is_set():
        service.sync()


def test_writers_and_syncs_on_the_same_keys_do_not_deadlock(
    service: SemanticSearchService, writer: psycopg.Connection[Any], database_url: str
) -> None:
    insert(writer, 1, 20)
    service.attach(ARTICLES)
    done = threading.Event()
    with ThreadPoolExecutor(10) as pool:
        syncs = [pool.submit(sync_until, service, done) for _ in range(2)]
        writers = [pool.submit(write_at_random, database_url, seed) for seed in range(8)]
        wait(writers)
        done.set()
    for future in (*writers, *syncs):
        future.result()
    service.sync()
    assert_like_a_fresh_ingest(service, present(writer))


def test_two_syncs_share_the_rows(
    service: SemanticSearchService, writer: psycopg.Connection[Any], database: Database
) -> None:
    insert(writer, 1, 2000)
    service.attach(ARTICLES)
    other = SemanticSearchService(Model(), database=database, collection="followed")
    with ThreadPoolExecutor(2) as pool:
        reports = [future.result() for future in [pool.submit(each.sync) for each in (service, other)]]
    assert sum(report.added for report in reports) == 2000
    assert sum(report.kept + report.changed for report in reports) == 0
    assert_like_a_fresh_ingest(service, present(writer))


TABLES = {
    "plain": f"CREATE TABLE articles (id bigint PRIMARY KEY, {COLUMNS})",
    "partitioned": f"CREATE TABLE articles (id bigint PRIMARY KEY, {COLUMNS}) PARTITION BY RANGE (id);"
    "CREATE TABLE low PARTITION OF articles FOR VALUES FROM (0) TO (15);"
    "CREATE TABLE high PARTITION OF articles DEFAULT",
}
WRITES = [
    """
    INSERT INTO articles (id, title, body)
    SELECT {key} + n, 'Title', repeat('Some words {word}. ', {word}) FROM generate_series(0, {few}) AS n
    ON CONFLICT (id) DO UPDATE SET body = excluded.body
    """,
    "INSERT INTO articles (id, title) VALUES ({key}, 'One {word}') ON CONFLICT DO NOTHING",
    "UPDATE articles SET body = 'Changed {word}', author = 'author {word}' WHERE id BETWEEN {key} AND {key} + {few}",
    "UPDATE articles SET views = views + 1 WHERE id > {key}",
    "UPDATE articles SET title = NULL, body = '  ' WHERE id = {key}",
    "UPDATE articles SET id = id + 100 WHERE id = {key}",
    "UPDATE articles SET id = id - 100 WHERE id = {key} + 100",
    "DELETE FROM articles WHERE id BETWEEN {key} AND {key} + {few}",
    "TRUNCATE articles",
]
ON_PARTITIONS = ["DELETE FROM low WHERE id = {key}", "TRUNCATE low", "UPDATE high SET body = 'Part {word}'"]


class Interleaving:
    """Two writers and syncs at random. A sync may be killed in the model, and before or after its last step."""

    def __init__(
        self, service: SemanticSearchService, model: Model, writers: Sequence[psycopg.Connection[Any]]
    ) -> None:
        self.service, self.model, self.writers = service, model, writers
        self.killed_at = ""

    def run(self, chance: random.Random, writes: Sequence[str]) -> None:
        for _ in range(60):
            writer = chance.choice(self.writers)
            try:
                self.step(chance, writer, writes)
            except psycopg.Error:  # a savepoint that is not there, a lock that the other has, a key that is taken
                writer.rollback()
            except (Killed, LockTimeoutError):
                pass
        self.killed_at, self.model.killed = "", False

    def step(self, chance: random.Random, writer: psycopg.Connection[Any], writes: Sequence[str]) -> None:
        savepoint = f"SAVEPOINT s{chance.randrange(2)}"
        values = {"key": chance.randrange(30), "few": chance.randrange(5), "word": chance.randrange(20)}
        what = chance.choices(["write", "savepoint", "back", "end", "sync"], [60, 10, 5, 10, 15])[0]
        if what == "sync":
            self.killed_at = chance.choice(["", "", "in the model", "before the end", "after the end"])
            self.model.killed = self.killed_at == "in the model"
            self.service.sync()
        elif what == "end":
            chance.choice([writer.commit, writer.commit, writer.rollback])()
        else:
            statements = {"write": chance.choice(writes).format(**values), "savepoint": savepoint}
            writer.execute(statements.get(what, f"ROLLBACK TO {savepoint}"))

    def finish(self, claim: Claim, failures: Any) -> Any:
        if self.killed_at == "before the end":
            raise Killed
        removed = FINISH(claim, failures)
        if self.killed_at == "after the end":
            raise Killed
        return removed


FINISH = Claim.finish


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("seed", range(scaled(3, 60)))
def test_whatever_happens_ends_with_what_the_table_holds(
    database_url: str, kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, model = random.Random(f"{kind} {seed}"), Model()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLES[kind])
    impatient = Database(database_url, lock_timeout_s=0.2)
    service = SemanticSearchService(model, database=impatient, collection="followed")
    service.attach(ARTICLES)
    writers = [psycopg.connect(database_url, options="-c lock_timeout=50ms") for _ in range(2)]
    interleaving = Interleaving(service, model, writers)
    monkeypatch.setattr(Claim, "finish", lambda claim, failures: interleaving.finish(claim, failures))
    interleaving.run(chance, [*WRITES, *(ON_PARTITIONS if kind == "partitioned" else [])])
    for writer in writers:
        chance.choice([writer.commit, writer.rollback])()
    service.sync()
    assert_like_a_fresh_ingest(service, present(writers[0]))
    assert entries(service) == 0
    for writer in writers:
        writer.close()
    impatient.close()


def test_the_command_line_attaches_follows_and_detaches(
    writer: psycopg.Connection[Any],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)

    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["embedpipe", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    insert(writer, 1, 3)
    columns = ("--key", "id", "--text", "title", "--text", "body", "--metadata", "year")
    assert "default follows articles" in command("attach", "articles", *columns)
    assert json.loads(command("sync", "--json"))["added"] == 3
    writes = iter(["INSERT INTO articles (id, title) VALUES (4, 'Eagles')", "DELETE FROM articles WHERE id = 1"])

    def write(_: float) -> None:
        try:
            writer.execute(next(writes))
        except StopIteration:
            raise SystemExit from None

    monkeypatch.setattr("embedpipe.cli.attaching.time.sleep", write)
    told = command("worker", "--interval", "0.1")
    assert "1 new document" in told
    assert "1 removed document" in told
    assert json.loads(command("search", "eagles", "--mode", "lexical", "--json"))["results"][0]["document_id"] == "4"
    assert json.loads(command("detach", "--json")) == {"collection": "default", "detached": True}
