"""A store bound to the model that its caller embeds with."""

from __future__ import annotations

from collections.abc import Callable

from embedpipe.errors import CollectionNotFoundError, ModelMismatchError
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import describe
from embedpipe.types import ModelSpec


def bound(store: PgVectorStore, model: ModelSpec) -> PgVectorStore:
    """The same collection for that model, which makes it where it is not there yet.

    Raises `ModelMismatchError` where the store is bound to another model; where the collection turns out to hold
    another model's vectors, its first use does.
    """
    own = store.settings.model
    if own is None:
        return PgVectorStore(
            store.database,
            collection=store.name,
            model=model,
            language=store.settings.language,
            precision=store.settings.precision,
            lexical=store.settings.lexical,
            tenant=store.tenant,
            metrics=store.metrics,
        )
    if not own.is_same(model):
        raise ModelMismatchError(
            f"The store of collection {store.name!r} is bound to {describe(own)}, the embedding is {describe(model)}. "
            "Give both the same model."
        )
    return store


def bound_where_new(store: PgVectorStore, model: Callable[[], ModelSpec]) -> PgVectorStore:
    """The store as it is where its model is known, or its collection there; else the same collection for `model()`."""
    if store.settings.model is not None:
        return store
    try:
        store.collection  # noqa: B018 - opened, to see whether it is there
    except CollectionNotFoundError:
        return bound(store, model())
    return store
