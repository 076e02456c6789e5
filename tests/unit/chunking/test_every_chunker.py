"""What holds for every chunker, whatever the text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from chunking_samples import LONG, NAUGHTY, texts
from embedpipe.chunking import (
    MarkdownChunker,
    ParagraphChunker,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    TokenChunker,
)
from embedpipe.chunking._measure import check_size
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.text import token_counter
from embedpipe.types import Chunker

MODEL = FakeEmbeddingModel(16)
TOKENIZER = "cl100k_base"

Size = Callable[[str], int]
tokens: Size = token_counter(TOKENIZER).count


def with_units(build: Callable[..., Chunker], overlap: str | None, **settings: Any) -> Chunker:
    """A chunker whose overlap is of whole units, two where any is asked for."""
    chunk_overlap = settings.pop("chunk_overlap", 0)
    check_size(settings.get("chunk_size", 1000), chunk_overlap)
    units = {overlap: 2 if chunk_overlap else 0} if overlap else {}
    return build(**settings, **units)


BUILDERS: dict[str, tuple[Size, Callable[..., Chunker]]] = {
    "recursive": (len, RecursiveChunker),
    "recursive, LangChain's separators": (
        len,
        lambda **sizes: RecursiveChunker(separators=("\n\n", "\n", " ", ""), **sizes),
    ),
    "recursive, Markdown": (len, lambda **sizes: RecursiveChunker(language="markdown", **sizes)),
    "recursive, tokens": (tokens, lambda **sizes: RecursiveChunker(unit="tokens", **sizes)),
    "tokens": (tokens, TokenChunker),
    "sentences": (len, partial(with_units, SentenceChunker, "overlap_sentences")),
    "sentences, tokens": (tokens, partial(with_units, SentenceChunker, "overlap_sentences", unit="tokens")),
    "paragraphs": (len, partial(with_units, ParagraphChunker, "overlap_paragraphs")),
    "semantic, dynamic": (len, partial(with_units, SemanticChunker, None, model=MODEL)),
    "semantic, percentile": (
        tokens,
        partial(with_units, SemanticChunker, None, model=MODEL, method="percentile", unit="tokens"),
    ),
    "Markdown": (len, partial(with_units, MarkdownChunker, None)),
    "Markdown, tokens": (tokens, partial(with_units, MarkdownChunker, None, unit="tokens")),
}


def check(chunker: Chunker, text: str, *, size: Size, limit: int, overlap: int) -> None:
    chunks = chunker.chunk(text)
    assert chunks == chunker.chunk(text)
    covered = bytearray(len(text))
    for number, chunk in enumerate(chunks):
        assert text[chunk.start_index : chunk.end_index] == chunk.text
        assert chunk.text
        assert not chunk.text.isspace()
        assert chunk.chunk_index == number
        assert size(chunk.text) <= limit or len(regex.findall(r"\X", chunk.text)) == 1 or len(chunk.text) == 1
        covered[chunk.start_index : chunk.end_index] = b"\1" * len(chunk.text)
    assert all(seen or char.isspace() for seen, char in zip(covered, text, strict=True))
    for before, after in pairwise(chunks):
        assert before.start_index < after.start_index
        assert before.end_index < after.end_index
        if size is len and "chunk_overlap" in repr(chunker):
            assert before.end_index - after.start_index <= overlap
        if not overlap or isinstance(chunker, MarkdownChunker | SemanticChunker):
            assert before.end_index <= after.start_index


@pytest.mark.parametrize("name", BUILDERS)
@given(text=texts, limit=st.integers(1, 40), overlap=st.integers(0, 39))
@settings(max_examples=100, deadline=None)
def test_invariants(name: str, text: str, limit: int, overlap: int) -> None:
    size, build = BUILDERS[name]
    overlap = overlap % limit
    check(build(chunk_size=limit, chunk_overlap=overlap), text, size=size, limit=limit, overlap=overlap)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize(("limit", "overlap"), [(1, 0), (2, 1), (7, 3), (1000, 200)])
def test_naughty_strings(name: str, limit: int, overlap: int) -> None:
    size, build = BUILDERS[name]
    for text in NAUGHTY:
        check(build(chunk_size=limit, chunk_overlap=overlap), text, size=size, limit=limit, overlap=overlap)


UDHR = Path(__file__).parents[4] / "shared" / "data" / "text" / "udhr.jsonl.gz"


@pytest.mark.skipif(not UDHR.exists(), reason="the declarations lie outside the project")
@pytest.mark.parametrize("name", BUILDERS)
def test_380_languages(name: str) -> None:
    size, build = BUILDERS[name]
    with gzip.open(UDHR, "rt", encoding="utf8") as lines:
        declarations = [json.loads(line)["text"][1000:1600] for line in lines]
    assert len(declarations) >= 380
    for text in declarations:
        check(build(chunk_size=60, chunk_overlap=20), text, size=size, limit=60, overlap=20)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("kind", LONG)
def test_a_megabyte_of_one_thing(name: str, kind: str) -> None:
    size, build = BUILDERS[name]
    check(build(chunk_size=500, chunk_overlap=50), LONG[kind], size=size, limit=500, overlap=50)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("sizes", [{"chunk_size": 0}, {"chunk_size": -1}, {"chunk_size": 5, "chunk_overlap": 5}])
def test_sizes_that_cannot_work_are_refused(name: str, sizes: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"chunk_\w+=.* is (out of range|not less).*\. (Pass a whole number|Lower)"
    ):
        BUILDERS[name][1](**sizes)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("text", [None, b"bytes", 3, ["a"]])
def test_what_is_not_a_text_is_refused(name: str, text: object) -> None:
    with pytest.raises(InputError, match=r"The text to chunk is a .* to a str"):
        BUILDERS[name][1]().chunk(text)  # type: ignore[arg-type]
