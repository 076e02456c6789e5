"""The bodies of `/search`, `/collections` and `/rerank`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from embedpipe.server.schemas.common import (
    AsOf,
    Collection,
    Filter,
    K,
    Mode,
    RecencyBody,
    RequestModel,
    RequiredPhrases,
    ResponseModel,
    Several,
    Text,
    Threshold,
)
from embedpipe.types import SearchResult


class SearchRequest(RequestModel):
    """A search for chunks by meaning ("dense"), by words ("lexical") or by both ("hybrid")."""

    query: Annotated[Text, Field(examples=["how do I close a file?"])]
    k: K = 5
    mode: Mode = "hybrid"
    filter: Filter = None
    threshold: Threshold = None
    required_phrases: RequiredPhrases = False
    recency: RecencyBody | None = None
    rerank: Annotated[bool, Field(description="Whether the reranker orders the candidates.")] = False
    candidates: Annotated[
        int | None, Field(ge=1, description="How many results the reranker chooses from; 50 by default.")
    ] = None
    as_of: AsOf = None
    collection: Collection = None


class SpanBody(ResponseModel):
    """Words that match the query: `text[start:end]` of the snippet, and their place in the document."""

    start: int
    end: int
    start_index: int
    end_index: int


class SnippetBody(ResponseModel):
    """The passage of a chunk that fits the query best, without markup, and its place in the document.

    All offsets count code points.
    """

    text: str
    start_index: int
    end_index: int
    spans: list[SpanBody]


class FoundChunk(ResponseModel):
    """A chunk with its scores. Higher is better.

    `start` and `end` are the chunk's place in its document, in code points. `similarity` is the cosine similarity to
    the query, `lexical_score` is BM25. Ranks count from 1, and are null if that leg of the search did not find the
    chunk. Results are ordered by `score`.
    """

    id: str
    text: str
    snippet: SnippetBody
    document_id: str | None
    title: str
    start: int
    end: int
    metadata: dict[str, Any]
    score: float
    similarity: float | None
    dense_rank: int | None
    lexical_score: float | None
    lexical_rank: int | None
    rerank_score: float | None

    @classmethod
    def of(cls, result: SearchResult) -> Self:
        """Build the body from a search result."""
        return cls(
            id=result.id,
            text=result.text,
            snippet=SnippetBody.model_validate(result.snippet().to_dict()),
            document_id=result.document_id,
            title=result.title,
            start=result.start_index,
            end=result.end_index,
            metadata=dict(result.metadata),
            score=result.score,
            similarity=result.similarity,
            dense_rank=result.dense_rank,
            lexical_score=result.lexical_score,
            lexical_rank=result.lexical_rank,
            rerank_score=result.rerank_score,
        )


class SearchResponse(ResponseModel):
    """The results, best first."""

    query: str
    collection: str
    mode: Mode
    reranked: bool
    results: list[FoundChunk]


class CollectionBody(ResponseModel):
    """A collection.

    `current` says whether it holds vectors of the server's model, `words` whether it can be searched by words.
    """

    name: str
    model: str
    dimensions: int
    language: str
    documents: int
    chunks: int
    bytes: int
    indexed: bool
    words: bool
    current: bool
    default: bool


class CollectionsResponse(ResponseModel):
    """The collections, ordered by name, and the name of the server's own, which may not exist yet.

    `may_write` says whether the caller's key may change documents.
    """

    collections: list[CollectionBody]
    default: str
    may_write: bool


class MetadataKeyBody(ResponseModel):
    """A key of the metadata, with its most frequent values and how often each is in the sample.

    `complete` says whether the sample has no other values.
    """

    name: str
    values: list[tuple[str | bool | int | float, int]]
    complete: bool


class MetadataKeysResponse(ResponseModel):
    """The keys whose values are texts, numbers or booleans, ordered by name. They are counted in a sample of chunks."""

    collection: str
    keys: list[MetadataKeyBody]


class RerankRequest(RequestModel):
    """Texts to order by how well they answer the query."""

    query: Text
    documents: Several[Text]
    top_n: Annotated[int | None, Field(ge=1, description="How many of the best to return; all by default.")] = None
    return_documents: bool = False
    model: Annotated[str | None, Field(description="The reranker's name, as in the response. There is only one.")] = (
        None
    )


class RerankedDocument(ResponseModel):
    """A text, by its index in the request."""

    index: int
    relevance_score: float
    document: str | None = None


class RerankResponse(ResponseModel):
    """The texts, best first."""

    model: str
    results: list[RerankedDocument]
