"""The reranker "cross-encoder": reads query and text together. The best order, for one model run per result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._checks import checked_count
from embedpipe._forking import Given, Lock, PerProcess, torch_computes
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError, RerankError
from embedpipe.reranking.ordering import checked_request, reordered
from embedpipe.types import SearchResult


class CrossEncoderReranker:
    """Scores each (query, text) pair with a sentence-transformers `CrossEncoder`.

    The scores are those of its `predict`. Pairs longer than the model's limit are cut by its tokenizer.

    Args:
        model: A name on the hub, a folder, or a loaded `CrossEncoder`. A name is loaded at the first use, once for all
            threads.
        batch_size: Pairs in one pass.
        device: "cpu", "cuda:0", "mps"; by default the best there is.
    """

    def __init__(
        self, model: Any = "cross-encoder/ms-marco-MiniLM-L6-v2", *, batch_size: int = 32, device: str | None = None
    ) -> None:
        self._name = model if isinstance(model, str) else type(model).__name__
        self._given = None if isinstance(model, str) else Given(model)
        self._loaded: PerProcess[Any] = PerProcess()
        self._batch_size = checked_count("batch_size", batch_size, error=ConfigurationError)
        self._device = device
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"CrossEncoderReranker({self._name!r})"

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Return the results, best first, each with its `rerank_score`.

        Raises:
            RerankError: If the model cannot be loaded, fails, or gives more than one score for a pair.
        """
        query, results = checked_request(query, results)
        if not results:
            return []
        require("sentence_transformers", extra="local")
        pairs = [(query, result.chunk.embedded_text) for result in results]
        try:
            with self._lock:  # PyTorch runs one batch on all cores already
                model = self._loaded.get(self._load) if self._given is None else self._given.thing
                scores = model.predict(pairs, batch_size=self._batch_size, show_progress_bar=False)
        except (RuntimeError, ValueError, OSError) as error:
            raise RerankError(f"The cross-encoder {self._name} failed: {error}") from error
        if scores.ndim != 1:
            raise RerankError(f"{self._name} gives {scores.shape[1]} scores for a pair. Use a model that gives one.")
        return reordered(results, scores.tolist(), by=self._name)

    def _load(self) -> Any:
        library = require("sentence_transformers", extra="local")
        torch_computes()
        return library.CrossEncoder(self._name, device=self._device)
