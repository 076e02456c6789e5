"""Owner and rights of tables that take the place of others."""

from __future__ import annotations

from sqlalchemy import Connection, Table, text

from embedpipe.errors import SchemaError
from embedpipe.storage.tables.collection import quoted

_CHANGE_OF_OWNER = text("""
SELECT format('ALTER TABLE %s OWNER TO %I', to_regclass(:made), pg_get_userbyid(source.relowner))
FROM pg_class AS source JOIN pg_class AS made ON made.relowner <> source.relowner
WHERE source.oid = to_regclass(:source) AND made.oid = to_regclass(:made)
""")
_GRANTS = text("""
SELECT format('GRANT %s%s ON %s TO %s%s', privilege_type, columns, to_regclass(:made),
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE CAST(CAST(grantee AS regrole) AS text) END,
              CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM (
    SELECT oid, '' AS columns, relacl AS rights FROM pg_class
    UNION ALL
    SELECT attrelid, format(' (%I)', attname), attacl FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
) AS granted
CROSS JOIN aclexplode(rights) JOIN pg_class USING (oid)
WHERE oid = to_regclass(:source) AND grantee <> relowner
""")
_OWNER = text("""
SELECT pg_get_userbyid(relowner) AS owner, quote_ident(pg_get_userbyid(relowner)) AS quoted_owner,
       quote_ident(current_user) AS quoted_role, quote_ident(nspname) AS quoted_schema,
       pg_has_role(relowner, 'USAGE') AS may_replace,
       has_schema_privilege(relowner, pg_namespace.oid, 'CREATE')
           OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS may_hold
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass(:replaced)
""")


def check_owner(connection: Connection, *replaced: Table) -> None:
    """Check that the role may replace these tables by others of the same owner. A table that is missing is left out.

    Raises:
        SchemaError: If it may not.
    """
    for table in replaced:
        row = connection.execute(_OWNER, {"replaced": quoted(connection, table)}).first()
        if row is not None and not row.may_replace:
            raise SchemaError(
                f"Only its owner {row.owner!r} may replace table {table.fullname}. Connect as {row.owner!r}, or have "
                f"an administrator run: GRANT {row.quoted_owner} TO {row.quoted_role};"
            )
        if row is not None and not row.may_hold:
            raise SchemaError(
                f"{row.owner!r}, the owner of table {table.fullname}, may not create tables in its schema. Have an "
                f"administrator run: GRANT CREATE ON SCHEMA {row.quoted_schema} TO {row.quoted_owner};"
            )


def give_rights(connection: Connection, source: Table, made: Table) -> None:
    """Give a table the owner of another, and all that was granted on that one and on its columns."""
    names = {"source": quoted(connection, source), "made": quoted(connection, made)}
    for statements in (_CHANGE_OF_OWNER, _GRANTS):
        for statement in connection.scalars(statements, names).all():
            connection.exec_driver_sql(statement.replace("%", "%%"))
