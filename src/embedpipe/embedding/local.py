"""Models that run on this machine, through sentence-transformers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embedpipe._optional import require
from embedpipe.embedding import catalogue, weights
from embedpipe.embedding.backend import Limits
from embedpipe.text.tokens import TokenCounter, token_counter
from embedpipe.types import Kind, ModelSpec, Vectors


class LocalModel:
    """A sentence-transformers model, loaded at the first text.

    `name` is a folder, a name of the catalogue or a repository of the hub. `device` is torch's ("cpu", "cuda:0",
    "mps"), by default the best there is. `batch_size` is the number of texts in one pass.
    """

    def __init__(self, name: str, *, device: str | None = None, batch_size: int = 32) -> None:
        self._name = name
        self._device = device
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._loaded: Any = None

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are."""
        return weights.locate(self._name)

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification, else the one that the folder's files state; torch is not imported."""
        known = None if weights.is_folder(self._name) else catalogue.find(self._name)
        if known and known.weights_sha256:
            return known.spec
        return weights.describe(self.folder, self._name)

    @cached_property
    def counter(self) -> TokenCounter:
        return token_counter(str(self.folder))

    @property
    def special_tokens(self) -> int:
        return 2

    @property
    def limits(self) -> Limits:
        """One pass at a time; the model sorts and batches within it."""
        return Limits(batch_items=self._batch_size * 32, batch_tokens=None, concurrency=1)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """(n, d) float32, one row for each text, in order."""
        prompt = self.spec.query_prompt if kind == "query" else self.spec.document_prompt
        with self._lock:  # the tokenizer is not safe to share between threads
            vectors = self._model.encode(
                list(texts),
                prompt=prompt,
                batch_size=self._batch_size,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    @property
    def _model(self) -> Any:
        if self._loaded is None:
            library = require("sentence_transformers", extra="local")
            require("transformers.utils.logging", extra="local").disable_progress_bar()
            self._loaded = library.SentenceTransformer(str(self.folder), device=self._device, local_files_only=True)
            self._loaded.max_seq_length = self.spec.max_tokens
        return self._loaded

    def __repr__(self) -> str:
        return f"LocalModel({self._name!r}, device={self._device!r}, batch_size={self._batch_size})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._name, self._device, self._batch_size)


def _rebuild(name: str, device: str | None, batch_size: int) -> LocalModel:
    return LocalModel(name, device=device, batch_size=batch_size)
