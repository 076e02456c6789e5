"""The markup within lines of reStructuredText, as Markdown. All patterns are bounded, so that they take linear time."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KINDS = (  # each begins with a character of its own, for which the search is fast
    r"``(?P<literal>(?:[^`]|`(?!`)){1,1000}`?)``"
    r"|:(?P<role>[A-Za-z][\w.+:-]{0,60}):`(?P<text>[^`]{1,1000})`"
    r"|`(?P<link>[^`<]{0,1000}?)\s?<(?P<address>[^`>]{1,2000})>`(?:__?)"
    r"|`(?P<named>[^`]{1,1000})`(?P<end>__?|)"
    r"|\[(?P<note>#?[\w-]{0,60}|\*)\]_(?!\w)"
    r"|\|(?P<substitution>[^|\s][^|\n]{0,200})\|(?:__?)?"
    r"|\\(?P<escaped>[^\n|])"  # "\|" is the table's
)
_MARKUP = re.compile(_KINDS)
_MARKUP_AND_TARGETS = re.compile(_KINDS + r"|(?P<target>(?<![\w`])[A-Za-z0-9][\w.-]{0,100})__?(?!\w)")
_TITLE = re.compile(r"(.{1,1000}?)\s?<[^<>]{1,1000}>", re.DOTALL)
_MAX_SUBSTITUTED = 1_000_000
"""A short name for a long text makes 250 MB of a file of one."""
_CODE = """
attr class code command confval const data enum enumerator envvar exc file func function kbd keyword literal macro
makevar mailheader member meth method mimetype mod module obj option program regexp samp setting struct type var
""".split()  # noqa: SIM905 - read as a list of words
"""The roles whose text is code."""
_BEFORE = {"pep": "PEP ", "rfc": "RFC ", "issue": "#", "pr": "#", "gh": "#", "cve": "CVE-"}
"""What a role shows before its text."""


class Inline:
    """Translates lines. `substitutions` has the text for each "|name|", and `targets` the names of links.

    After `_MAX_SUBSTITUTED` code points in all, names stand for themselves.
    """

    def __init__(self, substitutions: Mapping[str, str], targets: frozenset[str]) -> None:
        self._substitutions, self._targets = substitutions, targets
        self._left = _MAX_SUBSTITUTED

    def markdown(self, text: str) -> str:
        """Return the text with roles, links and literals as a reader sees them."""
        pattern = _MARKUP_AND_TARGETS if self._targets and "_" in text else _MARKUP
        return pattern.sub(self._shown, text)

    def _shown(self, found: re.Match[str]) -> str:
        group = found.lastgroup
        if group == "target":
            return found["target"] if found["target"].lower() in self._targets else found[0]
        if found["literal"] is not None:
            return _code(found["literal"])
        if found["role"] is not None:
            return _role(found["role"].rpartition(":")[2], found["text"])
        if found["address"] is not None:
            return found["link"].strip() or found["address"]
        if found["named"] is not None:
            return found["named"]
        if found["note"] is not None:
            return f"[{found['note']}]"
        if group == "substitution":
            words = self._substitutions.get(found["substitution"], found[0])
            self._left -= len(words)
            return words if self._left >= 0 else found[0]
        return "" if found["escaped"] == " " else found["escaped"]


def _role(name: str, text: str) -> str:
    titled = _TITLE.fullmatch(text)
    shown = titled[1] if titled else text.removeprefix("!")
    if shown.startswith("~"):
        shown = shown[1:].rpartition(".")[2]
    if name in ("sup", "superscript"):
        return f"^{shown}"
    if name in ("sub", "subscript"):
        return f"_{shown}"
    if name == "math":
        return f"${text}$"
    return _code(shown) if name in _CODE else ("" if titled else _BEFORE.get(name, "")) + shown


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"
