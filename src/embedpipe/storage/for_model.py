"""A store for the model that its caller embeds with."""

from __future__ import annotations

from collections.abc import Callable

from embedpipe.errors import CollectionNotFoundError, ModelMismatchError
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import describe
from embedpipe.types import ModelSpec


def store_for_model(store: PgVectorStore, model: ModelSpec) -> PgVectorStore:
    """Return the collection's store for that model, which creates the collection if there is none.

    Raises:
        ModelMismatchError: If the store is for another model. If the collection turns out to hold another model's
            vectors, its first use raises it.
    """
    own = store.settings.model
    if own is None:
        return store._with_settings(model=model)  # noqa: SLF001 - the same collection
    if not own.is_same(model):
        raise ModelMismatchError(
            f"The store of collection {store.name!r} is for {describe(own)}, the embedding is {describe(model)}. "
            "Give both the same model."
        )
    return store


def store_for_model_if_new(store: PgVectorStore, model: Callable[[], ModelSpec]) -> PgVectorStore:
    """Return the store as it is if its model is known or its collection there, else its store for `model()`."""
    if store.settings.model is not None:
        return store
    try:
        store.collection  # noqa: B018 - opened, to see whether it is there
    except CollectionNotFoundError:
        return store_for_model(store, model())
    return store
