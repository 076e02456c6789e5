"""A LangChain `VectorStore` over a collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from embedpipe._checks import checked_count
from embedpipe._forking import Given
from embedpipe._threads import in_thread
from embedpipe.embedding import check_published
from embedpipe.langchain._documents import (
    DOCUMENT_KEYS,
    DocumentKey,
    batches,
    check_texts,
    checked_embedding,
    checked_keys,
    checked_options,
    checked_store,
    default_store,
    document_chunks,
    model_spec,
    text_chunks,
    to_document,
    to_documents,
    with_distance,
)
from embedpipe.langchain.embeddings import EmbedPipeEmbeddings
from embedpipe.retrieval.diversity import diversified
from embedpipe.storage import AsyncPgVectorStore, PgVectorStore, store_for_model, store_for_model_if_new
from embedpipe.types import Chunk, SearchResult

_WRITE_OPTIONS = ("ids", "batch_size")
_SEARCH_OPTIONS = ("filter", "mode", "threshold", "required_phrases", "fusion", "exact")


class EmbedPipeVectorStore(VectorStore):
    """A LangChain vector store over a `PgVectorStore`.

    Documents are chunks with the same id. Writing an id again replaces the chunk. Documents come back with exactly
    their metadata.

    Each search takes these options, also in `as_retriever(search_kwargs=...)`:

    - `filter`: LangChain's dictionaries or a `Filter`
    - `mode`: "dense", "lexical" or "hybrid"
    - `threshold`: the lowest cosine similarity
    - `fusion`: the weights of the two legs of hybrid search
    - `required_phrases`: whether a hybrid search finds only what holds the query's quoted phrases
    - `exact`: whether to search without the index

    An `EmbedPipeEmbeddings` binds the store to its model. A collection with another model's vectors then raises
    `ModelMismatchError`. Unknown options raise `InputError`. Other errors are those of the store and the embedding, and
    nothing is written then. Texts that cannot be stored are refused before anything is embedded.
    """

    def __init__(
        self, *, store: PgVectorStore, embedding: Embeddings, document_key: DocumentKey = DOCUMENT_KEYS
    ) -> None:
        """Wrap a store.

        Args:
            store: The collection.
            embedding: LangChain's embeddings, such as `EmbedPipeEmbeddings`.
            document_key: The metadata key that holds the document of a text. With several keys, the first one that a
                text has counts. None means no documents. By default `document_id`, which our splitters write, else
                `source`, which loaders write. `delete(document_ids=...)`, citations, `SemanticSearchService.expand`
                and LlamaIndex use the document.

        Raises:
            ConfigurationError: If `store` or `embedding` is of the wrong type.
        """
        self.embedding = checked_embedding(embedding)
        self._kept = Given(embedding)
        self._given = checked_store(store)
        self._document_key = checked_keys(document_key)
        self._async_store: AsyncPgVectorStore | None = None

    def __repr__(self) -> str:
        return f"EmbedPipeVectorStore(store={self._given!r}, embedding={type(self.embedding).__name__})"

    @property
    def embeddings(self) -> Embeddings:
        return self.embedding

    @cached_property
    def store(self) -> PgVectorStore:
        """Return the store for writing, bound to the embedding's model. It creates the collection when needed."""
        if isinstance(self.embedding, EmbedPipeEmbeddings):
            return store_for_model(self._given, self.embedding.generator.spec)
        store = store_for_model_if_new(self._given, lambda: model_spec(self.embedding))
        check_published(self.embedding, (store.settings.model or store.collection.model).name)
        return store

    @property
    def _existing(self) -> PgVectorStore:
        """Return the store for reading. Without a collection it raises, before a third-party embedding is called."""
        if "store" not in self.__dict__ and self._given.settings.model is None:
            self._given.collection  # noqa: B018 - raises if there is none
        return self.store

    async def _aexisting(self) -> AsyncPgVectorStore:
        if self._async_store is None:
            await in_thread(lambda: self._existing)
        return await self._astore()

    async def _astore(self) -> AsyncPgVectorStore:
        if self._async_store is None:  # in a thread: a local model is loaded for its specification
            self._async_store = (await in_thread(lambda: self.store)).to_async()
        return self._async_store

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[Mapping[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        store: PgVectorStore | None = None,
        document_key: DocumentKey = DOCUMENT_KEYS,
        **kwargs: Any,
    ) -> Self:
        """Create a vector store and add texts.

        Args:
            texts: The texts.
            embedding: LangChain's embeddings.
            metadatas: The metadata of each text.
            ids: The id of each text. None creates one.
            store: The collection. None takes the default collection of the default database
                (`EMBEDPIPE_DATABASE_URL`, else the embedded server).
            document_key: See `EmbedPipeVectorStore`.
            **kwargs: `batch_size`, see `add_texts`.
        """
        checked_options(kwargs, "metadatas", "store", *_WRITE_OPTIONS, "document_key")
        made = cls(
            store=default_store(embedding) if store is None else store, embedding=embedding, document_key=document_key
        )
        if not made.add_texts(texts, metadatas, ids=ids, **kwargs):
            made.store.create()
        return made

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[Mapping[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        store: PgVectorStore | None = None,
        document_key: DocumentKey = DOCUMENT_KEYS,
        **kwargs: Any,
    ) -> Self:
        """Create a vector store and add texts, on the running event loop. See `from_texts`."""
        checked_options(kwargs, "metadatas", "store", *_WRITE_OPTIONS, "document_key")
        if store is None:
            store = await in_thread(default_store, embedding)
        made = cls(store=store, embedding=embedding, document_key=document_key)
        if not await made.aadd_texts(texts, metadatas, ids=ids, **kwargs):
            await (await made._astore()).create()
        return made

    @classmethod
    def from_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """Create a vector store and add documents with their own ids and metadata.

        Args:
            documents: The documents.
            embedding: LangChain's embeddings.
            **kwargs: `ids`, `batch_size`, `store` and `document_key`, see `from_texts`.
        """
        checked_options(kwargs, "store", *_WRITE_OPTIONS, "document_key")
        store, key = kwargs.pop("store", None), kwargs.pop("document_key", DOCUMENT_KEYS)
        made = cls(store=default_store(embedding) if store is None else store, embedding=embedding, document_key=key)
        if not made.add_documents(documents, **kwargs):
            made.store.create()
        return made

    @classmethod
    async def afrom_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """Create a vector store and add documents, on the running event loop. See `from_documents`."""
        checked_options(kwargs, "store", *_WRITE_OPTIONS, "document_key")
        store, key = kwargs.pop("store", None), kwargs.pop("document_key", DOCUMENT_KEYS)
        if store is None:
            store = await in_thread(default_store, embedding)
        made = cls(store=store, embedding=embedding, document_key=key)
        if not await made.aadd_documents(documents, **kwargs):
            await (await made._astore()).create()
        return made

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and write texts.

        Args:
            texts: The texts.
            metadatas: The metadata of each text.
            ids: The id of each text. None creates one. An existing id is overwritten.
            batch_size: How many texts to write per transaction. None writes all in one.
            **kwargs: None are supported.

        Returns:
            The ids in the order of the texts.

        Raises:
            InputError: If a text cannot be stored, or for an unknown option.
        """
        checked_options(kwargs, "metadatas", *_WRITE_OPTIONS)
        return self._write(text_chunks(texts, metadatas, ids, self._document_key), batch_size)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and write texts on the running event loop. See `add_texts`."""
        checked_options(kwargs, "metadatas", *_WRITE_OPTIONS)
        return await self._awrite(text_chunks(texts, metadatas, ids, self._document_key), batch_size)

    def add_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and write documents. Arguments and errors are those of `add_texts`.

        Args:
            documents: The documents.
            ids: The id of each document. None takes the document's own.
            batch_size: How many documents to write per transaction. None writes all in one.
            **kwargs: None are supported.

        Returns:
            The ids in the order of the documents.
        """
        checked_options(kwargs, *_WRITE_OPTIONS)
        return self._write(document_chunks(documents, ids, self._document_key), batch_size)

    async def aadd_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and write documents on the running event loop. See `add_documents`."""
        checked_options(kwargs, *_WRITE_OPTIONS)
        return await self._awrite(document_chunks(documents, ids, self._document_key), batch_size)

    def _write(self, chunks: Sequence[Chunk], batch_size: int | None) -> list[str]:
        check_texts(chunks, self.embedding)
        written: list[str] = []
        for batch in batches(chunks, batch_size):
            vectors = self.embedding.embed_documents([chunk.embedded_text for chunk in batch])
            written += self.store.upsert(batch, vectors)
        return written

    async def _awrite(self, chunks: Sequence[Chunk], batch_size: int | None) -> list[str]:
        check_texts(chunks, self.embedding)
        written: list[str] = []
        for batch in batches(chunks, batch_size):
            vectors = await self.embedding.aembed_documents([chunk.embedded_text for chunk in batch])
            written += await (await self._astore()).upsert(batch, vectors)
        return written

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents that meet all restrictions. Without a restriction, delete all.

        Args:
            ids: The ids. Unknown ids are ignored.
            **kwargs: `document_ids` and `filter`.

        Returns:
            True.
        """
        checked_options(kwargs, "ids", "document_ids", "filter")
        if ids is None and not kwargs:
            self._existing.clear()
        else:
            self._existing.delete(ids, **kwargs)
        return True

    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents on the running event loop. See `delete`."""
        checked_options(kwargs, "ids", "document_ids", "filter")
        store = await self._aexisting()
        await (store.clear() if ids is None and not kwargs else store.delete(ids, **kwargs))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by id.

        Args:
            ids: The ids.

        Returns:
            The documents in the order of the ids. Unknown ids are skipped.
        """
        return [to_document(chunk) for chunk in self._existing.get(ids)]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by id, on the running event loop. See `get_by_ids`."""
        return [to_document(chunk) for chunk in await (await self._aexisting()).get(ids)]

    def _search(self, vector: list[float], text: str | None, options: Mapping[str, Any]) -> list[SearchResult]:
        return self._existing.search(vector, text, **checked_options(options, *_SEARCH_OPTIONS, "k", "with_vectors"))

    async def _asearch(self, vector: list[float], text: str | None, options: Mapping[str, Any]) -> list[SearchResult]:
        store = await self._aexisting()
        return await store.search(vector, text, **checked_options(options, *_SEARCH_OPTIONS, "k", "with_vectors"))

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Search for documents.

        Args:
            query: The query.
            k: How many documents to return.
            **kwargs: Options of the search, see `EmbedPipeVectorStore`.

        Returns:
            The documents, best first.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Search for documents on the running event loop. See `similarity_search`."""
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Search for documents with their distance.

        Args:
            query: The query.
            k: How many documents to return.
            **kwargs: Options of the search, see `EmbedPipeVectorStore`.

        Returns:
            The documents, best first, each with its cosine distance to the query. Lower is better.
        """
        return with_distance(self._search(self.embedding.embed_query(query), query, {**kwargs, "k": k}))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Search on the running event loop. See `similarity_search_with_score`."""
        return with_distance(await self._asearch(await self.embedding.aembed_query(query), query, {**kwargs, "k": k}))

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """Search for documents by vector.

        Args:
            embedding: The vector of a query.
            k: How many documents to return.
            **kwargs: Options of the search, see `EmbedPipeVectorStore`.

        Returns:
            The documents, nearest first.
        """
        return [document for document, _ in self.similarity_search_with_score_by_vector(embedding, k, **kwargs)]

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """Search on the running event loop. See `similarity_search_by_vector`."""
        return [document for document, _ in with_distance(await self._asearch(embedding, None, {**kwargs, "k": k}))]

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Search for documents by vector, with their distance.

        Args:
            embedding: The vector of a query.
            k: How many documents to return.
            **kwargs: Options of the search, see `EmbedPipeVectorStore`.

        Returns:
            The documents, nearest first, each with its cosine distance. Lower is better.
        """
        return with_distance(self._search(embedding, None, {**kwargs, "k": k}))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Search on the running event loop. See `similarity_search_with_score_by_vector`."""
        return with_distance(await self._asearch(embedding, None, {**kwargs, "k": k}))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Search for documents that match the query and differ from each other (maximal marginal relevance).

        Args:
            query: The query.
            k: How many documents to return.
            fetch_k: How many of the best documents to choose from.
            lambda_mult: From 0 (only diversity counts) to 1 (only similarity counts).
            **kwargs: Options of the search, see `EmbedPipeVectorStore`.

        Returns:
            The documents in the order of choice.
        """
        options = _for_diversity(kwargs, k, fetch_k)
        results = self._search(self.embedding.embed_query(query), query, options)
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Search on the running event loop. See `max_marginal_relevance_search`."""
        options = _for_diversity(kwargs, k, fetch_k)
        results = await self._asearch(await self.embedding.aembed_query(query), query, options)
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Search by vector for documents that differ from each other. See `max_marginal_relevance_search`.

        Args:
            embedding: The vector of a query.
            k: How many documents to return.
            fetch_k: How many of the best documents to choose from.
            lambda_mult: From 0 (only diversity counts) to 1 (only similarity counts).
            **kwargs: Options of the search, see `EmbedPipeVectorStore`.
        """
        results = self._search(embedding, None, _for_diversity(kwargs, k, fetch_k))
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Search on the running event loop. See `max_marginal_relevance_search_by_vector`."""
        results = await self._asearch(embedding, None, _for_diversity(kwargs, k, fetch_k))
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Return the function from cosine distance to cosine similarity. Negative similarities become 0."""
        return lambda distance: min(1.0, max(0.0, 1.0 - distance))


def _for_diversity(options: Mapping[str, Any], k: int, fetch_k: int) -> dict[str, Any]:
    checked_count("k", k)
    checked_count("fetch_k", fetch_k)
    return {**options, "k": max(k, fetch_k), "with_vectors": True}
