"""The reranker "late-interaction": compares each word of the query with each word of the text, by their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from embedpipe._checks import checked_count, checked_number
from embedpipe._forking import Given, Lock, PerProcess, torch_computes
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError, RerankError
from embedpipe.reranking.ordering import checked_request, reordered, unit_range
from embedpipe.types import SearchResult, Vectors


class LateInteractionReranker:
    """Scores (1 - `weight`) * the search's score + `weight` * MaxSim, each brought to [0, 1] over the results.

    MaxSim is the mean over the query's tokens of the greatest cosine to any token of the text (Khattab and Zaharia,
    "ColBERT", SIGIR 2020). The token vectors are those of an embedding model before it averages them, so that the
    model of the search serves, and nothing is stored. Each search runs the model over the texts of its candidates,
    which are cut at the model's limit.

    Args:
        model: A sentence-transformers name on the hub, a folder, or a loaded `SentenceTransformer`. A name is loaded at
            the first use, once for all threads.
        weight: The weight of MaxSim, 0 to 1.
        batch_size: Texts in one pass.
        device: "cpu", "cuda:0", "mps"; by default the best there is.

    Raises:
        ConfigurationError: If `weight` or `batch_size` is out of its range.
    """

    def __init__(
        self, model: Any = "all-MiniLM-L6-v2", *, weight: float = 0.5, batch_size: int = 32, device: str | None = None
    ) -> None:
        self._name = model if isinstance(model, str) else type(model).__name__
        self._given = None if isinstance(model, str) else Given(model)
        self._loaded: PerProcess[Any] = PerProcess()
        self._weight = checked_number("weight", weight, least=0, most=1, error=ConfigurationError)
        self._batch_size = checked_count("batch_size", batch_size, error=ConfigurationError)
        self._device = device
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"LateInteractionReranker({self._name!r}, weight={self._weight})"

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Return the results, best first, each with its `rerank_score`.

        Raises:
            RerankError: If the model cannot be loaded or fails.
        """
        query, results = checked_request(query, results)
        if not results:
            return []
        require("sentence_transformers", extra="local")
        try:
            with self._lock:  # PyTorch runs one batch on all cores already
                model = self._loaded.get(self._load) if self._given is None else self._given.thing
                asked, *texts = self._token_vectors(model, [query, *(result.chunk.embedded_text for result in results)])
        except (RuntimeError, ValueError, OSError) as error:
            raise RerankError(f"The model {self._name} failed: {error}") from error
        firsts = unit_range([result.score for result in results])
        nearest = unit_range([float((asked @ tokens.T).max(axis=1).mean()) for tokens in texts])
        scores = [first + self._weight * (near - first) for first, near in zip(firsts, nearest, strict=True)]
        return reordered(results, scores, by=self._name)

    def _token_vectors(self, model: Any, texts: list[str]) -> list[Vectors]:
        """Return the unit vectors (t, d) of each text's tokens, the special ones included."""
        found = model.encode(
            texts, output_value="token_embeddings", batch_size=self._batch_size, prompt="", show_progress_bar=False
        )
        arrays = [tokens.float().cpu().numpy() for tokens in found]
        return [tokens / np.linalg.norm(tokens, axis=1, keepdims=True) for tokens in arrays]

    def _load(self) -> Any:
        library = require("sentence_transformers", extra="local")
        torch_computes()
        return library.SentenceTransformer(self._name, device=self._device)
