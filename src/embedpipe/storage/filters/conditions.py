"""Conditions on chunks, as values: what they are put together from. `operators` makes them, `sql` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from embedpipe.errors import InputError
from embedpipe.storage.types import JsonbArray, dumps_value, storable_text

_FEW = 20
"""Up to so many values, the index for equality is faster than a pass over all chunks."""


class Filter:
    """A condition on metadata. Combine conditions with `&`, `|` and `~`."""

    def __and__(self, other: Filter) -> Filter:
        return And((*_joined_by(self, And), *_joined_by(other, And)))

    def __or__(self, other: Filter) -> Filter:
        return Or((*_joined_by(self, Or), *_joined_by(other, Or)))

    def __invert__(self) -> Filter:
        return Not(self)

    def __bool__(self) -> bool:
        raise InputError("A filter has no truth value. Combine filters with &, | and ~ instead of and, or and not.")


@dataclass(frozen=True, slots=True)
class Comparison(Filter):
    """A value of the metadata compared with an operand, by an entry of `OPERATORS`."""

    path: tuple[str, ...]
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class In(Filter):
    """A value of the metadata that equals any of the given ones. Without values, no chunk meets it.

    There may be many values, and a search binds them several times. They are therefore encoded once, with the filter.
    If there are `few`, `bound` holds metadata to be contained, which the index for equality serves. Else it holds the
    values, each under the key "v".
    """

    path: tuple[str, ...]
    values: tuple[Any, ...]
    few: bool = field(init=False, compare=False, repr=False)
    bound: JsonbArray = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        what = f"Filter {self.path[-1]!r:.100}"
        few = len(self.values) <= _FEW and not any(isinstance(value, (dict, list)) for value in self.values)
        keys = self.path if few else ("v",)
        before, after = "".join(f"{{{dumps_value(key, what=what)}: " for key in keys), "}" * len(keys)
        texts = (f"{before}{dumps_value(value, what=what)}{after}" for value in self.values)
        object.__setattr__(self, "few", few)
        object.__setattr__(self, "bound", JsonbArray(texts))


@dataclass(frozen=True, slots=True)
class And(Filter):
    """All of the conditions. Without any, every chunk meets it."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """At least one of the conditions. Without any, no chunk meets it."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """The opposite of a condition. A chunk without the key meets it, too."""

    part: Filter


@dataclass(frozen=True, slots=True)
class Among(Filter):
    """Chunks whose own id, or whose document's, is one of these."""

    column: Literal["id", "document_id"]
    ids: Sequence[str]

    def __post_init__(self) -> None:
        for value in self.ids:
            storable_text(value, f"Filter on {self.column}")


@dataclass(frozen=True, slots=True)
class OfPayload(Filter):
    """Chunks whose payload, which a framework's adapter wrote, has one of these texts under a key."""

    key: str
    values: Sequence[str]


def parts_of(condition: Filter) -> tuple[Filter, ...]:
    """Return the conditions that a condition is put together from. A single one has none."""
    match condition:
        case And(parts) | Or(parts):
            return parts
        case Not(part):
            return (part,)
    return ()


def restricts(condition: Filter | None) -> bool:
    """Return whether a condition may leave a chunk out, judged by its form alone."""
    return condition is not None and _constant(condition) is not True


def _joined_by(condition: Filter, kind: type[And | Or]) -> tuple[Filter, ...]:
    """Flatten a chain of & or |, so that a long one is one condition and not nested by its length."""
    return condition.parts if isinstance(condition, kind) else (condition,)


def _constant(condition: Filter) -> bool | None:
    """Return the truth value that a condition has for every chunk. None if that depends on the chunk."""
    match condition:
        case And(parts):
            return _joined([_constant(part) for part in parts], decisive=False)
        case Or(parts):
            return _joined([_constant(part) for part in parts], decisive=True)
        case Not(part):
            inner = _constant(part)
            return None if inner is None else not inner
        case In(values=()) | Among(ids=()):
            return False
    return None


def _joined(parts: Sequence[bool | None], *, decisive: bool) -> bool | None:
    """Return the joint truth value of parts, of which a single `decisive` one settles it."""
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive
