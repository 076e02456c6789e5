"""Two drivers of one flow: they do what it asks for, with threads or on an event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import EmbedPipeError
from embedpipe.ingest.flow import Embed, Flow, Prune, Read, Step, Write
from embedpipe.ingest.report import ProcessingStats
from embedpipe.storage import AsyncPgVectorStore, PgVectorStore
from embedpipe.storage.documents import ConcurrentChangeError


def drive(flow: Flow, generator: EmbeddingGenerator, store: PgVectorStore) -> ProcessingStats:
    """The flow's report, after a thread did what it asked for."""

    def answer(step: Step) -> Any:
        match step:
            case Read(ids):
                return store.known_documents(ids)
            case Embed(texts):
                return generator.attempt(texts)
            case Write(batch):
                return store.write_documents(batch)
            case Prune(seen):
                return store.prune_documents(seen)

    resume = _Resume(flow)
    while (step := resume()) is not None:
        try:
            resume.value = answer(step)
        except ConcurrentChangeError as error:
            resume.error = error
    return resume.report


async def adrive(flow: Flow, generator: EmbeddingGenerator, store: AsyncPgVectorStore) -> ProcessingStats:
    """As `drive`, on the running event loop; chunking runs in a thread."""

    async def answer(step: Step) -> Any:
        match step:
            case Read(ids):
                return await store.known_documents(ids)
            case Embed(texts):
                return await generator.aattempt(texts)
            case Write(batch):
                return await store.write_documents(batch)
            case Prune(seen):
                return await store.prune_documents(seen)

    resume = _Resume(flow)
    while (step := await asyncio.to_thread(resume)) is not None:
        try:
            resume.value = await answer(step)
        except ConcurrentChangeError as error:
            resume.error = error
    return resume.report


class _Resume:
    """Runs the flow up to its next step, None at its end; what it is to be sent is set between the calls."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.value: Any = None
        self.error: EmbedPipeError | None = None
        self.report = ProcessingStats()

    def __call__(self) -> Step | None:
        value, error = self.value, self.error
        self.value = self.error = None
        try:
            return self._flow.throw(error) if error is not None else self._flow.send(value)
        except StopIteration as end:
            self.report = end.value
            return None
