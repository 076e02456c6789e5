"""Headers: the document's title and the chunk's headings, embedded and indexed before its text.

A later chunk of a table has a header from its chunker, the table's header row. It stays, below the title and headings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedpipe.text import EstimatedCounter, TokenCounter, TokenCountingModel
from embedpipe.types import Chunk, Document, EmbeddingModel

HEADER_TOKENS = 64
"""How many tokens of the model's limit a header takes at most, with the line break behind it."""

_BETWEEN = " > "


@dataclass(frozen=True, slots=True)
class Headers:
    """Make a header of a document's title and a chunk's heading path: `metadata["title"]`, `metadata["heading_path"]`.

    A header that is too long first loses the headings between the title and the nearest heading. Then it loses the
    nearest heading, then its last words.
    """

    counter: TokenCounter

    @classmethod
    def of(cls, model: EmbeddingModel) -> Headers:
        """Make headers whose length is counted by the model's tokenizer. Without one, tokens are estimated."""
        return cls(model_counter(model))

    def add(self, document: Document, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Return the chunks with their headers, None for a chunk that has no title, heading or row of a table."""
        made: dict[tuple[str, ...], str | None] = {}
        headed = []
        for chunk in chunks:
            parts = _parts(document.metadata.get("title"), chunk.metadata.get("heading_path"))
            if parts not in made:
                made[parts] = self._header(list(parts))
            lines = [line for line in (made[parts], chunk.header) if line is not None]
            headed.append(chunk._replace(header="\n".join(lines) or None))
        return headed

    def _header(self, parts: list[str]) -> str | None:
        while len(parts) > 1 and not self._fits(_BETWEEN.join(parts)):
            del parts[1]
        words = _BETWEEN.join(parts).split()
        while words and not self._fits(" ".join(words)):
            words = words[: len(words) * 3 // 4]
        return " ".join(words) or None

    def _fits(self, header: str) -> bool:
        most = HEADER_TOKENS - 2  # a line break may be a token, and may part another in two
        return len(header.encode()) <= most or self.counter.count(header) <= most


def model_counter(model: EmbeddingModel) -> TokenCounter:
    """Return the model's own counter, else an estimate."""
    return model.counter if isinstance(model, TokenCountingModel) else EstimatedCounter(model.spec.name)


def _parts(title: object, path: object) -> tuple[str, ...]:
    """Return title and headings, each on one line, without empty ones and without one that repeats the one before."""
    found = [title, *path] if isinstance(path, list | tuple) else [title]
    parts = [" ".join(str(part).split()) for part in found if part is not None]
    parts = [part for part in parts if part]
    return tuple(part for place, part in enumerate(parts) if place == 0 or part != parts[place - 1])
