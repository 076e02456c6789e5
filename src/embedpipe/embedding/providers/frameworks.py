"""Embeddings of LangChain and LlamaIndex as backends. They are known by their methods: no framework is imported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import Limits
from embedpipe.embedding.vectors import stack_rows
from embedpipe.errors import InvalidVectorsError, ModelMismatchError
from embedpipe.types import Kind, ModelSpec, Vectors


@runtime_checkable
class LangChainEmbeddings(Protocol):
    """The part of LangChain's `Embeddings` that is used here."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...

    def embed_query(self, text: str) -> list[float]: ...


@runtime_checkable
class LlamaIndexEmbedding(Protocol):
    """The part of LlamaIndex's `BaseEmbedding` that is used here."""

    def get_text_embedding_batch(self, texts: list[str]) -> list[list[float]]: ...

    def get_query_embedding(self, query: str) -> list[float]: ...


class WrappedModel:
    """A framework's embeddings as a backend. Its dimension is learned from a first vector.

    Args:
        embeddings: The embeddings of LangChain or LlamaIndex.
        name: Tells its vectors from another model's in cache and store. By default it is the class and the framework's
            name of the model. Pass one if two objects of a class differ in more than that.
    """

    def __init__(self, embeddings: LangChainEmbeddings | LlamaIndexEmbedding, *, name: str | None = None) -> None:
        self._embeddings = embeddings
        self._name = name or _name_of(embeddings)

    @cached_property
    def spec(self) -> ModelSpec:
        """The specification, as far as it can be learned from one vector."""
        probe = self.embed(["dimension"], "document")
        unit = bool(abs(float(np.linalg.norm(probe[0])) - 1.0) < 1e-3)
        known = catalogue.find(self._name.partition(":")[2])
        aliases = known.aliases if known else ()
        return ModelSpec(name=self._name, dimensions=probe.shape[1], normalized=unit, aliases=aliases)

    @property
    def limits(self) -> Limits:
        """One call at a time: the embeddings may not be safe to share between threads."""
        return Limits(concurrency=1)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Return (n, d) float32, one row for each text, in order; NaN for a text that got no vector."""
        rows: Any = self._rows(list(texts), kind)
        if not isinstance(rows, list | tuple | np.ndarray) or len(rows) != len(texts):
            raise InvalidVectorsError(
                f"{self._name} did not return a list of {len(texts)} vectors, one for each text. Check the embeddings."
            )
        return stack_rows(list(rows), vars(self)["spec"].dimensions if "spec" in vars(self) else None)

    def _rows(self, texts: list[str], kind: Kind) -> list[list[float]]:
        embeddings = self._embeddings
        if isinstance(embeddings, LangChainEmbeddings):
            if kind == "document":
                return embeddings.embed_documents(texts)
            return [embeddings.embed_query(text) for text in texts]
        if kind == "document":
            return embeddings.get_text_embedding_batch(texts)
        return [embeddings.get_query_embedding(text) for text in texts]

    def __repr__(self) -> str:
        return f"WrappedModel({self._name})"


def check_published(embeddings: object, collection_model: str) -> None:
    """Compare the names of a framework's embeddings and of a collection's model, if both are published ones.

    More is not known of a framework's embeddings: a name that is not in the catalogue may stand for any model.

    Raises:
        ModelMismatchError: If they are two published models.
    """
    own, held = (catalogue.find(name.rpartition(":")[2]) for name in (_name_of(embeddings), collection_model))
    if own is not None and held is not None and own is not held:
        raise ModelMismatchError(
            f"The collection holds vectors of {held.name}, not of {own.name}, which {type(embeddings).__name__} makes. "
            f"Pass embeddings of {held.name}, or another collection."
        )


def _name_of(embeddings: Any) -> str:
    names = (getattr(embeddings, attribute, None) for attribute in ("model_name", "model", "model_id"))
    stated = next((name for name in names if isinstance(name, str)), "")
    return f"{type(embeddings).__name__}:{stated}" if stated else type(embeddings).__name__
