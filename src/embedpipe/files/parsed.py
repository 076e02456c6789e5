"""What the parsers give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's text, and what the file says of itself."""

    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
