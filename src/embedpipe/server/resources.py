"""What the routes share: one model, one database, and a service for each collection in use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

from fastapi import FastAPI, Request

from embedpipe.embedding import CacheLike, EmbeddingGenerator, RemoteModel, Retry
from embedpipe.errors import ModelMismatchError
from embedpipe.rag import RAGPipeline
from embedpipe.server.collection_search import CollectionSearch
from embedpipe.server.rerank_threads import RerankThreads
from embedpipe.server.settings import ServerSettings
from embedpipe.server.web import BatchedModel, HealthWatch, Monitor
from embedpipe.service import SemanticSearchService
from embedpipe.storage import AsyncPgVectorStore, Database
from embedpipe.types import EmbeddingModel

_OPEN_COLLECTIONS = 64
_BATCHES_OF_AN_INGEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """The model and the collection that a server starts with."""

    model: str
    collection: str
    documents: int
    chunks: int


class Resources:
    """The model behind its batches, the database, the reranker and the language model of one server."""

    def __init__(
        self,
        model: str | EmbeddingModel,
        *,
        database: Database | str | None,
        collection: str,
        settings: ServerSettings,
        cache: CacheLike | None = None,
        reranker: object | None = None,
        llm: object | None = None,
    ) -> None:
        self.settings = settings
        self.collection = collection
        self.monitor = Monitor()
        inner = EmbeddingGenerator(model).model
        self.model = BatchedModel(inner, settings, on_batch=self.monitor.batch)
        # Only providers are retried. A local model would fail again in the same way.
        retry = Retry() if isinstance(inner, RemoteModel) else Retry(attempts=1)
        self.generator = EmbeddingGenerator(self.model, cache=cache, retry=retry)
        self.database = database if isinstance(database, Database) else Database(database)
        self.reranking = RerankThreads(reranker)
        self.parsing = asyncio.Semaphore(1)
        self._llm = llm
        self._services: OrderedDict[str, SemanticSearchService] = OrderedDict()
        self.watch = HealthWatch(self.service(), self.model.fault)

    @classmethod
    def of(cls, request: Request) -> Resources:
        """Return the resources of the application that received the request."""
        return cast(Resources, request.app.state.resources)

    def service(self, collection: str | None = None) -> SemanticSearchService:
        """Return the service of a collection, by default the server's own. This creates no collection."""
        name = self.collection if collection is None else collection
        service = self._services.pop(name, None)
        if service is None:
            service = SemanticSearchService(self.generator, database=self.database, collection=name)
            service.settings = replace(service.settings, concurrency=_BATCHES_OF_AN_INGEST)
            while len(self._services) >= _OPEN_COLLECTIONS:
                self._services.popitem(last=False)
        self._services[name] = service
        return service

    def store(self, collection: str | None = None) -> AsyncPgVectorStore:
        """Return the store of a collection, by default the server's own. This creates no collection."""
        return AsyncPgVectorStore(self.database, collection=collection or self.collection)

    def search(self, collection: str | None = None) -> CollectionSearch:
        """Return the search of a collection, with the server's reranker."""
        return CollectionSearch(self.service(collection), self.reranking)

    def rag(self, collection: str | None, *, k: int) -> RAGPipeline:
        """Return the pipeline that answers questions from a collection."""
        return RAGPipeline(self.search(collection), self._llm, k=k)

    def check(self) -> ServerState:
        """Connect to the database, load the model, and return what the server starts with.

        Errors of the model or the database come up here instead of at the first request.

        Raises:
            ModelMismatchError: If the collection holds another model's vectors.
        """
        spec = self.generator.spec
        found = {info.name: info for info in self.database.collections()}.get(self.collection)
        self.database.close()  # these connections were for this thread; the server opens its own on the event loop
        if found is not None and not found.model.is_same(spec):
            raise ModelMismatchError(
                f"The collection {self.collection!r} holds vectors of {found.model.name}, not of {spec.name}. "
                "Serve that model, or choose another collection."
            )
        self.model.embed(["warm"], "query")
        documents, chunks = (0, 0) if found is None else (found.documents, found.chunks)
        return ServerState(model=spec.name, collection=self.collection, documents=documents, chunks=chunks)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncGenerator[None, None]:
        """Load the model before the first request. At the end, finish its batches and close the connections."""
        await self.generator.agenerate("warm")
        try:
            yield
        finally:
            await self.model.aclose()
            self.reranking.close()
            await self.database.aclose()
