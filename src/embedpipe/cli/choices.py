"""Models, chunkers, rerankers and writers of headers by their names on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from embedpipe.chunking import CHUNKERS, Size, make_chunker
from embedpipe.cli.wording import by_option
from embedpipe.errors import ConfigurationError, MissingExtraError
from embedpipe.reranking import as_reranker

if TYPE_CHECKING:
    from embedpipe.answering import ChatModel
    from embedpipe.embedding import EmbeddingGenerator
    from embedpipe.ingest import ContextualHeader
    from embedpipe.storage import Fusion
    from embedpipe.types import Chunker, Reranker


def chunker_named(
    name: str, generator: EmbeddingGenerator, *, size: str | None = None, overlap: int | None = None
) -> Chunker | None:
    """Return the chunker, None for "none". Settings that are not given keep the chunker's defaults.

    `overlap` counts characters, tokens, sentences or paragraphs, depending on the chunker. Raises `typer.BadParameter`
    for an unknown name, a wrong size, and settings that the chunker does not have.
    """
    if name == "none":
        if size is not None or overlap is not None:
            raise _no_chunker('the chunker "none" stores whole documents and has no size or overlap.')
        return None
    if name not in CHUNKERS:
        raise _no_chunker(f"there is no chunker {name!r}. Choose one of: {', '.join(CHUNKERS.names())}, none.")
    try:
        return make_chunker(name, size=None if size is None else _size(size), overlap=overlap, model=generator)
    except MissingExtraError:
        raise
    except ConfigurationError as error:
        raise _no_chunker(str(error)) from error


def chunker_of(text: str, generator: EmbeddingGenerator) -> Chunker | None:
    """Return the chunker for NAME, NAME:SIZE or NAME:SIZE:OVERLAP. See `chunker_named`."""
    name, *rest = text.split(":")
    if len(rest) > 2 or (len(rest) == 2 and not rest[1].isdecimal()):
        raise _no_chunker(
            f"{text!r} is no chunker. Write NAME, NAME:SIZE or NAME:SIZE:OVERLAP, such as recursive:500:50."
        )
    overlap = int(rest[1]) if len(rest) == 2 else None
    return chunker_named(name, generator, size=rest[0] if rest else None, overlap=overlap)


def fusion_by_recency(text: str | None) -> Fusion | None:
    """Return the fusion for KEY, KEY:DAYS or KEY:DAYS:WEIGHT, None for None."""
    from embedpipe.storage import Fusion, Recency

    if text is None:
        return None
    key, *numbers = text.split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    if not key or len(numbers) > 2 or len(values) < len(numbers):
        raise typer.BadParameter(
            f"--recency {text!r} is not KEY, KEY:DAYS or KEY:DAYS:WEIGHT, such as published:30:0.2."
        )
    return Fusion(recency=Recency(key=key, **dict(zip(("half_life_days", "weight"), values, strict=False))))


def generator_named(
    name: str, *, url: str | None = None, query_prompt: str | None = None, document_prompt: str | None = None
) -> EmbeddingGenerator:
    """Return the generator of an embedding model, at the address `url` if there is one."""
    from embedpipe.embedding import EmbeddingGenerator

    return EmbeddingGenerator(name, base_url=url, query_prompt=query_prompt, document_prompt=document_prompt)


def reranker_named(name: str | None, *, url: str | None = None) -> Reranker | None:
    """Return the reranker for KIND or KIND:MODEL, None for None. Raise `typer.BadParameter` if there is none."""
    if name is None:
        if url is not None:
            raise typer.BadParameter("--rerank-url needs --rerank, the name of the reranker.")
        return None
    try:
        return as_reranker(name, base_url=url)
    except MissingExtraError:
        raise
    except ConfigurationError as error:
        raise typer.BadParameter(by_option(str(error), url="--rerank-url"), param_hint="--rerank") from error


def chat_model_named(name: str | None, *, url: str | None = None) -> ChatModel | None:
    """Return the chat model for PROVIDER:MODEL, None for None. Raise `typer.BadParameter` if there is none."""
    if name is not None:
        return _chat_model(name, url=url, option="--llm")
    if url is not None:
        raise typer.BadParameter("--llm-url needs --llm, the name of the model.")
    return None


def _chat_model(name: str, *, url: str | None, option: str) -> ChatModel:
    from embedpipe.answering import as_chat_model

    try:
        return as_chat_model(name, base_url=url)
    except MissingExtraError:
        raise
    except ConfigurationError as error:
        raise typer.BadParameter(by_option(str(error), url=f"{option}-url"), param_hint=option) from error


def contextual_header(name: str, *, url: str | None, max_requests: int | None) -> ContextualHeader:
    """Return the writer of headers by this chat model."""
    from embedpipe.ingest import ContextualHeader

    return ContextualHeader(_chat_model(name, url=url, option="--context"), max_requests=max_requests)


def _size(text: str) -> Size:
    if text == "model":
        return "model"
    if not text.isdecimal():
        raise _no_chunker(f'the chunk size {text!r} is not a whole number. Or write "model" for the model\'s limit.')
    return int(text)


def _no_chunker(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--chunker")
