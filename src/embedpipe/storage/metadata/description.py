"""What a collection's metadata hold: each key with its type, examples and range."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from embedpipe._checks import shown
from embedpipe.storage.metadata.sample import MetadataSample

KeyType: TypeAlias = Literal["number", "string", "date", "boolean", "mixed"]
"""The type of a key's values, or of the elements of its lists. A date is a string in ISO form, also with a time."""

_MOST_KEYS = 100
_MOST_EXAMPLES = 10
_LONGEST_EXAMPLE = 100
_MOST_VALUES = 1_000
"""Different values that are counted for each key. A key with more is a name or an id, of which any will do."""
_DEEPEST = 5

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """A metadata key, as the chunks read have it.

    Attributes:
        path: The key, or the path to a nested one.
        type: The type of its values. "mixed" if there are several types.
        is_list: Whether the values are lists. Type, examples and range are then those of the elements.
        chunks: How many chunks have the key. Exact if the description is, else estimated from the chunks read.
        examples: Some of the values, most frequent first. Texts over 100 characters are left out.
        is_complete: Whether there are no other values than the examples. False if not every chunk was read.
        minimum: The least number or date in the chunks read. None for other types.
        maximum: The greatest.
    """

    path: tuple[str, ...]
    type: KeyType
    is_list: bool
    chunks: int
    examples: tuple[Any, ...]
    is_complete: bool
    minimum: float | str | None = None
    maximum: float | str | None = None

    @property
    def name(self) -> str:
        """The path, joined by dots."""
        return ".".join(self.path)

    @property
    def summary(self) -> str:
        """What a model needs to know to write a condition on the key, in one line."""
        kind = f"list of {self.type}s" if self.is_list else self.type
        values = ", ".join(json.dumps(each, ensure_ascii=False) for each in self.examples)
        if self.is_complete and values:
            return f"{kind}, one of: {values}"
        if self.minimum is not None:
            return f"{kind}, from {self.minimum} to {self.maximum}"
        return f"{kind}, such as {values}" if values else kind


@dataclass(frozen=True, slots=True)
class MetadataDescription:
    """The metadata of a collection, or of a tenant's part of it.

    Attributes:
        chunks: How many chunks there are. Always exact.
        chunks_read: How many of them were read.
        keys: The keys, most frequent first. At most 100.
        left_out: How many more keys there are in the chunks read.
    """

    chunks: int
    chunks_read: int
    keys: tuple[KeyDescription, ...]
    left_out: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether all chunks were read. Else rare keys and values may be missing, and counts are estimates."""
        return self.chunks_read == self.chunks

    def find(self, name: str | tuple[str, ...]) -> KeyDescription | None:
        """Return the key of that name or path.

        Args:
            name: A path, a key, or the keys of a path joined by dots. A key that has dots itself comes first.
        """
        path = (name,) if isinstance(name, str) else name
        for key in self.keys:
            if key.path == path:
                return key
        return next((key for key in self.keys if len(path) == 1 and key.name == path[0]), None)


@dataclass(slots=True)
class _Seen:
    """The values of one key."""

    chunks: int = 0
    lists: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    values: Counter[Any] = field(default_factory=Counter)
    left_out: bool = False
    minimum: Any = None
    maximum: Any = None

    def add(self, value: Any) -> None:
        self.chunks += 1
        if isinstance(value, list):
            self.lists += 1
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                self._add(each)

    def _add(self, value: Any) -> None:
        kind = _kind(value)
        self.kinds[kind] += 1
        if kind in ("number", "date") and len(self.kinds) == 1:
            self.minimum = value if self.minimum is None else min(self.minimum, value)
            self.maximum = value if self.maximum is None else max(self.maximum, value)
        known = (kind, value) if kind != "object" and len(str(value)) <= _LONGEST_EXAMPLE else None
        if known is not None and (known in self.values or len(self.values) < _MOST_VALUES):
            self.values[known] += 1
        else:
            self.left_out = True

    def described(self, path: tuple[str, ...], sample: MetadataSample) -> KeyDescription:
        kinds = {"string" if kind == "date" and "string" in self.kinds else kind for kind in self.kinds}
        kind: Any = kinds.pop() if len(kinds) == 1 and "object" not in kinds else "mixed"
        ranged, is_exact = kind in ("number", "date"), len(sample.metadata) == sample.chunks
        # Ties by text, so that the same chunks give the same examples in whatever order they were written.
        examples = sorted(self.values.items(), key=lambda item: (-item[1], str(item[0])))[:_MOST_EXAMPLES]
        return KeyDescription(
            path=path,
            type=kind,
            is_list=self.lists > self.chunks // 2,
            chunks=round(self.chunks * sample.chunks / len(sample.metadata)),
            examples=tuple(value for (_, value), _ in examples),
            is_complete=is_exact and not self.left_out and len(examples) == len(self.values),
            minimum=self.minimum if ranged else None,
            maximum=self.maximum if ranged else None,
        )


def describe(sample: MetadataSample) -> MetadataDescription:
    """Describe the metadata of a sample. It takes a tenth of a second for 10,000 chunks."""
    seen: dict[tuple[str, ...], _Seen] = {}
    for text in sample.metadata:
        for path, value in _leaves(json.loads(text), ()):
            if path not in seen and len(seen) >= _MOST_VALUES:
                continue  # keys that are ids, each in few chunks
            seen.setdefault(path, _Seen()).add(value)
    frequent = sorted(seen.items(), key=lambda item: (-item[1].chunks, item[0]))[:_MOST_KEYS]
    return MetadataDescription(
        chunks=sample.chunks,
        chunks_read=len(sample.metadata),
        keys=tuple(of.described(path, sample) for path, of in frequent),
        left_out=len(seen) - len(frequent),
    )


def known_keys(names: Iterable[str]) -> str:
    """Return names for an error message."""
    return ", ".join(shown(name) for name in names) or "none"


def _leaves(metadata: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in metadata.items():
        if isinstance(value, dict) and value and len(path) + 1 < _DEEPEST:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "date" if _DATE.fullmatch(value) else "string"
    return "object"
