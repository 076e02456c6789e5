"""Find numbers with their units, and dates."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from zlib import crc32

from embedpipe.answering.values.tokens import Token
from embedpipe.answering.values.vocabulary import (
    AMBIGUOUS_MONTHS,
    APPROXIMATE,
    BEFORE_A_MONTH,
    CURRENCY_SIGNS,
    ENGLISH_NUMBERS,
    GLUED_SCALES,
    LONGER_UNITS,
    MONTHS,
    NUMBER_WORDS,
    ORDINAL_ENDS,
    ORDINALS,
    SCALES,
    UNITS,
    WEAK_NUMBERS,
    WEEKDAYS,
)

_ISO = re.compile(
    r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)|(?<!\d)(\d{1,2})([-/.])(\d{1,2})\5(\d{4}|\d{2})(?!\d)"
)
_CJK_DATE = re.compile(
    r"(?<!\d)(\d{4})\s?年(?:\s?(\d{1,2})\s?月(?:\s?(\d{1,2})\s?[日号])?)?|(?<!\d)(\d{1,2})\s?月\s?(\d{1,2})\s?[日号]"
)
_SEPARATORS = re.compile(r"['’ \u00a0\u202f٬]")
_MOST_DIGITS = 30
_NOTHING = 10**18
_MOST_WORDS = 15  # of a number; more would not fit a float
_BEFORE_A_SCALE = frozenset(("a", "several", "few"))
_AFTER_AN_ARTICLE = frozenset(("hundred", "thousand", "million", "billion", "dozen"))
_SCALES_ALONE = frozenset(("hundert", "tausend", "mille", "mil", "cien", "cent"))
_OF_ENGLISH = ENGLISH_NUMBERS | ORDINALS.keys() | {"a", "half", "several", "few"}
_JOINS = frozenset(
    (
        "to",
        "and",
        "or",
        "–",
        "-",
        "—",
        "x",
        "×",
        "/",
        ",",
        "bis",
        "à",
        "a",
        "und",
        "oder",
        "et",
        "ou",
        "y",
        "o",
        "until",
        "through",
    )
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit: tokens[first:last].

    `readings` has more than one number if the text is ambiguous: 1,234 is 1234 or 1.234.
    """

    first: int
    last: int
    readings: frozenset[float]
    unit: str | None = None
    is_weak: bool = False
    is_rounded: bool = False
    is_year: bool = False
    has_point: bool = False

    @property
    def likely(self) -> float:
        """Return the reading that is converted to other units: for 1,234 that of a thousand, for 1.234 that of one."""
        return min(self.readings) if self.has_point else max(self.readings)


@dataclass(frozen=True, slots=True)
class Date:
    """A date or a part of one: tokens[first:last]. A part that the text does not name is None."""

    first: int
    last: int
    readings: frozenset[tuple[int | None, int | None, int | None]] = field(default_factory=frozenset)
    """(year, month, day). 04/03/2021 has two."""


def quantities_and_dates(tokens: list[Token], text: str, language: str | None) -> tuple[list[Quantity], list[Date]]:
    """Return the quantities and the dates in order. A number of a date is no quantity."""
    dates = sorted([*_numeric_dates(tokens, text), *_named_dates(tokens)], key=lambda date: (date.first, -date.last))
    kept: list[Date] = []
    for date in dates:
        if not kept or date.first >= kept[-1].last:
            kept.append(date)
    taken = {position for date in kept for position in range(date.first, date.last)}
    return _with_shared_units(list(_quantities(tokens, taken, language)), tokens), kept


# --- numbers


def _quantities(tokens: list[Token], taken: set[int], language: str | None) -> Iterator[Quantity]:
    position = 0
    while position < len(tokens):
        if position in taken:
            position += 1
            continue
        found = _number(tokens, position, language)
        if found is None:
            position += 1
            continue
        readings, last, is_weak = found
        unit, end = _unit(tokens, last)
        first = position
        before = tokens[position - 1] if position else None
        if unit is None and before is not None and before.text in CURRENCY_SIGNS:
            unit, first = before.text, position - 1
            glued = tokens[last] if last < len(tokens) else None
            if glued and glued.start == tokens[last - 1].end and glued.form in GLUED_SCALES:
                readings = frozenset(value * GLUED_SCALES[glued.form] for value in readings)
                end = last + 1
        near = tokens[max(0, first - 2) : first]
        yield Quantity(
            first,
            end,
            readings,
            unit,
            is_weak=is_weak and unit is None,
            is_rounded=any(token.form in APPROXIMATE for token in near),
            is_year=unit is None and _is_year(tokens[position], last - position),
            has_point="." in tokens[position].text,
        )
        position = max(end, position + 1)


def _is_year(token: Token, length: int) -> bool:
    return length == 1 and len(token.text) == 4 and token.text.isdecimal() and 1000 <= int(token.text) <= 2100


