"""Rights on tables that take the place of others."""

from __future__ import annotations

from sqlalchemy import Connection, Table, text

from embedpipe.storage.tables.collection import quoted

_GRANTS = text("""
SELECT format('GRANT %s ON %s TO %s', privilege_type, to_regclass(:made),
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE CAST(CAST(grantee AS regrole) AS text) END)
FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass(:source) AND grantee <> relowner
""")


def grant_alike(connection: Connection, source: Table, made: Table) -> None:
    """Grant the rights on one table for another, too."""
    names = {"source": quoted(connection, source), "made": quoted(connection, made)}
    for statement in connection.scalars(_GRANTS, names).all():
        connection.exec_driver_sql(statement.replace("%", "%%"))
