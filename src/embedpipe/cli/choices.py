"""Chunkers and rerankers by the names that the command line gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from embedpipe.chunking import (
    MarkdownChunker,
    ParagraphChunker,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    TokenChunker,
)
from embedpipe.errors import ConfigurationError, MissingExtraError
from embedpipe.reranking import CohereReranker, CrossEncoderReranker, LexicalReranker

if TYPE_CHECKING:
    from embedpipe.embedding import EmbeddingGenerator
    from embedpipe.types import Chunker, Reranker

_CHUNKERS: dict[str, Callable[..., Chunker]] = {
    "recursive": RecursiveChunker,
    "markdown": MarkdownChunker,
    "sentence": SentenceChunker,
    "paragraph": ParagraphChunker,
    "tokens": TokenChunker,
    "semantic": SemanticChunker,
}
_OVERLAPS = {
    "recursive": "chunk_overlap",
    "sentence": "overlap_sentences",
    "paragraph": "overlap_paragraphs",
    "tokens": "chunk_overlap",
}
_RERANKERS: dict[str, Callable[..., Reranker]] = {
    "lexical": LexicalReranker,
    "cross-encoder": CrossEncoderReranker,
    "cohere": CohereReranker,
}


def chunker_named(
    name: str, generator: EmbeddingGenerator, *, size: str | None = None, overlap: int | None = None
) -> Chunker | None:
    """The chunker, None for "none"; what is not given is the chunker's own default.

    `overlap` counts characters, tokens, sentences or paragraphs, as the chunker does. A wrong usage are an unknown
    name, a size that is none, and settings that the chunker does not have.
    """
    if name == "none":
        if size is not None or overlap is not None:
            raise _no_chunker('the chunker "none" stores each document whole, and takes neither size nor overlap.')
        return None
    if name not in _CHUNKERS:
        raise _no_chunker(f"there is no chunker {name!r}; there are: {', '.join(_CHUNKERS)}, none.")
    settings: dict[str, Any] = {"model": generator} if name == "semantic" else {}
    if size is not None:
        settings["chunk_size"] = _size(size)
    if overlap is not None:
        if name not in _OVERLAPS:
            raise _no_chunker(f"the chunker {name!r} has no overlap; these have one: {', '.join(_OVERLAPS)}.")
        settings[_OVERLAPS[name]] = overlap
    try:
        return _CHUNKERS[name](**settings)
    except MissingExtraError:
        raise
    except ConfigurationError as error:
        raise _no_chunker(str(error)) from error


def chunker_of(text: str, generator: EmbeddingGenerator) -> Chunker | None:
    """As `chunker_named`, from NAME, NAME:SIZE or NAME:SIZE:OVERLAP."""
    name, *rest = text.split(":")
    if len(rest) > 2 or (len(rest) == 2 and not rest[1].isdecimal()):
        raise _no_chunker(f"a chunker is NAME, NAME:SIZE or NAME:SIZE:OVERLAP, such as recursive:500:50; got {text!r}.")
    overlap = int(rest[1]) if len(rest) == 2 else None
    return chunker_named(name, generator, size=rest[0] if rest else None, overlap=overlap)


def reranker_named(text: str) -> Reranker:
    """The reranker of KIND or KIND:MODEL; a wrong usage where there is none such."""
    kind, _, model = text.partition(":")
    if kind not in _RERANKERS or (kind == "lexical" and model):
        raise typer.BadParameter(
            f"a reranker is lexical, cross-encoder, cross-encoder:MODEL or cohere; got {text!r}.", param_hint="--rerank"
        )
    return _RERANKERS[kind](model) if model else _RERANKERS[kind]()


def _size(text: str) -> int | str:
    if text == "model":
        return text
    if not text.isdecimal():
        raise _no_chunker(f'a chunk size is a whole number, or "model" for the model\'s limit; got {text!r}.')
    return int(text)


def _no_chunker(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--chunker")
