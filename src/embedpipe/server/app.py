"""Build the application: the routes, what they share, and the middleware in front of them."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline

from embedpipe import __version__
from embedpipe.embedding import CacheLike
from embedpipe.server.resources import Resources
from embedpipe.server.routes import ALL_ROUTES
from embedpipe.server.schemas.common import ERRORS
from embedpipe.server.settings import ServerSettings
from embedpipe.server.web import (
    ApiKeys,
    AuthMiddleware,
    BackpressureMiddleware,
    MonitoringMiddleware,
    RouteTable,
    add_error_handlers,
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
    """Build an ASGI application over one model and one database.

    The model is loaded when the server starts. Web pages of other origins are refused.

    Args:
        model: The embedding model, as for `SemanticSearchService`.
        database: A `Database`, a postgresql:// URL, or None for the embedded PostgreSQL.
        collection: The collection for requests that name none.
        keys: The API keys. Without keys, only requests to a loopback name (127.0.0.1, localhost) are answered,
            unless `any_host` is true.
        settings: Limits and batching.
        cache: The cache of vectors, as for `EmbeddingGenerator`.
        reranker: The reranker, as for `SemanticSearchService`. None combines similarity with shared words.
        llm: The language model of `/answer`, as for `RAGPipeline`. None quotes sentences from the sources.
        any_host: Whether requests may call the server by any host name.
        hosts: Further host names of the server. If there are any, requests to other names are refused. Pages served
            under these names may call the server.

    Raises:
        ConfigurationError: If the settings cannot work together.
        UnknownModelError: If no model has that name.
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

    app = _documented_app(resources, has_keys=bool(keys))
    table = RouteTable(app)
    for routes in ALL_ROUTES:
        table.include(routes)
    table.check()
    add_error_handlers(app)
    # The middleware added last is the first to see a request.
    app.add_middleware(BackpressureMiddleware, settings=settings)
    app.add_middleware(AuthMiddleware, routes=table, keys=keys, any_host=any_host, hosts=hosts)
    app.add_middleware(MonitoringMiddleware, monitor=resources.monitor)
    return app


def _documented_app(resources: Resources, *, has_keys: bool) -> FastAPI:
    """Return an application that has no routes but those of its own documentation."""
    app = FastAPIOffline(
        title="embedpipe",
        version=__version__,
        summary="Embeddings, hybrid search and cited answers over PostgreSQL with pgvector.",
        lifespan=resources.lifespan,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would quote the Host header, and a client may send any
        static_url="/page/swagger",
        favicon_url="/page/icon.svg",
        responses=ERRORS,
        # `AuthMiddleware` checks the keys. This dependency only describes them in /openapi.json.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if has_keys else [],
    )
    app.state.resources = resources
    return app
