"""Calls of the functions that migrations make in the schema of the tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import Function


class SchemaFunction(Function[Any]):
    """A call of a function of the schema. SQLAlchemy itself does not quote a schema's name with capitals before one."""

    inherit_cache = True


@compiles(SchemaFunction)
def _call(element: SchemaFunction, compiler: SQLCompiler, **kwargs: Any) -> str:
    schema, name = map(compiler.preparer.quote, (*element.packagenames, element.name))
    return f"{schema}.{name}{compiler.function_argspec(element, **kwargs)}"
