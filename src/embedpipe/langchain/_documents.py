"""Convert LangChain's documents to chunks and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from embedpipe._checks import checked_count, shown
from embedpipe.embedding import LangChainEmbeddings, WrappedModel
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.langchain.embeddings import EmbedPipeEmbeddings
from embedpipe.storage import PgVectorStore
from embedpipe.storage.transfer import SourceRow
from embedpipe.storage.types import dumps, storable_text
from embedpipe.storage.write import checked_id
from embedpipe.text import faults
from embedpipe.types import TABLE_HEADER, Chunk, Metadata, ModelSpec, SearchResult

_MAX_OFFSET = 2**31 - 1

START_INDEX, DOCUMENT_ID, CHUNK_INDEX = "start_index", "document_id", "chunk_index"
"""Metadata that our splitters write: a piece's place in the text, its document, and its number in the document."""

DocumentKey: TypeAlias = str | Sequence[str] | None

DOCUMENT_KEYS = (DOCUMENT_ID, "source")
"""The metadata keys that hold the document of a piece, unless the user names other keys."""


class Placing:
    """Finds the document of each piece of one call, and numbers the pieces of each document."""

    def __init__(self, key: DocumentKey) -> None:
        self._keys = checked_keys(key)
        self._strict = self._keys != DOCUMENT_KEYS
        self._numbers: Counter[str] = Counter()

    def chunk(self, what: str, text: str, metadata: Metadata, id: str | None) -> Chunk:
        """Return the chunk at the place given by `start_index`, `chunk_index` and the document's key, if they are set.

        Raises:
            InputError: If the user's key holds a value that cannot be a document's id.
        """
        start = metadata.get(START_INDEX)
        if not is_offset(start) or start > _MAX_OFFSET - len(text):
            start = 0  # the user's own key of this name, with another meaning
        document_id = self._document_id(what, metadata)
        number = 0
        if document_id is not None:
            number = self._numbers[document_id]
            self._numbers[document_id] += 1
            if is_offset(metadata.get(CHUNK_INDEX)):
                number = metadata[CHUNK_INDEX]
        header = metadata.get(TABLE_HEADER)
        header = header if isinstance(header, str) and header else None
        return Chunk(text, start, start + len(text), number, metadata, document_id, id, header=header)

    def row_chunk(self, row: SourceRow) -> Chunk:
        """Return the chunk of a row that is imported. See `chunk`."""
        return self.chunk(f"Row {row.id!r:.200}", row.text, row.metadata, row.id)

    def _document_id(self, what: str, metadata: Metadata) -> str | None:
        for key in self._keys:
            value = metadata.get(key)
            if self._strict and type(value) is int:
                value = str(value)
            if self._strict and value is not None:
                return checked_id(value, f"{what}, the document's id under {key!r}")
            if isinstance(value, str) and _can_be_id(value):
                return value
        return None


def checked_keys(key: Any) -> tuple[str, ...]:
    """Return the metadata keys as a tuple. Raise `ConfigurationError` if `key` is not a string, strings or None."""
    keys = () if key is None else (key,) if isinstance(key, str) else key
    if not isinstance(keys, (list, tuple)) or not all(isinstance(each, str) for each in keys):
        raise ConfigurationError(f"document_key is {shown(key)}. Pass a metadata key, a list of keys, or None.")
    return tuple(keys)


def is_offset(value: object) -> TypeGuard[int]:
    """Return whether the value can be an offset or a chunk's number."""
    return type(value) is int and 0 <= value <= _MAX_OFFSET


def _can_be_id(value: str) -> bool:
    try:
        checked_id(value, "")
    except InputError:
        return False
    return True


def text_chunks(
    texts: Iterable[str],
    metadatas: Iterable[Metadata | None] | None,
    ids: Iterable[str | None] | None,
    key: DocumentKey,
) -> list[Chunk]:
    """Return a chunk for each text.

    Raises:
        InputError: If a text cannot be stored, if there are not as many metadata and ids as texts, or if two different
            texts have the same id.
    """
    listed = _listed(texts, "texts", "str")
    every_metadata = _one_each(metadatas, len(listed), "metadata", of="dicts")
    every_id = _one_each(ids, len(listed), "id", of="str")
    placing = Placing(key)
    return _without_clashes(
        [
            _checked_chunk(placing, place, text, {} if metadata is None else metadata, given)
            for place, (text, metadata, given) in enumerate(zip(listed, every_metadata, every_id, strict=True))
        ]
    )


def document_chunks(documents: Iterable[Document], ids: Iterable[str | None] | None, key: DocumentKey) -> list[Chunk]:
    """Return a chunk for each document. Its id is the given one, else its own. For errors see `text_chunks`."""
    listed = checked_documents(documents)
    given = _one_each(ids, len(listed), "id", of="str")
    every_id = [document.id if each is None else each for document, each in zip(listed, given, strict=True)]
    texts, metadatas = [each.page_content for each in listed], [each.metadata for each in listed]
    return text_chunks(texts, metadatas, every_id, key)


def _without_clashes(chunks: list[Chunk]) -> list[Chunk]:
    """Return the chunks. Raise `InputError` if two different texts have one id: the first would be lost."""
    first: dict[str | None, int] = {}
    for place, chunk in enumerate(chunks):
        before = chunks[first.setdefault(chunk.id, place)] if chunk.id is not None else chunk
        if (before.text, before.metadata) != (chunk.text, chunk.metadata):
            raise InputError(
                f"The texts at positions {first[chunk.id]} and {place} differ and have the same id {chunk.id!r:.200}: "
                "the second would replace the first. Give each its own id."
            )
    return chunks


