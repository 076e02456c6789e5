"""A change of model: every chunk is embedded anew beside the vectors in use, which then give way in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt

from embedpipe._threads import check_stopped
from embedpipe.errors import EmbeddingError, EmbedPipeError
from embedpipe.storage.database import Connections
from embedpipe.storage.indexes import has_index
from embedpipe.storage.indexes import vector as index_building
from embedpipe.storage.reembed import embedding_versions as vector_sets
from embedpipe.storage.reembed.embedding_versions import Embed, VectorSets
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import Precision
from embedpipe.types import ModelSpec

logger = logging.getLogger(__name__)

_BATCH_CHUNKS = 512


@dataclass(frozen=True, slots=True)
class ReembedProgress:
    """How many of the chunks have a vector of the new model."""

    done: int
    total: int


Progress: TypeAlias = Callable[[ReembedProgress], None]


@dataclass(frozen=True, slots=True)
class Reembedding:
    """Which collection gets the vectors of which model, and how a list of texts becomes these."""

    database: Connections
    name: str
    model: ModelSpec
    embed: Embed
    precision: Precision | None = field(default=None, kw_only=True)
    on_progress: Progress | None = field(default=None, kw_only=True)

    def run(self) -> None:
        """Returns once the collection's vectors are the model's."""
        schema, name, model = self.database.schema, self.name, self.model
        sets = self.database.run(vector_sets.begin, schema, name, model, self.precision)
        if sets.wanted.active:
            return
        logger.info("Embedding collection %r anew with %s", name, model.name)
        switched = False
        while not switched:  # once, unless others write more meanwhile than may be embedded while they wait
            self._fill(sets.wanted)
            self._build_index(sets)
            switched = self.database.run(vector_sets.switch, schema, name, model, self.embed)
        logger.info("Collection %r now has the vectors of %s", name, model.name)

    def _fill(self, idle: Collection) -> None:
        """Embeds once through what lacks a vector, in key order; texts that change meanwhile lack it again."""
        done, total = self.database.run(vector_sets.counts, idle)
        after = 0
        self._report(done, total)
        while rows := self.database.read(vector_sets.unfilled, idle, after, _BATCH_CHUNKS):
            check_stopped()
            done += self.database.run(vector_sets.fill, idle, rows, self._embedded(rows))
            after = rows[-1].key
            self._report(done, total)

    def _embedded(self, rows: Sequence[Any]) -> npt.ArrayLike:
        try:
            return self.embed([row.content for row in rows])
        except EmbedPipeError as error:
            failed = error.inputs[:10] if isinstance(error, EmbeddingError) else ()
            names = [rows[position].id for position in failed] or [f"{rows[0].id} to {rows[-1].id}"]
            logger.error("Collection %r keeps its vectors, since chunks were not embedded: %s", self.name, names)  # noqa: TRY400 - the error itself goes to the caller
            raise

    def _report(self, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(ReembedProgress(done, max(done, total)))  # others add chunks meanwhile

    def _build_index(self, sets: VectorSets) -> None:
        """Builds the new vectors' index where the present ones have one."""
        if self.database.read(has_index, sets.active):
            index_building.create_index(self.database, sets.wanted, None, concurrently=True, on_progress=None)
