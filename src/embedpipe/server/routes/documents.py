"""`/documents`: store, return and remove documents."""

from __future__ import annotations

from fastapi import Request

from embedpipe.server.resources import Resources
from embedpipe.server.schemas.documents import (
    DeleteRequest,
    DeleteResponse,
    IngestRequest,
    IngestResponse,
    StoredDocumentBody,
)
from embedpipe.server.web import ANY_TEXT, Access, ApiError, Routes, check_count, check_metadata, public_message
from embedpipe.types import Document

routes = Routes("documents")


@routes.add("POST", "/documents", Access.WRITE)
async def ingest(body: IngestRequest, request: Request) -> IngestResponse:
    """Store documents under their ids. Unchanged chunks are not embedded again.

    If some documents fail, the others are stored, and `failures` has the reasons. If all fail, the request fails.
    The first documents create the collection.
    """
    resources = Resources.of(request)
    check_count(len(body.documents), resources.settings, param="documents")
    for place, each in enumerate(body.documents):
        check_metadata(each.metadata, resources.settings, place=place)
    documents = [Document(id=each.id, text=each.text, metadata=each.metadata) for each in body.documents]
    stats = await resources.service(body.collection).aingest(documents)
    if len(stats.failures) == len(documents):
        stats.raise_for_failures()
    return IngestResponse(
        collection=body.collection or resources.collection,
        added=stats.added,
        changed=stats.changed,
        kept=stats.kept,
        chunks_embedded=stats.chunks_embedded,
        chunks_kept=stats.chunks_kept,
        chunks_removed=stats.chunks_removed,
        tokens=stats.tokens,
        seconds=stats.seconds,
        failures={name: public_message(error, request.scope) for name, error in stats.failures.items()},
    )


@routes.add("GET", f"/documents/{{document_id:{ANY_TEXT}}}", Access.READ)
async def read(document_id: str, request: Request, collection: str | None = None) -> StoredDocumentBody:
    """Return a document as it was stored. The offsets of its chunks point into this text."""
    resources = Resources.of(request)
    found = await resources.store(collection).documents([document_id])
    if not found:
        raise ApiError(404, "The collection has no document with this id.", code="document_not_found")
    return StoredDocumentBody(id=found[0].id, text=found[0].text, metadata=dict(found[0].metadata))


@routes.add("DELETE", "/documents", Access.WRITE)
async def delete(body: DeleteRequest, request: Request) -> DeleteResponse:
    """Remove chunks by document, by id, or by a condition on their metadata."""
    resources = Resources.of(request)
    removed = await resources.store(body.collection).delete(
        body.ids, document_ids=body.document_ids, filter=body.filter
    )
    return DeleteResponse(collection=body.collection or resources.collection, chunks_removed=removed)


@routes.add("DELETE", f"/documents/{{document_id:{ANY_TEXT}}}", Access.WRITE)
async def delete_one(document_id: str, request: Request, collection: str | None = None) -> DeleteResponse:
    """Remove a document's chunks."""
    resources = Resources.of(request)
    removed = await resources.store(collection).delete(document_ids=[document_id])
    return DeleteResponse(collection=collection or resources.collection, chunks_removed=removed)
