"""The bodies of `/documents`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from embedpipe.server.schemas.common import Collection, Filter, JsonObject, RequestModel, ResponseModel, Several, Text

Ids = Several[Text] | None


class DocumentBody(RequestModel):
    """A document. Its id must stay the same from one ingest to the next."""

    id: Text
    text: Text
    metadata: JsonObject = Field(default_factory=dict)


class IngestRequest(RequestModel):
    """Documents to store. Chunks that are stored already are not embedded again."""

    documents: Several[DocumentBody]
    collection: Collection = None


class IngestResponse(ResponseModel):
    """Counts of the documents and chunks.

    `failures` has a message for each document that failed, by its id. Nothing of such a document is written.
    """

    collection: str
    added: int
    changed: int
    kept: int
    chunks_embedded: int
    chunks_kept: int
    chunks_removed: int
    tokens: int
    seconds: float
    failures: dict[str, str]


class FileRequest(RequestModel):
    """A file to store, with its content in Base64. Its name is the document's id, and its suffix says the format."""

    name: Annotated[str, Field(min_length=1, max_length=500, examples=["reports/2024.pdf"])]
    content: Text
    collection: Collection = None


class FileResponse(IngestResponse):
    """Counts as of `POST /documents`, the ids of the documents, and what the file holds and its text does not."""

    documents: list[str]
    left_out: list[str]


class ListedDocumentBody(ResponseModel):
    """A document in a list. `title` is its title, else the name of its file, else the last part of its id."""

    id: str
    title: str
    chunks: int


class ListedDocumentsResponse(ResponseModel):
    """Documents ordered by id. `next` is what to pass as `after` for the following ones, null if these are the last."""

    collection: str
    documents: list[ListedDocumentBody]
    next: str | None


class StoredDocumentBody(ResponseModel):
    """A document. `text` is null if the collection does not store texts of documents."""

    id: str
    text: str | None
    metadata: dict[str, Any]


class DeleteRequest(RequestModel):
    """Which chunks to remove: those that meet all restrictions. At least one is required."""

    document_ids: Ids = None
    ids: Ids = None
    filter: Filter = None
    collection: Collection = None

    @model_validator(mode="after")
    def _restricted(self) -> Self:
        if self.document_ids is None and self.ids is None and not self.filter:
            raise ValueError("pass document_ids, ids or a filter")
        return self


class DeleteResponse(ResponseModel):
    """The number of chunks removed."""

    collection: str
    chunks_removed: int


class ForgetRequest(RequestModel):
    """The document to delete with all that was ever kept of it."""

    document_id: Text
    collection: Collection = None


class ForgetResponse(ResponseModel):
    """How much was deleted. `answers` counts kept answers that had the document among their sources."""

    collection: str
    chunks: int
    versions: int
    answers: int
    cache_entries: int
