"""Compare numbers with their units."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from embedpipe.answering.values.vocabulary import UNITS

CONVERTED = 0.02
"""The relative difference that rounding may make to a value in another unit."""


def same_unit(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    degrees = {"angle", "temperature"}
    first, second = UNITS.get(one), UNITS.get(other)
    return first == second or ((one == "°" or other == "°") and {first and first[0], second and second[0]} <= degrees)


def size_of(value: float, unit: str | None) -> tuple[str | None, float]:
    """Return a quantity's dimension, and its size in the base unit."""
    if unit is None or unit not in UNITS:
        return unit, value
    dimension, factor = UNITS[unit]
    if UNITS[unit] == UNITS["°f"]:
        value -= 32
    return dimension, round(value * factor, 12)


def within(size: float, sizes: Sequence[float], slack: float) -> bool:
    """Return whether one of the sorted sizes differs by at most this share."""
    at = bisect_left(sizes, size - abs(size) * slack)
    return at < len(sizes) and sizes[at] <= size + abs(size) * slack


def rounds(value: float, sizes: Sequence[float]) -> bool:
    """Return whether one of the sorted sizes, rounded to as many digits, is this value: 1,200 for 1,234."""
    step = 1.0
    while value and value % (step * 10) == 0:
        step *= 10
    return value > 0 and within(value, sizes, step / 2 / value)
