"""What each method of a store does: its arguments checked at once, then one operation on an open collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage.database import locks, session
from embedpipe.storage.filters import Filter, ValueType, parse_filter, restricts
from embedpipe.storage.indexes import MetadataIndex
from embedpipe.storage.indexes import metadata as metadata_index
from embedpipe.storage.indexes import vector as index_building
from embedpipe.storage.lexical import index as lexical
from embedpipe.storage.lexical import parse_query
from embedpipe.storage.search import Fusion, FusionMethod, Search, as_fusion, hybrid
from embedpipe.storage.search import similar as nearby
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import storable_text
from embedpipe.storage.write import chunks as operations
from embedpipe.storage.write import documents
from embedpipe.types import Chunk, Parent, SearchMode, SearchResult

T = TypeVar("T")
Plan: TypeAlias = Callable[[Connection, Collection], T]
Condition: TypeAlias = Filter | Mapping[str, Any] | None

MAX_K = 10_000


def upsert(chunks: Sequence[Chunk], vectors: Any) -> Plan[list[str]]:
    """Writes the chunks and gives their ids. Of two chunks with one id, the later one counts."""
    named = operations.with_ids(chunks)
    rows = operations.checked_rows(named)
    last = {chunk.id: position for position, chunk in enumerate(named)}

    def plan(connection: Connection, collection: Collection, *, apart: bool = False) -> list[str]:
        ids = [str(chunk.id) for chunk in named]
        checked = operations.checked(vectors, collection, count=len(named), names=ids)
        positions = list(last.values())
        locks.lock(connection, collection.chunks, mode="ROW EXCLUSIVE")  # before the vectors, which come first below
        write = operations.upsert_apart if apart else operations.upsert
        write(connection, collection, operations.take(rows, positions), checked[positions])
        return ids

    return plan


def delete(ids: Sequence[str] | None, document_ids: Sequence[str] | None, condition: Condition) -> Plan[int]:
    """Removes the chunks that meet every restriction given, and says how many."""
    wanted = _ids(ids, "ids")
    wanted_documents = _ids(document_ids, "document_ids")
    parsed = parse_filter(condition)
    if wanted is None and wanted_documents is None and not restricts(parsed):
        came = "none of them" if condition is None else f"filter={condition!r:.100}, which leaves nothing out"
        raise InputError(
            f"delete expected ids, document_ids or a filter, got {came}. "
            "To remove everything, call the store's clear()."
        )
    return lambda connection, collection: operations.delete(connection, collection, wanted, wanted_documents, parsed)


def get(ids: Sequence[str]) -> Plan[list[Chunk]]:
    """The chunks with these ids."""
    wanted = _checked_ids(ids, "ids")
    return lambda connection, collection: operations.get(connection, collection, wanted)


def find(condition: Condition, document_ids: Sequence[str] | None, limit: int | None) -> Plan[list[Chunk]]:
    parsed = parse_filter(condition)
    documents = _ids(document_ids, "document_ids")
    if limit is not None and limit < 1:
        raise InputError(f"limit expected a positive number or None, got {limit}.")
    return lambda connection, collection: operations.find(connection, collection, parsed, documents, limit)


def search(
    vector: Any,
    text: str | None,
    *,
    k: int,
    mode: SearchMode,
    condition: Condition,
    threshold: float | None,
    with_vectors: bool,
    fusion: Fusion | FusionMethod | None,
    exact: bool,
) -> Plan[list[SearchResult]]:
    """The k best chunks."""
    if mode not in ("dense", "lexical", "hybrid"):
        raise InputError(f"mode expected 'dense', 'lexical' or 'hybrid', got {mode!r}.")
    if mode != "lexical" and vector is None:
        raise InputError(f"A {mode} search expected a query vector; got none.")
    if mode != "dense" and text is None:
        raise InputError(f"A {mode} search expected the query's text; got none.")
    _check_search(k, threshold)
    if threshold is not None and vector is None:
        raise InputError("threshold is a similarity to the query vector, which a lexical search needs then too.")
    query = None if text is None else storable_text(text, "query")
    if query is not None and mode != "dense":
        parse_query(query)  # refused before anything is asked of the database
    parsed = parse_filter(condition)
    fused = as_fusion(fusion)
    _check_flag("exact", exact)
    _check_flag("with_vectors", with_vectors)

    def plan(connection: Connection, collection: Collection) -> list[SearchResult]:
        if mode != "dense" and not collection.lexical:
            raise ConfigurationError(
                f"A {mode} search needs the words of collection {collection.name!r}, which was made with "
                "lexical=False. Search with mode='dense', or make a collection that has them."
            )
        session.tune(connection, collection)
        wanted = Search(
            mode=mode,
            k=k,
            vector=None if vector is None else operations.checked([vector], collection, count=1)[0],
            text=query,
            condition=parsed,
            threshold=threshold,
            with_vectors=with_vectors,
            fusion=fused,
            exact=exact,
        )
        return hybrid.search(connection, collection, wanted)

    return plan


def similar(chunk_id: str, *, k: int, condition: Condition, threshold: float | None) -> Plan[list[SearchResult]]:
    """The k chunks most like a stored one."""
    [wanted_id] = _checked_ids([chunk_id], "id")
    _check_search(k, threshold)
    parsed = parse_filter(condition)

    def plan(connection: Connection, collection: Collection) -> list[SearchResult]:
        session.tune(connection, collection)
        wanted = Search(mode="dense", k=k, condition=parsed, threshold=threshold)
        return nearby.similar(connection, collection, wanted_id, wanted)

    return plan


def around(ids: Sequence[str], *, window: int, parent: Parent | None) -> Plan[dict[str, list[Chunk]]]:
    """The chunks around these in their documents."""
    wanted = _checked_ids(ids, "ids")
    if window < 0:
        raise InputError(f"window expected a number of chunks from 0 on, got {window}.")
    return lambda connection, collection: nearby.around(connection, collection, wanted, window=window, parent=parent)


def vectors(ids: Sequence[str] | None, condition: Condition) -> Plan[nearby.StoredVectors]:
    """The vectors of the chunks that meet every restriction given."""
    wanted, parsed = _ids(ids, "ids"), parse_filter(condition)
    return lambda connection, collection: nearby.vectors(connection, collection, wanted, parsed)


def stored_documents(document_ids: Sequence[str]) -> Plan[list[documents.StoredDocument]]:
    """The documents with these ids."""
    ids = _checked_ids(document_ids, "document_ids")
    return lambda connection, collection: documents.stored(connection, collection, ids)


def known_documents(document_ids: Sequence[str]) -> Plan[documents.Known]:
    """What is stored of these documents."""
    ids = _checked_ids(document_ids, "document_ids")
    return lambda connection, collection: documents.known(connection, collection, ids)


def write_documents(batch: documents.DocumentBatch) -> Plan[documents.Written]:
    """Writes documents with their chunks, and says which were refused."""

    def plan(connection: Connection, collection: Collection, *, apart: bool = False) -> documents.Written:
        if apart:
            return documents.write_apart(connection, collection, batch)
        return documents.Written(documents.write(connection, collection, batch))

    return plan


def prune_documents(seen: Sequence[str]) -> Plan[tuple[int, int]]:
    """Removes all documents but those seen."""
    return lambda connection, collection: documents.prune(connection, collection, seen)


def ensure_index(min_rows: int) -> Plan[tuple[bool, bool]]:
    """Whether there is a vector index, and whether one is to be built, since the collection is large enough."""
    return lambda connection, collection: index_building.is_wanted(connection, collection, min_rows)


def index_metadata(path: tuple[str, ...], type: ValueType) -> Plan[None]:
    """Builds an index for ranges over a metadata key."""
    index = MetadataIndex(path, type)
    return lambda connection, collection: metadata_index.create(connection, collection, index)


def metadata_indexes() -> Plan[list[MetadataIndex]]:
    """The indexes on metadata keys."""
    return lambda connection, collection: metadata_index.listed(connection, collection)


def drop_metadata_index(path: tuple[str, ...], type: ValueType) -> Plan[bool]:
    """Removes an index on a metadata key."""
    index = MetadataIndex(path, type)
    return lambda connection, collection: metadata_index.drop(connection, collection, index)


def refresh_statistics(*, exact: bool = False) -> Plan[int]:
    """Weighs words anew where the average length has moved."""
    tolerance = 0.0 if exact else lexical.TOLERANCE
    return lambda connection, collection: (
        lexical.refresh(connection, collection, tolerance=tolerance) if collection.lexical else 0
    )


def _check_search(k: int, threshold: float | None) -> None:
    if type(k) is not int or not 1 <= k <= MAX_K:
        raise InputError(f"k expected a whole number from 1 to {MAX_K}, got {k!r}.")
    if threshold is not None and (type(threshold) not in (int, float) or not -1 <= threshold <= 1):
        raise InputError(f"threshold expected a cosine similarity from -1 to 1, got {threshold!r}.")


def _check_flag(name: str, value: object) -> None:
    if type(value) is not bool:  # a word such as "false" would count as True
        raise InputError(f"{name} must be True or False; got {value!r:.100}.")


def _ids(ids: Sequence[str] | None, what: str) -> list[str] | None:
    return None if ids is None else _checked_ids(ids, what)


def _checked_ids(ids: Sequence[str], what: str) -> list[str]:
    if isinstance(ids, str):
        raise InputError(f"{what} expected a list of str, got one str. Put it into a list.")
    return [storable_text(value, what) for value in ids]
