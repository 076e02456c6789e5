"""Convert Python values to JSON values like LlamaIndex's Postgres store: dates to ISO text, sets to lists."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from embedpipe._checks import shown
from embedpipe.errors import InputError

_JSON = (str, int, float, bool, type(None))


def plain(value: Any, what: str) -> Any:
    """Convert a value for JSON. Values without a JSON form stay as they are, and the store refuses them by their key.

    Dates and times become ISO text. UUIDs, decimals and paths become text, enum members their value, tuples and sets
    lists, and numpy's scalars and arrays numbers and lists.

    Raises:
        InputError: If two keys of an object would become the same. The message names `what`.
    """
    if type(value) in _JSON:
        return value
    if isinstance(value, Mapping):
        made = {_key(key): plain(item, what) for key, item in value.items()}
        if len(made) != len(value):
            raise InputError(f"{what}: two keys are the same as text, among {shown(list(value))}. Rename one.")
        return made
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, what) for item in value]
    if isinstance(value, Enum):
        return plain(value.value, what)
    if isinstance(value, PurePath):
        return str(value)
    if callable(getattr(value, "tolist", None)):  # numpy, without importing it
        return plain(value.tolist(), what)
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, UnicodeDecodeError):
        return value


def _key(key: Any) -> Any:
    if type(key) is str:
        return key
    try:
        return next(iter(to_jsonable_python({key: None})))
    except PydanticSerializationError:
        return key
