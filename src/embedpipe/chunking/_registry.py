"""Find a chunker by its name."""

from __future__ import annotations

import inspect
from typing import Any, cast

from embedpipe._plugins import Registry
from embedpipe.chunking._measure import Size
from embedpipe.errors import ConfigurationError
from embedpipe.types import Chunker

CHUNKERS = Registry(
    "embedpipe.chunkers",
    {
        "recursive": "embedpipe.chunking.recursive:RecursiveChunker",
        "markdown": "embedpipe.chunking.markdown:MarkdownChunker",
        "sentence": "embedpipe.chunking.sentence:SentenceChunker",
        "paragraph": "embedpipe.chunking.paragraph:ParagraphChunker",
        "tokens": "embedpipe.chunking.token:TokenChunker",
        "semantic": "embedpipe.chunking.semantic:SemanticChunker",
    },
)
"""Every chunker by its name. Each is called with settings, and makes a `Chunker`."""


def make_chunker(name: str, *, size: Size | None = None, overlap: int | None = None, model: object = None) -> Chunker:
    """Make a chunker by its name: one of embedpipe's own, or one that an installed package offers.

    A setting that is not given keeps the chunker's own default.

    Args:
        name: "recursive", "markdown", "sentence", "paragraph", "tokens", "semantic", or the name of an entry point
            "name = package.module:factory" in the group `embedpipe.chunkers`.
        size: The `chunk_size`, in the chunker's unit, or "model".
        overlap: The overlap, in characters, tokens, sentences or paragraphs, as the chunker counts it. It is passed as
            the factory's argument that has "overlap" in its name.
        model: An `EmbeddingGenerator` or a backend, for chunkers that embed.

    Raises:
        ConfigurationError: If there is no chunker of that name, if it lacks one of these settings, or if it refuses
            one.
    """
    factory = CHUNKERS.load(name)
    parameters = inspect.signature(factory).parameters
    settings: dict[str, Any] = {}
    if "model" in parameters:
        settings["model"] = model
    if size is not None:
        if "chunk_size" not in parameters:
            raise ConfigurationError(f"The chunker {name!r} has no size. Leave it out.")
        settings["chunk_size"] = size
    if overlap is not None:
        own = next((parameter for parameter in parameters if "overlap" in parameter), None)
        if own is None:
            raise ConfigurationError(f"The chunker {name!r} has no overlap. Leave it out.")
        settings[own] = overlap
    return cast("Chunker", factory(**settings))
