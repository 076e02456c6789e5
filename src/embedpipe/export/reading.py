"""Read an export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedpipe._checks import checked_path
from embedpipe.compression import Int8Quantizer
from embedpipe.errors import InputError, SchemaError
from embedpipe.export.format import CHUNKS, DESCRIPTION, DOCUMENTS, FORMAT, arrow
from embedpipe.storage.types import from_record
from embedpipe.storage.write import StoredDocument
from embedpipe.types import Chunk, ModelSpec, Vectors

_ROWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A collection in files. `quantizer` is None if the vectors are float32."""

    folder: Path
    collection: str
    model: ModelSpec
    language: str
    chunks: int
    documents: int
    quantizer: Int8Quantizer | None

    def batches(self) -> Iterator[tuple[list[Chunk], Vectors]]:
        """Yield chunks and their vectors (n, d) float32 as `PgVectorStore.upsert` takes them, in the file's order.

        Numbers that were stored as int8 differ by at most half a step of their dimension.

        Raises:
            InputError: If the file cannot be read.
        """
        for table in _tables(self.folder / CHUNKS):
            rows = table.drop_columns(["vector"]).to_pylist()
            numbers = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
            numbers = numbers.reshape(len(rows), self.model.dimensions)
            vectors = numbers.astype(np.float32) if self.quantizer is None else self.quantizer.dequantize(numbers)
            yield [_chunk(row) for row in rows], vectors

    def iter_documents(self) -> Iterator[StoredDocument]:
        """Yield all documents, in the order of their ids.

        Raises:
            InputError: If the file cannot be read.
        """
        for table in _tables(self.folder / DOCUMENTS):
            for row in table.to_pylist():
                yield StoredDocument(row["id"], row["text"], json.loads(row["metadata"]))


def load_export(folder: Path | str) -> Export:
    """Open the export in a folder. Its rows are read when they are asked for.

    Raises:
        InputError: If the folder holds no export, or one of another version.
    """
    folder = checked_path("folder", folder)
    arrow()
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise InputError(f"{folder} has format {found['format']}; this version reads {FORMAT}. Export anew.")
        return Export(
            folder=folder,
            collection=found["collection"],
            model=from_record(ModelSpec, found["model"], what=f"The model in {folder}"),
            language=found["language"],
            chunks=found["chunks"],
            documents=found["documents"],
            quantizer=_quantizer(found["scales"]),
        )
    except SchemaError as error:
        raise InputError(str(error)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder} holds no export ({error!r}). Name an export's folder.") from error


def _quantizer(scales: Mapping[str, Any] | None) -> Int8Quantizer | None:
    if scales is None:
        return None
    return Int8Quantizer(np.array(scales["low"], np.float32), np.array(scales["step"], np.float32))


def _tables(path: Path) -> Iterator[Any]:
    pa = arrow()
    try:
        with pa.parquet.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(_ROWS):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error


def _chunk(row: Mapping[str, Any]) -> Chunk:
    return Chunk(
        row["text"],
        row["start_index"],
        row["end_index"],
        row["chunk_index"],
        json.loads(row["metadata"]),
        row["document_id"],
        row["id"],
        None if row["payload"] is None else json.loads(row["payload"]),
        row["header"],
    )
