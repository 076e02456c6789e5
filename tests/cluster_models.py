"""What a cluster's workers can import: a model that leaves a trace for the test which started them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from embedpipe.embedding import Limiter, Limits
from embedpipe.errors import ProviderError
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors

REFUSED = "unspeakable"


class TracedModel:
    """A fake model that takes its time for each few texts and writes down in a folder which process embedded them."""

    def __init__(self, folder: Path, *, seconds: float = 0.0) -> None:
        self.model = FakeEmbeddingModel(dimensions=16)
        self.spec = self.model.spec
        self.limits = Limits(batch_items=16, concurrency=1)
        self.folder = folder
        self.seconds = seconds

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if any(REFUSED in text for text in texts):
            raise ProviderError("the model refuses this", status=400)
        time.sleep(self.seconds)
        with (self.folder / str(os.getpid())).open("a") as trace:
            trace.writelines("embedded\n" for _ in texts)
        return self.model.embed(texts, kind)

    def embedded(self) -> dict[str, int]:
        """{process: how many texts it embedded}."""
        return {trace.name: len(trace.read_text().splitlines()) for trace in self.folder.iterdir()}


def reservations(limiter: Limiter, number: int) -> list[float]:
    """What each of so many requests has to wait, in seconds."""
    return [limiter.reserve(1) for _ in range(number)]
