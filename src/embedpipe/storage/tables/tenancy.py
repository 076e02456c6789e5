"""Tenants: many share a collection's tables, and row security lets each see and write only its own rows.

The tenant is set for one transaction at a time. A query without one sees nothing. A row gets the tenant by a column's
default, so no statement names it.

Under row security, only a leakproof operator may use an index before the tenant is checked. `=` is leakproof. Those of
GIN (`@>`, `&&`, `@@`) are not. So the tables of such a collection have no GIN index, and every B-tree begins with the
tenant.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Table, Text, text
from sqlalchemy.sql.base import Executable

from embedpipe._checks import shown
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage.tables.ddl import ddl
from embedpipe.storage.types import storable_text

_SECURITY = (
    "ALTER TABLE %(fullname)s ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE %(fullname)s FORCE ROW LEVEL SECURITY",  # for its owner, too
    "CREATE POLICY tenant ON %(fullname)s USING (tenant = nullif(current_setting('embedpipe.tenant', true), ''))",
)

_MAX_BYTES = 500

# A plan that suits a small tenant is not kept for a large one.
_ENTER = """
SELECT set_config('embedpipe.tenant', %(tenant)s, true), set_config('plan_cache_mode', 'force_custom_plan', true),
       (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
"""


def checked_tenant(tenant: str) -> str:
    """Return the tenant's name if it can be one. It must fit an index beside an id.

    Raises:
        InputError: If it is no str, empty or too long.
    """
    if not storable_text(tenant, "tenant") or len(tenant.encode()) > _MAX_BYTES:
        raise InputError(f"The tenant is {shown(tenant)}. Pass a text of 1 to {_MAX_BYTES} bytes.")
    return tenant


def tenant_columns(tenants: bool, *, primary_key: bool = True) -> list[Column[Any]]:
    """Return the column that names a row's tenant, to be the first of the table. Without tenants there is none."""
    default = text("current_setting('embedpipe.tenant')")
    named = Column("tenant", Text, primary_key=primary_key, nullable=False, server_default=default)
    return [named] if tenants else []


def security(table: Table) -> list[Executable]:
    """Return the DDL that lets each tenant see and write only its own rows."""
    return [ddl(statement, table) for statement in _SECURITY]


def enter_tenant(connection: Connection, tenant: str) -> None:
    """Have the transaction see and write the rows of that tenant alone.

    Raises:
        ConfigurationError: If the connection is in autocommit, or row security does not hold for its role.
    """
    driver: Any = connection.connection.driver_connection
    if driver.autocommit:
        raise ConfigurationError("A tenant is set for one transaction; connection= is in autocommit and has none.")
    *_, unbound = connection.exec_driver_sql(_ENTER, {"tenant": tenant}).one()
    if unbound:
        raise ConfigurationError(
            "Row security does not hold for the database role, a superuser or one with BYPASSRLS: tenants would see "
            "each other's rows. Connect as an ordinary role that owns the tables or was granted them."
        )
