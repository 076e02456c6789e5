"""The role that users of the embedded server connect as. It is an ordinary role, so that row security holds for it."""

from __future__ import annotations

from pathlib import Path

from embedpipe.errors import EmbeddedServerError

ROLE = "embedpipe"
SUPERUSER = "postgres"
_MADE = "embedpipe.role.2"
"""The file that notes that the role was made. A change of the statements needs another name, which runs them again."""

_IN_TIME = "-c statement_timeout=60s -c lock_timeout=60s"

_STATEMENTS = (
    "DO $$ BEGIN IF to_regrole('embedpipe') IS NULL THEN CREATE ROLE embedpipe LOGIN; END IF; END $$",
    "ALTER DATABASE postgres OWNER TO embedpipe",
    "ALTER ROLE embedpipe SET search_path TO public",  # else tables of others would lie in the schema of its name
    "CREATE EXTENSION IF NOT EXISTS vector",  # which only a superuser may
    # Earlier versions connected as the superuser. Its tables become the role's.
    """
    DO $$
    DECLARE
        schema regnamespace;
        held regclass;
    BEGIN
        FOR schema IN SELECT oid FROM pg_namespace
            WHERE nspowner = 'postgres'::regrole AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        LOOP
            EXECUTE format('ALTER SCHEMA %s OWNER TO embedpipe', schema);
            FOR held IN SELECT oid FROM pg_class
                WHERE relnamespace = schema AND relowner = 'postgres'::regrole AND relkind IN ('r', 'p', 'v', 'm')
            LOOP
                EXECUTE format('ALTER TABLE %s OWNER TO embedpipe', held);
            END LOOP;
        END LOOP;
    END $$
    """,
)


def ensure_role(data: Path, socket_dir: Path, port: int) -> None:
    """Make the role if the cluster has none yet, as owner of the database and of all that is in it.

    Raises:
        EmbeddedServerError: If the server refuses.
    """
    import psycopg

    if (data / _MADE).exists():
        return
    try:
        with psycopg.connect(
            host=str(socket_dir), port=port, user=SUPERUSER, dbname="postgres", connect_timeout=60, options=_IN_TIME
        ) as connection:
            for statement in _STATEMENTS:
                connection.execute(statement)
    except psycopg.Error as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL in {data} could not make its role {ROLE!r}: {error}"
        ) from error
    (data / _MADE).touch()
