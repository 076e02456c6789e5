"""From a finished call to what the caller gets."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from embedpipe.embedding.engine.compressing import Compressor
from embedpipe.embedding.engine.flow import Flow
from embedpipe.embedding.engine.request import Call
from embedpipe.embedding.engine.results import EmbeddingAttempt, EmbeddingBatch
from embedpipe.errors import EmbeddingError, EmbedPipeError, TokenLimitError
from embedpipe.types import ModelSpec


def attempted(
    texts: Sequence[str], call: Call, flow: Flow, spec: ModelSpec, compressor: Compressor | None
) -> EmbeddingAttempt:
    """What was embedded, and the error of everything else."""
    call.fail(flow.errors)
    errors = call.failures
    positions = [position for position in range(len(texts)) if position not in errors]
    return EmbeddingAttempt(
        batch=_batch(texts, call, spec, compressor, positions=positions),
        positions=positions,
        errors=errors,
        requests=call.requests,
        retries=call.retries,
    )


def whole(
    texts: Sequence[str], call: Call, flow: Flow, spec: ModelSpec, compressor: Compressor | None
) -> EmbeddingBatch:
    """Everything embedded; raises where anything failed."""
    call.fail(flow.errors)
    if errors := call.failures:
        raise merged(errors)
    return _batch(texts, call, spec, compressor, positions=range(len(texts)))


def _batch(
    texts: Sequence[str], call: Call, spec: ModelSpec, compressor: Compressor | None, *, positions: Sequence[int]
) -> EmbeddingBatch:
    numbers = [call.numbers[position] for position in positions]
    plain = len(numbers) == len(call.texts) == len(call.numbers)
    vectors = call.vectors if plain else call.vectors[numbers]
    return EmbeddingBatch(
        texts=texts if len(numbers) == len(texts) else [texts[position] for position in positions],
        vectors=vectors if compressor is None else compressor.compress(vectors),
        token_counts=call.counts if plain else call.counts[numbers],
        cached=call.cached if plain else call.cached[numbers],
        model=spec.name,
    )


def merged(errors: Mapping[int, EmbedPipeError]) -> EmbedPipeError:
    """The first of the errors, with every position that failed in its message and in `inputs`."""
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
