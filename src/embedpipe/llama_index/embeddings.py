"""The embedding engine as LlamaIndex's `BaseEmbedding`."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from embedpipe.embedding import EmbeddingGenerator


class EmbedPipeEmbedding(BaseEmbedding):
    """LlamaIndex embedding over an `EmbeddingGenerator`, which batches, caches, limits and retries.

    `to_dict` holds the model's name and the batch size, and no secret. Errors are those of
    `EmbeddingGenerator.generate_batch`.
    """

    _generator: EmbeddingGenerator = PrivateAttr()

    def __init__(self, generator: EmbeddingGenerator | None = None, **fields: Any) -> None:
        if generator is None:  # from_dict, which knows the name alone
            generator = EmbeddingGenerator(fields["model_name"])
        super().__init__(**{"model_name": generator.spec.name, "embed_batch_size": 2048, **fields})
        self._generator = generator

    @classmethod
    def class_name(cls) -> str:
        return "EmbedPipeEmbedding"

    @property
    def generator(self) -> EmbeddingGenerator:
        return self._generator

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._generator.generate_batch(texts).to_lists()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return (await self._generator.agenerate_batch(texts)).to_lists()

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._generator.generate(query, kind="query").to_list()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._generator.agenerate(query, kind="query")).to_list()
