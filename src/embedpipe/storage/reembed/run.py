"""A change of model: embed every chunk again beside the vectors in use, and then replace these in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from embedpipe._threads import check_stopped
from embedpipe.errors import EmbeddingError, EmbedPipeError
from embedpipe.storage.database import Connections
from embedpipe.storage.indexes import has_index, vector_index
from embedpipe.storage.reembed import embedding_versions
from embedpipe.storage.reembed.embedding_versions import BATCH_CHUNKS, Embed, EmbeddingVersions
from embedpipe.storage.search import cosine_sample
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import Precision, checked_vectors
from embedpipe.types import ModelSpec, Vectors

logger = logging.getLogger(__name__)

_REST = 64
"""How many chunks that others have written meanwhile the first switch may embed, while writers wait."""


@dataclass(frozen=True, slots=True)
class ReembedProgress:
    """How many of the chunks have a vector of the new model: `done` of `total`."""

    done: int
    total: int


Progress: TypeAlias = Callable[[ReembedProgress], None]


@dataclass(frozen=True, slots=True)
class Reembedding:
    """One change of a collection's model.

    Attributes:
        database: Where the collection is.
        name: Name of the collection.
        model: The new model.
        embed: Maps a list of texts to an (n, d) array of the new model's vectors.
        precision: Type of the stored numbers. None chooses it.
        on_progress: Called after each batch.
    """

    database: Connections
    name: str
    model: ModelSpec
    embed: Embed
    precision: Precision | None = field(default=None, kw_only=True)
    on_progress: Progress | None = field(default=None, kw_only=True)
    _switching: dict[str, Vectors] = field(default_factory=dict, init=False, repr=False)
    """The vectors that tries of the switch have embedded, by their text."""

    def run(self) -> None:
        """Embed, build the index and switch. Return once the collection uses the new model.

        A run that fails leaves the vectors that it made, and the next one continues there.
        """
        schema, name, model = self.database.schema, self.name, self.model
        versions = self.database.run(embedding_versions.begin, schema, name, model, self.precision)
        if versions.target.active:
            return
        logger.info("Embedding collection %r again with %s", name, model.name)
        self._fill(versions.target)
        self._build_index(versions)
        self.database.run(cosine_sample.refresh, versions.target)
        rest = _REST
        while not self.database.run(embedding_versions.switch, versions.target, self._embedded_once, rest):
            self._fill(versions.target)
            rest *= 2  # so that the writers cannot outrun it for ever
        logger.info("Collection %r now has the vectors of %s", name, model.name)

    def _fill(self, idle: Collection) -> None:
        """Embed the chunks that lack a vector, once in the order of their keys. A text that changes lacks it again."""
        done, total, last = self.database.run(embedding_versions.counts, idle)
        after = 0
        self._report(done, total)
        # What others add after `last` meanwhile is left to the next pass, so that this one ends.
        while rows := self.database.run(embedding_versions.unfilled, idle, after, last, BATCH_CHUNKS):
            check_stopped()
            done += self.database.run(embedding_versions.fill, idle, rows, self._embedded(idle, rows))
            after = rows[-1].key
            self._report(done, total)

    def _embedded_once(self, target: Collection, rows: Sequence[Any]) -> Vectors:
        """Do as `_embedded`, and embed no text again that an earlier try of the switch has embedded."""
        new = [row for row in rows if row.content not in self._switching]
        if new:
            vectors = self._embedded(target, new).copy()  # `embed` may write into the same array each time
            self._switching.update(zip([row.content for row in new], vectors, strict=True))
        return np.stack([self._switching[row.content] for row in rows])

    def _embedded(self, target: Collection, rows: Sequence[Any]) -> Vectors:
        """Embed the texts of these rows, and check the vectors. If that fails, log which chunks it was."""
        try:
            return checked_vectors(
                self.embed([row.content for row in rows]),
                count=len(rows),
                dimensions=target.model.dimensions,
                owner=f"The vectors of {target.model.name} for collection {self.name!r}",
                precision=target.precision,
                names=[row.id for row in rows],
            )
        except EmbedPipeError as error:
            failed = error.inputs[:10] if isinstance(error, EmbeddingError) else ()
            names = [rows[position].id for position in failed] or [f"{rows[0].id} to {rows[-1].id}"]
            logger.error("Collection %r keeps its vectors, since chunks were not embedded: %s", self.name, names)  # noqa: TRY400 - the error itself goes to the caller
            raise

    def _report(self, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(ReembedProgress(done, max(done, total)))  # others add chunks meanwhile

    def _build_index(self, versions: EmbeddingVersions) -> None:
        """Build an index of the new vectors if the present ones have one."""
        if self.database.read(has_index, versions.active):
            vector_index.create_index(self.database, versions.target, None, concurrently=True, on_progress=None)
