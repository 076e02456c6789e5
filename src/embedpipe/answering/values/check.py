"""Check the values of a statement against those of its source."""

from __future__ import annotations

from collections.abc import Sequence

from embedpipe.answering.values.comparing import differ, distance, is_same
from embedpipe.answering.values.denials import denial
from embedpipe.answering.values.names import Name
from embedpipe.answering.values.negations import content
from embedpipe.answering.values.quantities import Date, Quantity
from embedpipe.answering.values.sizes import CONVERTED, rounds, same_unit, size_of, within
from embedpipe.answering.values.text_values import Item, ValuesOfText
from embedpipe.answering.values.tokens import Token
from embedpipe.answering.values.unsupported import UnsupportedValue, ValueKind

_ENOUGH = 3
"""How many words on both sides must be the same before two values are taken to stand in the same place."""


def unsupported_values(statement: ValuesOfText, source: ValuesOfText) -> list[UnsupportedValue]:
    """Return the values of a statement that its source does not hold, in order.

    A value is also unsupported if the source has it elsewhere, and another value of its kind in the same words.
    Takes time in proportion to the lengths of both.
    """
    nearest = _nearest_sentence(statement, source)
    found = [value for item in statement.items if (value := _check(item, statement, source, nearest)) is not None]
    if nearest is not None and (denied := denial(statement, source, nearest)) is not None:
        found.append(denied)
    return sorted(found, key=lambda value: value.start)


def _nearest_sentence(statement: ValuesOfText, source: ValuesOfText) -> list[Token] | None:
    """Return the source's sentence that shares most content words with the statement, the shorter of two."""
    said = set(content(statement.tokens))
    shared = [(len(said.intersection(words)), -len(words)) for _, words in source.sentences]
    if not shared or max(shared)[0] == 0:
        return None
    return source.sentences[shared.index(max(shared))][0]


def _check(
    item: Item, statement: ValuesOfText, source: ValuesOfText, nearest: Sequence[Token] | None
) -> UnsupportedValue | None:
    other = _other_in_its_place(item, statement, source)
    if _is_held(item, source) and other is None:
        return None
    if other is None and not _must_be_held(item, source):
        return None
    near = other or _nearest_value(item, source, nearest)
    text, start, end = statement.shown(item)
    kind = _kind(item, near)
    if near is None:
        return UnsupportedValue(kind=kind, text=text, start=start, end=end)
    shown, left, right = source.shown(near)
    return UnsupportedValue(
        kind=kind, text=text, start=start, end=end, nearest=shown, nearest_start=left, nearest_end=right
    )


def _kind(item: Item, near: Item | None) -> ValueKind:
    if isinstance(item, Name):
        return "name"
    if isinstance(item, Date) or item.is_year:
        return "date"
    same = isinstance(near, Quantity) and near.readings & item.readings
    return "unit" if same and item.unit else "number"


# --- whether the source has a value


def _is_held(item: Item, source: ValuesOfText) -> bool:
    if isinstance(item, Name):
        return all(source.held_words.holds(item, form) for form in item.forms)
    if isinstance(item, Date):
        return any(_holds_date(reading, source) for reading in item.readings)
    units = {unit for value in item.readings for unit in source.units_of.get(value, ())}
    if None in units or (units and item.unit is None) or any(same_unit(item.unit, unit) for unit in units):
        return True
    return _holds_size(item, source)


def _must_be_held(item: Item, source: ValuesOfText) -> bool:
    """Return whether it is a value for certain: "one" may be none, nor the first word of a sentence."""
    if isinstance(item, Name):
        return not all(source.held_words.holds(item, form) for form in item.strong)
    return isinstance(item, Date) or not item.is_weak


def _holds_size(item: Quantity, source: ValuesOfText) -> bool:
    """Return whether the source has the quantity in another unit, or more exactly."""
    value = item.likely
    dimension, size = size_of(value, item.unit)
    if dimension == "share" and within(size, source.sizes.get(None, {}).get(None, []), 1e-6):
        return True  # 50 % for half
    for unit, sizes in source.sizes.get("share" if dimension is None and value < 1 else dimension, {}).items():
        if item.unit is None or same_unit(item.unit, unit):
            if within(size, sizes, 1e-6) or (item.is_rounded and rounds(size, sizes)):
                return True
        elif size and within(size, sizes, CONVERTED):
            return True
    return False


def _holds_date(reading: tuple[int | None, int | None, int | None], source: ValuesOfText) -> bool:
    year, month, day = reading
    if reading in source.parts_of_dates:
        return True
    # The day and month in one place, and the year in another.
    return year is not None and float(year) in source.numbers and (None, month, day) in source.parts_of_dates


# --- which value the source has in its place


def _other_in_its_place(item: Item, statement: ValuesOfText, source: ValuesOfText) -> Item | None:
    """Return the source's value in the same words, if it is another one and the statement does not have it as well.

    A value that the statement has elsewhere was only moved: "B and A" for "A and B".
    """
    here = statement.place(item)
    same, best, other = 0, 0, None
    for place in source.neighbors.get((type(item), here.before[0], here.after[0]), ()):
        score = _alike(here.before, place.before) + _alike(here.after, place.after)
        if not differ(item, place.item):
            same = max(same, score)
        elif score > best:
            best, other = score, place.item
    if other is None or best < _ENOUGH or best <= same or _is_moved(other, statement, source):
        return None
    if isinstance(other, Name) and isinstance(item, Name) and not item.strong:
        known = source.strong_forms.intersection((*other.forms, *item.forms))
        return other if known else None
    return other


def _alike(words: Sequence[str], others: Sequence[str]) -> int:
    count = 0
    for word, other in zip(words, others, strict=False):
        if word != other:
            break
        count += 1
    return count


def _is_moved(other: Item, statement: ValuesOfText, source: ValuesOfText) -> bool:
    """Return whether the statement has a value of the source as often as the source's sentence, so in another place."""
    sentence = source.tokens[other.first].sentence
    there = source.by_sentence[type(other), sentence]
    said = statement.by_sentence.get((type(other), -1), [])
    return sum(is_same(each, other) for each in said) >= sum(is_same(each, other) for each in there)


def _nearest_value(item: Item, source: ValuesOfText, sentence: Sequence[Token] | None) -> Item | None:
    """Return the source's value of this kind that is nearest: of the same number or unit, in the nearest sentence."""
    inside = source.by_sentence.get((type(item), sentence[0].sentence), []) if sentence else []
    candidates = [*inside, *source.by_sentence.get((type(item), -1), [])]
    if isinstance(item, Quantity):
        candidates = [*(source.by_number[value] for value in item.readings if value in source.by_number), *candidates]
        if item.is_year and source.dates:
            candidates += source.by_sentence.get((Date, -1), [])
    if not candidates:
        return None
    distances = [distance(item, each) for each in candidates]
    return candidates[distances.index(min(distances))]
