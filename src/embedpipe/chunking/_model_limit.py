"""Take the chunk size from the embedding model, so that it cuts nothing off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar, cast

from embedpipe.errors import ConfigurationError
from embedpipe.text import TokenCountingModel
from embedpipe.types import EmbeddingModel

AnyChunker = TypeVar("AnyChunker")


def for_model(chunker: AnyChunker, model: object, *, reserved: int = 0) -> AnyChunker:
    """Replace a chunker's `chunk_size="model"` by the model's limit, in tokens of the model's tokenizer.

    The limit is `spec.max_tokens` less the special tokens, the document prompt and `reserved`.

    Args:
        chunker: A chunker. With another `chunk_size` it is returned as it is.
        model: An embedding model that counts its tokens.
        reserved: How many tokens are kept free for a header.

    Raises:
        ConfigurationError: If the model does not count tokens or has no limit, or if the prompt and the reserved tokens
            leave no room.
    """
    if getattr(chunker, "chunk_size", None) != "model":
        return chunker
    if not (isinstance(model, EmbeddingModel) and isinstance(model, TokenCountingModel)):
        raise ConfigurationError(
            f"chunk_size='model' needs a model that counts its tokens, and {type(model).__name__} has no counter. "
            "Set chunk_size to a number."
        )
    if model.spec.max_tokens is None:
        raise ConfigurationError(f"chunk_size='model' needs a limit, and {model.spec.name} has none. Set a number.")
    size = model.spec.max_tokens - model.special_tokens - model.counter.count(model.spec.document_prompt)
    size -= reserved
    if size < 1:
        raise ConfigurationError(
            f"The {model.spec.max_tokens} tokens of {model.spec.name} leave no room for text: its prompt and "
            f"{reserved} tokens for a header take all of them. Leave out the headers, or shorten the prompt."
        )
    settings: dict[str, Any] = {"chunk_size": size, "tokenizer": model.counter.name}
    if hasattr(chunker, "unit"):
        settings["unit"] = "tokens"
    resized: AnyChunker = replace(cast("Any", chunker), **settings)
    return resized
