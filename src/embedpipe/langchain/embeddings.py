"""LangChain's `Embeddings` over an `EmbeddingGenerator`."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from embedpipe.embedding import EmbeddingGenerator, checked_generator


class EmbedPipeEmbeddings(Embeddings):
    """LangChain embeddings over an `EmbeddingGenerator`, which batches, caches, limits the rate and retries.

    Vectors are lists of Python floats. Errors are those of `EmbeddingGenerator.generate_batch`.
    """

    def __init__(self, generator: EmbeddingGenerator) -> None:
        """Wrap a generator.

        Args:
            generator: The generator.

        Raises:
            ConfigurationError: If `generator` is not an `EmbeddingGenerator`.
        """
        self.generator = checked_generator(generator)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents.

        Args:
            texts: The texts.

        Returns:
            A vector for each text, in their order.
        """
        return self.generator.generate_batch(texts).to_lists()

    def embed_query(self, text: str) -> list[float]:
        """Embed a query.

        Args:
            text: The query.

        Returns:
            Its vector.
        """
        return self.generator.generate(text, kind="query").to_list()

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents without blocking the event loop. See `embed_documents`."""
        return (await self.generator.agenerate_batch(texts)).to_lists()

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a query without blocking the event loop. See `embed_query`."""
        return (await self.generator.agenerate(text, kind="query")).to_list()

    def __repr__(self) -> str:
        return f"EmbedPipeEmbeddings({self.generator!r})"