def checked_documents(documents: Iterable[Document]) -> list[Document]:
    """Return the documents as a list. Raise `InputError` with the position of a value that is not a Document."""
    return [_document(place, each) for place, each in enumerate(_listed(documents, "documents", "Documents"))]


def _document(place: int, value: object) -> Document:
    if not isinstance(value, Document):
        kind = type(value)
        raise InputError(
            f"The value at position {place} is a {kind.__module__}.{kind.__qualname__}. Pass a langchain_core "
            "Document(id=..., page_content=..., metadata=...). For texts, use add_texts."
        )
    return value


def _listed(values: Any, what: str, of: str) -> list[Any]:
    if isinstance(values, (str, bytes, Mapping, Document)):  # iterable, but a single value
        raise InputError(f"{what} is one {type(values).__name__}. Pass a list of {of}.")
    if not isinstance(values, Iterable):
        raise InputError(f"{what} is a {type(values).__name__}. Pass a list of {of}.")
    return list(values)


def _one_each(values: Iterable[Any] | None, count: int, what: str, *, of: str) -> list[Any]:
    listed = [None] * count if values is None else _listed(values, f"{what}s", of)
    if len(listed) != count:
        raise InputError(f"There are {count} texts and {len(listed)} {what}s. Pass one {what} per text.")
    return listed


def _checked_chunk(placing: Placing, place: int, text: str, metadata: Metadata, id: str | None) -> Chunk:
    """Check and return the chunk. The store checks after embedding, which costs money, and knows no positions."""
    what = f"The text at position {place}"
    if id is not None:
        checked_id(id, what)
    storable_text(text, what)
    dumps(metadata, what=f"{what}, metadata")
    return placing.chunk(what, text, metadata, id)


def check_texts(chunks: Sequence[Chunk], embedding: Embeddings) -> None:
    """Raise `InputError` with the position of the first text that embedpipe's embedding would refuse."""
    if isinstance(embedding, EmbedPipeEmbeddings):
        for error in faults([chunk.embedded_text for chunk in chunks]).values():
            raise error


def to_document(chunk: Chunk) -> Document:
    """Return the chunk as a document with its id and its metadata."""
    return Document(id=chunk.id, page_content=chunk.text, metadata=dict(chunk.metadata))


def to_documents(results: Sequence[SearchResult], source_key: str | None = None) -> list[Document]:
    """Return the results as documents. With `source_key`, their metadata have their place and scores under this key.

    Raises `InputError` if a document's own metadata have this key.
    """
    documents = [to_document(result.chunk) for result in results]
    if source_key is not None:
        for document, result in zip(documents, results, strict=True):
            if source_key in document.metadata:
                raise InputError(
                    f"source_key={source_key!r} is a metadata key of chunk {document.id!r} already. Choose another key."
                )
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
    """Return documents with their cosine distance to the query vector."""
    return [(to_document(result.chunk), _distance(result)) for result in results]


def _distance(result: SearchResult) -> float:
    assert result.similarity is not None  # noqa: S101 - all searches here pass the query's vector
    return 1.0 - result.similarity


def batches(chunks: Sequence[Chunk], size: int | None) -> Iterator[Sequence[Chunk]]:
    """Split the chunks into batches of `size`. None makes one batch."""
    if size is not None:
        checked_count("batch_size", size)
    step = size or max(len(chunks), 1)
    return (chunks[start : start + step] for start in range(0, len(chunks), step))


def checked_options(given: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return the options. Raise `InputError` for unknown ones, which the framework would ignore silently."""
    for name in given:
        if name not in names:
            raise InputError(f"There is no option {name!r}. Options: {', '.join(names)}.")
    return given


def checked_store(store: object) -> PgVectorStore:
    """Return the store. Raise `ConfigurationError` for anything else, such as a collection's name."""
    if not isinstance(store, PgVectorStore):
        raise ConfigurationError(
            f"store is a {type(store).__name__}. Pass a PgVectorStore, such as PgVectorStore(collection=...), also for "
            "the async methods."
        )
    return store


def checked_embedding(embedding: object) -> Embeddings:
    """Return the embedding. Raise `ConfigurationError` for anything else, such as a model's name or a generator."""
    if isinstance(embedding, type) or not isinstance(embedding, LangChainEmbeddings):
        raise ConfigurationError(
            f"embedding is a {type(embedding).__name__}. Pass LangChain's Embeddings. For a model of embedpipe, pass "
            "EmbedPipeEmbeddings(EmbeddingGenerator(model))."
        )
    return cast(Embeddings, embedding)


def model_spec(embedding: Embeddings) -> ModelSpec:
    """Return the model of an embedding. A third-party embedding embeds one text, which shows its dimensions."""
    if isinstance(embedding, EmbedPipeEmbeddings):
        return embedding.generator.spec
    return WrappedModel(embedding).spec


def default_store(embedding: Embeddings) -> PgVectorStore:
    """Return the default collection of the default database, bound to the embedding's model."""
    return PgVectorStore(model=model_spec(checked_embedding(embedding)))
