"""The embedding engine as LlamaIndex's `BaseEmbedding`."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr

from embedpipe.embedding import EmbeddingGenerator, checked_generator
from embedpipe.errors import ConfigurationError
from embedpipe.llama_index._options import check_fields


class EmbedPipeEmbedding(BaseEmbedding):
    """LlamaIndex embedding over an `EmbeddingGenerator`, which batches, caches, limits and retries.

    `to_dict` holds how the generator was named (model, base_url, dimensions) and no secret; `from_dict` makes it anew,
    with the key from the environment and without cache, and raises `ConfigurationError` where it was made of a backend
    object or with a compressor. Errors are those of `EmbeddingGenerator.generate_batch`.
    """

    source: dict[str, Any] = Field(default_factory=dict, description="How the generator's model was named.")
    _generator: EmbeddingGenerator = PrivateAttr()

    def __init__(self, generator: EmbeddingGenerator | None = None, **fields: Any) -> None:
        check_fields(type(self), fields)
        if generator is None:
            generator = _made_anew(fields.get("source") or {})
        checked_generator(generator)
        known: dict[str, Any] = {
            "model_name": generator.spec.name,
            "embed_batch_size": 2048,
            "source": generator.source,
        }
        super().__init__(**known | fields)
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


def _made_anew(source: dict[str, Any]) -> EmbeddingGenerator:
    if not source:
        raise ConfigurationError(
            "The name of the generator's model was expected in source, and there is none: it was made of a backend "
            "object or with a compressor, which is not serialised. Make EmbedPipeEmbedding(generator) anew."
        )
    return EmbeddingGenerator(**source)
