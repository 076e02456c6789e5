"""Spare the parser what it takes quadratic time for: deep nesting, very many attributes, very long lists of choices.

HTML5 says that a parser looks through the open elements at most tags, and compares a new attribute with all others of
its element. 400 KB of `<ul><li>` took Lexbor 74 s. For each option of a list, it looks through all options before.
"""

from __future__ import annotations

import re

MAX_DEPTH = 512
"""How deep elements may be nested, as in Chrome."""

MAX_ATTRIBUTES = 1000

MAX_OPTIONS = 1000
"""How many options of a list are read, and how many of the further ones that are selected."""

_SMALL = 20_000
"""Pages up to this length are fast in any case."""

_TAG = re.compile(r"<(?:(!--)|(/?)([a-zA-Z][^\s/>]*))")
_ATTRIBUTE = re.compile(r"""[\s/]*[^\s/>=]*(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>"'][^\s>]*)?)?""")
_LONG_TAG = 50_000
_CLOSED_BY_OTHERS = frozenset(
    """
    area base br col embed hr img input link meta param source track wbr p li dt dd td th tr thead tbody tfoot option
    optgroup rp rt rb rtc colgroup caption html head body path circle rect line use polygon polyline ellipse g
    """.split()  # noqa: SIM905
)
"""Elements that have no end tag, or whose end tag may be left out."""
_RAW = frozenset("script style textarea title xmp iframe noembed noframes".split())  # noqa: SIM905


def within_limits(source: str) -> str:
    """Return the page with no more than `MAX_OPTIONS` options to a list. The words of the others then stand in none.

    Raises:
        RecursionError: If more than `MAX_DEPTH` elements are open at once, or one has too many attributes.
    """
    if len(source) <= _SMALL:
        return source
    open_elements: dict[str, int] = {}
    pieces: list[str] = []
    depth = place = written = options = 0
    while (found := _TAG.search(source, place)) is not None:
        name = (found[3] or "").lower()
        place = _end(source, found.end(), is_comment=bool(found[1]), is_raw=not found[2] and name in _RAW, name=name)
        if place < 0:
            break
        if name == "select":
            options = 0
        elif name == "option" and not found[2] and open_elements.get("select"):
            is_selected = "selected" in source[found.end() : place].lower()
            options += 1
            if options > MAX_OPTIONS and not (is_selected and options <= 2 * MAX_OPTIONS):
                options -= 1
                pieces += (source[written : found.start()], "</option>")
                written = place + source.startswith(">", place)
        if found[2] and open_elements.get(name):
            open_elements[name] -= 1
            depth -= 1
        elif name and not found[2] and name not in _RAW and name not in _CLOSED_BY_OTHERS:
            open_elements[name] = open_elements.get(name, 0) + 1
            depth += 1
            if depth > MAX_DEPTH:
                raise RecursionError
    return "".join([*pieces, source[written:]]) if pieces else source


def _end(source: str, place: int, *, is_comment: bool, is_raw: bool, name: str) -> int:
    """Return where a tag or comment ends, or the element if it holds no tags. -1 if it goes on to the end."""
    if is_comment:
        return source.find("-->", place)
    end = source.find(">", place)
    if end < 0 or end - place > _LONG_TAG:
        end = _end_of_attributes(source, place)
    if not is_raw:
        return end
    closing = re.compile(f"</{re.escape(name)}", re.IGNORECASE).search(source, end)
    return closing.start() if closing else -1


def _end_of_attributes(source: str, place: int) -> int:
    for _ in range(MAX_ATTRIBUTES):
        found = _ATTRIBUTE.match(source, place)
        if found is None or found.end() == place:
            return place
        place = found.end()
        if source.startswith(">", place) or place >= len(source):
            return place
    raise RecursionError
