"""`Table`: which table of the user's own a collection follows, and which of its columns are searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from embedpipe._checks import checked_text, shown
from embedpipe.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Table:
    """A table of your own, for `SemanticSearchService.attach`.

    Column names are written as they are, without quotes.

    Args:
        name: The table's name as in SQL: `public.articles`, or `public."Articles"` with capitals.
        key: The column, or columns, that identify a row. They need a primary key or a unique index, and take no NULL.
        text: The columns whose text is searched. Their values make one text, with an empty line between two of them.
        metadata: The columns whose values become metadata, for filters and results.
    """

    name: str
    key: str | Sequence[str]
    text: str | Sequence[str]
    metadata: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_text("name", self.name, error=ConfigurationError))
        for part in ("key", "text", "metadata"):
            object.__setattr__(self, part, _columns(part, getattr(self, part)))
        for part, columns in (("key", self.key), ("text", self.text)):
            if not columns:
                raise ConfigurationError(f"{part}= is empty. Name at least one column.")

    def record(self) -> dict[str, Any]:
        """Return the table as the catalogue keeps it."""
        return asdict(self)


def _columns(part: str, value: object) -> tuple[str, ...]:
    """Return the names of columns as a tuple. One str is one name."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or isinstance(names, bytes):
        raise ConfigurationError(f"{part}={shown(value)} is no list. Pass the names of columns.")
    checked = tuple(checked_text(f"a name in {part}", name, error=ConfigurationError) for name in names)
    repeated = {name for name in checked if checked.count(name) > 1}
    if repeated:
        raise ConfigurationError(f"{part}= names {min(repeated)!r} twice. Name each column once.")
    return checked
