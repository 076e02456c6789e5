"""The routes, one module a resource. A new module is added to `ROUTERS`."""

from embedpipe.server.routes import answers, documents, embeddings, openai, operations, search

ROUTERS = tuple(module.router for module in (search, answers, documents, embeddings, openai, operations))

__all__ = ["ROUTERS"]
