"""Datasets of Ray Data with a row for each document: an id, a text and metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from embedpipe._checks import check_fields, shown
from embedpipe._optional import require
from embedpipe.errors import EmbedPipeError, InputError
from embedpipe.files import ReadOptions, documents_of, known_suffixes
from embedpipe.ingest import AnyDocument, Intake, SeenIds
from embedpipe.types import Document, Location

DEFAULT = ReadOptions()

if TYPE_CHECKING:
    from ray.data import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a dataset that make a document.

    Args:
        id: The column of ids, which are strings.
        text: The column of texts.
        metadata: A column of mappings, or of JSON objects as text. It may be missing in the dataset.
        keys: Columns that become metadata keys of the same names. Numbers, strings, booleans, lists and mappings are
            taken as they are.
        locations: A column of each document's locations, as the datasets of this module have it. It may be missing.
        error: A column with the reason why a document could not be read. It may be missing in the dataset.
    """

    id: str = "id"
    text: str = "text"
    metadata: str | None = "metadata"
    keys: Sequence[str] = ()
    locations: str | None = "_locations"
    error: str | None = "error"

    def __post_init__(self) -> None:
        check_fields(self)

    def fitted(self, dataset: Dataset) -> Columns:
        """Return the columns that the dataset has.

        Raises:
            InputError: If a column other than `metadata`, `locations` and `error` is missing, or if ids are numbers.
        """
        schema = dataset.schema()
        if schema is None:  # there is not a single row
            return self
        present = dict(zip(schema.names, schema.types, strict=True))
        missing = [name for name in (self.id, self.text, *self.keys) if name not in present]
        if missing:
            raise InputError(
                f"The dataset has no column {missing[0]!r}, only {', '.join(present)}. Name the right one in Columns."
            )
        if "int" in str(present[self.id]):
            raise InputError(f"The column {self.id!r} holds {present[self.id]}, and ids are strings. Cast the column.")
        return Columns(
            id=self.id,
            text=self.text,
            metadata=self.metadata if self.metadata in present else None,
            keys=tuple(self.keys),
            locations=self.locations if self.locations in present else None,
            error=self.error if self.error in present else None,
        )

    def errors(self, table: Any) -> dict[str, EmbedPipeError]:
        """Return the error of each document that could not be read, by its id."""
        if self.error is None:
            return {}
        pairs = zip(table[self.id].to_pylist(), table[self.error].to_pylist(), strict=True)
        return {name: InputError(error) for name, error in pairs if error is not None}

    def documents(self, table: Any) -> list[Document]:
        """Return a document for each row of an Arrow table.

        Raises:
            InputError: If an id is not a str, a text is not a str or None, or metadata is no mapping.
        """
        located = self.locations if self.locations in table.column_names else None
        names = dict.fromkeys([self.id, self.text, *self.keys, *filter(None, [self.metadata, located])])
        return [self._document(row) for row in table.select(list(names)).to_pylist()]

    def _document(self, row: Mapping[str, Any]) -> Document:
        if not isinstance(row[self.id], str):
            raise InputError(
                f"The id {shown(row[self.id])} in the column {self.id!r} is no str. Cast or fill the column."
            )
        text = row[self.text]
        if not isinstance(text, str | None):
            raise InputError(f"The column {self.text!r} holds {shown(text)}, which is no text. Cast the column.")
        keyed = {key: row[key] for key in self.keys}
        metadata = _mapping(row[self.metadata], row[self.id]) if self.metadata else {}
        located = row.get(self.locations) if self.locations else None
        locations = tuple(Location(start, values) for start, values in json.loads(located or "[]"))
        return Document(id=row[self.id], text=text or "", metadata={**metadata, **keyed}, locations=locations)


def _mapping(value: Any, document_id: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InputError(
                f"Document {shown(document_id)}: the metadata is {shown(value)}. Pass a JSON object."
            ) from error
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(pair, tuple) for pair in value):  # a map, as Arrow gives it
        value = dict(value)
    if not isinstance(value, dict):
        raise InputError(f"Document {shown(document_id)}: the metadata is {shown(value)}. Pass a mapping.")
    return value


def from_documents(documents: Iterable[AnyDocument], *, blocks: int | None = None) -> Dataset:
    """Make a dataset of documents that this process has. All are held in the cluster's memory.

    Args:
        documents: The documents. Those of LangChain and LlamaIndex are taken as `SemanticSearchService.ingest` does.
        blocks: How many parts they are divided into. A worker takes one part at a time. None for one part for every
            256 documents.
    """
    data = require("ray.data", extra="ray")
    with closing(SeenIds()) as seen:
        rows = [_row(document) for document, _ in map(Intake(seen).take, documents)]
    return cast("Dataset", data.from_items(rows, override_num_blocks=blocks or max(len(rows) // 256, 1)))


def read_files(paths: str | Sequence[str], options: ReadOptions = DEFAULT) -> Dataset:
    """Make a dataset of the documents that `embedpipe.files.read_documents` makes of files. Their paths are the ids.

    If a file cannot be read, the column `error` says why, and so does the report of the ingest.

    Args:
        paths: Files or folders, on disks that every node has or in a store that Ray reads (s3://, gs://, hdfs://).
            Below a folder, every file of a known format is taken. Ray does not tell which others there are.
        options: How the files are read.
    """
    data = require("ray.data", extra="ray")
    extensions = [suffix.removeprefix(".") for suffix in known_suffixes(options.reader)]
    found = data.read_binary_files(paths, include_paths=True, file_extensions=extensions)
    return cast("Dataset", found.flat_map(_rows, fn_kwargs={"options": options}))


def _rows(row: Mapping[str, Any], options: ReadOptions) -> list[dict[str, Any]]:
    path = row["path"]
    try:
        documents = documents_of(row["bytes"], name=path, options=options)
    except InputError as error:
        return [{"id": path, "text": "", "metadata": "{}", "_locations": "[]", "error": str(error)}]
    return [{**_row(document), "error": None} for document in documents]


def _row(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "text": document.text,
        "metadata": json.dumps(dict(document.metadata)),
        "_locations": json.dumps(list(document.locations)),
    }
