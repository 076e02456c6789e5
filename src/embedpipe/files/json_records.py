"""JSON and JSONL: chosen fields as text and the others as metadata, or all as lines "path: value".

Each line of JSONL is a record, and so is each object in a JSON array. Any other JSON is one text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from embedpipe.errors import InputError
from embedpipe.files._decoding import decode, printable
from embedpipe.files.parsed import Parsed, ReadOptions

_MISSING = object()
_STRING = r'("(?:[^"\\]|\\.)*+"?)'
_COMMENT = re.compile(_STRING + r"|//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?", re.DOTALL)
_LAST_COMMA = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)
_MAX_DIGITS = 300


class _Number(str):
    """A number as it is written: Python would change 0.10, 1e999 and 12345678901234567890.0."""

    __slots__ = ()


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed | list[Parsed]:
    """Return the text of a JSON file, or one for each object if it is an array of objects.

    Raises:
        InputError: If the file is no JSON, or a record lacks a field that the options name.
        RecursionError: If it is nested too deep.
    """
    decoded = decode(data, name, options.encoding)
    try:
        value = _DECODER.decode(decoded.text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # JSONL under another name
            return parse_lines(data, name, options)
        try:
            value = _DECODER.decode(_without_comments(decoded.text))
        except json.JSONDecodeError:
            at = f"line {error.lineno}, column {error.colno}"
            raise InputError(f"{name} is no JSON ({error.msg}: {at}). Repair it, or leave it out.") from error
    if not (isinstance(value, list) and value and all(isinstance(record, dict) for record in value)):
        return _parsed(value, name, options, decoded)
    records = [_parsed(record, f"{name}, record {n}", options, decoded) for n, record in enumerate(value, 1)]
    return _with_own_ids(records, name)


def parse_lines(data: bytes, name: str, options: ReadOptions) -> list[Parsed]:
    """Return the text of each line of a JSONL file that is not blank.

    The metadata hold the number of the `line`, unless the record has an id of its own: a record that only moved to
    another line is unchanged.

    Raises:
        InputError: If a line is no JSON, or lacks a field that the options name.
        RecursionError: If one is nested too deep.
    """
    decoded = decode(data, name, options.encoding)
    records = []
    for number, line in enumerate(decoded.text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = _DECODER.decode(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{place}, is no JSON ({error.msg}: column {error.colno}). Repair or remove the line."
            ) from error
        records.append(_parsed(value, place, options, decoded, {} if options.id_field else {"line": number}))
    return _with_own_ids(records, name)


def _without_comments(text: str) -> str:
    """Return JSON without what settings of programs hold beside it: comments, and commas before brackets."""
    for pattern in (_COMMENT, _LAST_COMMA):
        text = pattern.sub(lambda found: found[1] or " ", text)
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. A key that stands there twice has a list of its values, so that none is lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        values: dict[str, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        found = {key: value if len(value) > 1 else value[0] for key, value in values.items()}
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_Number)


def _parsed(
    value: Any, place: str, options: ReadOptions, decoded: Parsed, metadata: dict[str, Any] | None = None
) -> Parsed:
    """Return one record. Without `text_fields`, all of it is text."""
    known = {**decoded.metadata, **(metadata or {})}
    id_value = None if options.id_field is None else _field(value, options.id_field)
    if id_value is _MISSING or isinstance(id_value, dict | list):
        raise InputError(f"{place}, has no id in the field {options.id_field!r}. Check `id_field`.")
    own_id = None if id_value is None else printable(_shown(id_value))
    if not options.text_fields:
        return Parsed(printable("\n".join(_lines(value, ""))) + "\n", known, left_out=decoded.left_out, id=own_id)
    texts = [text for field in options.text_fields if (text := _field(value, field)) is not _MISSING]
    if not texts:
        wanted = ", ".join(map(repr, options.text_fields))
        raise InputError(f"{place}, has none of the fields {wanted}. Check `text_fields`, or leave it out.")
    text = "\n\n".join([_paragraph(text) for text in texts if text is not None])
    others: dict[str, Any] = {}
    passed_over: list[str] = []
    _collect(value, "", options.text_fields, others, passed_over)
    left_out = [*decoded.left_out, *(f"the field {field!r}, which is no single value" for field in passed_over)]
    return Parsed(printable(text) + "\n", {**others, **known}, left_out=left_out, id=own_id)


def _with_own_ids(records: list[Parsed], name: str) -> list[Parsed]:
    places: dict[str, int] = {}
    for number, record in enumerate(records, 1):
        if record.id is not None and places.setdefault(record.id, number) != number:
            raise InputError(
                f"{name}: records {places[record.id]} and {number} have the same id {record.id!r}. Choose another "
                "`id_field`, or none."
            )
    return records


def _field(value: Any, path: str) -> Any:
    """Return the value at "a.b". A key may itself have dots."""
    if not isinstance(value, dict):
        return _MISSING
    if path in value:
        return value[path]
    first, _, rest = path.partition(".")
    return _field(value[first], rest) if rest and first in value else _MISSING


def _paragraph(value: Any) -> str:
    return str(value) if isinstance(value, str) else "\n".join(_lines(value, ""))


def _lines(value: Any, path: str) -> Iterator[str]:
    """Yield "path: value" for each value. An array of single values is one line."""
    if isinstance(value, dict) and value:
        for key, within in value.items():
            yield from _lines(within, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(within, dict | list) for within in value):
        for place, within in enumerate(value):
            yield from _lines(within, f"{path}[{place}]")
    else:
        shown = (
            (", " if path else "\n").join(map(_shown, value)) if isinstance(value, list) and value else _shown(value)
        )
        yield f"{path}: {shown}" if path else shown


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def _collect(value: Any, path: str, texts: Sequence[str], others: dict[str, Any], passed_over: list[str]) -> None:
    """Put each field that is no text into `others`, and the names of those that are no metadata into `passed_over`."""
    if path in texts:
        return
    if isinstance(value, dict):
        for key, within in value.items():
            _collect(within, f"{path}.{key}" if path else key, texts, others, passed_over)
    elif not isinstance(value, list):
        others[printable(path)] = _scalar(value)
    elif any(isinstance(within, dict | list) for within in value):
        passed_over.append(path)
    else:
        others[printable(path)] = list(map(_scalar, value))


def _scalar(value: Any) -> Any:
    """Return the value as metadata have it: a number that JSON of other programs cannot hold is text."""
    if not isinstance(value, _Number):
        return printable(value) if isinstance(value, str) else value
    if value.lstrip("-").isdigit():
        return int(value) if len(value) <= _MAX_DIGITS else str(value)
    number = float(value)
    return number if math.isfinite(number) else str(value)
