"""Both stores behind one face, so that one suite runs over threads and event loops."""

from __future__ import annotations

from typing import Any

from embedpipe.storage import AsyncPgVectorStore, PgVectorStore


class Awaitable:
    """A `PgVectorStore` whose methods are awaited like those of its twin."""

    def __init__(self, store: PgVectorStore) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return call


def awaitable(kind: str, *args: Any, **kwargs: Any) -> Any:
    """A store of that kind ("sync" or "async"), with awaitable methods."""
    return Awaitable(PgVectorStore(*args, **kwargs)) if kind == "sync" else AsyncPgVectorStore(*args, **kwargs)
