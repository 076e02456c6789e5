"""The bodies of `/answer`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from embedpipe.answering import CitationState, State
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


class KeptAnswerRequest(RequestModel):
    """A question to a collection, whose answer is kept."""

    question: Annotated[Text, Field(examples=["How do I close a file?"])]
    k: K = 5
    mode: Mode = "hybrid"
    filter: Filter = None
    threshold: Threshold = None
    required_phrases: RequiredPhrases = False
    recency: RecencyBody | None = None
    rerank: bool = False
    as_of: AsOf = None
    collection: Collection = None


class AnswerRequest(KeptAnswerRequest):
    """A question to a collection."""

    stream: Annotated[bool, Field(description="Whether to send the answer in pieces, as server-sent events.")] = False


class AnswerResponse(ResponseModel):
    """The answer, its statements with their checked citations, and its numbered sources.

    Each citation has a `status`. With "unsupported_value", `values` has the numbers, units, dates, negations and names
    that no source of the statement has: their `kind`, `text`, `start` and `end` in the statement, and the `nearest` of
    the source with its place in the document.

    Each source has its `title`, and as `snippet` the part of it that fits the question best.

    `answered` is false if nothing was found, or if, without a language model, the sources hold too little of the
    question. `answer` then says so. `model` is null if the answer quotes sentences from the sources. `left_out` has the
    ids of chunks without room in the context.
    """

    question: str
    answer: str
    answered: bool
    statements: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    model: str | None
    tokens_used: int | None
    truncated: bool
    left_out: list[str]
    timings: dict[str, float]


class KeptAnswerResponse(AnswerResponse):
    """An answer, and the `id` under which it is kept."""

    id: str


class CitationStateBody(ResponseModel):
    """What became of a citation.

    `state` is "unchanged", "moved", "altered" or "deleted". `start` and `end` are the place where it stands now, or
    where what took its place stands, and `text` what stands there. They are null if there is nothing.
    """

    source: int
    document_id: str
    quote: str
    state: State
    start: int | None
    end: int | None
    text: str | None

    @classmethod
    def of(cls, state: CitationState) -> Self:
        """Build the body from the state of a citation."""
        return cls(
            source=state.source,
            document_id=state.document_id,
            quote=state.quote,
            state=state.state,
            start=state.start_index,
            end=state.end_index,
            text=state.text,
        )


class CitationStatesResponse(ResponseModel):
    """The state of each citation that has a place in a document, in the order of the answer."""

    id: str
    citations: list[CitationStateBody]


class AffectedRequest(RequestModel):
    """Documents that were changed or deleted."""

    document_ids: Several[Text]
    collection: Collection = None


class AffectedAnswerBody(ResponseModel):
    """A kept answer, with its citations of the documents that are altered or deleted."""

    id: str
    created_at: datetime
    question: str
    answer: str
    citations: list[CitationStateBody]


class AffectedResponse(ResponseModel):
    """The kept answers that lean on a change, oldest first."""

    answers: list[AffectedAnswerBody]
