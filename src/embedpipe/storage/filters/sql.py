"""Filters as SQL. Keys and values are bound, never formatted."""

from __future__ import annotations

from itertools import count
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Text,
    and_,
    bindparam,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.visitors import cloned_traverse

from embedpipe.errors import InputError
from embedpipe.storage.filters.conditions import Among, And, Comparison, Filter, In, Not, OfPayload, Or
from embedpipe.storage.filters.operators import OPERATORS, MetadataKey
from embedpipe.storage.types import text_array


def where(condition: Filter, metadata: Column[Any]) -> ColumnElement[bool]:
    """Return a condition as SQL over the jsonb column of a table of chunks.

    It is never NULL, so that a negation is exact. Its values are bound as `filter_1`, `filter_2` and so on: the same
    condition has the same names wherever it stands, so a statement that names it several times binds them once.
    """
    numbers = count(1)

    def name(bound: BindParameter[Any]) -> None:
        bound.key, bound.unique = f"filter_{next(numbers)}", False

    return cloned_traverse(_where(condition, metadata), {}, {"bindparam": name})


def _where(condition: Filter, metadata: Column[Any]) -> ColumnElement[bool]:
    match condition:
        case And(parts):
            return and_(true(), *(_where(part, metadata) for part in parts))
        case Or(parts):
            return or_(false(), *(_where(part, metadata) for part in parts))
        case Not(part):
            return not_(_where(part, metadata))
        case Among(column, ids):
            named = metadata.table.c[column]
            return and_(named.is_not(None), named == func.any(text_array(ids)))
        case OfPayload(key, values):
            found = metadata.table.c.payload.op("->>", return_type=Text())(literal(key, Text))
            return func.coalesce(found == func.any(text_array(values)), false())
        case Comparison(path, operator, value):
            return OPERATORS[operator].sql(MetadataKey(metadata, path), value)
        case In():
            return _in(condition, metadata)
    raise InputError(f"The filter is a {type(condition).__name__}. Pass a Filter, such as Field('year') >= 2020.")


def _in(condition: In, metadata: ColumnElement[Any]) -> ColumnElement[bool]:
    """Compare with few values by the index for equality, and with many by a hash of them.

    The hash costs the same for each chunk, however many values there are.
    """
    values: BindParameter[Any] = bindparam(None, condition.bound, unique=True)
    if condition.few:
        return metadata.op("@>", is_comparison=True)(func.any(values))
    found = metadata
    for key in condition.path:  # not #>, which takes "0" for a place in a list
        found = found.op("->", return_type=JSONB())(literal(key, Text))
    given = func.unnest(values, type_=JSONB)["v"]
    return func.coalesce(found.in_(select(given)), false())  # coalesce also keeps it from becoming a join
