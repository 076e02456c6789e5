"""`/documents` and `/files`: store, list, return and remove documents."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any

from fastapi import Query, Request

from embedpipe._threads import in_thread
from embedpipe.errors import InputError
from embedpipe.files import documents_of
from embedpipe.server.resources import Resources
from embedpipe.server.schemas.common import CollectionName
from embedpipe.server.schemas.documents import (
    DeleteRequest,
    DeleteResponse,
    FileRequest,
    FileResponse,
    ForgetRequest,
    ForgetResponse,
    IngestRequest,
    IngestResponse,
    ListedDocumentBody,
    ListedDocumentsResponse,
    StoredDocumentBody,
)
from embedpipe.server.web import ANY_TEXT, Access, ApiError, Routes, check_count, check_metadata, public_message
from embedpipe.types import Document, title_of

routes = Routes("documents")

_LONGEST = 10_000
"""The most characters of an id in the URL."""


@routes.add("POST", "/documents", Access.WRITE)
async def ingest(body: IngestRequest, request: Request) -> IngestResponse:
    """Store documents under their ids. Unchanged chunks are not embedded again.

    If some documents fail, the others are stored, and `failures` has the reasons. If all fail, the request fails.
    The first documents create the collection.
    """
    resources = Resources.of(request)
    check_count(len(body.documents), resources.settings, param="documents")
    documents = [Document(id=each.id, text=each.text, metadata=each.metadata) for each in body.documents]
    return IngestResponse(**await _stored(documents, body.collection, request))


@routes.add("POST", "/files", Access.WRITE)
async def ingest_file(body: FileRequest, request: Request) -> FileResponse:
    """Store a file: PDF, Word, HTML, Markdown and the other formats that `embedpipe ingest` takes.

    A file made of records, such as a mailbox, becomes a document for each.
    """
    resources = Resources.of(request)
    async with resources.parsing:  # one file at a time is parsed, and those that wait would occupy the threads
        documents = await in_thread(_documents_of, body)
    check_count(len(documents), resources.settings, param="content (in records)")
    stored = await _stored(documents, body.collection, request)
    left_out = dict.fromkeys(each for document in documents for each in document.metadata.get("left_out", ()))
    return FileResponse(documents=[document.id for document in documents], left_out=list(left_out), **stored)


def _documents_of(body: FileRequest) -> list[Document]:
    try:
        content = b64decode(body.content, validate=True)
    except ValueError:
        raise InputError("content: the text is not Base64. Encode the file's bytes.") from None
    return documents_of(content, name=body.name)


async def _stored(documents: list[Document], collection: str | None, request: Request) -> dict[str, Any]:
    """Store the documents, and return the fields of `IngestResponse`."""
    resources = Resources.of(request)
    for place, each in enumerate(documents):
        check_metadata(each.metadata, resources.settings, place=place)
    stats = await resources.service(collection).aingest(documents)
    if len(stats.failures) == len(documents):
        stats.raise_for_failures()
    return {
        "collection": collection or resources.collection,
        "added": stats.added,
        "changed": stats.changed,
        "kept": stats.kept,
        "chunks_embedded": stats.chunks_embedded,
        "chunks_kept": stats.chunks_kept,
        "chunks_removed": stats.chunks_removed,
        "tokens": stats.tokens,
        "seconds": stats.seconds,
        "failures": {name: public_message(error, request.scope) for name, error in stats.failures.items()},
    }


@routes.add("GET", "/documents", Access.READ)
async def list_all(
    request: Request,
    collection: CollectionName = None,
    after: Annotated[str | None, Query(max_length=_LONGEST, description="The id behind which to begin.")] = None,
    contains: Annotated[str | None, Query(min_length=1, max_length=200, description="A part of id or title.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ListedDocumentsResponse:
    """List documents with their titles in the order of their ids, a page at a time."""
    resources = Resources.of(request)
    found = await resources.store(collection).list_documents(after=after, contains=contains, limit=limit + 1)
    return ListedDocumentsResponse(
        collection=collection or resources.collection,
        documents=[
            ListedDocumentBody(id=each.id, title=title_of({"title": each.title}, each.id), chunks=each.chunks)
            for each in found[:limit]
        ],
        next=found[limit - 1].id if len(found) > limit else None,
    )


@routes.add("GET", f"/documents/{{document_id:{ANY_TEXT}}}", Access.READ)
async def read(document_id: str, request: Request, collection: str | None = None) -> StoredDocumentBody:
    """Return a document as it was stored. The offsets of its chunks point into this text."""
    resources = Resources.of(request)
    found = await resources.store(collection).documents([document_id])
    if not found:
        raise ApiError(404, "The collection has no document with this id.", code="document_not_found")
    return StoredDocumentBody(id=found[0].id, text=found[0].text, metadata=dict(found[0].metadata))


@routes.add("POST", "/documents/forget", Access.WRITE)
async def forget(body: ForgetRequest, request: Request) -> ForgetResponse:
    """Delete a document with its superseded versions, the kept answers that lean on it, and its cached vectors."""
    resources = Resources.of(request)
    gone = await resources.service(body.collection).aforget(body.document_id)
    return ForgetResponse(collection=body.collection or resources.collection, **gone._asdict())


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
