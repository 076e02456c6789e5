"""`/answer`: answer a question from a collection, at once or as a stream. `/answers`: those that are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from embedpipe._threads import in_thread
from embedpipe.errors import EmbedPipeError
from embedpipe.rag import AsyncAnswerStream, RAGPipeline, RAGResponse
from embedpipe.server.resources import Resources
from embedpipe.server.schemas.answers import (
    AffectedAnswerBody,
    AffectedRequest,
    AffectedResponse,
    AnswerRequest,
    AnswerResponse,
    CitationStateBody,
    CitationStatesResponse,
    KeptAnswerRequest,
    KeptAnswerResponse,
)
from embedpipe.server.web import (
    REQUEST_ID,
    Access,
    ApiError,
    JsonResponse,
    Routes,
    as_api_error,
    check_count,
    check_k,
    check_texts,
    error_body,
    log_error,
)
from embedpipe.types import Metadata

routes = Routes("answers")

_EVENT = {
    "type": "object",
    "properties": {"event": {"enum": ["text", "answer", "error"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
_EVENTS = {
    "description": "The answer. With `stream`: `text` events with its pieces, then one `answer` or `error`.",
    "content": {"text/event-stream": {"schema": _EVENT}},
}


@routes.add("POST", "/answer", Access.READ, response_model=AnswerResponse, responses={200: _EVENTS})
async def answer(body: AnswerRequest, request: Request) -> Response:
    """Answer a question with checked citations. Without a language model, quote sentences from the sources."""
    resources = Resources.of(request)
    rag, options = _pipeline(body, resources)
    if not body.stream:
        return JsonResponse(await _answer(await rag.aquery(body.question, **options)))
    stream = rag.astream(body.question, **options)
    pieces = aiter(stream)
    first = await anext(pieces)  # an error before the first piece still gets its own status
    events = _events(first, pieces, stream, request=request, limit_s=resources.settings.request_timeout_s)
    return _EventStream(events, pieces)


@routes.add("POST", "/answers", Access.WRITE, status_code=201, response_model=KeptAnswerResponse)
async def keep(body: KeptAnswerRequest, request: Request) -> Response:
    """Answer a question as `/answer` does, and keep the answer, so that its citations can be checked later."""
    resources = Resources.of(request)
    rag, options = _pipeline(body, resources)
    response = await rag.aquery(body.question, **options)
    answer_id = await resources.service(body.collection).akeep_answer(response)
    return JsonResponse({**await _answer(response), "id": answer_id}, status_code=201)


@routes.add("GET", "/answers/{answer_id}/citations", Access.READ)
async def verify(answer_id: str, request: Request, collection: str | None = None) -> CitationStatesResponse:
    """Say of each citation of a kept answer whether it still holds."""
    states = await Resources.of(request).service(collection).averify(answer_id)
    return CitationStatesResponse(id=answer_id, citations=[CitationStateBody.of(state) for state in states])


@routes.add("POST", "/answers/affected", Access.READ)
async def affected(body: AffectedRequest, request: Request) -> AffectedResponse:
    """Find the kept answers whose citations of these documents do not hold any more."""
    resources = Resources.of(request)
    check_count(len(body.document_ids), resources.settings, param="document_ids")
    found = await resources.service(body.collection).aaffected(body.document_ids)
    return AffectedResponse(
        answers=[
            AffectedAnswerBody(
                id=answer.id,
                created_at=answer.created_at,
                question=answer.question,
                answer=answer.answer,
                citations=[CitationStateBody.of(state) for state in answer.citations],
            )
            for answer in found
        ]
    )


def _pipeline(body: KeptAnswerRequest, resources: Resources) -> tuple[RAGPipeline, dict[str, Any]]:
    """Return the pipeline that answers, and the options of its search."""
    check_texts([body.question], resources.settings, param="question")
    check_k(body.k, resources.settings)
    options = {
        "mode": body.mode,
        "filter": body.filter,
        "threshold": body.threshold,
        "required_phrases": body.required_phrases,
        "fusion": body.recency.fusion() if body.recency else None,
        "rerank": body.rerank,
        "as_of": body.as_of,
    }
    return resources.rag(body.collection, k=body.k), options


class _EventStream(StreamingResponse):
    """Events of an answer, which is given up where the client has gone, also before the first of them."""

    def __init__(self, events: AsyncGenerator[str, None], pieces: AsyncGenerator[str, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._generators = (events, pieces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            for generator in self._generators:
                await generator.aclose()


async def _events(
    first: str, rest: AsyncGenerator[str, None], stream: AsyncAnswerStream, *, request: Request, limit_s: float
) -> AsyncGenerator[str, None]:
    """Yield the pieces as they arrive, each within the time limit, then the whole answer."""
    try:
        yield _event("text", {"text": first})
        while True:
            async with asyncio.timeout(limit_s):
                piece = await anext(rest, None)
            if piece is None:
                break
            yield _event("text", {"text": piece})
        yield _event("answer", await _answer(stream.response))
    except (EmbedPipeError, TimeoutError) as error:
        yield _event("error", _failed(error, request, limit_s))


async def _answer(response: RAGResponse) -> dict[str, Any]:
    """Return the answer as a dict, made in a thread, since the snippets of long sources would block the event loop."""
    return await in_thread(response.to_dict)


def _failed(error: Exception, request: Request, limit_s: float) -> dict[str, Any]:
    if isinstance(error, TimeoutError):
        error = ApiError(
            504, f"The answer stopped for {limit_s:g} s. Send the question again.", type="server_error", code="timeout"
        )
    log_error(error, request.scope)
    return error_body(as_api_error(error), request.scope[REQUEST_ID])


def _event(name: str, data: Metadata) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
