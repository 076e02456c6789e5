"""Faults on purpose, one file for each kind: short in `make test`, long in `make soak`.

A test draws its random schedule from `chance`, whose seed is printed. `make soak` takes another seed for each test.
`make test` always takes the same one, so that only a change can change a result. EMBEDPIPE_SEED sets it for both.
"""

from __future__ import annotations

import os
import random

import pytest

from soaking import SOAK, scaled


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give long runs an hour each."""
    for item in items if SOAK else []:
        if "/tests/faults/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture
def seed() -> int:
    """Return the seed of this run, and print it."""
    given = os.environ.get("EMBEDPIPE_SEED")
    drawn = int(given) if given else scaled(1, random.SystemRandom().randrange(2**32))
    print(f"EMBEDPIPE_SEED={drawn}")  # noqa: T201 - pytest shows it where the test fails
    return drawn


@pytest.fixture
def chance(seed: int) -> random.Random:
    """Return the run's source of random choices."""
    return random.Random(seed)
