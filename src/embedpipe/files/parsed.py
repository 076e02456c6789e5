"""The interface of parsers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's text, and the metadata that the file contains, such as its title, as JSON has them."""

    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


Parser: TypeAlias = Callable[[bytes, str], Parsed]
"""Called with a file's content and its name for messages. Raises `InputError` for a file that it cannot read."""