def _number(tokens: list[Token], at: int, language: str | None) -> tuple[frozenset[float], int, bool] | None:
    """Return the readings of the number that begins at a token, the position behind it, and whether it is weak."""
    token = tokens[at]
    if token.kind == "number":
        if name := _name_before(tokens, at):
            return frozenset([crc32(f"{name}{_in_ascii(token.text)}".encode()) + 0.25]), at + 1, False
        readings = _readings(token.text)
        end = at + 1
        if (
            token.text.isdecimal()
            and end + 1 < len(tokens)
            and tokens[end].text in "/⁄"
            and tokens[end + 1].text.isdecimal()
        ):
            below = int(tokens[end + 1].text[:9])
            if 1 < below < 101 and len(token.text) < 3 and tokens[end].start == token.end:
                return frozenset([round(int(token.text) / below, 6)]), end + 2, False
        if end < len(tokens) and tokens[end].start == tokens[end - 1].end and tokens[end].form in ORDINAL_ENDS:
            end += 1
        scaled, end = _scaled(readings, tokens, end)
        return scaled, end, False
    if token.kind == "sole" and (value := unicodedata.numeric(token.text, -1.0)) >= 0:
        return frozenset([round(value, 6)]), at + 1, False
    if token.kind == "word" and (language != "en" or token.form in _OF_ENGLISH):
        return _in_words(tokens, at)
    return None


def _name_before(tokens: list[Token], at: int) -> str:
    """Return the letters that a number is a part of: "oct" for OCT4, "covid" for COVID-19."""
    at -= (
        at > 1
        and tokens[at - 1].text == "-"
        and tokens[at - 2].text.isupper()
        and tokens[at - 1].start == tokens[at - 2].end
    )
    before = tokens[at - 1] if at else None
    glued = before is not None and before.kind == "word" and before.end == tokens[at].start
    return before.form if before is not None and glued and before.form not in UNITS else ""


def _in_ascii(digits: str) -> str:
    """Return the text with digits of other scripts as 0 to 9."""
    return "".join(str(int(each)) if each.isdecimal() else each for each in digits)


def _scaled(readings: frozenset[float], tokens: list[Token], end: int) -> tuple[frozenset[float], int]:
    while end < len(tokens) and tokens[end].form in SCALES:
        readings = frozenset(value * SCALES[tokens[end].form] for value in readings)
        end += 1
    return readings, end


def _readings(written: str) -> frozenset[float]:
    """Return the numbers that digits with points, commas or spaces may mean."""
    plain = _SEPARATORS.sub("", written).replace("٫", ".").replace("·", ".")
    if len(plain) > _MOST_DIGITS:
        return frozenset([crc32(plain.encode()) + 0.25])
    points, commas = plain.count("."), plain.count(",")
    found: set[float] = set()
    if points + commas == 0:
        return frozenset([float(plain)])
    for decimal, group in ((".", ","), (",", ".")):
        head, _, tail = plain.partition(decimal) if decimal in plain else (plain, "", "")
        groups = head.split(group)
        grouped = len(groups) == 1 or (
            len(groups[0]) <= 3 and groups[0][0] != "0" and all(len(each) == 3 for each in groups[1:])
        )
        if grouped and tail.isdecimal() | (not tail):
            found.add(float("".join(groups) + ("." + tail if tail else "")))
    # A version or an address, such as 1.2.3, is compared as it is written.
    return frozenset(found) or frozenset([crc32(plain.encode()) + 0.25])


def _in_words(tokens: list[Token], at: int) -> tuple[frozenset[float], int, bool] | None:
    """Return the number that words say: "twenty-one", "two hundred and five", "a million"."""
    form = tokens[at].form
    if form in ORDINALS or form == "half":
        return frozenset([float(ORDINALS.get(form, 0.5))]), at + 1, form in WEAK_NUMBERS or form == "half"
    following = tokens[at + 1].form if at + 1 < len(tokens) else ""
    article = form in _BEFORE_A_SCALE and following in _AFTER_AN_ARTICLE
    if form not in NUMBER_WORDS and not article and form not in _SCALES_ALONE:
        return None
    value, end = _added(tokens, at + article)
    return frozenset([float(value)]), end, end == at + 1 and form in WEAK_NUMBERS


def _added(tokens: list[Token], at: int) -> tuple[int, int]:
    """Return the number that the words from a token on add up to, and the position behind them."""
    total, group, end, previous = 0, 0, at, _NOTHING
    while end < min(len(tokens), at + _MOST_WORDS):
        form = tokens[end].form
        if form in NUMBER_WORDS:
            value = NUMBER_WORDS[form]
            if previous != _NOTHING and previous < 100 and not (value < 10 <= previous and group % 10 == 0):
                break
            group, previous = group + value, value
        elif form in SCALES:
            previous = SCALES[form]
            if previous == 100:
                group = max(group, 1) * 100
            else:
                total, group = total + max(group, 1) * previous, 0
        elif not (
            end > at and form in ("-", "and") and previous > (10 if form == "-" else 99) and _goes_on(tokens, end)
        ):
            break
        end += 1
    if end < len(tokens) and 20 <= previous < 100 and ORDINALS.get(tokens[end].form, 10) < 10:
        return total + group + ORDINALS[tokens[end].form], end + 1  # twenty-first
    return total + group, end


