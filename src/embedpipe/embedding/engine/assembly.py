"""From a finished request to what the caller gets: results in the caller's order, or one error for all failures."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from embedpipe.embedding.engine.compressing import Compressor
from embedpipe.embedding.engine.request import EmbeddingRequest
from embedpipe.embedding.engine.results import EmbeddingAttempt, EmbeddingBatch
from embedpipe.errors import EmbeddingError, EmbedPipeError, TokenLimitError
from embedpipe.types import ModelSpec


def assemble(
    request: EmbeddingRequest, strict: bool, spec: ModelSpec, compressor: Compressor | None
) -> EmbeddingAttempt:
    """Return what was embedded, in the caller's order, and the error of everything else. With `strict`, raise it."""
    errors, texts, indices = request.failures, request.given, request.indices
    positions: Sequence[int] = range(len(texts))
    if errors:
        if strict:
            raise merged(errors)
        positions = [position for position in positions if position not in errors]
        texts = [texts[position] for position in positions]
        indices = [indices[position] for position in positions]
    distinct = len(indices) == len(request.texts) == len(request.indices)  # the arrays are in order already
    vectors = request.vectors if distinct else request.vectors[indices]
    batch = EmbeddingBatch(
        texts=texts,
        vectors=vectors if compressor is None else compressor.compress(vectors),
        token_counts=request.token_counts if distinct else request.token_counts[indices],
        cached=request.cached if distinct else request.cached[indices],
        model=spec.name,
    )
    return EmbeddingAttempt(
        batch=batch, positions=positions, errors=errors, requests=request.requests, retries=request.retries
    )


def merged(errors: Mapping[int, EmbedPipeError]) -> EmbedPipeError:
    """Return the first of the errors, with every position that failed in its message and in `inputs`."""
    # A copy: the same error object may belong to several texts of an attempt.
    first = copy.copy(next(iter(errors.values())))
    positions = tuple(errors)
    if len(positions) > 1:
        shown = ", ".join(map(str, positions[:10])) + (", ..." if len(positions) > 10 else "")
        first.args = (f"{first} ({len(positions)} inputs failed: {shown})",)
    if isinstance(first, TokenLimitError):
        counts = [
            count for error in errors.values() if isinstance(error, TokenLimitError) for count in error.token_counts
        ]
        first.token_counts = tuple(counts)
    if isinstance(first, EmbeddingError):
        first.inputs = positions
    first.__cause__ = next(iter(errors.values())).__cause__
    return first
