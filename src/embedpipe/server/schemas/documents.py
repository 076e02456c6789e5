"""The bodies of `/documents`."""

from __future__ import annotations

from typing import Any, Self

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
