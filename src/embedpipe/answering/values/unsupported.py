"""A value that a source does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ValueKind: TypeAlias = Literal["number", "unit", "date", "negation", "name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedValue:
    """A value of a statement that its source does not hold.

    Attributes:
        kind: "number", "unit", "date", "negation" or "name".
        text: The value. For a unit, with its number. For a negation that only the source has, what it denies there.
        start: Where it is in the statement's text.
        end: The end of the same place.
        nearest: The value in the source that is nearest: in the same words, of the same unit, or of the same kind. None
            if there is none of its kind.
        nearest_start: Where that is: here in the source's text, in a `Citation` in the original document.
        nearest_end: The end of the same place.
    """

    kind: ValueKind
    text: str
    start: int
    end: int
    nearest: str | None = None
    nearest_start: int | None = None
    nearest_end: int | None = None

    def __str__(self) -> str:
        """Return the value, and the nearest of the source in brackets."""
        return f"“{self.text}”" if self.nearest is None else f"“{self.text}” (nearest in the source: “{self.nearest}”)"
