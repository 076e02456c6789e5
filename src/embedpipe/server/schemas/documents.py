"""Bodies of taking documents in and removing them."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from embedpipe.server.schemas.common import Collection, Filter, JsonObject, RequestModel, ResponseModel, Several, Text

Ids = Several[Text] | None


class DocumentBody(RequestModel):
    """A document under an id that stays the same from one time to the next."""

    id: Text
    text: Text
    metadata: JsonObject = Field(default_factory=dict)


class IngestRequest(RequestModel):
    """Documents to be stored; of those that are there already, only what changed is embedded."""

    documents: Several[DocumentBody]
    collection: Collection = None


class IngestResponse(ResponseModel):
    """What became of the documents, and of their chunks.

    `failures` holds the message for each document that could not be taken, by its id: nothing of it was written.
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
    """A document; `text` is null where the collection does not keep it."""

    id: str
    text: str | None
    metadata: dict[str, Any]


class DeleteRequest(RequestModel):
    """Which chunks are to be removed: those that meet every restriction given, of which there must be one."""

    document_ids: Ids = None
    ids: Ids = None
    filter: Filter = None
    collection: Collection = None

    @model_validator(mode="after")
    def _restricted(self) -> Self:
        if self.document_ids is None and self.ids is None and not self.filter:
            raise ValueError("expected document_ids, ids or a filter")
        return self


class DeleteResponse(ResponseModel):
    """How many chunks were removed."""

    collection: str
    chunks_removed: int
