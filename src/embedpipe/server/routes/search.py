"""`/search`, `/collections`, `/metadata` and `/rerank`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fastapi import Request, Response

from embedpipe.server.resources import Resources
from embedpipe.server.schemas.common import CollectionName
from embedpipe.server.schemas.search import (
    CollectionBody,
    CollectionsResponse,
    FoundChunk,
    MetadataKeyBody,
    MetadataKeysResponse,
    RerankedDocument,
    RerankRequest,
    RerankResponse,
    SearchRequest,
    SearchResponse,
)
from embedpipe.server.web import MAY_WRITE, Access, Routes, check_k, check_texts, list_response
from embedpipe.types import Chunk, SearchResult

routes = Routes("search")


@routes.add("POST", "/search", Access.READ, response_model=SearchResponse)
async def search(body: SearchRequest, request: Request) -> Response:
    """Return the chunks that match the query best, with their scores, ranks and snippets."""
    resources = Resources.of(request)
    check_texts([body.query], resources.settings, param="query")
    check_k(body.k, resources.settings)
    check_k(body.candidates or 1, resources.settings, param="candidates")
    results = await resources.search(body.collection).asearch(
        body.query,
        body.k,
        mode=body.mode,
        filter=body.filter,
        threshold=body.threshold,
        required_phrases=body.required_phrases,
        fusion=body.recency.fusion() if body.recency else None,
        rerank=body.rerank,
        candidates=body.candidates,
        as_of=body.as_of,
    )
    others = {
        "query": body.query,
        "collection": body.collection or resources.collection,
        "mode": body.mode,
        "reranked": body.rerank,
    }
    # A snippet takes about a millisecond for 1,000 characters of its chunk, so they are made in the thread of the list.
    return await list_response("results", map(FoundChunk.of, results), others)


@routes.add("GET", "/collections", Access.READ)
async def collections(request: Request) -> CollectionsResponse:
    """List the collections with their models and sizes."""
    resources = Resources.of(request)
    spec = resources.generator.spec
    return CollectionsResponse(
        collections=[
            CollectionBody(
                name=info.name,
                model=info.model.name,
                dimensions=info.model.dimensions,
                language=info.language,
                documents=info.documents,
                chunks=info.chunks,
                bytes=info.bytes,
                indexed=info.indexed,
                words=info.words,
                current=info.model.is_same(spec),
                default=info.name == resources.collection,
            )
            for info in await resources.database.acollections()
        ],
        default=resources.collection,
        may_write=request.scope[MAY_WRITE],
    )


@routes.add("GET", "/metadata", Access.READ)
async def metadata(request: Request, collection: CollectionName = None) -> MetadataKeysResponse:
    """List the keys of the metadata with their most frequent values, for a choice of filters."""
    resources = Resources.of(request)
    return MetadataKeysResponse(
        collection=collection or resources.collection,
        keys=[
            MetadataKeyBody(name=key.name, values=list(key.values), complete=key.is_complete)
            for key in await resources.store(collection).metadata_keys()
        ],
    )


@routes.add("POST", "/rerank", Access.READ)
async def rerank(body: RerankRequest, request: Request) -> RerankResponse:
    """Order texts by how well they answer the query."""
    resources = Resources.of(request)
    check_texts([body.query], resources.settings, param="query")
    check_texts(body.documents, resources.settings, param="documents")
    found = [_result(text, place) for place, text in enumerate(body.documents)]
    if resources.reranking.needs_similarity:
        found = await _with_similarity(body.query, found, resources)
    ordered = await resources.reranking.arerank(body.query, found)
    return RerankResponse(
        model=type(resources.reranking.reranker).__name__,
        results=[
            RerankedDocument(
                index=result.chunk.chunk_index,
                relevance_score=result.score,
                document=result.text if body.return_documents else None,
            )
            for result in ordered[: body.top_n]
        ],
    )


def _result(text: str, place: int) -> SearchResult:
    # Ids that sort, so that ties keep the order of the request.
    chunk = Chunk(text, 0, len(text), place, {}, id=f"{place:09}")
    return SearchResult(chunk=chunk, score=0.0)


async def _with_similarity(query: str, found: list[SearchResult], resources: Resources) -> list[SearchResult]:
    """Return the results with the cosine similarity of their text to the query."""
    of_query = (await resources.generator.agenerate(query, "query")).embedding
    texts = [result.text for result in found]
    vectors = (await resources.generator.agenerate_batch(texts)).vectors
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(of_query)
    similarities: list[float] = (vectors @ of_query / lengths).tolist()
    return [replace(result, similarity=value) for result, value in zip(found, similarities, strict=True)]
