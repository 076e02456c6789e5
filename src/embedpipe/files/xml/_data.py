"""Write XML that holds data: a paragraph for each record, with a line "name: value" for each of its fields."""

from __future__ import annotations

from typing import Any

_MAX_PATH = 3


def lines(root: Any) -> str:
    """Return the text. A record is an element with fields. Its first line names it and the elements around it."""
    parts: list[str] = []
    stack: list[tuple[Any, tuple[str, ...]]] = [(root, ())]
    while stack:
        element, path = stack.pop()
        path = (*path, _name(element.tag))[-_MAX_PATH:]
        fields = [f"{_name(key)}: {value}" for key, value in _attributes(element).items()]
        records: list[tuple[Any, tuple[str, ...]]] = []
        if element.text and element.text.strip():
            fields.append(" ".join(element.text.split()))
        for child in element:
            if not isinstance(child.tag, str):
                continue
            if len(child):
                records.append((child, path))
            elif field := _field(child):
                fields.append(field)
        if fields:
            parts.append("\n".join([" / ".join(path), *fields]))
        stack += reversed(records)
    return "\n\n".join(parts) + "\n"


def _field(element: Any) -> str:
    """Return "name: value (attribute: value)" for an element without elements within it."""
    value = " ".join((element.text or "").split())
    attributes = ", ".join(f"{_name(key)}: {value}" for key, value in _attributes(element).items())
    if value and attributes:
        return f"{_name(element.tag)}: {value} ({attributes})"
    return f"{_name(element.tag)}: {value or attributes}" if value or attributes else ""


def _attributes(element: Any) -> dict[str, str]:
    """Return the attributes that hold words. Those of the schema and the namespaces do not."""
    return {
        key: " ".join(value.split())
        for key, value in element.attrib.items()
        if value.strip() and not key.startswith("{http://www.w3.org/2001/XMLSchema-instance}")
    }


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]
