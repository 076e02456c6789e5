"""Late chunking on this machine: a document's tokens are embedded in windows, and a chunk is the mean of its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from embedpipe._optional import require
from embedpipe.embedding.local import model_files
from embedpipe.embedding.local.sentence_transformer import load_sentence_transformer
from embedpipe.errors import ConfigurationError, EmbeddingError
from embedpipe.text import without_surrogates
from embedpipe.types import ModelSpec, Vectors

_OVERLAP = 4
"""Windows overlap by a quarter. Each token's vector is taken from the window in which it stands further from an end."""


class _Window(NamedTuple):
    """A range of a document's tokens that goes through the model, and the part of it whose vectors are taken."""

    start: int
    end: int
    first: int
    last: int


class LateEncoder:
    """Embeds spans of a document by PyTorch. For models with mean pooling.

    Raises:
        ConfigurationError: If the model pools in another way.
    """

    def __init__(self, folder: Path, spec: ModelSpec, *, device: str | None, batch_size: int) -> None:
        if model_files.is_static(folder) or model_files.pooling_of(folder) != "mean":
            raise ConfigurationError(
                f"{spec.name} does not take the mean of tokens that see each other, which late chunking needs. Choose "
                "an encoder with mean pooling, or leave late_chunking out."
            )
        model_files.check_weights(folder, spec)
        self._modules = list(load_sentence_transformer(folder, device=device).eval())
        self._torch = require("torch", extra="local")
        self._tokenizer = self._modules[0].tokenizer
        self._dimensions = spec.dimensions
        self._batch_size = batch_size
        before, after = self._special_tokens()
        prompt = self._tokenizer(spec.document_prompt, add_special_tokens=False)["input_ids"]
        self._before, self._after = [*before, *prompt], after
        self._room = (spec.max_tokens or 512) - len(self._before) - len(after)

    def encode(self, text: str, spans: Sequence[tuple[int, int]]) -> Vectors:
        """Return (n, d) float32, a row for each span of the text, in order."""
        encoded = self._tokenizer(
            without_surrogates(text),
            add_special_tokens=False,
            return_offsets_mapping=True,
            truncation=False,
            verbose=False,
        )
        ids, offsets = encoded["input_ids"], np.asarray(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        ranges = _token_ranges(offsets, spans)
        sums: npt.NDArray[np.float64] | None = None
        for window, vectors in self._passed(ids):
            # Sums up to each token: a chunk's part in the window is a difference of two.
            until = np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors, axis=0, dtype=np.float64)])
            if sums is None:
                sums = np.zeros((len(spans), vectors.shape[1]))
            inside = np.clip(ranges, window.first, window.last) - window.first
            touched = np.flatnonzero(inside[:, 1] > inside[:, 0])
            sums[touched] += until[inside[touched, 1]] - until[inside[touched, 0]]
        if sums is None:
            raise EmbeddingError("the document has no token of the model. Leave it out.")
        return self._finished(sums / (ranges[:, 1] - ranges[:, 0])[:, None])

    def _passed(self, ids: Sequence[int]) -> Iterator[tuple[_Window, npt.NDArray[np.float32]]]:
        """Yield each window with the vectors of the tokens that are taken from it."""
        torch = self._torch
        windows = _windows(len(ids), self._room)
        for start in range(0, len(windows), self._batch_size):
            part = windows[start : start + self._batch_size]
            longest = max(window.end - window.start for window in part)
            rows = [[*self._before, *ids[w.start : w.end], *self._after] for w in part]
            width = longest + len(self._before) + len(self._after)
            pad = self._tokenizer.pad_token_id or 0
            given = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
            device = next(self._modules[0].parameters()).device
            with torch.inference_mode():
                features = {"input_ids": given.to(device), "attention_mask": mask.to(device)}
                made = self._modules[0](features)["token_embeddings"].float().cpu().numpy()
            for window, row in zip(part, made, strict=True):
                shift = len(self._before) - window.start
                yield window, row[window.first + shift : window.last + shift]

    def _finished(self, means: npt.NDArray[np.float64]) -> Vectors:
        """Take the means through what follows the pooling, such as a normalisation."""
        torch = self._torch
        device = next(self._modules[0].parameters()).device
        features = {"sentence_embedding": torch.from_numpy(means.astype(np.float32)).to(device)}
        with torch.inference_mode():
            for module in self._modules[2:]:
                features = module(features)
        return np.ascontiguousarray(features["sentence_embedding"].float().cpu().numpy(), dtype=np.float32)

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """Return the ids that the tokenizer puts before and behind a text."""
        bare = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        full: list[int] = self._tokenizer("a")["input_ids"]
        at = next(place for place in range(len(full)) if full[place : place + len(bare)] == bare)
        return full[:at], full[at + len(bare) :]


def _token_ranges(offsets: npt.NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Return (n, 2): the first token of each span and the one behind its last. A span has one token at least."""
    starts, ends = (np.maximum.accumulate(offsets[:, side]) for side in (0, 1))
    places = np.asarray(spans, dtype=np.int64).reshape(-1, 2)
    first = np.minimum(np.searchsorted(ends, places[:, 0], side="right"), len(offsets) - 1)
    last = np.searchsorted(starts, places[:, 1], side="left")
    return np.stack([first, np.maximum(last, first + 1)], axis=1)


def _windows(tokens: int, room: int) -> list[_Window]:
    """Return windows of at most `room` tokens which overlap. The parts that are taken are together all tokens."""
    overlap = min(room // _OVERLAP, room - 1)
    starts = [0]
    while starts[-1] + room < tokens:
        starts.append(min(starts[-1] + room - overlap, tokens - room))
    middles = ((start + min(before + room, tokens)) // 2 for before, start in pairwise(starts))
    borders = [0, *middles, tokens]
    return [
        _Window(start, min(start + room, tokens), first, last)
        for start, first, last in zip(starts, borders, borders[1:], strict=False)
    ]
