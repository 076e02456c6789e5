"""The values of form controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_FORM = "{urn:oasis:names:tc:opendocument:xmlns:form:1.0}"
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"


def form_values(forms: Any) -> Iterator[tuple[str, str]]:
    """Yield the id and value of each form control."""
    for control in forms.iter():
        identity = control.get(_XML_ID) or control.get(f"{_FORM}id")
        if not identity:
            continue
        label, value = (
            control.get(f"{_FORM}label", ""),
            control.get(f"{_FORM}current-value") or control.get(f"{_FORM}value"),
        )
        if control.tag in (f"{_FORM}checkbox", f"{_FORM}radio"):
            state = control.get(f"{_FORM}current-state") or control.get(f"{_FORM}state")
            ticked = state == "checked" or control.get(f"{_FORM}current-selected") == "true"
            yield identity, f"{'[x]' if ticked else '[ ]'} {label}".strip()
        elif control.tag == f"{_FORM}listbox":
            chosen = (option.get(f"{_FORM}label", "") for option in control if option.get(f"{_FORM}current-selected"))
            yield identity, ", ".join(chosen)
        else:
            yield identity, value or label
