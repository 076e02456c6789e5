"""What the command line prints: counts in words, and a record of the log in one line."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import stamina

from embedpipe.cli import _OneLine
from embedpipe.cli.evaluating import _without_login
from embedpipe.cli.ingesting import summary
from embedpipe.errors import RateLimitError
from embedpipe.ingest import ProcessingStats


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"added": 1, "chunks_embedded": 1, "tokens": 1}, "1 new document; 1 chunk embedded (1 token)"),
        ({"added": 2, "chunks_embedded": 3}, "2 new documents; 3 chunks embedded (0 tokens)"),
        ({"added": 1, "kept": 2}, "1 new, 2 unchanged documents; 0 chunks embedded (0 tokens)"),
        ({"changed": 2, "added": 1, "removed": 1}, "1 new, 2 changed, 1 removed document; 0 chunks"),
        ({"kept": 1}, "1 document unchanged: nothing was embedded again"),
        ({"kept": 2}, "2 documents unchanged: nothing was embedded again"),
    ],
)
def test_counts_are_in_the_right_number(counts: dict[str, Any], said: str) -> None:
    assert summary(ProcessingStats(**counts)).plain.startswith(said)


def test_a_retry_is_logged_with_its_cause_and_its_wait(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = iter([RateLimitError("The service wants fewer requests."), None])

    @stamina.retry(on=RateLimitError, attempts=2, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)
    def ask() -> None:
        if (error := next(outcomes)) is not None:
            raise error

    with caplog.at_level(logging.WARNING, "stamina"):
        ask()
    lines = [_OneLine("%(levelname)s: %(message)s").format(record) for record in caplog.records]
    assert lines == ["WARNING: retry 1 in 0.0 s, after RateLimitError('The service wants fewer requests.')"]
    other = logging.LogRecord("embedpipe", logging.WARNING, "", 0, "%d of %d", (1, 2), None)
    assert _OneLine("%(levelname)s: %(message)s").format(other) == "WARNING: 1 of 2"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("lexical", "lexical"),
        ("voyage:rerank-2.5", "voyage:rerank-2.5"),
        ("tei:http://host:8080/p@th", "tei:http://host:8080/p@th"),
        ("tei:http://user:p%40ss@host:8080/path", "tei:http://host:8080/path"),
        ("tei:https://user:pass@word@host", "tei:https://host"),
    ],
)
def test_reports_show_no_login(name: str, shown: str) -> None:
    assert _without_login(name) == shown
