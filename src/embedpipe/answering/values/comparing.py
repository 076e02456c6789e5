"""Compare two values of one kind."""

from __future__ import annotations

from embedpipe.answering.values.names import Name, root
from embedpipe.answering.values.quantities import Date, Quantity
from embedpipe.answering.values.sizes import CONVERTED, rounds, same_unit, size_of, within
from embedpipe.answering.values.text_values import Item


def differ(item: Item, other: Item) -> bool:
    if isinstance(item, Name) and isinstance(other, Name):
        said, held = {root(form) for form in item.forms}, {root(form) for form in other.forms}
        return bool(_unlike(said, held) and _unlike(held, said))
    if isinstance(item, Date) and isinstance(other, Date):
        return not any(_compatible(one, two) for one in item.readings for two in other.readings)
    assert isinstance(item, Quantity)  # noqa: S101 - places are of one kind
    assert isinstance(other, Quantity)  # noqa: S101
    if item.unit and other.unit and not same_unit(item.unit, other.unit):
        (dimension, size), (their_dimension, their_size) = (size_of(each.likely, each.unit) for each in (item, other))
        return not (size and dimension == their_dimension and within(size, [their_size], CONVERTED))
    if item.is_rounded and rounds(item.likely, [other.likely]):
        return False
    sizes = [{size_of(value, each.unit) for value in each.readings} for each in (item, other)]
    shares = [{size for dimension, size in each if dimension in (None, "share")} for each in sizes]
    return not (item.readings & other.readings or shares[0] & shares[1])


def _unlike(words: set[str], others: set[str]) -> set[str]:
    """Return the words that the others have neither in full nor as an initial."""
    initials = {other[0] for other in others if len(other) == 1} if len(others) > 1 else set()
    starts = {other[0] for other in others}
    return {word for word in words - others if word[0] not in initials and not (len(word) == 1 and word in starts)}


def _compatible(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def is_same(item: Item, other: Item) -> bool:
    """Return whether two values of one kind are written alike: of the same words, or the same number and unit."""
    if isinstance(item, Name) and isinstance(other, Name):
        return set(item.forms) == set(other.forms)
    if isinstance(item, Quantity) and isinstance(other, Quantity):
        return bool(item.readings & other.readings) and same_unit(item.unit, other.unit)
    return bool(item.readings & other.readings)  # type: ignore[union-attr]


def distance(item: Item, other: Item) -> tuple[float, ...]:
    if isinstance(item, Name) and isinstance(other, Name):
        return (-len({*item.forms} & {*other.forms}),)
    if isinstance(item, Date) and isinstance(other, Date):
        same = [
            sum(a is not None and a == b for a, b in zip(x, y, strict=True))
            for x in item.readings
            for y in other.readings
        ]
        return (-max(same),)
    if isinstance(item, Quantity) and isinstance(other, Quantity):
        value, near = min(item.readings), min(other.readings)
        apart = abs(value - near) / max(value, near, 1.0)
        same_dimension = size_of(value, item.unit)[0] == size_of(near, other.unit)[0]
        return (not item.readings & other.readings, not same_dimension, item.is_year != other.is_year, apart)
    if isinstance(item, Quantity) and isinstance(other, Date):
        year = max((float(reading[0]) for reading in other.readings if reading[0]), default=None)
        return (1, 0, 0, 0.9 if year is None else abs(min(item.readings) - year) / year)
    return (2,)
