"""Where texts of each kind may be cut, best places first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from embedpipe.errors import ConfigurationError


class Separator(NamedTuple):
    """A string at which a text may be cut, `cut` code points after its start; 0 leaves it to the next chunk.

    With `regex`, `text` is a regular expression: the text may be cut where it matches, before what it matched.
    """

    text: str
    cut: int = 0
    regex: bool = False

    def __repr__(self) -> str:
        """Name a plain separator as ever, since documents are cut anew where their chunker is called another."""
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
"""By the language of the text. None holds "", so that what is left is cut between grapheme clusters."""


def separators_for(language: str) -> tuple[Separator, ...]:
    """The language's separators. Raises `ConfigurationError` for an unknown language."""
    if language not in SEPARATORS:
        raise ConfigurationError(f"Expected a language out of {', '.join(SEPARATORS)}; got {language!r}.")
    return SEPARATORS[language]


_OF_LANGCHAIN = (
    frozenset({"\n#{1,6} ", "\n\\*\\*\\*+\n", "\n---+\n", "\n___+\n"}),  # Markdown
    frozenset({"\n=+\n", "\n-+\n", "\n\\*+\n", "\n\n.. *\n\n"}),  # RST
    frozenset({"\nsetClass\\(", "\nsetMethod\\(", "\nsetGeneric\\(", "\nlibrary\\(", "\nrequire\\("}),  # R
    frozenset({"\n\\\\chapter{", "\n\\\\section{", "\n\\\\begin{verbatim}", "$$", "$"}),  # LaTeX
    frozenset({"\nDATA DIVISION.", "\nPROCEDURE DIVISION.", "\nLINKAGE SECTION.", "\nSTOP RUN."}),  # COBOL
    frozenset({"\nmain :: ", "\nwhere ", "\n| ", "\n= {"}),  # Haskell
    frozenset({"\\nCase\\s+", "\\nElseIf\\s+", "\\nSelect\\s+Case\\s+", "\\n\\n", "\\n"}),  # Visual Basic 6
)
"""What tells LangChain's lists that its splitters read as regular expressions: each has some that mean another thing.

A string alone does not tell: "\\n| " is a row of a table for whoever writes it as plain text.
"""

_SPECIAL = frozenset("\\.^$*+?{}[]|()")


def as_separators(given: Sequence[str | Separator]) -> tuple[Separator, ...]:
    """Return plain strings as separators that begin a chunk, none behind the first "".

    LangChain's lists for languages are taken as its splitters take them: as regular expressions, where it has such.

    Raises:
        ConfigurationError: For what is neither a string nor a `Separator` that cuts within itself, and for an
            expression that cannot be compiled.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"Expected a sequence of separators, got the string {given!r}. Put it into a tuple.")
    strings = frozenset(item for item in given if isinstance(item, str))
    regex = any(strings >= known for known in _OF_LANGCHAIN)
    separators: list[Separator] = []
    for item in given:
        separator = Separator(item, regex=regex) if isinstance(item, str) else item
        if not _is_separator(separator):
            raise ConfigurationError(f"Expected each separator as a string or Separator(text, cut), got {item!r}.")
        if separator.regex:
            separator = _checked_pattern(separator)
        separators.append(separator)
        if not separator.text:
            break
    return tuple(separators)


def _is_separator(item: object) -> bool:
    return isinstance(item, Separator) and 0 <= item.cut <= len(item.text)


def _checked_pattern(separator: Separator) -> Separator:
    """Return the separator, as a plain one where its expression has nothing special: plain ones are found faster."""
    if not _SPECIAL.intersection(separator.text):
        return separator._replace(regex=False)
    try:
        re.compile(separator.text)
    except re.error as error:
        raise ConfigurationError(f"The separator {separator.text!r} is no regular expression: {error}.") from None
    if separator.cut:
        raise ConfigurationError(
            f"The separator {separator.text!r} is a regular expression, which takes no cut={separator.cut}. To cut "
            "behind what it matches, put that into a lookbehind: (?<=...)."
        )
    return separator
