"""Check boxes and lists to choose from."""

from __future__ import annotations

from typing import Any

from embedpipe.files.word._numbering import W, number

_W14 = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_OFF = ("0", "false", "off", "none")


def ticked(control: Any) -> bool | None:
    """Return whether a content control is a check box that is ticked. None if it is no check box."""
    box = control.find(f"{W}sdtPr/{_W14}checkbox")
    if box is None:
        return None
    state = box.find(f"{_W14}checked")
    return state is not None and state.get(f"{_W14}val") not in _OFF


def form_value(form: Any) -> str:
    """Return the value of a form field of older documents: "[x]", "[ ]" or a choice.

    It is empty for a text field, whose text is the field's result.

    Args:
        form: The w:ffData, or None.
    """
    box, choice = (None, None) if form is None else (form.find(f"{W}checkBox"), form.find(f"{W}ddList"))
    if box is not None:
        state = box.find(f"{W}checked")
        state = box.find(f"{W}default") if state is None else state
        return "[x]" if state is not None and state.get(f"{W}val") not in _OFF else "[ ]"
    if choice is not None:
        entries = [entry.get(f"{W}val", "") for entry in choice.findall(f"{W}listEntry")]
        chosen = number(choice.find(f"{W}result"), number(choice.find(f"{W}default"), 0))
        return entries[chosen] if 0 <= chosen < len(entries) else ""
    return ""
