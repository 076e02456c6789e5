"""A collection as LlamaIndex's vector store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, PrivateAttr
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import BaseNode, ImageNode, IndexNode
from llama_index.core.vector_stores import MetadataFilters, VectorStoreQuery, VectorStoreQueryResult
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from embedpipe._forking import Given
from embedpipe._threads import in_thread
from embedpipe.embedding import WrappedModel, check_published
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.llama_index._nodes import check_repeated, embeddings_of, to_chunk, to_node
from embedpipe.llama_index._queries import asked, id_list, objects_named, others_named, search_arguments, to_result
from embedpipe.llama_index.embeddings import EmbedPipeEmbedding
from embedpipe.llama_index.filters import to_condition
from embedpipe.storage import AsyncPgVectorStore, Filter, PgVectorStore, store_for_model, store_for_model_if_new
from embedpipe.storage.filters import Among, And
from embedpipe.types import Chunk, ModelSpec


class EmbedPipeVectorStore(BasePydanticVectorStore):
    """LlamaIndex vector store over a `PgVectorStore`; node ids are chunk ids, writing is by id.

    Without a `store` it is the `collection` of the default database (`EMBEDPIPE_DATABASE_URL`, else the embedded
    server), of which a `tenant` has its own part. `embed_model` binds a new collection to its model, and an
    `EmbedPipeEmbedding` has a collection of another model's vectors refused; without it a new collection is bound to
    the dimensions of the first vectors alone.

    Modes: default and mmr (dense), sparse and text_search (BM25), hybrid and semantic_hybrid (fused); `alpha` weighs
    the dense leg. Scores: the cosine similarity, the BM25 score, or the fused score from 0 to 1. Nodes come back
    exactly as they were, without their vectors. Serialised it names the collection, not the database. Raises
    `InputError` for what cannot be served, and what the store raises.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    stores_text: bool = True
    flat_metadata: bool = False
    collection: str = "default"
    tenant: str | None = None

    _given: PgVectorStore | None = PrivateAttr()
    _embed_model: BaseEmbedding | None = PrivateAttr()
    _kept: Given[BaseEmbedding | None] = PrivateAttr()
    _own: PgVectorStore | None = PrivateAttr(default=None)
    _store: PgVectorStore | None = PrivateAttr(default=None)
    _objects: set[str] = PrivateAttr(default_factory=set)  # the ids of Index- and ImageNodes added here

    def __init__(
        self, store: PgVectorStore | None = None, *, embed_model: BaseEmbedding | None = None, **fields: Any
    ) -> None:
        if store is not None:
            fields = {**fields, "collection": store.name, "tenant": store.tenant}
        super().__init__(**fields)
        self._given = store
        self._embed_model = embed_model
        self._kept = Given(embed_model)

    @classmethod
    def class_name(cls) -> str:
        return "EmbedPipeVectorStore"

    def __repr__(self) -> str:
        return f"EmbedPipeVectorStore(collection={self.collection!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._given is not None:
            raise ConfigurationError(
                "A vector store that was given its database is not pickled, since the URL would travel with it. Make "
                "one in the other process; EMBEDPIPE_DATABASE_URL names the database there."
            )
        return _rebuilt, (type(self), self._embed_model, self.model_dump())

    @property
    def client(self) -> PgVectorStore:
        """The store itself."""
        return self._opened()

    def _opened(self, dimensions: int | None = None) -> PgVectorStore:
        """The store, for the model where that is known: by `embed_model`, or by a vector's dimensions."""
        if self._store is None:
            model = self._embed_model
            given = self._unbound
            if isinstance(model, EmbedPipeEmbedding):
                self._store = store_for_model(given, model.generator.spec)
            elif model is not None:
                store = store_for_model_if_new(given, lambda: WrappedModel(model).spec)
                check_published(model, (store.settings.model or store.collection.model).name)
                self._store = store
            elif dimensions is not None:
                unnamed = ModelSpec(name="unnamed", dimensions=dimensions, normalized=False)
                self._store = store_for_model_if_new(given, lambda: unnamed)
            else:
                return given
        return self._store

    @property
    def _unbound(self) -> PgVectorStore:
        if self._own is None:
            self._own = self._given or PgVectorStore(collection=self.collection, tenant=self.tenant)
        return self._own

    def _existing(self) -> PgVectorStore:
        """The store that is read. A model is asked for nothing where there is no collection."""
        if self._store is None and self._unbound.settings.model is None:
            self._unbound.collection  # noqa: B018 - which raises where there is none
        return self._opened()

    async def _aexisting(self) -> AsyncPgVectorStore:
        if self._store is None:
            return (await in_thread(self._existing)).to_async()
        return self._store.to_async()

    async def _aopened(self, dimensions: int | None = None) -> AsyncPgVectorStore:
        if self._store is None:
            return (await in_thread(self._opened, dimensions)).to_async()
        return self._store.to_async()

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """The ids of the nodes, in order, after they were written in one transaction; known ids are written over."""
        chunks, vectors = self._prepared(nodes, kwargs)
        return self._opened(len(vectors[0])).upsert(chunks, vectors) if chunks else []

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As `add`."""
        chunks, vectors = self._prepared(nodes, kwargs)
        return await (await self._aopened(len(vectors[0]))).upsert(chunks, vectors) if chunks else []

    def _prepared(self, nodes: Sequence[BaseNode], options: dict[str, Any]) -> tuple[list[Chunk], list[list[float]]]:
        _refuse(options)
        listed, chunks = list(nodes), []
        numbers: Counter[str | None] = Counter()
        for node in listed:
            chunks.append(to_chunk(node, numbers[node.ref_doc_id] if node.ref_doc_id is not None else 0))
            numbers[node.ref_doc_id] += 1
        check_repeated(chunks)
        vectors = embeddings_of(listed)
        objects = {node.node_id for node in listed if isinstance(node, (IndexNode, ImageNode))}
        self._objects = (self._objects - {node.node_id for node in listed}) | objects
        return chunks, vectors

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Removes the nodes of a document."""
        _refuse(delete_kwargs)
        self._existing().delete(document_ids=[ref_doc_id])

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As `delete`."""
        _refuse(delete_kwargs)
        await (await self._aexisting()).delete(document_ids=[ref_doc_id])

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Removes the nodes that have one of the ids and meet the filters; to remove all, call `clear`."""
        _refuse(delete_kwargs)
        self._existing().delete(node_ids, filter=to_condition(filters))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """As `delete_nodes`."""
        _refuse(delete_kwargs)
        await (await self._aexisting()).delete(node_ids, filter=to_condition(filters))

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes that have one of the ids and meet the filters, in the order of document and place."""
        return [to_node(chunk) for chunk in self._existing().find(_selection(node_ids, filters))]

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """As `get_nodes`."""
        return [to_node(chunk) for chunk in await (await self._aexisting()).find(_selection(node_ids, filters))]

    def clear(self) -> None:
        """Removes every node."""
        self._existing().clear()

    async def aclear(self) -> None:
        """As `clear`."""
        await (await self._aexisting()).clear()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the best nodes, best first.

        Mode mmr takes `mmr_threshold` and `mmr_prefetch_factor` or `mmr_prefetch_k`. `node_ids` restrict the search,
        unless all that they name are `IndexNode`s and `ImageNode`s: a `VectorStoreIndex` keeps a list of these, which
        its retrievers send with every query, and its text nodes are then meant too.
        """
        query, candidates = asked(query, kwargs)
        store = self._existing()
        if query.node_ids and (
            self._objects.issuperset(query.node_ids)
            or (
                not store.find(others_named(query.node_ids), limit=1)
                and store.find(objects_named(query.node_ids), limit=1)
            )
        ):
            query = replace(query, node_ids=None)
        return to_result(query, store.search(**search_arguments(query, mmr_candidates=candidates)))

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As `query`."""
        query, candidates = asked(query, kwargs)
        store = await self._aexisting()
        if query.node_ids and (
            self._objects.issuperset(query.node_ids)
            or (
                not await store.find(others_named(query.node_ids), limit=1)
                and await store.find(objects_named(query.node_ids), limit=1)
            )
        ):
            query = replace(query, node_ids=None)
        return to_result(query, await store.search(**search_arguments(query, mmr_candidates=candidates)))


def _rebuilt(
    kind: type[EmbedPipeVectorStore], embed_model: BaseEmbedding | None, fields: dict[str, Any]
) -> EmbedPipeVectorStore:
    fields.pop("class_name", None)
    return kind(embed_model=embed_model, **fields)


def _selection(node_ids: list[str] | None, filters: MetadataFilters | None) -> Filter | None:
    condition, ids = to_condition(filters), id_list("node_ids", node_ids)
    if ids is None:
        return condition
    named = Among("id", tuple(ids))
    return named if condition is None else And((named, condition))


def _refuse(options: dict[str, Any]) -> None:
    if options:
        raise InputError(f"Unknown options {sorted(options)}: none are taken here.")
