"""Whatever is cancelled, and whenever: the process lives, and nothing goes on, is held, or is half written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import loading
from embedpipe.storage import Database
from soaking import scaled

_TIMES = {"embedding": (20, 500), "ingest": (8, 300), "rebuild": (6, 100), "store": (8, 300), "stream": (8, 300)}


def cancelled(part: str, url: str, seed: int) -> list[int]:
    """What a process printed that cancelled this part of the package's calls; there was nothing to complain about."""
    short, long = _TIMES.get(part, (10, 300))
    script = Path(__file__).parents[1] / "cancelling.py"
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", script, url, part, str(scaled(short, long)), str(seed)],
        capture_output=True,
        text=True,
        timeout=scaled(240, 3600),
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(
    "part", ["answers", "embedding", "langchain", "llama_index", "rebuild", "serve", "store", "stream"]
)
def test_what_is_cancelled_ends_and_leaves_nothing(part: str, database_url: str, seed: int) -> None:
    [times] = cancelled(part, database_url, seed)
    assert times > 0


def test_a_cancelled_ingest_leaves_whole_documents(database: Database, database_url: str, seed: int) -> None:
    versions, times = cancelled("ingest", database_url, seed)
    assert times > 0
    assert len(loading.check_whole(database, range(versions))) == loading.DOCUMENTS
