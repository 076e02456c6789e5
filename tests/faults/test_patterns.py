"""No text makes a pattern or a loop of ours run for longer than a time that grows as the text.

Each function runs over texts of one repeated piece, in a process of its own that is ended when it takes much longer
than linear time could.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from embedpipe.answering.citations import checked_statements, find_quote
from embedpipe.answering.extractive import ExtractiveAnswerer
from embedpipe.chunking import MarkdownChunker, ParagraphChunker, RecursiveChunker, SentenceChunker, TokenChunker
from embedpipe.embedding.engine.rate_limiter import seconds
from embedpipe.errors import InputError
from embedpipe.retrieval.context import Passage
from embedpipe.storage.lexical.query_parser import parse_query
from embedpipe.text import clean_text, sentence_spans, words
from embedpipe.types import Chunk, SearchResult
from soaking import scaled

SIZE = scaled(60_000, 300_000)
"""At 60,000 characters a quadratic loop of Python takes minutes, and one of C that passes over ten of them as well."""

# fmt: off
PIECES = [
    "a", " ", "\n", "\t", ".", "\u2026", "...", "-", "#", "`", "'", '"', "\u201c", "\u201e", "\xab", "\u300c", "[",
    "(", "{", "<", "*", "_", "=", "~", ":", ";", ",", "1", "?", "!", "/", "\\", "\xe9", "e\u0301", "\u8a9e",
    "\u3002", "\u0e01", "\U0001f469\u200d", "\u200d", "\u0301", "\u2029", "\r", "\r\n", "[1] ", "[1", "[1,", "[1-",
    "[sources ", "1,", ". ", "? ", "a ", "a. ", "1. ", "- ", "* ", "**", "``` ", "```\n", "`a", "\u201ca", '"a" ',
    '"a', 'a"', "-a ", "or ", "\u2026 a", "a \u2026 ", "[\u2026", "a.b", "A.", "U.S. ", ": \n", ":\n", "\n\n",
    "\n \n", "\n#", "\n# a", "\n- ", "\n1. ", "\n=", "\n---\n", "\n```", "\n~~~", "a\n=", "<a", "</", "&a", ") ",
    "). ", ')."', ".)", "1s", "1.1.", "--", '-"', '- "', '""', "\u0e01 ", "\u3042\u3002", "a\xa0\n ", ".\n", "\n.",
    "a-b", "a_b", "a/b", "a: ", "((", "))", "\u300a", "\u300b", ". . ", ". . . ", ";)", ":-", "Mr. ", "1) ", "a) ",
    "|", "| a |",
]
# fmt: on


def passage(text: str) -> Passage:
    chunk = Chunk.whole(text, id="a", document_id="d")
    return Passage(text=text, start_index=0, results=(SearchResult(chunk=chunk, score=1.0, similarity=0.5),))


def cite(text: str) -> object:
    return checked_statements(f"{text} [1].\n“{text}” [1]", [passage("a b. " * 100), passage(text)])


def cite_from(text: str) -> object:
    return checked_statements("It is so [1]. " * 100 + "It is “a … b … a” [1].", [passage(text)])


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "clean_text": clean_text,
    "sentence_spans": sentence_spans,
    "words": words,
    "RecursiveChunker": RecursiveChunker().chunk,
    "RecursiveChunker with overlap": RecursiveChunker(chunk_overlap=200).chunk,
    "RecursiveChunker of Markdown": RecursiveChunker(language="markdown").chunk,
    "RecursiveChunker of Python": RecursiveChunker(language="python").chunk,
    "RecursiveChunker by tokens": RecursiveChunker(unit="tokens", chunk_size=200).chunk,
    "TokenChunker": TokenChunker(chunk_size=200).chunk,
    "SentenceChunker": SentenceChunker().chunk,
    "ParagraphChunker": ParagraphChunker(overlap_paragraphs=1, max_paragraphs=5).chunk,
    "MarkdownChunker": MarkdownChunker().chunk,
    "cite": cite,
    "cite from": cite_from,
    "find_quote": lambda text: find_quote(text, text + "b"),
    "find_quote of parts": lambda text: find_quote(" … ".join(text[:2000]) + " … zq", text),
    "extract": lambda text: ExtractiveAnswerer().statements(text, [passage(text)]),
    "parse_query": parse_query,
    "parse_query of phrases": lambda text: parse_query(text, required_phrases=False),
    "seconds": seconds,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_time_grows_as_the_text(name: str, seed: int) -> None:
    command = [sys.executable, __file__, name, str(seed)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, f"ended by {ended.returncode} at {ended.stdout.splitlines()[-1:]}\n{ended.stderr}"


@pytest.mark.parametrize("ellipses", [1, 2, 3, 4, 30, 1000])
def test_ellipses_of_a_quotation_take_linear_time(ellipses: int) -> None:
    quote, source = " … ".join(["a"] * ellipses + ["zq"]), "a " * 450 + "end."
    assert find_quote(quote, source) is None
    if ellipses <= 30:  # with more in so many repetitions it gives up
        assert find_quote(quote, f"{source} {'a ' * ellipses}zq") is not None


def test_left_out_words_are_near() -> None:
    source = "Tea is " + "x" * 200 + " steeped " + "y" * 200 + " hot, and tea is steeped " + "z" * 290 + " hot."
    assert find_quote("tea … steeped … hot", source) == (0, source.index(" hot,") + 4)
    assert find_quote("tea is steeped … hot", source) == (source.index("tea is"), len(source) - 1)
    assert find_quote("tea … cold", source) is None
    assert find_quote("tea is x … z hot", source) is None


if __name__ == "__main__":
    function, chance = FUNCTIONS[sys.argv[1]], random.Random(int(sys.argv[2]))
    mixed = ["".join(chance.choices(PIECES, k=chance.randint(2, 5))) for _ in range(scaled(5, 20))]
    plain = scaled(chance.sample(PIECES, 20), PIECES)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process, also within a pattern
    for piece in [*plain, *mixed]:
        sys.stdout.write(repr(piece) + "\n")
        sys.stdout.flush()
        signal.alarm(scaled(60, 300))
        with contextlib.suppress(InputError):  # the text is more than is taken
            function("a " * 10 + piece * (SIZE // len(piece)) + "\nthe end")
    signal.alarm(0)
    os._exit(0)
