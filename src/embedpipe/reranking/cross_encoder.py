"""A cross-encoder reads query and text together: the best order, at the price of one model run a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._forking import Given, Lock, PerProcess, torch_computes
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError, RerankError
from embedpipe.reranking.ordering import reordered
from embedpipe.types import SearchResult


class CrossEncoderReranker:
    """Scores each (query, text) pair with a sentence-transformers `CrossEncoder`.

    `model`: a name on the hub, a folder, or a loaded `CrossEncoder`; a name is loaded at the first use, once for all
    threads. Pairs longer than the model's limit are cut by its tokenizer. `RerankError` where it cannot be loaded or
    fails; the scores are those of its `predict`.
    """

    def __init__(
        self, model: Any = "cross-encoder/ms-marco-MiniLM-L6-v2", *, batch_size: int = 32, device: str | None = None
    ) -> None:
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be 1 or more; got {batch_size}.")
        self._name = model if isinstance(model, str) else type(model).__name__
        self._given = None if isinstance(model, str) else Given(model)
        self._loaded: PerProcess[Any] = PerProcess()
        self._batch_size = batch_size
        self._device = device
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"CrossEncoderReranker({self._name!r})"

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        if not results:
            return []
        require("sentence_transformers", extra="local")
        pairs = [(query, result.text) for result in results]
        try:
            with self._lock:  # PyTorch runs one batch on all cores already
                model = self._loaded.get(self._load) if self._given is None else self._given.thing
                scores = model.predict(pairs, batch_size=self._batch_size, show_progress_bar=False)
        except (RuntimeError, ValueError, OSError) as error:
            raise RerankError(f"the cross-encoder {self._name} failed: {error}") from error
        if scores.ndim != 1:
            raise RerankError(f"{self._name} gives {scores.shape[1]} scores a pair; a reranker needs a model with one.")
        return reordered(results, scores.tolist(), by=self._name)

    def _load(self) -> Any:
        library = require("sentence_transformers", extra="local")
        torch_computes()
        return library.CrossEncoder(self._name, device=self._device)
