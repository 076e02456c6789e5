"""Write a collection to files, in memory that does not grow with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sqlalchemy import Connection

from embedpipe._checks import checked_choice, checked_function, checked_kind, checked_path
from embedpipe.compression import Int8Quantizer
from embedpipe.errors import CollectionNotFoundError, InputError
from embedpipe.export.format import CHUNKS, DESCRIPTION, DOCUMENTS, FORMAT, Stored, arrow, chunk_schema, document_schema
from embedpipe.storage import Collection, PgVectorStore
from embedpipe.storage.transfer import in_snapshot, read_chunks, read_documents
from embedpipe.types import Vectors

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """The report of an export. `bytes` is the size of all files."""

    collection: str
    documents: int
    chunks: int
    vectors: Stored
    bytes: int


def export_collection(
    store: PgVectorStore,
    folder: Path | str,
    *,
    vectors: Stored = "float32",
    on_progress: Progress | None = None,
) -> ExportReport:
    """Write a collection to a new folder, as it is at this moment. Others can go on writing meanwhile.

    The folder holds `chunks.parquet`, `documents.parquet` and `collection.json` (see `embedpipe.export.format`). It
    appears once it is complete. A store with a tenant exports that tenant's rows.

    Args:
        store: The collection.
        folder: A folder that does not exist.
        vectors: "float32", or "int8" for one byte a number instead of four. For int8, `collection.json` holds `low` and
            `step` of each dimension's range in the collection. A number is `low + (code + 128) * step`, at most half a
            step off.
        on_progress: Called with the number of chunks written so far.

    Returns:
        The report.

    Raises:
        InputError: If the folder exists or cannot be written.
        CollectionNotFoundError: If there is no such collection.
        StorageError: If the database cannot be read.
    """
    folder = checked_path("folder", folder)
    arrow()
    checked_kind("store", store, PgVectorStore)
    vectors = checked_choice("vectors", vectors, get_args(Stored))
    checked_function("on_progress", on_progress)
    if folder.exists():
        raise InputError(f"{folder} is there already. Name a new folder, or remove it.")
    if not store.exists():
        raise CollectionNotFoundError(f"There is no collection {store.name!r}. Check the name.")
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        report = in_snapshot(store, lambda *opened: _Writer(partial, vectors, on_progress).write(*opened))
        partial.rename(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


@dataclass(frozen=True, slots=True)
class _Writer:
    folder: Path
    vectors: Stored
    on_progress: Progress | None

    def write(self, connection: Connection, collection: Collection) -> ExportReport:
        quantizer = _quantizer(connection, collection) if self.vectors == "int8" else None
        description = _description(collection, quantizer)
        chunks = self._chunks(connection, collection, quantizer, json.dumps(description).encode())
        documents = self._documents(connection, collection)
        counted = {**description, "documents": documents, "chunks": chunks}
        (self.folder / DESCRIPTION).write_text(json.dumps(counted, indent=1, ensure_ascii=False), encoding="utf-8")
        return ExportReport(
            collection=collection.name,
            documents=documents,
            chunks=chunks,
            vectors=self.vectors,
            bytes=sum(file.stat().st_size for file in self.folder.iterdir()),
        )

    def _chunks(
        self, connection: Connection, collection: Collection, quantizer: Int8Quantizer | None, description: bytes
    ) -> int:
        pa, written = arrow(), 0
        schema = chunk_schema(collection.model.dimensions, self.vectors, description)
        with (
            pa.parquet.ParquetWriter(self.folder / CHUNKS, schema, compression="zstd") as writer,
            closing(read_chunks(connection, collection)) as batches,
        ):
            for columns, vectors in batches:
                numbers: Any = vectors if quantizer is None else quantizer.quantize(vectors)
                fields = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=False)]
                flat = pa.array(numbers.reshape(-1))
                rows = pa.FixedSizeListArray.from_arrays(flat, type=schema.field("vector").type)
                writer.write_table(pa.Table.from_arrays([*fields, rows], schema=schema))
                written += len(vectors)
                if self.on_progress is not None:
                    self.on_progress(written)
        return written

    def _documents(self, connection: Connection, collection: Collection) -> int:
        pa, written = arrow(), 0
        schema = document_schema()
        with pa.parquet.ParquetWriter(self.folder / DOCUMENTS, schema, compression="zstd") as writer:
            for columns in read_documents(connection, collection):
                writer.write_table(
                    pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], schema=schema)
                )
                written += len(columns[0])
        return written


def _quantizer(connection: Connection, collection: Collection) -> Int8Quantizer:
    """Return the quantizer for the ranges of all vectors."""
    dimensions = collection.model.dimensions
    low, high = np.full(dimensions, np.inf, np.float32), np.full(dimensions, -np.inf, np.float32)
    for _, vectors in read_chunks(connection, collection):
        low, high = np.minimum(low, vectors.min(axis=0)), np.maximum(high, vectors.max(axis=0))
    ranges: Vectors = np.stack([low, high]) if np.isfinite(low).all() else np.zeros((1, dimensions), np.float32)
    return Int8Quantizer.fit(ranges)


def _description(collection: Collection, quantizer: Int8Quantizer | None) -> dict[str, Any]:
    scales = None if quantizer is None else {"low": quantizer.low.tolist(), "step": quantizer.step.tolist()}
    return {
        "format": FORMAT,
        "collection": collection.name,
        "model": collection.model.record(),
        "language": collection.language,
        "precision": collection.precision,
        "vectors": "float32" if quantizer is None else "int8",
        "scales": scales,
    }
