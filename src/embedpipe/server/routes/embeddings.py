"""`/embed` and `/embed/batch`: embed a long text in chunks, or several texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import Request, Response

from embedpipe._threads import in_thread
from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingBatch
from embedpipe.errors import InputError
from embedpipe.server.resources import Resources
from embedpipe.server.schemas.embeddings import EmbedBatchRequest, EmbedBatchResponse, EmbedRequest, EmbedResponse
from embedpipe.server.web import Access, Routes, check_count, check_texts, list_response

routes = Routes("embeddings")


@routes.add("POST", "/embed", Access.READ, response_model=EmbedResponse)
async def embed(body: EmbedRequest, request: Request) -> Response:
    """Split a text into chunks and embed them. A short text is one chunk."""
    resources = Resources.of(request)
    check_texts([body.text], resources.settings, param="text")
    chunker = RecursiveChunker(chunk_size=body.chunkSize)
    chunks = [chunk.text for chunk in await in_thread(chunker.chunk, body.text)]
    if not chunks:
        raise InputError("text: the text is blank. Send a text with at least one visible character.")
    check_count(len(chunks), resources.settings, param="text (in chunks)")
    batch = await resources.generator.agenerate_batch(chunks, body.kind)
    return await list_response("chunks", _embedded(batch), {"success": True, "totalChunks": len(chunks)})


@routes.add("POST", "/embed/batch", Access.READ, response_model=EmbedBatchResponse)
async def embed_batch(body: EmbedBatchRequest, request: Request) -> Response:
    """Return a vector for each text, in their order."""
    resources = Resources.of(request)
    check_texts(body.texts, resources.settings, param="texts")
    batch = await resources.generator.agenerate_batch(body.texts, body.kind)
    return await list_response("embeddings", _embedded(batch), {"success": True})


def _embedded(batch: EmbeddingBatch) -> Iterator[dict[str, Any]]:
    for text, vector, count in zip(batch.texts, batch.vectors, batch.token_counts.tolist(), strict=True):
        yield {"text": text, "embedding": vector.tolist(), "tokenCount": count}
