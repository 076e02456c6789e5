"""Find names by their capital letters, and compare their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedpipe.answering.values.tokens import Token
from embedpipe.answering.values.vocabulary import DEMONYMS, MONTHS, NUMBER_WORDS, ORDINALS, SCALES, UNITS, WEEKDAYS
from embedpipe.text import COMMON

_INSIDE = frozenset(
    (
        "of",
        "de",
        "la",
        "le",
        "van",
        "von",
        "der",
        "den",
        "del",
        "di",
        "da",
        "du",
        "bin",
        "al",
        "el",
        "the",
        "y",
        "and",
        "&",
        "-",
        ".",
    )
)
_NO_NAMES = frozenset(("i", "mr", "mrs", "ms", "dr", "prof", "sir", "no", "vs", "fig", "eg", "ie"))
NUMERALS = {"ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10, "xi": 11, "xii": 12}
_ENDINGS = sorted(
    (
        "ians",
        "ian",
        "eans",
        "ean",
        "ans",
        "an",
        "ns",
        "n",
        "ish",
        "ese",
        "ic",
        "al",
        "ite",
        "y",
        "a",
        "e",
        "o",
        "i",
        "ia",
        "s",
        "es",
    ),
    key=len,
    reverse=True,
)


@dataclass(frozen=True, slots=True)
class Name:
    """A run of capitalised words, tokens[first:last], and the forms of those that count.

    `strong` are the forms that only a name is written with in this place. The others may be capitalised for another
    reason, such as the first word of a sentence.
    """

    first: int
    last: int
    forms: tuple[str, ...]
    strong: frozenset[str]


def names(tokens: Sequence[Token], taken: set[int], language: str | None) -> list[Name]:
    """Return the names in order. Tokens in `taken` are numbers and dates.

    German writes every noun with a capital letter. There, only the second and further words of a run are strong.
    """
    titled = _titled_sentences(tokens)
    found: list[Name] = []
    at = 0
    while at < len(tokens):
        if not _begins(tokens, at, taken):
            at += 1
            continue
        last = at + 1
        while (ahead := _next_capital(tokens, last, taken)) is not None:
            last = ahead + 1
        forms = [tokens[place].form for place in range(at, last) if _counts(tokens[place])]
        while (
            last + 1 < len(tokens) and tokens[last].text == "-" and tokens[last - 1].end == tokens[last + 1].start - 1
        ):
            last += 2  # G-quadruplex
        weak = {tokens[at].form} if tokens[at].opens or language == "de" else set()
        if tokens[at].sentence in titled:
            weak.update(forms)
        if forms:
            found.append(Name(at, last, tuple(forms), frozenset(forms) - weak))
        at = last
    return found


def _titled_sentences(tokens: Sequence[Token]) -> set[int]:
    """Return the sentences written like titles: most words have a capital letter, and there is no full stop."""
    capital: dict[int, int] = {}
    total: dict[int, int] = {}
    for token in tokens:
        if token.kind == "word" and len(token.text) > 3:
            total[token.sentence] = total.get(token.sentence, 0) + 1
            capital[token.sentence] = capital.get(token.sentence, 0) + token.capital
    stopped = {token.sentence for token in tokens if token.text == "."}
    return {sentence for sentence, count in total.items() if count > 2 and capital[sentence] > 0.8 * count} - stopped


def _begins(tokens: Sequence[Token], at: int, taken: set[int]) -> bool:
    token = tokens[at]
    return token.capital and at not in taken and _counts(token)


def _counts(token: Token) -> bool:
    form = token.form
    if not token.capital or form in _NO_NAMES or (len(form) < 2 and not token.text.isalpha()):
        return False
    if form in COMMON or form in NUMBER_WORDS or form in ORDINALS or form in SCALES or form in WEEKDAYS:
        return False
    return not ((form in MONTHS or form in UNITS) and not token.text.isupper())


def _next_capital(tokens: Sequence[Token], at: int, taken: set[int]) -> int | None:
    """Return the position of the run's next capitalised word, behind at most two particles. None if the run ends."""
    ahead = at
    while ahead < len(tokens) and ahead - at < 3:
        token = tokens[ahead]
        if token.sentence != tokens[at - 1].sentence or ahead in taken:
            return None
        if token.capital and not (token.opens and ahead == at):
            return ahead if _counts(token) else None
        if token.form not in _INSIDE or token.form == "and" or (token.form == "." and len(tokens[ahead - 1].text) > 2):
            return None
        ahead += 1
    return None


class HeldWords:
    """The words of a source, for looking up those of names."""

    def __init__(self, tokens: Sequence[Token], also: Sequence[Token], numbers: set[float]) -> None:
        forms = {token.form for token in (*tokens, *also)}
        self._forms = forms
        self._roots = {root(form) for form in forms}
        self._initials = {token.form[0] for token in tokens if token.capital}
        self._abbreviated = {token.form for token in tokens if token.kind == "word" and len(token.form) == 1}
        self._numbers = numbers
        self._acronyms = _acronyms(tokens)
        self._short = {token.form for token in tokens if token.text.isupper() and 1 < len(token.text) < 7}

    def holds(self, name: Name, form: str) -> bool:
        """Return whether the source has this word of a name, in full, derived, or abbreviated."""
        if form in self._forms or root(form) in self._roots:
            return True
        if len(form) == 1:
            return form in self._initials
        if form in self._acronyms or "".join(each[0] for each in name.forms) in self._short:
            return True
        if len(name.forms) > 1 and form == name.forms[0] and form[0] in self._abbreviated:
            return True  # John Smith for J. Smith
        return form in NUMERALS and float(NUMERALS[form]) in self._numbers


def root(form: str) -> str:
    """Return what derived forms of a name share: Canada and Canadian, France and French."""
    if form in DEMONYMS:
        return DEMONYMS[form]
    for ending in _ENDINGS:
        if form.endswith(ending) and len(form) - len(ending) >= 3:
            return form[: -len(ending)]
    return form


def _acronyms(tokens: Sequence[Token]) -> set[str]:
    """Return the initials of up to six capitalised words in a row: who for World Health Organization."""
    found: set[str] = set()
    row: list[str] = []
    for token in tokens:
        if token.kind == "word" and token.capital:
            row.append(token.form[0])
            for length in range(2, min(len(row), 6) + 1):
                found.add("".join(row[-length:]))
        elif token.form not in ("of", "and", "the", "for", "-", "&", "de"):
            row = []
    return found
