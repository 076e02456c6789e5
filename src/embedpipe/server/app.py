"""The application: the routes over what they share, behind the door."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline

from embedpipe import __version__
from embedpipe.embedding import CacheLike
from embedpipe.server.resources import Resources
from embedpipe.server.routes import ROUTERS
from embedpipe.server.schemas.common import ERRORS
from embedpipe.server.settings import ServerSettings
from embedpipe.server.web import (
    ICON,
    PAGE_PATHS,
    ApiKeys,
    AuthMiddleware,
    BackpressureMiddleware,
    MonitoringMiddleware,
    add_error_handlers,
    add_page,
    is_open,
)
from embedpipe.storage import Database
from embedpipe.types import EmbeddingModel


def create_app(
    model: str | EmbeddingModel = "all-MiniLM-L6-v2",
    *,
    database: Database | str | None = None,
    collection: str = "default",
    keys: ApiKeys = ApiKeys(),  # noqa: B008 - frozen
    settings: ServerSettings = ServerSettings(),  # noqa: B008 - frozen
    cache: CacheLike | None = None,
    reranker: object | None = None,
    llm: object | None = None,
    any_host: bool = False,
    hosts: Sequence[str] = (),
) -> FastAPI:
    """An ASGI application over one model and one database.

    `model`, `database`, `collection` and `reranker` are as for `SemanticSearchService`, `cache` as for
    `EmbeddingGenerator`, `llm` as for `RAGPipeline`; `collection` is searched where a request names none. Without
    `keys` only requests to a loopback name are answered, unless `any_host`. `hosts` are further names that the server
    is called by; where there are any, no others are answered, and pages at these names may ask it. Pages of other
    origins may not. The model is loaded when the server starts. Raises `ConfigurationError` and `UnknownModelError`
    for what cannot work.
    """
    resources = Resources(
        model,
        database=database,
        collection=collection,
        settings=settings,
        cache=cache,
        reranker=reranker,
        llm=llm,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        await resources.start()
        try:
            yield
        finally:
            await resources.aclose()

    app = FastAPIOffline(
        title="embedpipe",
        version=__version__,
        summary="Embeddings, hybrid search and cited answers over PostgreSQL with pgvector.",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # to the name that the client called it by, which may be any
        static_url=f"{PAGE_PATHS}swagger",
        favicon_url=ICON,
        responses=ERRORS,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if keys else [],  # the guard checks; this documents
    )
    app.state.resources = resources
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    add_page(app)
    # The last one added is the first one that a request meets.
    app.add_middleware(BackpressureMiddleware, settings=settings, is_open=_is_always_answered)
    app.add_middleware(AuthMiddleware, keys=keys, any_host=any_host, hosts=hosts)
    app.add_middleware(MonitoringMiddleware, monitor=resources.monitor)
    return app


def _is_always_answered(path: str) -> bool:
    """What must be answered under load too, and costs next to nothing."""
    return is_open(path) or path == "/metrics"