def _goes_on(tokens: list[Token], at: int) -> bool:
    following = tokens[at + 1].form if at + 1 < len(tokens) else ""
    return NUMBER_WORDS.get(following, 100) < (10 if tokens[at].form == "-" else 100) or (
        tokens[at].form == "-" and ORDINALS.get(following, 100) < 10
    )


def _unit(tokens: list[Token], at: int) -> tuple[str | None, int]:
    """Return the unit that begins at a token, behind at most a hyphen, and the position behind it."""
    start = at + 1 if at < len(tokens) and tokens[at].text == "-" else at
    if start >= len(tokens):
        return None, at
    forms = tuple(token.form for token in tokens[start : start + 3])
    for length in (3, 2):
        if forms[:length] in LONGER_UNITS:
            return LONGER_UNITS[forms[:length]], start + length
    if forms[0] == "°" or forms[0] not in UNITS:
        return ("°", start + 1) if forms[0] == "°" else (None, at)
    token = tokens[start]
    raised = tokens[start + 1].text if start + 1 < len(tokens) else ""
    glued = raised in ("²", "2") and tokens[start + 1].start == token.end
    if forms[0] in ("km", "m", "mi") and glued:
        return f"{forms[0]}2", start + 2
    if len(forms[0]) == 1 and token.kind == "word" and token.text.isupper() and forms[0] not in "wvjc":
        return None, at
    return forms[0], start + 1


def _with_shared_units(found: list[Quantity], tokens: list[Token]) -> list[Quantity]:
    """Return the quantities, those before a joint unit with it: "4 to 5 minutes", "two or three days"."""
    for position in range(len(found) - 2, -1, -1):
        this, following = found[position], found[position + 1]
        between = tokens[this.last : following.first]
        if (
            this.unit is None
            and following.unit
            and len(between) == 1
            and between[0].form in _JOINS
            and not this.is_year
        ):
            found[position] = replace(this, unit=following.unit, is_weak=False)
    return found


# --- dates


def _numeric_dates(tokens: list[Token], text: str) -> Iterator[Date]:
    by_start = {token.start: position for position, token in enumerate(tokens)}
    for found in (*_ISO.finditer(text), *_CJK_DATE.finditer(text)):
        first = by_start.get(found.start())
        if first is None:
            continue
        last = first
        while last < len(tokens) and tokens[last].start < found.end():
            last += 1
        if found.re is _CJK_DATE:
            year, month, day, alone, of_it = (int(each) if each else None for each in found.groups())
            readings = {(year, month or alone, day or of_it)}
        elif found[1]:
            readings = {(int(found[1]), int(found[2]), int(found[3]))}
        else:
            one, two, year = int(found[4]), int(found[6]), int(found[7])
            year += 0 if year > 99 else 2000 if year < 50 else 1900
            readings = {(year, two, one), (year, one, two)}
        valid = frozenset(
            each for each in readings if (each[1] or 1) in range(1, 13) and (each[2] or 1) in range(1, 32)
        )
        if valid:
            yield Date(first, last, valid)


def _named_dates(tokens: list[Token]) -> Iterator[Date]:
    for at, token in enumerate(tokens):
        if token.form in WEEKDAYS and token.capital:
            yield Date(at, at + 1, frozenset([(None, None, -WEEKDAYS[token.form])]))
        if token.kind != "word" or token.form not in MONTHS:
            continue
        day, first = _day_before(tokens, at)
        last = at + 1
        if last < len(tokens) and tokens[last].text == ".":
            last += _number_at(tokens, last + 1) is not None
        if day is None and (number := _number_at(tokens, last)) is not None and number < 32:
            day, last = number, last + 1
            if last < len(tokens) and tokens[last].form in ORDINAL_ENDS:
                last += 1
        year, last = _year_behind(tokens, last)
        if day is None and year is None and not _alone(tokens, at):
            continue
        yield Date(first, last, frozenset([(year, MONTHS[token.form], day)]))


def _alone(tokens: list[Token], at: int) -> bool:
    token = tokens[at]
    if token.form not in AMBIGUOUS_MONTHS:
        return True
    return token.capital and at > 0 and tokens[at - 1].form in BEFORE_A_MONTH and not tokens[at - 1].capital


def _number_at(tokens: list[Token], at: int) -> int | None:
    if (
        0 <= at < len(tokens)
        and tokens[at].kind == "number"
        and tokens[at].text.isdecimal()
        and len(tokens[at].text) < 5
    ):
        return int(tokens[at].text)
    return None


def _day_before(tokens: list[Token], month: int) -> tuple[int | None, int]:
    at = month - 1
    while at >= 0 and month - at < 4 and (tokens[at].form in ORDINAL_ENDS or tokens[at].form in ("of", ".", "de", "-")):
        at -= 1
    number = _number_at(tokens, at)
    return (number, at) if number is not None and number < 32 else (None, month)


def _year_behind(tokens: list[Token], at: int) -> tuple[int | None, int]:
    ahead = at
    while ahead < len(tokens) and ahead - at < 2 and tokens[ahead].form in (",", "of", "de", "del", "-"):
        ahead += 1
    number = _number_at(tokens, ahead)
    return (number, ahead + 1) if number is not None and 999 < number < 2200 else (None, at)
