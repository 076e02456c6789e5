"""DDL that SQLAlchemy has no construct for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import DDL, Table
from sqlalchemy.sql.base import Executable


def ddl(statement: str, table: Table, **names: object) -> Executable:
    """Return DDL for a table, whose name stands for `%(fullname)s`. Only names of our own go into it."""
    made: Any = DDL(statement, context=names)  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    against: Executable = made.against(table)
    return against
