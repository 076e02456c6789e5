"""Try a model as it will be used, and say what was found: dimensions, order, prompts, length, speed and price."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import Limits, RemoteModel
from embedpipe.embedding.generator import EmbeddingGenerator
from embedpipe.embedding.vectors import to_unit_length

_TEXTS = ("Green tea is steeped at 80 degrees.", "The contract ends in March.", "A mutex protects shared state.")
_SAME = 0.999
"""The cosine from which two vectors of one text are the same. Half precision and batching change the last digits."""
_SPEED_TEXTS = 64
_LONGEST = 8192
"""The tokens of the longest text that is sent, which bounds the price."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `is_good` is None where there is no right or wrong."""

    check: str
    found: str
    is_good: bool | None = None


def check_model(generator: EmbeddingGenerator) -> Iterator[Finding]:
    """Embed some 80 short texts and one long one, and yield what each check finds, as soon as it is known.

    Args:
        generator: The model, without a cache.

    Raises:
        EmbeddingError: If a request fails for good.
    """
    spec = generator.spec
    sent = 0
    together = generator.generate_batch(list(_TEXTS))
    sent += int(together.token_counts.sum())
    known = catalogue.find(spec.name)
    size = together.vectors.shape[1]
    expected = f"; the catalogue has {known.dimensions}" if known and known.dimensions != size else ""
    yield Finding("dimensions", f"{size}{expected}", is_good=size == spec.dimensions)
    lengths = np.linalg.norm(together.vectors, axis=1)
    unit = bool(np.all(np.abs(lengths - 1) < 1e-2))
    yield Finding("length", "vectors have length 1" if unit else "vectors have other lengths", unit == spec.normalized)

    alone = np.concatenate([generator.generate_batch([text]).vectors for text in _TEXTS])
    sent += int(together.token_counts.sum())
    cosines = np.sum(to_unit_length(alone) * to_unit_length(together.vectors), axis=1)
    yield Finding("order", f"alone and in a batch: cosine {cosines.min():.4f} at least", bool(cosines.min() >= _SAME))

    asked = generator.generate_batch(list(_TEXTS), "query")
    sent += int(asked.token_counts.sum())
    apart = float(np.sum(to_unit_length(asked.vectors) * to_unit_length(together.vectors), axis=1).mean())
    differ = apart < _SAME
    told = spec.query_prompt != spec.document_prompt
    kinds = "differ" if differ else "are embedded alike"
    yield Finding("prompts", f"questions and documents {kinds} (cosine {apart:.4f})", differ if told else None)

    if spec.max_tokens is None:
        yield Finding("longest text", "not checked: the model states no limit")
    elif spec.max_tokens > _LONGEST:
        yield Finding("longest text", f"not checked: the limit of {spec.max_tokens} tokens is over {_LONGEST}")
    else:
        long_text = "word " * (spec.max_tokens - 32)
        found = generator.generate_batch([long_text])
        sent += int(found.token_counts.sum())
        yield Finding("longest text", f"{int(found.token_counts[0])} tokens were taken", is_good=True)

    texts = [f"{_TEXTS[number % 3]} {number}" for number in range(_SPEED_TEXTS)]
    begun = time.perf_counter()
    batch = generator.generate_batch(texts)
    seconds = time.perf_counter() - begun
    sent += int(batch.token_counts.sum())
    limits: Limits = generator.limits
    at_once = f", {limits.concurrency} requests at once" if isinstance(generator.model, RemoteModel) else ""
    yield Finding("speed", f"{len(texts) / seconds:.0f} texts/s in one call of {len(texts)} short texts{at_once}")
    if known and known.price_per_million:
        yield Finding("price", f"${sent * known.price_per_million / 1e6:.6f} for this check of about {sent} tokens")
    else:
        free = known is not None and known.price_per_million == 0
        why = "the model has open weights" if free else "the catalogue has no price"
        yield Finding("price", f"about {sent} tokens were embedded; {why}")
