"""LangChain's documents as chunks, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from embedpipe.embedding.wrapped import WrappedModel
from embedpipe.errors import InputError
from embedpipe.langchain.embeddings import EmbedPipeEmbeddings
from embedpipe.storage import PgVectorStore
from embedpipe.types import Chunk, Metadata, ModelSpec, SearchResult


def text_chunks(
    texts: Iterable[str], metadatas: Iterable[Metadata | None] | None, ids: Iterable[str | None] | None
) -> list[Chunk]:
    """A chunk for each text. Raises `InputError` where there is not one metadata and one id for each."""
    if isinstance(texts, str):
        raise InputError("texts expected an iterable of str, got one str. Put it into a list.")
    listed = list(texts)
    every_metadata = _one_each(metadatas, len(listed), "metadata", {})
    every_id = _one_each(ids, len(listed), "id", None)
    return [
        text_chunk(text, metadata or {}, given)
        for text, metadata, given in zip(listed, every_metadata, every_id, strict=True)
    ]


def document_chunks(documents: Iterable[Document], ids: Iterable[str | None] | None) -> list[Chunk]:
    """A chunk for each document, under the id given for it, else its own."""
    listed = list(documents)
    every_id = _one_each(ids, len(listed), "id", None)
    return [
        text_chunk(document.page_content, document.metadata, document.id if given is None else given)
        for document, given in zip(listed, every_id, strict=True)
    ]


def _one_each(values: Iterable[Any] | None, count: int, what: str, default: Any) -> list[Any]:
    listed = [default] * count if values is None else list(values)
    if len(listed) != count:
        raise InputError(f"Expected one {what} for each of {count} texts, got {len(listed)}.")
    return listed


def text_chunk(text: str, metadata: Metadata, id: str | None) -> Chunk:
    """The chunk; a splitter's `start_index` tells where it stands in its source."""
    start = metadata.get("start_index")
    known = isinstance(start, int) and not isinstance(start, bool) and start >= 0
    first = start if known and start is not None else 0
    return Chunk(text, first, first + len(text), 0, metadata, None, id)


def to_document(chunk: Chunk) -> Document:
    """The chunk with its id and exactly its metadata."""
    return Document(id=chunk.id, page_content=chunk.text, metadata=dict(chunk.metadata))


def to_documents(results: Sequence[SearchResult], source_key: str | None = None) -> list[Document]:
    """The results' chunks; with a key, their metadata say under it where each comes from and what it scored."""
    documents = [to_document(result.chunk) for result in results]
    if source_key is not None:
        for document, result in zip(documents, results, strict=True):
            document.metadata[source_key] = _source(result)
    return documents


def _source(result: SearchResult) -> dict[str, Any]:
    return {
        "document_id": result.document_id,
        "start_index": result.chunk.start_index,
        "end_index": result.chunk.end_index,
        "score": result.score,
        "similarity": result.similarity,
        "lexical_score": result.lexical_score,
        "rerank_score": result.rerank_score,
    }


def with_distance(results: Iterable[SearchResult]) -> list[tuple[Document, float]]:
    """Documents with their cosine distance to the query vector."""
    return [(to_document(result.chunk), _distance(result)) for result in results]


def _distance(result: SearchResult) -> float:
    assert result.similarity is not None  # noqa: S101 - every search here brings the query's vector
    return 1.0 - result.similarity


def batches(chunks: Sequence[Chunk], size: int | None) -> Iterator[Sequence[Chunk]]:
    """The chunks in runs of `size`, or in one where there is none given."""
    if size is not None and size < 1:
        raise InputError(f"batch_size expected 1 or more, got {size!r}.")
    step = size or max(len(chunks), 1)
    return (chunks[start : start + step] for start in range(0, len(chunks), step))


def checked_options(given: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The options themselves; `InputError` for one that does not exist, which the framework would drop silently."""
    for name in given:
        if name not in names:
            expected = f" Expected one of: {', '.join(names)}." if names else ""
            raise InputError(f"Unknown option {name!r}.{expected}")
    return given


def model_spec(embedding: Embeddings) -> ModelSpec:
    """What the embedding's vectors are; one of another package is asked for a vector, to learn its dimensions."""
    if isinstance(embedding, EmbedPipeEmbeddings):
        return embedding.generator.spec
    return WrappedModel(embedding).spec


def default_store(embedding: Embeddings) -> PgVectorStore:
    """The default collection of the default database, for the embedding's model alone."""
    return PgVectorStore(model=model_spec(embedding))
