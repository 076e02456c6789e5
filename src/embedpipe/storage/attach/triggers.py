"""The DDL that attaches a table: the queue's tables, a function that notes changes, and the triggers that call it.

The function runs with the rights of the role that attached the table (SECURITY DEFINER). Whoever writes the user's
table needs no right on embedpipe's. This opens nothing else:

- The function writes ids of changed rows to one table, and returns nothing.
- Nobody else may put it on a table of theirs: EXECUTE is revoked from PUBLIC, and CREATE TRIGGER checks it.
- It calls built-in functions alone, under a fixed search_path. `concat` makes text of a key by the output function of
  its type, which only a superuser defines. A cast, which the owner of a type may define, would run as the definer.

The settings that output functions go by are fixed, too. Else a timestamp would have other ids in other sessions.

A text is compared by its bytes (`*<>`). Two values that only look equal to a collation are a change, and types
without equality, such as json, can be compared.

An UPDATE has a trigger for each row, with a condition. Transition tables of old and new rows would be written for every
UPDATE, also where no named column changes.

Triggers for statements do not see what is written to a partition directly. So a partitioned table has triggers for
rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.schema import CreateTable, DropTable

from embedpipe.storage.attach.queue_tables import BUCKETS, queue_tables
from embedpipe.storage.attach.source import Source, function_name
from embedpipe.storage.tables import Collection

FIXED_SETTINGS = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
"""What the text of a value depends on."""

_INDEPENDENT = {"smallint", "integer", "bigint", "numeric", "text", "character varying", "uuid", "boolean"}
"""Types whose text depends on no setting. To set what no key needs would take half the time of the function."""

GUARD = "refuse_other_writers"

_FUNCTION = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp {settings} AS {body}
"""
_BODY = """
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {changes} (bucket, rows) VALUES (0, 0);
    ELSIF TG_LEVEL = 'ROW' THEN
        INSERT INTO {changes} (bucket, rows, ids)
        SELECT (hashtext(id) & {mask})::smallint, 1, ARRAY[id]
        FROM (SELECT {new} AS id WHERE TG_OP <> 'DELETE' UNION SELECT {old} WHERE TG_OP <> 'INSERT') AS changed;
    ELSE
        INSERT INTO {changes} (bucket, rows, ids)
        SELECT bucket, count(*), array_agg(id)
        FROM (
            SELECT id, (hashtext(id) & {mask})::smallint AS bucket
            FROM (SELECT {row} AS id FROM changed_rows) AS changed
        ) AS bucketed
        GROUP BY bucket;
    END IF;
    RETURN NULL;
EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_schema_name THEN
    -- A table, a column or a right is gone. That must not keep anybody from writing.
    BEGIN
        INSERT INTO {changes} (bucket, rows) VALUES (0, 0);
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_schema_name THEN
        RAISE WARNING 'embedpipe cannot note changes of %.%: %', TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
    END;
    RETURN NULL;
END
"""
# As records: two rows would be compared column by column, for which types lack the operator.
_CHANGED = "FOR EACH ROW WHEN (ROW({old})::record OPERATOR(pg_catalog.*<>) ROW({new})::record)"
_EVENTS = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT", "FOR EACH ROW"),
    "update": ("UPDATE", _CHANGED, _CHANGED),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT", "FOR EACH ROW"),
}
"""By the last part of a trigger's name: its event, and how it is called on a plain table and on a partitioned one."""

_TRIGGER = "CREATE TRIGGER {name} AFTER {event} ON {table} {how} EXECUTE FUNCTION {function}()"
_GUARD = """
CREATE TRIGGER {name} BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION {refuse}({number}, {followed})
"""
_PARTITIONS = text("""
SELECT nspname AS schema, relname AS name FROM pg_partition_tree(CAST(:oid AS regclass)) AS tree
JOIN pg_class ON pg_class.oid = tree.relid JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE tree.level > 0
""")
_OF_FUNCTION = text("""
SELECT tgname AS name, nspname AS schema, relname AS table
FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_class ON pg_class.oid = tgrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE proname = :function AND pronamespace = to_regnamespace(quote_ident(:schema)) AND tgparentid = 0
""")


