"""The bodies of `/answer`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from embedpipe.server.schemas.common import (
    Collection,
    Filter,
    K,
    Mode,
    RequestModel,
    RequiredPhrases,
    ResponseModel,
    Text,
    Threshold,
)


class AnswerRequest(RequestModel):
    """A question to a collection."""

    question: Annotated[Text, Field(examples=["How do I close a file?"])]
    k: K = 5
    mode: Mode = "hybrid"
    filter: Filter = None
    threshold: Threshold = None
    required_phrases: RequiredPhrases = False
    rerank: bool = False
    collection: Collection = None
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
