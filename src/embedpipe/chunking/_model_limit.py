"""Chunk sizes taken from the embedding model, so that it cuts nothing off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar, cast

from embedpipe.errors import ConfigurationError
from embedpipe.text import TokenCountingModel
from embedpipe.types import EmbeddingModel

AnyChunker = TypeVar("AnyChunker")


def for_model(chunker: AnyChunker, model: object, *, reserved: int = 0) -> AnyChunker:
    """The chunker with the model's limit in the place of `chunk_size="model"`, in tokens of its own tokenizer.

    The limit is `spec.max_tokens` less the special tokens, the document prompt and the tokens `reserved` for what is
    put before a chunk. Any other chunker is returned as it is. Raises `ConfigurationError` for a model without a limit,
    or where the prompt and what is reserved leave no room.
    """
    if getattr(chunker, "chunk_size", None) != "model":
        return chunker
    if not (isinstance(model, EmbeddingModel) and isinstance(model, TokenCountingModel)):
        raise ConfigurationError(
            f"Expected a model that counts its tokens for chunk_size='model', and {type(model).__name__} has no "
            "counter. Set chunk_size to a number."
        )
    if model.spec.max_tokens is None:
        raise ConfigurationError(f"Expected a model with a limit, and {model.spec.name} has none. Set chunk_size.")
    size = model.spec.max_tokens - model.special_tokens - model.counter.count(model.spec.document_prompt)
    size -= reserved
    if size < 1:
        raise ConfigurationError(
            f"Expected room for text within the {model.spec.max_tokens} tokens of {model.spec.name}; its prompt and "
            f"{reserved} tokens for a header take all of it. Leave out the headers, or shorten the prompt."
        )
    settings: dict[str, Any] = {"chunk_size": size, "tokenizer": model.counter.name}
    if hasattr(chunker, "unit"):
        settings["unit"] = "tokens"
    resized: AnyChunker = replace(cast("Any", chunker), **settings)
    return resized
