"""Sentence boundaries beside pysbd, NLTK Punkt, syntok and blingfire: F1 and speed.

    python benchmarks/chunking_sentences.py [--repeats 5]

Needs pysbd, nltk, syntok and blingfire. F1 is over whole sentences, as in the CoNLL shared tasks: right where both ends
are, counted in characters that are not space. pysbd and Punkt are told the language, the others find out. All sides
take turns within each repeat; the speed is that of the median.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import blingfire
import llama_index.core
import nltk
import pysbd
import syntok.segmenter
from nltk.tokenize import PunktTokenizer

from embedpipe.text import sentence_spans

DATA = Path(__file__).parents[2] / "shared" / "data" / "sentences"
PUNKT = {"en": "english", "fr": "french", "de": "german", "es": "spanish"}
CODES = {"english": "en", "spanish": "es", "japanese": "ja", "chinese": "zh"}


class Case(NamedTuple):
    language: str
    text: str
    sentences: list[str]


@cache
def pysbd_for(language: str) -> Any:
    return pysbd.Segmenter(language=language, clean=False)


@cache
def punkt_for(language: str) -> Any:
    return PunktTokenizer(PUNKT.get(language, "english"))


def by_syntok(text: str, _language: str) -> list[str]:
    paragraphs = syntok.segmenter.process(text)
    return ["".join(token.spacing + token.value for token in sentence) for part in paragraphs for sentence in part]


SIDES: dict[str, Callable[[str, str], Iterable[str]]] = {
    "embedpipe": lambda text, _: [text[start:end] for start, end in sentence_spans(text)],
    "pysbd": lambda text, language: pysbd_for(language).segment(text),
    "NLTK Punkt": lambda text, language: punkt_for(language).tokenize(text),
    "syntok": by_syntok,
    "blingfire": lambda text, _: blingfire.text_to_sentences(text).split("\n"),
}


def load() -> dict[str, list[Case]]:
    sets = {}
    for path in sorted(DATA.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        sets[path.name.split(".")[0]] = [
            Case(row["lang"], row["text"], [row["text"][a:b] for a, b in row["sentences"]]) for row in rows
        ]
    rules = [json.loads(line) for line in (DATA / "golden_rules.jsonl").read_text(encoding="utf-8").splitlines()]
    sets["golden rules"] = [Case(CODES[row["lang"]], row["text"], row["sentences"]) for row in rules]
    return sets


def spans(sentences: Iterable[str]) -> set[tuple[int, int]]:
    found, reach = set(), 0
    for sentence in sentences:
        size = len("".join(sentence.split()))
        if size:
            found.add((reach, reach + size))
        reach += size
    return found


def f1(side: Callable[[str, str], Iterable[str]], cases: list[Case]) -> float:
    both = total = 0
    for case in cases:
        got, gold = spans(side(case.text, case.language)), spans(case.sentences)
        both += len(got & gold)
        total += len(got) + len(gold)
    return 2 * both / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    if not DATA.exists():
        sys.exit("The labelled sentences lie outside the project and are not there.")
    nltk.data.path.insert(0, str(Path(llama_index.core.__path__[0]) / "_static" / "nltk_cache"))
    for name, cases in load().items():
        scores = {side: f1(run, cases) for side, run in SIDES.items()}
        times: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(repeats):
            for side, run in SIDES.items():
                begun = time.perf_counter()
                for case in cases:
                    run(case.text, case.language)
                times[side].append(time.perf_counter() - begun)
        size = sum(len(case.text) for case in cases) / 1e6
        print(f"{name}: {sum(len(case.sentences) for case in cases)} sentences, {repeats} repeats")
        own = statistics.median(times["embedpipe"])
        for side, taken in times.items():
            median = statistics.median(taken)
            print(f"  {side:12} F1 {scores[side]:.4f}  {size / median:7.2f} MB/s  embedpipe x{median / own:.1f}")


if __name__ == "__main__":
    main()
