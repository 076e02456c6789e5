"""Sentence boundaries that a full stop alone does not tell."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from chunking_samples import LONG, texts
from embedpipe.text import sentence_spans

GOLDEN_RULES = Path(__file__).parents[4] / "shared" / "data" / "sentences" / "golden_rules.jsonl"


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["Mr. and Mrs. Smith met Dr. Jones at 5 p.m. on Jan. 3.", "They left."],
        ["It cost $3.50 at Acme Inc. in the U.S. last year.", "We paid."],
        ["See Fig. 3 and p. 55 of vol. 2.", "Then stop."],
        ['"Is it?" she asked.', '"Yes!"', "He nodded."],
        ["Wait... what?", "Nothing…", "Fine."],
        ["He came (see above.) and went.", "She stayed."],
        ["1. First item", "2. Second item", "3. Third item"],
        ["Am 3. Oktober traf Hr. Dr. Maier z.B. die 12. Klasse.", "Danach ging er."],
        ["M. Dupont est là.", "« Vraiment ? » dit-elle."],
        ["¿Qué hora es?", "Son las 3.30 en EE. UU. y basta.", "¡Adiós!"],
        ["他说：「好。走吧。」", "然后走了！", "真的？"],
        ["हम आए।", "वे गए।"],
        ["هل جاء؟", "نعم جاء."],
        ["Τι κάνεις;", "Καλά."],
        ["i went there yesterday.", "it was good :)", "Thanks!"],
    ],
)
def test_rules(expected: list[str]) -> None:
    joiner = "" if "。" in expected[0] else " "
    assert sentences(joiner.join(expected)) == expected


@pytest.mark.skipif(not GOLDEN_RULES.exists(), reason="the golden rules lie outside the project")
def test_golden_rules() -> None:
    cases = [json.loads(line) for line in GOLDEN_RULES.read_text(encoding="utf8").splitlines()]
    right = sum(
        ["".join(s.split()) for s in sentences(case["text"])] == ["".join(s.split()) for s in case["sentences"]]
        for case in cases
    )
    assert right >= 0.97 * len(cases)


UDHR = GOLDEN_RULES.parents[1] / "text" / "udhr.jsonl.gz"


@pytest.mark.skipif(not UDHR.exists(), reason="the declarations lie outside the project")
def test_every_character_of_every_language_is_in_one_sentence() -> None:
    with gzip.open(UDHR, "rt", encoding="utf8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            assert "".join("".join(s.split()) for s in sentences(text)) == "".join(text.split())


@given(text=texts)
@settings(deadline=None)
def test_spans_in_order_hold_every_character(text: str) -> None:
    spans = sentence_spans(text)
    assert spans == sorted(spans)
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


@pytest.mark.parametrize("text", [*LONG.values(), "A. " * 100_000, "。《" * 100_000, "-" * 300_000 + "x"])
def test_long_runs_end(text: str) -> None:
    assert "".join("".join(text[start:end].split()) for start, end in sentence_spans(text)) == "".join(text.split())
