"""Whatever is cancelled, and whenever: the process lives, and nothing goes on, is held, or is half written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import cancelling
import loading
from embedpipe.storage import Database
from soaking import scaled

_TIMES = {"ingest": (2, 30), "rebuild": (2, 30), "serve": (6, 80)}


def cancelled(parts: str, url: str, seed: int) -> list[int]:
    """What a process printed that cancelled the calls of these parts; there was nothing to complain about."""
    short, long = _TIMES.get(parts, (4, 25))
    script = cancelling.__file__
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", script, url, parts, str(scaled(short, long)), str(seed)],
        capture_output=True,
        text=True,
        timeout=scaled(240, 3600),
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("parts", ["answers,embedding,stream", "langchain,llama_index", "rebuild", "serve", "store"])
def test_what_is_cancelled_ends_and_leaves_nothing(parts: str, database_url: str, seed: int) -> None:
    assert min(cancelled(parts, database_url, seed)) > 0


def test_a_cancelled_ingest_leaves_whole_documents(database: Database, database_url: str, seed: int) -> None:
    versions, times = cancelled("ingest", database_url, seed)
    assert times > 0
    assert len(loading.check_whole(database, range(versions))) == cancelling.DOCUMENTS