def create(connection: Connection, collection: Collection, source: Source) -> None:
    """Create the queue's tables, the function and the triggers. Keep others from writing the collection."""
    made = queue_tables(collection)
    for queue in made.all():
        connection.execute(CreateTable(queue))
    bucket = func.generate_series(0, BUCKETS - 1)
    connection.execute(insert(made.buckets).from_select(["bucket"], select(bucket)))
    function = sql.Identifier(collection.schema, function_name(collection))
    _run(connection, _creation(collection, source, function))
    _run(connection, sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function))
    for name, (event, plain, partitioned) in _EVENTS.items():
        how = sql.SQL(partitioned if source.partitioned else plain).format(
            old=_columns("old", source), new=_columns("new", source)
        )
        table = sql.Identifier(source.schema, source.name)
        _trigger(connection, collection, name=name, event=event, table=table, how=how)
    truncated = [(source.schema, source.name)]
    if source.partitioned:
        truncated += [(row.schema, row.name) for row in connection.execute(_PARTITIONS, {"oid": source.oid})]
    for names in truncated:
        table = sql.Identifier(*names)
        _trigger(connection, collection, name="truncate", event="TRUNCATE", table=table, how=sql.SQL(""))
    for guarded in (collection.documents, collection.chunks):
        statement = sql.SQL(_GUARD).format(
            name=sql.Identifier(GUARD),
            table=sql.Identifier(collection.schema, guarded.name),
            refuse=sql.Identifier(collection.schema, "refuse_writes"),
            number=sql.Literal(str(collection.number)),
            followed=sql.Literal(source.definition.name),
        )
        _run(connection, statement)


def drop(connection: Connection, collection: Collection) -> None:
    """Remove what `create` made. What the user did to it meanwhile does not matter."""
    names = {"function": function_name(collection), "schema": collection.schema}
    for row in connection.execute(_OF_FUNCTION, names).all():
        table = sql.Identifier(row.schema, row.table)
        _run(connection, sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(row.name), table))
    function = sql.Identifier(collection.schema, function_name(collection))
    _run(connection, sql.SQL("DROP FUNCTION IF EXISTS {}()").format(function))
    for guarded in (collection.documents, collection.chunks):
        table = sql.Identifier(collection.schema, guarded.name)
        _run(connection, sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(GUARD), table))
    for made in queue_tables(collection).all():
        connection.execute(DropTable(made, if_exists=True))


def lock_source(connection: Connection, schema: str, name: str, *, mode: str) -> None:
    """Lock the user's table, before all of embedpipe's, as every writer of it does."""
    table = sql.Identifier(schema, name)
    _run(connection, sql.SQL("LOCK TABLE {} IN {} MODE").format(table, sql.SQL(mode)))


def _creation(collection: Collection, source: Source, function: sql.Identifier) -> sql.Composed:
    ids = {where: row_id(source.definition.key, where) for where in ("old", "new", "changed_rows")}
    body = sql.SQL(_BODY).format(
        changes=sql.Identifier(collection.schema, queue_tables(collection).changes.name),
        mask=sql.Literal(BUCKETS - 1),
        old=ids["old"],
        new=ids["new"],
        row=ids["changed_rows"],
    )
    settings = [
        sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in FIXED_SETTINGS.items()
        if not _INDEPENDENT.issuperset(source.key_types)
    ]
    return sql.SQL(_FUNCTION).format(
        function=function, settings=sql.SQL(" ").join(settings), body=sql.Literal(body.as_string())
    )


def row_id(key: Sequence[str], where: str) -> sql.Composable:
    """Return the id of a row: its key as text, or a JSON array of texts for a key of several columns."""
    texts = [
        sql.SQL("concat({})").format(sql.SQL("{}.{}").format(sql.SQL(where), sql.Identifier(name))) for name in key
    ]
    if len(texts) == 1:
        return texts[0]
    return sql.SQL("jsonb_build_array({})::text").format(sql.SQL(", ").join(texts))


def _columns(where: str, source: Source) -> sql.Composable:
    """Return the named columns of the old or the new row, each once."""
    named = source.definition
    names = dict.fromkeys((*named.key, *named.text, *named.metadata))
    return sql.SQL(", ").join(sql.SQL("{}.{}").format(sql.SQL(where), sql.Identifier(name)) for name in names)


def _trigger(
    connection: Connection, collection: Collection, *, name: str, event: str, table: sql.Identifier, how: sql.Composable
) -> None:
    statement = sql.SQL(_TRIGGER).format(
        name=sql.Identifier(f"{collection.schema[:30]}_c{collection.number}_{name}"),
        event=sql.SQL(event),
        table=table,
        how=how,
        function=sql.Identifier(collection.schema, function_name(collection)),
    )
    _run(connection, statement)


def _run(connection: Connection, statement: sql.Composable) -> None:
    connection.exec_driver_sql(statement.as_string().replace("%", "%%"))
