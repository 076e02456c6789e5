"""LlamaIndex's `BaseEmbedding` over an `EmbeddingGenerator`."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr

from embedpipe.embedding import EmbeddingGenerator, checked_generator
from embedpipe.errors import ConfigurationError
from embedpipe.llama_index._options import check_fields


class EmbedPipeEmbedding(BaseEmbedding):
    """A LlamaIndex embedding over an `EmbeddingGenerator`, which batches, caches, limits the rate and retries.

    `to_dict` has the generator's model, base_url and dimensions, and no secret. `from_dict` creates a generator from
    them, with the key from the environment and without a cache. It raises `ConfigurationError` if the generator was
    created from a model object or with a compressor. Other errors are those of `EmbeddingGenerator.generate_batch`.
    """

    source: dict[str, Any] = Field(default_factory=dict, description="The arguments of the generator.")
    _generator: EmbeddingGenerator = PrivateAttr()

    def __init__(self, generator: EmbeddingGenerator | None = None, **fields: Any) -> None:
        """Wrap a generator.

        Args:
            generator: The generator. None creates one from `source`, as `from_dict` does.
            **fields: Fields of `BaseEmbedding`.

        Raises:
            ConfigurationError: If `generator` is not an `EmbeddingGenerator`.
            UnknownOptionError: If a field does not exist.
        """
        check_fields(type(self), fields)
        if generator is None:
            generator = _from_source(fields.get("source") or {})
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


def _from_source(source: dict[str, Any]) -> EmbeddingGenerator:
    if not source:
        raise ConfigurationError(
            "The generator cannot be created again: it had a model object or a compressor, which are not serialised. "
            "Create it yourself and pass it: EmbedPipeEmbedding(generator)."
        )
    return EmbeddingGenerator(**source)
