"""Doubles for your own tests: a deterministic model without weights, and an OpenAI-compatible server that can fail.

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel, Fault

generator = EmbeddingGenerator(FakeEmbeddingModel(dimensions=64))

with EmbeddingServer(FakeEmbeddingModel(dimensions=1536), faults=[Fault.status(429, retry_after=0.1)]) as server:
    generator = EmbeddingGenerator("text-embedding-3-small", base_url=server.url, api_key="any")
    generator.generate("a text")  # the second request succeeds
    assert len(server.requests) == 2
"""

from embedpipe.testing.fake import FakeEmbeddingModel
from embedpipe.testing.server import EmbeddingServer, Fault, Request

__all__ = ["EmbeddingServer", "FakeEmbeddingModel", "Fault", "Request"]
