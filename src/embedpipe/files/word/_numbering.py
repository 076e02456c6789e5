"""The numbers of Word's lists and headings, such as "2.1", "c)" or "iv."."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from embedpipe.files._numbers import formatted

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"

_LEVELS = 9
_PLACEHOLDER = re.compile(r"%([1-9])")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")


def number(element: Any, default: int, attribute: str = f"{W}val") -> int:
    """Return a whole number in an attribute of an element that may be None, or the default."""
    text = "" if element is None else element.get(attribute, "")
    return int(text) if _NUMBER.fullmatch(text) else default


class _Level(NamedTuple):
    start: int
    kind: str
    text: str
    legal: bool
    restart: int | None

    @classmethod
    def of(cls, element: Any) -> _Level:
        kind = element.find(f"{W}numFmt")
        text = element.find(f"{W}lvlText")
        legal = element.find(f"{W}isLgl")
        restart = element.find(f"{W}lvlRestart")
        return cls(
            start=number(element.find(f"{W}start"), 1),
            kind="decimal" if kind is None else kind.get(f"{W}val", "decimal"),
            text="" if text is None else text.get(f"{W}val", "")[:100],
            legal=legal is not None and legal.get(f"{W}val") not in ("0", "false", "off"),
            restart=None if restart is None else number(restart, 0),
        )


@dataclass(slots=True)
class _List:
    """A w:num: the list that a paragraph names. Lists of the same definition count on together."""

    definition: str
    levels: dict[int, _Level]
    starts: dict[int, int] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)
    """Levels that have begun. A start of the list's own holds from its first item on."""


class Numbering:
    """Counts the items of lists. Ask it for the label of each paragraph once, in the order of the text.

    Args:
        root: The root of the part on numbering, or None.
        lists_of_styles: The list of each list style, by the style's id.
    """

    def __init__(self, root: Any, lists_of_styles: dict[str, str]) -> None:
        self._lists: dict[str, _List] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._levels_of_styles: dict[tuple[str, str], int] = {}
        if root is None:
            return
        definitions = {part.get(f"{W}abstractNumId"): part for part in root.iter(f"{W}abstractNum")}
        levels = {name: self._levels(part) for name, part in definitions.items()}
        named = {part.get(f"{W}numId"): part for part in root.iter(f"{W}num")}
        for name, part in named.items():
            definition = self._definition(part)
            link = definitions[definition].find(f"{W}numStyleLink") if definition in definitions else None
            if link is not None:  # the levels are those of a list style, which has a list of its own
                style = lists_of_styles.get(link.get(f"{W}val"), "")
                definition = self._definition(named[style]) if style in named else definition
            found = _List(definition, dict(levels.get(definition, {})))
            for override in part.iter(f"{W}lvlOverride"):
                level = number(override, 0, f"{W}ilvl")
                start, replaced = override.find(f"{W}startOverride"), override.find(f"{W}lvl")
                if replaced is not None:
                    found.levels[level] = _Level.of(replaced)
                if start is not None:
                    found.starts[level] = number(start, 1)
            self._lists[name] = found
            if definition in definitions:
                for level in definitions[definition].iter(f"{W}lvl"):
                    style = level.find(f"{W}pStyle")
                    if style is not None:
                        self._levels_of_styles[name, style.get(f"{W}val")] = number(level, 0, f"{W}ilvl")

    @staticmethod
    def _levels(definition: Any) -> dict[int, _Level]:
        return {number(level, 0, f"{W}ilvl"): _Level.of(level) for level in definition.iter(f"{W}lvl")}

    @staticmethod
    def _definition(part: Any) -> str:
        named = part.find(f"{W}abstractNumId")
        return "" if named is None else named.get(f"{W}val", "")

    def level_of_style(self, name: str, style: str) -> int:
        """Return the level that a list gives to the paragraphs of a style."""
        return self._levels_of_styles.get((name, style), 0)

    def label(self, name: str, level: int) -> str:
        """Count an item, and return its label: "-" for bullets, "" where the list writes none.

        Args:
            name: The list (w:numId).
            level: The item's level, from 0 on.
        """
        found = self._lists.get(name)
        if found is None or level not in found.levels:
            return ""
        shown = found.levels[level]
        counts = self._counts.setdefault(found.definition, {})
        start = found.starts.get(level, shown.start)
        if level not in found.counted:
            found.counted.add(level)
            if level in found.starts:
                counts.pop(level, None)
        counts[level] = counts.get(level, start - 1) + 1
        for deeper in range(level + 1, _LEVELS):
            restart = found.levels[deeper].restart if deeper in found.levels else None
            if restart is None or level < restart:
                counts.pop(deeper, None)
        if shown.kind == "bullet":
            return "-"
        return _PLACEHOLDER.sub(lambda place: self._shown(found, counts, shown, int(place[1]) - 1), shown.text).strip()

    @staticmethod
    def _shown(found: _List, counts: dict[int, int], shown: _Level, level: int) -> str:
        if level not in found.levels:
            return ""
        start = found.starts.get(level, found.levels[level].start)
        kind = found.levels[level].kind
        if kind == "none":
            return ""
        return formatted(counts.get(level, start), "decimal" if shown.legal and kind != "decimalZero" else kind)
