"""The routes, one module a resource. A new module is added to `ALL_ROUTES`."""

from embedpipe.server.routes import answers, documents, embeddings, openai, operations, search, static_page

ALL_ROUTES = tuple(
    module.routes for module in (search, answers, documents, embeddings, openai, operations, static_page)
)

__all__ = ["ALL_ROUTES"]
