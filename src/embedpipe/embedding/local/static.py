"""Run static models, which have one vector for each token: model2vec, and StaticEmbedding of sentence-transformers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedpipe._optional import require
from embedpipe.embedding.local.head import normalized
from embedpipe.embedding.local.model_files import check_weights, encoder_folder, read_json
from embedpipe.text import ModelCounter
from embedpipe.types import ModelSpec, Vectors

_TEXTS = 1024
"""Texts of one step, which bounds the memory that their tokens' vectors take."""


class StaticEncoder:
    """Takes the mean of the tokens' vectors, by numpy.

    Unknown tokens of a model2vec model are left out, as model2vec does.
    """

    def __init__(self, folder: Path, spec: ModelSpec, counter: ModelCounter) -> None:
        check_weights(folder, spec)
        encoder = encoder_folder(folder)
        self._counter = counter
        self._normalized = spec.normalized
        stored = require("safetensors.numpy", extra="onnx").load_file(encoder / "model.safetensors")
        self._table = _table(stored)
        self._unknown = _unknown_token(encoder) if "embeddings" in stored else None

    def encode(self, texts: Sequence[str], prompt: str) -> Vectors:
        """Return (n, d) float32, one row for each text, in order."""
        vectors = np.zeros((len(texts), self._table.shape[1]), dtype=np.float32)
        for start in range(0, len(texts), _TEXTS):
            part = [prompt + text for text in texts[start : start + _TEXTS]]
            by_length: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
            for row, ids in enumerate(self._counter.ids(part, special_tokens=False), start):
                known = [token for token in ids if token != self._unknown] if self._unknown in ids else ids
                if known:
                    by_length[len(known)].append((row, known))
            for same in by_length.values():  # numpy takes the means of texts of one length in one call
                rows, known_ids = zip(*same, strict=True)
                vectors[list(rows)] = self._table[np.array(known_ids)].mean(axis=1)
        return normalized(vectors) if self._normalized else vectors


def _table(stored: Mapping[str, npt.NDArray[Any]]) -> Vectors:
    """Return (tokens, d) float32: each token's vector, with its weight."""
    if "embedding.weight" in stored:  # sentence-transformers
        return np.asarray(stored["embedding.weight"], dtype=np.float32)
    table = np.asarray(stored["embeddings"], dtype=np.float32)
    if "mapping" in stored:  # several tokens share a vector
        table = table[stored["mapping"]]
    if "weights" in stored:
        table = table * np.asarray(stored["weights"], dtype=np.float32)[:, None]
    return table


def _unknown_token(folder: Path) -> int | None:
    tokenizer = read_json(folder / "tokenizer.json")
    model = tokenizer["model"]
    if "unk_id" in model:  # Unigram
        return None if model["unk_id"] is None else int(model["unk_id"])
    token = model.get("unk_token")
    added = {entry["content"]: entry["id"] for entry in tokenizer.get("added_tokens", ())}
    found = model["vocab"].get(token, added.get(token))
    return None if found is None else int(found)
