"""How long the tests that inject faults run: short in `make test`, long in `make soak`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

SOAK = "EMBEDPIPE_SOAK" in os.environ


def scaled(short: T, long: T) -> T:
    """Return `short` in `make test` and `long` in `make soak`."""
    return long if SOAK else short
