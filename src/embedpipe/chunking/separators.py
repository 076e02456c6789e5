"""Where texts of each kind may be cut, best places first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from embedpipe.errors import ConfigurationError


class Separator(NamedTuple):
    """A string at which a text may be cut, `cut` code points after its start; 0 leaves it to the next chunk."""

    text: str
    cut: int = 0


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


def as_separators(given: Sequence[str | Separator]) -> tuple[Separator, ...]:
    """Plain strings as separators that begin a chunk, none behind the first "".

    Raises `ConfigurationError` for what is neither a string nor a `Separator` that cuts within itself.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"Expected a sequence of separators, got the string {given!r}. Put it into a tuple.")
    separators: list[Separator] = []
    for item in given:
        separator = Separator(item) if isinstance(item, str) else item
        if not _is_separator(separator):
            raise ConfigurationError(f"Expected each separator as a string or Separator(text, cut), got {item!r}.")
        separators.append(separator)
        if not separator.text:
            break
    return tuple(separators)


def _is_separator(item: object) -> bool:
    return isinstance(item, Separator) and 0 <= item.cut <= len(item.text)
