"""A LlamaIndex vector store over a collection."""

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

from embedpipe._checks import checked_items
from embedpipe._forking import Given
from embedpipe._threads import in_thread
from embedpipe.embedding import WrappedModel, check_published
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.llama_index._nodes import check_repeated, embeddings_of, to_chunk, to_node
from embedpipe.llama_index._queries import checked_query, id_list, nodes_named, search_arguments, to_result
from embedpipe.llama_index.embeddings import EmbedPipeEmbedding
from embedpipe.llama_index.filters import to_condition
from embedpipe.storage import AsyncPgVectorStore, Filter, PgVectorStore, store_for_model, store_for_model_if_new
from embedpipe.storage.filters import Among, And
from embedpipe.storage.metadata import MetadataDescription
from embedpipe.types import Chunk, ModelSpec


class EmbedPipeVectorStore(BasePydanticVectorStore):
    """A LlamaIndex vector store over a `PgVectorStore`.

    Nodes are chunks with the same id. Writing an id again replaces the chunk. Nodes come back exactly as they were,
    without their vectors. The serialised form names the collection, not the database.

    Query modes and their scores:

    - default and mmr: dense, the cosine similarity
    - sparse and text_search: the BM25 score
    - hybrid and semantic_hybrid: the fused score from 0 to 1, where `alpha` is the weight of the dense leg

    Unsupported queries raise `InputError`. The store's errors come through.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    stores_text: bool = True
    flat_metadata: bool = False
    collection: str = "default"
    tenant: str | None = None

    _given: PgVectorStore | None = PrivateAttr()
    _embed_model: BaseEmbedding | None = PrivateAttr()
    _description: MetadataDescription | None = PrivateAttr()
    _kept: Given[BaseEmbedding | None] = PrivateAttr()
    _own: PgVectorStore | None = PrivateAttr(default=None)
    _store: PgVectorStore | None = PrivateAttr(default=None)
    _objects: set[str] = PrivateAttr(default_factory=set)  # the ids of IndexNodes and ImageNodes added here

    def __init__(
        self,
        store: PgVectorStore | None = None,
        *,
        embed_model: BaseEmbedding | None = None,
        description: MetadataDescription | None = None,
        **fields: Any,
    ) -> None:
        """Wrap a store.

        Args:
            store: The collection. None takes `collection` (and `tenant`) of the default database
                (`EMBEDPIPE_DATABASE_URL`, else the embedded server).
            embed_model: Binds a new collection to its model. With an `EmbedPipeEmbedding`, a collection of another
                model's vectors raises `ModelMismatchError`. Without it, a new collection is only bound to the
                dimensions of its first vectors.
            description: What `service.describe_metadata()` returned. The filters of queries are then fitted to it, for
                models that write filters: "2020" becomes 2020 for a key of numbers, dates get their ISO form, dotted
                keys are paths, and an unknown key raises `InputError`.
            **fields: `collection` and `tenant`.
        """
        if store is not None:
            fields = {**fields, "collection": store.name, "tenant": store.tenant}
        super().__init__(**fields)
        self._given = store
        self._embed_model = embed_model
        self._description = description
        self._kept = Given(embed_model)

    @classmethod
    def class_name(cls) -> str:
        return "EmbedPipeVectorStore"

    def __repr__(self) -> str:
        return f"EmbedPipeVectorStore(collection={self.collection!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._given is not None:
            raise ConfigurationError(
                "A vector store with a database of its own cannot be pickled, since the pickle would hold the URL. "
                "Create one in the other process. EMBEDPIPE_DATABASE_URL names the database there."
            )
        return _rebuilt, (type(self), self._embed_model, self._description, self.model_dump())

    @property
    def client(self) -> PgVectorStore:
        """Return the store."""
        return self._opened()

    def _opened(self, dimensions: int | None = None) -> PgVectorStore:
        """Return the store, bound to the model of `embed_model` or to a vector's dimensions if one is known."""
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
        """Return the store for reading. Without a collection it raises, before the model is called."""
        if self._store is None and self._unbound.settings.model is None:
            self._unbound.collection  # noqa: B018 - raises if there is none
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
        """Write nodes in one transaction. Existing ids are overwritten.

        Args:
            nodes: The nodes with their embeddings.
            **kwargs: None are supported.

        Returns:
            The ids of the nodes, in order.

        Raises:
            InputError: If a node cannot be stored or has no embedding.
        """
        chunks, vectors = self._prepared(nodes, kwargs)
        return self._opened(len(vectors[0])).upsert(chunks, vectors) if chunks else []

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes on the running event loop. See `add`."""
        chunks, vectors = self._prepared(nodes, kwargs)
        return await (await self._aopened(len(vectors[0]))).upsert(chunks, vectors) if chunks else []

    def _prepared(self, nodes: Sequence[BaseNode], options: dict[str, Any]) -> tuple[list[Chunk], list[list[float]]]:
        _refuse(options)
        listed, chunks = checked_items("nodes", nodes, BaseNode), []  # type: ignore[type-abstract]
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
        """Remove the nodes of a document.

        Args:
            ref_doc_id: The id of the document.
            **delete_kwargs: None are supported.
        """
        _refuse(delete_kwargs)
        self._existing().delete(document_ids=[ref_doc_id])

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove the nodes of a document on the running event loop. See `delete`."""
        _refuse(delete_kwargs)
        await (await self._aexisting()).delete(document_ids=[ref_doc_id])

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove the nodes that have one of the ids and match the filters. To remove all, call `clear`.

        Args:
            node_ids: The ids. None means any.
            filters: LlamaIndex's filters. None means all.
            **delete_kwargs: None are supported.
        """
        _refuse(delete_kwargs)
        self._existing().delete(node_ids, filter=to_condition(filters))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove nodes on the running event loop. See `delete_nodes`."""
        _refuse(delete_kwargs)
        await (await self._aexisting()).delete(node_ids, filter=to_condition(filters))

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return the nodes that have one of the ids and match the filters.

        Args:
            node_ids: The ids. None means any.
            filters: LlamaIndex's filters. None means all.

        Returns:
            The nodes, ordered by document and place.
        """
        return [to_node(chunk) for chunk in self._existing().find(_selection(node_ids, filters))]

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return nodes on the running event loop. See `get_nodes`."""
        return [to_node(chunk) for chunk in await (await self._aexisting()).find(_selection(node_ids, filters))]

    def clear(self) -> None:
        """Remove all nodes."""
        self._existing().clear()

    async def aclear(self) -> None:
        """Remove all nodes on the running event loop."""
        await (await self._aexisting()).clear()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search for nodes.

        Args:
            query: The query. Its `node_ids` restrict the search, unless they only name `IndexNode`s and `ImageNode`s: a
                `VectorStoreIndex` keeps a list of these, and its retrievers send it with each query, although text
                nodes are wanted as well.
            **kwargs: For mode mmr: `mmr_threshold`, and `mmr_prefetch_factor` or `mmr_prefetch_k`.

        Returns:
            The best nodes, best first, with their scores.

        Raises:
            InputError: If the mode, a filter or an option is not supported.
        """
        query, candidates = checked_query(query, kwargs)
        store = self._existing()
        if query.node_ids and (
            self._objects.issuperset(query.node_ids)
            or (
                not store.find(nodes_named(query.node_ids, objects=False), limit=1)
                and store.find(nodes_named(query.node_ids, objects=True), limit=1)
            )
        ):
            query = replace(query, node_ids=None)
        return to_result(
            query, store.search(**search_arguments(query, mmr_candidates=candidates, description=self._description))
        )

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search for nodes on the running event loop. See `query`."""
        query, candidates = checked_query(query, kwargs)
        store = await self._aexisting()
        if query.node_ids and (
            self._objects.issuperset(query.node_ids)
            or (
                not await store.find(nodes_named(query.node_ids, objects=False), limit=1)
                and await store.find(nodes_named(query.node_ids, objects=True), limit=1)
            )
        ):
            query = replace(query, node_ids=None)
        return to_result(
            query,
            await store.search(**search_arguments(query, mmr_candidates=candidates, description=self._description)),
        )


def _rebuilt(
    kind: type[EmbedPipeVectorStore],
    embed_model: BaseEmbedding | None,
    description: MetadataDescription | None,
    fields: dict[str, Any],
) -> EmbedPipeVectorStore:
    fields.pop("class_name", None)
    return kind(embed_model=embed_model, description=description, **fields)


def _selection(node_ids: list[str] | None, filters: MetadataFilters | None) -> Filter | None:
    condition, ids = to_condition(filters), id_list("node_ids", node_ids)
    if ids is None:
        return condition
    named = Among("id", tuple(ids))
    return named if condition is None else And((named, condition))


def _refuse(options: dict[str, Any]) -> None:
    if options:
        raise InputError(f"Unknown options {sorted(options)}. This method takes none.")
