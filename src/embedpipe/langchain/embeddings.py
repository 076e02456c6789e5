"""The embedding engine as LangChain's `Embeddings`."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from embedpipe.embedding import EmbeddingGenerator, checked_generator


class EmbedPipeEmbeddings(Embeddings):
    """LangChain embeddings over an `EmbeddingGenerator`, which batches, caches, limits and retries.

    Vectors are lists of Python floats, in the texts' order. Errors are those of `EmbeddingGenerator.generate_batch`;
    `ConfigurationError` for what is no generator.
    """

    def __init__(self, generator: EmbeddingGenerator) -> None:
        self.generator = checked_generator(generator)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        return self.generator.generate_batch(texts).to_lists()

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        return self.generator.generate(text, kind="query").to_list()

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`, without blocking the event loop."""
        return (await self.generator.agenerate_batch(texts)).to_lists()

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`, without blocking the event loop."""
        return (await self.generator.agenerate(text, kind="query")).to_list()

    def __repr__(self) -> str:
        return f"EmbedPipeEmbeddings({self.generator!r})"
