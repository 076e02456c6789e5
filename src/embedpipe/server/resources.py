"""What the routes share: one model, one database, and the collections as they are asked for."""

from __future__ import annotations

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
    """What a server starts with."""

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
        retry = Retry() if isinstance(inner, RemoteModel) else Retry(attempts=1)
        self.generator = EmbeddingGenerator(self.model, cache=cache, retry=retry)
        self.database = database if isinstance(database, Database) else Database(database)
        self.reranking = RerankThreads(reranker)
        self._llm = llm
        self._services: OrderedDict[str, SemanticSearchService] = OrderedDict()
        self.watch = HealthWatch(self.service(), self.model.fault)

    @classmethod
    def of(cls, request: Request) -> Resources:
        """Those of the application that a request came to."""
        return cast(Resources, request.app.state.resources)

    def service(self, collection: str | None = None) -> SemanticSearchService:
        """The service of that collection, by default the server's own; nothing is made by asking."""
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
        """The chunks of that collection, which is not made where it is not there."""
        return AsyncPgVectorStore(self.database, collection=collection or self.collection)

    def search(self, collection: str | None = None) -> CollectionSearch:
        """What searches that collection, and reranks."""
        return CollectionSearch(self.service(collection), self.reranking)

    def rag(self, collection: str | None, *, k: int) -> RAGPipeline:
        """What answers questions from that collection."""
        return RAGPipeline(self.search(collection), self._llm, k=k)

    def check(self) -> ServerState:
        """What the server will stand on, once the database has answered and the model has been loaded.

        Raises what would otherwise fail later: an error of the model or the database, and `ModelMismatchError` where
        the collection has another model's vectors.
        """
        spec = self.generator.spec
        found = {info.name: info for info in self.database.collections()}.get(self.collection)
        self.database.close()  # what is served is read on the event loop
        if found is not None and not found.model.is_same(spec):
            raise ModelMismatchError(
                f"The collection {self.collection!r} has vectors of {found.model.name}, and {spec.name} was to be "
                "served. Serve that model, or name another collection."
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
