"""The separators of each language, best first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from embedpipe._checks import checked_choice, shown
from embedpipe.errors import ConfigurationError


class Separator(NamedTuple):
    """A string at which a text may be cut.

    Args:
        text: The string, or a regular expression with `regex`.
        cut: How many code points after the string's start the cut lies. With 0, the string begins the next chunk.
        regex: Whether `text` is a regular expression. The cut then lies where it matches, before the match.
    """

    text: str
    cut: int = 0
    regex: bool = False

    def __repr__(self) -> str:
        """Leave `regex=False` out, as before there was one: documents are cut anew if their chunker's repr changes."""
        regex = ", regex=True" if self.regex else ""
        return f"Separator(text={self.text!r}, cut={self.cut!r}{regex})"


def _before(*texts: str) -> tuple[Separator, ...]:
    return tuple(Separator(text) for text in texts)


def _after(*texts: str) -> tuple[Separator, ...]:
    return tuple(Separator(text, len(text)) for text in texts)


def _keywords(words: str) -> tuple[Separator, ...]:
    return _before(*(f"\n{word} " for word in words.split()))


_LINES = _before("\n\n", "\n")
_SENTENCES = _after(". ", "? ", "! ", "。", "！", "？", "．", "؟ ", "۔ ", "। ", "॥ ", "…")
_CLAUSES = _after("; ", "；", ": ", "：", ", ", "，", "、", "،", "؛", "ฯ", "ๆ", "·")
_WORDS = (*_before(" ", "\t", "\u3000"), *_after("\u200b"))
_PROSE = (*_LINES, *_SENTENCES, *_CLAUSES, *_WORDS)
_CODE = (*_LINES, *_before(" "))

SEPARATORS: dict[str, tuple[Separator, ...]] = {
    "prose": _PROSE,
    "markdown": (
        *_before(*(f"\n{'#' * level} " for level in range(1, 7))),
        *_after("```\n", "~~~\n"),
        *_before("\n---\n", "\n***\n", "\n___\n"),
        *_PROSE,
    ),
    "html": (
        *_before(
            *(
                f"<{tag}"
                for tag in (
                    "body",
                    "header",
                    "main",
                    "article",
                    "section",
                    "nav",
                    "footer",
                    "h1",
                    "h2",
                    "h3",
                    "h4",
                    "h5",
                    "h6",
                )
            )
        ),
        *_before(
            *(
                f"<{tag}"
                for tag in ("div", "table", "ul", "ol", "pre", "blockquote", "p", "tr", "li", "td", "th", "br", "span")
            )
        ),
        *_PROSE,
    ),
    "python": (*_before("\nclass ", "\n@", "\nasync def ", "\ndef ", "\n    def ", "\n\tdef "), *_CODE),
    "javascript": (*_keywords("export class interface function const let var if for while switch case"), *_CODE),
    "java": (
        *_keywords("class interface enum"),
        *_before("\n    public ", "\n    protected ", "\n    private "),
        *_CODE,
    ),
    "go": (*_keywords("func type var const"), *_before("\n\tif ", "\n\tfor ", "\n\tswitch "), *_CODE),
    "rust": (
        *_keywords("mod impl trait struct enum pub fn const static"),
        *_before("\n    pub fn ", "\n    fn "),
        *_CODE,
    ),
    "cpp": (*_keywords("namespace class struct template void int static"), *_CODE),
    "sql": (*_after(";\n"), *_keywords("CREATE ALTER INSERT UPDATE DELETE SELECT WITH FROM WHERE"), *_CODE),
}
"""By the language of the text. None has "", so that a piece without separators is cut between grapheme clusters."""


def separators_for(language: str) -> tuple[Separator, ...]:
    """Return the language's separators. Raise `ConfigurationError` for an unknown language."""
    return SEPARATORS[checked_choice("language", language, list(SEPARATORS), error=ConfigurationError)]


_OF_LANGCHAIN = (
    frozenset({"\n#{1,6} ", "\n\\*\\*\\*+\n", "\n---+\n", "\n___+\n"}),  # Markdown
    frozenset({"\n=+\n", "\n-+\n", "\n\\*+\n", "\n\n.. *\n\n"}),  # RST
    frozenset({"\nsetClass\\(", "\nsetMethod\\(", "\nsetGeneric\\(", "\nlibrary\\(", "\nrequire\\("}),  # R
    frozenset({"\n\\\\chapter{", "\n\\\\section{", "\n\\\\begin{verbatim}", "$$", "$"}),  # LaTeX
    frozenset({"\nDATA DIVISION.", "\nPROCEDURE DIVISION.", "\nLINKAGE SECTION.", "\nSTOP RUN."}),  # COBOL
    frozenset({"\nmain :: ", "\nwhere ", "\n| ", "\n= {"}),  # Haskell
    frozenset({"\\nCase\\s+", "\\nElseIf\\s+", "\\nSelect\\s+Case\\s+", "\\n\\n", "\\n"}),  # Visual Basic 6
)
"""Marks of LangChain's lists whose strings its splitters read as regular expressions.

One string alone is no mark: "\\n| " is a row of a table for a user who writes it as plain text.
"""

_SPECIAL = frozenset("\\.^$*+?{}[]|()")


def as_separators(given: Sequence[str | Separator]) -> tuple[Separator, ...]:
    """Return plain strings as separators that begin a chunk. Any behind the first "" are dropped.

    LangChain's lists for languages are read as its splitters read them, some of them as regular expressions.

    Raises:
        ConfigurationError: If an item is neither a string nor a `Separator` that cuts within itself, or an expression
            does not compile.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"separators is the string {shown(given)}. Put it into a tuple.")
    if not isinstance(given, Sequence):
        raise ConfigurationError(f"separators={shown(given)} is no list. Pass a tuple of strings.")
    strings = frozenset(item for item in given if isinstance(item, str))
    regex = any(strings >= known for known in _OF_LANGCHAIN)
    separators: list[Separator] = []
    for item in given:
        separator = Separator(item, regex=regex) if isinstance(item, str) else item
        if not _is_separator(separator):
            raise ConfigurationError(
                f"The separator {shown(item)} is not valid. Pass a string or Separator(text, cut)."
            )
        if separator.regex:
            separator = _checked_pattern(separator)
        separators.append(separator)
        if not separator.text:
            break
    return tuple(separators)


def _is_separator(item: object) -> bool:
    if not isinstance(item, Separator):
        return False
    return list(map(type, item)) == [str, int, bool] and 0 <= item.cut <= len(item.text)


def _checked_pattern(separator: Separator) -> Separator:
    """Check a regular expression. One without special characters becomes a plain string: it is found faster."""
    if not _SPECIAL.intersection(separator.text):
        return separator._replace(regex=False)
    try:
        re.compile(separator.text)
    except re.error as error:
        raise ConfigurationError(
            f"The separator {separator.text!r} is no regular expression: {error}. Correct it."
        ) from None
    if separator.cut:
        raise ConfigurationError(
            f"The separator {separator.text!r} is a regular expression, which takes no cut={separator.cut}. To cut "
            "behind the match, put it into a lookbehind: (?<=...)."
        )
    return separator
