"""A collection as LangChain's `VectorStore`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from embedpipe._forking import Given
from embedpipe._threads import in_thread
from embedpipe.embedding import check_published
from embedpipe.langchain._documents import (
    DOCUMENT_KEYS,
    DocumentKey,
    batches,
    check_count,
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
_SEARCH_OPTIONS = ("filter", "mode", "threshold", "fusion", "exact")


class EmbedPipeVectorStore(VectorStore):
    """LangChain vector store over a `PgVectorStore`; ids are chunk ids, writing is by id.

    Every search takes `filter` (LangChain's dictionaries or a `Filter`), `mode` ("dense", "lexical" or "hybrid"),
    `threshold` (the least cosine similarity), `fusion` (how hybrid weighs its legs) and `exact` (past the index), also
    in `as_retriever(search_kwargs=...)`. Documents come back with exactly the metadata that was given. An
    `EmbedPipeEmbeddings` binds the store to its model: a collection that holds another model's vectors is refused with
    `ModelMismatchError`. An option that does not exist is an `InputError`; all else that goes wrong is what the store
    and the embedding raise, and nothing is then written. What cannot be stored is refused before anything is embedded,
    and what is no store or embedding with `ConfigurationError`.

    `document_key` names the metadata that say of which document a text is: one key, several, of which the first counts
    that a text has, or None for no documents. Without it that is `document_id`, which our splitters write, else
    `source`, which loaders write. `delete(document_ids=...)`, citations, `SemanticSearchService.expand` and LlamaIndex
    go by it.
    """

    def __init__(
        self, *, store: PgVectorStore, embedding: Embeddings, document_key: DocumentKey = DOCUMENT_KEYS
    ) -> None:
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
        """The store that is written to, bound to the embedding's model, for which it makes a collection."""
        if isinstance(self.embedding, EmbedPipeEmbeddings):
            return store_for_model(self._given, self.embedding.generator.spec)
        store = store_for_model_if_new(self._given, lambda: model_spec(self.embedding))
        check_published(self.embedding, (store.settings.model or store.collection.model).name)
        return store

    @property
    def _existing(self) -> PgVectorStore:
        """The store that is read. Another package's embedding is asked for nothing where there is no collection."""
        if "store" not in self.__dict__ and self._given.settings.model is None:
            self._given.collection  # noqa: B018 - which raises where there is none
        return self.store

    async def _aexisting(self) -> AsyncPgVectorStore:
        if self._async_store is None:
            await in_thread(lambda: self._existing)
        return await self._astore()

    async def _astore(self) -> AsyncPgVectorStore:
        if self._async_store is None:  # a local model is loaded to know its specification
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
        """A vector store that holds the texts, in `store`, else in the default collection of the default database.

        The default database is `EMBEDPIPE_DATABASE_URL`, else the embedded server.
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
        """As `from_texts`."""
        checked_options(kwargs, "metadatas", "store", *_WRITE_OPTIONS, "document_key")
        if store is None:
            store = await in_thread(default_store, embedding)
        made = cls(store=store, embedding=embedding, document_key=document_key)
        if not await made.aadd_texts(texts, metadatas, ids=ids, **kwargs):
            await (await made._astore()).create()
        return made

    @classmethod
    def from_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """As `from_texts`, with the documents' own ids and metadata."""
        checked_options(kwargs, "store", *_WRITE_OPTIONS, "document_key")
        store, key = kwargs.pop("store", None), kwargs.pop("document_key", DOCUMENT_KEYS)
        made = cls(store=default_store(embedding) if store is None else store, embedding=embedding, document_key=key)
        if not made.add_documents(documents, **kwargs):
            made.store.create()
        return made

    @classmethod
    async def afrom_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """As `from_documents`."""
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
        """The ids, in order, of the texts, which are embedded and written in one transaction, or in one per batch.

        An id that is None is made; one that is already there is written over.
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
        """As `add_texts`."""
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
        """As `add_texts`; `ids` beat the documents' own."""
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
        """As `add_documents`."""
        checked_options(kwargs, *_WRITE_OPTIONS)
        return await self._awrite(document_chunks(documents, ids, self._document_key), batch_size)

    def _write(self, chunks: Sequence[Chunk], batch_size: int | None) -> list[str]:
        check_texts(chunks, self.embedding)
        written: list[str] = []
        for batch in batches(chunks, batch_size):
            vectors = self.embedding.embed_documents([chunk.text for chunk in batch])
            written += self.store.upsert(batch, vectors)
        return written

    async def _awrite(self, chunks: Sequence[Chunk], batch_size: int | None) -> list[str]:
        check_texts(chunks, self.embedding)
        written: list[str] = []
        for batch in batches(chunks, batch_size):
            vectors = await self.embedding.aembed_documents([chunk.text for chunk in batch])
            written += await (await self._astore()).upsert(batch, vectors)
        return written

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """True once what was named is gone: by `ids`, `document_ids` and `filter`; with none of them, everything.

        Ids that are not there are no error.
        """
        checked_options(kwargs, "ids", "document_ids", "filter")
        if ids is None and not kwargs:
            self._existing.clear()
        else:
            self._existing.delete(ids, **kwargs)
        return True

    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """As `delete`."""
        checked_options(kwargs, "ids", "document_ids", "filter")
        store = await self._aexisting()
        await (store.clear() if ids is None and not kwargs else store.delete(ids, **kwargs))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents in the order of the ids; ids that are not there are left out."""
        return [to_document(chunk) for chunk in self._existing.get(ids)]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """As `get_by_ids`."""
        return [to_document(chunk) for chunk in await (await self._aexisting()).get(ids)]

    def _search(self, vector: list[float], text: str | None, options: Mapping[str, Any]) -> list[SearchResult]:
        return self._existing.search(vector, text, **checked_options(options, *_SEARCH_OPTIONS, "k", "with_vectors"))

    async def _asearch(self, vector: list[float], text: str | None, options: Mapping[str, Any]) -> list[SearchResult]:
        store = await self._aexisting()
        return await store.search(vector, text, **checked_options(options, *_SEARCH_OPTIONS, "k", "with_vectors"))

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The k best documents, best first."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """As `similarity_search`."""
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The k best documents, best first, each with its cosine distance to the query: lower is better."""
        return with_distance(self._search(self.embedding.embed_query(query), query, {**kwargs, "k": k}))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As `similarity_search_with_score`."""
        return with_distance(await self._asearch(await self.embedding.aembed_query(query), query, {**kwargs, "k": k}))

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """The k documents nearest to the vector, nearest first."""
        return [document for document, _ in self.similarity_search_with_score_by_vector(embedding, k, **kwargs)]

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """As `similarity_search_by_vector`."""
        return [document for document, _ in with_distance(await self._asearch(embedding, None, {**kwargs, "k": k}))]

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As `similarity_search_by_vector`, each with its cosine distance."""
        return with_distance(self._search(embedding, None, {**kwargs, "k": k}))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As `similarity_search_with_score_by_vector`."""
        return with_distance(await self._asearch(embedding, None, {**kwargs, "k": k}))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """k of the `fetch_k` best documents, near the query and unlike each other, least so at `lambda_mult` 1."""
        wanted = _for_diversity(kwargs, k, fetch_k)
        results = self._search(self.embedding.embed_query(query), query, wanted)
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As `max_marginal_relevance_search`."""
        wanted = _for_diversity(kwargs, k, fetch_k)
        results = await self._asearch(await self.embedding.aembed_query(query), query, wanted)
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As `max_marginal_relevance_search`, by vector."""
        results = self._search(embedding, None, _for_diversity(kwargs, k, fetch_k))
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As `max_marginal_relevance_search_by_vector`."""
        results = await self._asearch(embedding, None, _for_diversity(kwargs, k, fetch_k))
        return to_documents(diversified(results, k=k, lambda_mult=lambda_mult))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """From cosine distance to cosine similarity, with 0 for what points away from the query."""
        return lambda distance: min(1.0, max(0.0, 1.0 - distance))


def _for_diversity(options: Mapping[str, Any], k: int, fetch_k: int) -> dict[str, Any]:
    check_count("k", k)
    check_count("fetch_k", fetch_k)
    return {**options, "k": max(k, fetch_k), "with_vectors": True}
