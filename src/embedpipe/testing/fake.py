"""An embedding model without weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from embedpipe.text import EstimatedCounter, TokenCounter
from embedpipe.types import Kind, ModelSpec, Vectors

# 2**64 divided by the golden ratio: SplitMix64's step, whose multiples are evenly spread.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class FakeEmbeddingModel:
    """A deterministic model. A text's vector is a hash of the text, scaled to length 1.

    Vectors are the same in each process and on each machine. Those of different texts are unrelated. Documents and
    queries only differ if a prompt is set. One core makes over a million vectors of 64 dimensions a minute.
    """

    def __init__(
        self,
        dimensions: int = 64,
        *,
        name: str = "fake",
        max_tokens: int | None = None,
        query_prompt: str = "",
        document_prompt: str = "",
    ) -> None:
        """Create the model.

        Args:
            dimensions: The length of the vectors.
            name: The model's name.
            max_tokens: The most tokens of a text, None for no limit.
            query_prompt: Put before each query.
            document_prompt: Put before each document.
        """
        self.spec = ModelSpec(
            name=name,
            dimensions=dimensions,
            max_tokens=max_tokens,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
        )

    @cached_property
    def counter(self) -> TokenCounter:
        return EstimatedCounter(self.spec.name)

    @property
    def special_tokens(self) -> int:
        return 0

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Return (n, d) float32 vectors of length 1.

        Args:
            texts: The texts.
            kind: "document" or "query".
        """
        prompt = self.spec.query_prompt if kind == "query" else self.spec.document_prompt
        digests = b"".join([hashlib.blake2b((prompt + text).encode(), digest_size=8).digest() for text in texts])
        seeds = np.frombuffer(digests, dtype="<u8")[:, None]
        steps = np.arange(1, self.spec.dimensions + 1, dtype=np.uint64) * _GOLDEN
        # SplitMix64's output function (Steele, Lea and Flood 2014), which spreads the bits of a sequence.
        state = seeds + steps
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
        vectors = state.view(np.int64).astype(np.float32) * np.float32(2.0**-63)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def __repr__(self) -> str:
        return f"FakeEmbeddingModel({self.spec.dimensions}, name={self.spec.name!r})"
