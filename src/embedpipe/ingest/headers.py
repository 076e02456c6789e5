"""What is put before a chunk where it is embedded and indexed: of which document and section it speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedpipe.text import EstimatedCounter, TokenCounter, TokenCountingModel
from embedpipe.types import Chunk, Document, EmbeddingModel

HEADER_TOKENS = 64
"""What a header takes of the model's limit at most, with the line break behind it."""

_BETWEEN = " > "


@dataclass(frozen=True, slots=True)
class Headers:
    """Makes a header of a document's title and a chunk's heading path: `metadata["title"]`, `metadata["heading_path"]`.

    One that is too long loses headings between the title and the nearest first, then the nearest, then its last words.
    """

    counter: TokenCounter

    @classmethod
    def of(cls, model: EmbeddingModel) -> Headers:
        """Headers whose length is counted by the model's own tokenizer, or an estimate where it has none."""
        return cls(model.counter if isinstance(model, TokenCountingModel) else EstimatedCounter(model.spec.name))

    def add(self, document: Document, chunks: Sequence[Chunk]) -> list[Chunk]:
        """The chunks, each with its header, or None where it has neither title nor heading."""
        made: dict[tuple[str, ...], str | None] = {}
        headed = []
        for chunk in chunks:
            parts = _parts(document.metadata.get("title"), chunk.metadata.get("heading_path"))
            if parts not in made:
                made[parts] = self._header(list(parts))
            headed.append(chunk._replace(header=made[parts]))
        return headed

    def _header(self, parts: list[str]) -> str | None:
        while len(parts) > 1 and not self._fits(_BETWEEN.join(parts)):
            del parts[1]
        words = _BETWEEN.join(parts).split()
        while words and not self._fits(" ".join(words)):
            words = words[: len(words) * 3 // 4]
        return " ".join(words) or None

    def _fits(self, header: str) -> bool:
        most = HEADER_TOKENS - 2  # a line break may be a token, and part another
        return len(header.encode()) <= most or self.counter.count(header) <= most


def _parts(title: object, path: object) -> tuple[str, ...]:
    """Title and headings without empty ones, each on one line; a first heading that repeats the title is left out."""
    found = [title, *path] if isinstance(path, list | tuple) else [title]
    parts = [" ".join(str(part).split()) for part in found if part is not None]
    parts = [part for part in parts if part]
    return tuple(part for place, part in enumerate(parts) if place == 0 or part != parts[place - 1])
