"""Chunkers by name: embedpipe's own, and those of other packages, found by their entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedpipe.chunking import CHUNKERS, RecursiveChunker, SemanticChunker, SentenceChunker, make_chunker
from embedpipe.errors import ConfigurationError
from embedpipe.testing import FakeEmbeddingModel
from packages import install

ENTRY_POINTS = """[embedpipe.chunkers]
windows = acme_chunkers:Windows
whole = acme_chunkers:Whole
sentence = acme_chunkers:Whole
"""
MODULE = """
from dataclasses import dataclass
from embedpipe.types import Chunk

@dataclass(frozen=True)
class Windows:
    chunk_size: int = 4
    overlap_words: int = 0

    def chunk(self, text):
        return [Chunk(text[i : i + self.chunk_size], i, min(i + self.chunk_size, len(text)), n, {})
                for n, i in enumerate(range(0, len(text), self.chunk_size))]

@dataclass(frozen=True)
class Whole:
    def chunk(self, text):
        return [Chunk.whole(text)]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "acme_chunkers", entry_points=ENTRY_POINTS, module=MODULE)
    yield tmp_path
    sys.modules.pop("acme_chunkers", None)


def test_own_chunkers_have_names() -> None:
    model = FakeEmbeddingModel()
    for name in CHUNKERS.names():
        assert make_chunker(name, size=50, model=model).chunk("Green tea.")[0].text == "Green tea."
    assert make_chunker("recursive", size=50, overlap=5) == RecursiveChunker(chunk_size=50, chunk_overlap=5)
    assert make_chunker("sentence", overlap=1) == SentenceChunker(overlap_sentences=1)
    assert make_chunker("semantic", model=model) == SemanticChunker(model=model)
    with pytest.raises(ConfigurationError, match="Pass an EmbeddingGenerator or an EmbeddingModel"):
        make_chunker("semantic")


def test_a_package_adds_a_chunker(site: Path) -> None:
    assert CHUNKERS.names()[-2:] == ["whole", "windows"]
    assert "acme_chunkers" not in sys.modules
    chunker = make_chunker("windows", size=5, overlap=1, model=FakeEmbeddingModel())
    assert [chunk.text for chunk in chunker.chunk("green tea")] == ["green", " tea"]
    assert repr(chunker) == "Windows(chunk_size=5, overlap_words=1)"
    assert make_chunker("sentence") == SentenceChunker()  # no package replaces one of embedpipe's own
    with pytest.raises(ConfigurationError, match="'whole' has no size"):
        make_chunker("whole", size=5)
    with pytest.raises(ConfigurationError, match="'whole' has no overlap"):
        make_chunker("whole", overlap=5)


def test_an_unknown_name_is_told_which_there_are(site: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no 'magic' in embedpipe.chunkers. There are: .*, windows"):
        make_chunker("magic")
