"""Late chunking: the chunks of a document go to the model together, and each vector depends on the whole document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedpipe.embedding.backend import EmbeddingResponse, LateChunkingModel, Limits, RemoteLateChunkingModel
from embedpipe.embedding.engine.request import EmbeddingRequest
from embedpipe.embedding.engine.text_batch import TextBatch
from embedpipe.embedding.engine.truncation import too_long
from embedpipe.embedding.vectors import find_unusable, unusable_rows
from embedpipe.errors import ConfigurationError
from embedpipe.text import EstimatedCounter, TokenCounter, TokenCountingModel, without_surrogates
from embedpipe.types import ChunkedText, Kind, ModelSpec, Vectors

_MAX_TOKENS = 8192
"""Of a request, for a model whose limit is not known: that of Jina's models."""
_OVERLAP = 8
"""Where a document has to be divided, an eighth of each part is chunks of the part before, for their context alone."""


def check_late_chunking(model: object) -> None:
    """Raise `ConfigurationError` if the model cannot embed the chunks of a document together."""
    if not isinstance(model, LateChunkingModel | RemoteLateChunkingModel):
        raise ConfigurationError(
            f"{model!r:.100} cannot embed chunks in the context of their document. For late_chunking=True, choose a "
            "local model with mean pooling, a model of Jina ('jina:jina-embeddings-v3'), or 'voyage:voyage-context-3'."
        )


@dataclass(slots=True, eq=False)
class DocumentBatch(TextBatch):
    """Chunks of one document, which are sent together, and again together if a vector is missing.

    `document` is the whole document. The first `skipped` chunks are context alone: another batch has their vectors.
    """

    document: ChunkedText = ChunkedText("", ())  # noqa: RUF009 - a tuple
    skipped: int = 0

    @property
    def can_halve(self) -> bool:
        return False

    @property
    def missing(self) -> TextBatch:
        return self

    def embed(self, model: Any, kind: Kind) -> Vectors:
        vectors: Vectors = model.embed_document(self.document.text, self.document.spans)
        return vectors

    def fetch(self, model: Any, kind: Kind) -> EmbeddingResponse:
        response: EmbeddingResponse = model.fetch_document(self.texts)
        return response

    async def afetch(self, model: Any, kind: Kind) -> EmbeddingResponse:
        response: EmbeddingResponse = await model.afetch_document(self.texts)
        return response

    def receive(self, vectors: Vectors, spec: ModelSpec) -> None:
        """Check the vectors. One that is missing makes all of them worthless: it is sent again with its context."""
        vectors, bad = find_unusable(vectors, expected=len(self.indices), spec=spec)
        if bad:
            raise unusable_rows(bad, expected=len(self.indices), spec=spec)
        self._vectors, self.is_answered = vectors, True

    def take_vectors(self) -> tuple[Sequence[int], Vectors]:
        vectors, self._vectors = self._vectors, None
        assert vectors is not None  # noqa: S101 - it is answered
        return self.indices[self.skipped :], vectors[self.skipped :]


def late_request(documents: Sequence[ChunkedText], *, dimensions: int) -> EmbeddingRequest:
    """Return a request for the chunks of all documents, in order. Equal chunks are not merged: their places differ."""
    texts = [text for document in documents for text in _chunks(document)]
    size = len(texts)
    vectors = np.empty((size, dimensions), dtype=np.float32)
    counts, cached = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.bool_)
    return EmbeddingRequest(texts, "document", texts, range(size), {}, vectors, counts, cached)


def late_names(documents: Sequence[ChunkedText]) -> list[str]:
    """Return what the vector of each chunk depends on, for the cache: its document and place."""
    names = []
    for document in documents:
        digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
        names += [f"late {digest} {start} {end}" for start, end in document.spans]
    return names


def late_batches(
    request: EmbeddingRequest, documents: Sequence[ChunkedText], missing: Sequence[int], model: Any, limits: Limits
) -> list[TextBatch]:
    """Return the batches of the documents of which a vector is missing: one for a document that the model takes whole.

    A chunk that is too long by itself for a provider goes to `request.errors`.
    """
    counter: TokenCounter = (
        model.counter if isinstance(model, TokenCountingModel) else EstimatedCounter(model.spec.name)
    )
    spec: ModelSpec = model.spec
    wanted, batches, first = set(missing), list[TextBatch](), 0
    for document in documents:
        indices = range(first, first + len(document.spans))
        first = indices.stop
        if not wanted.intersection(indices):
            continue
        texts = _chunks(document)
        counts = counter.count_many(texts)
        request.token_counts[list(indices)] = counts
        whole = DocumentBatch(indices, texts, counts, document=document)
        if isinstance(model, RemoteLateChunkingModel):
            batches += _divided(request, whole, _room(spec, limits), spec.name)
        else:
            batches.append(whole)
    return batches


def _divided(request: EmbeddingRequest, whole: DocumentBatch, room: int, model: str) -> Iterator[DocumentBatch]:
    """Yield the document in parts of at most `room` tokens, each but the first behind some chunks of the one before."""
    counts = whole.token_counts
    if (longest := max(counts)) > room:
        request.fail(whole.indices, too_long([longest], room=room, model=model))
        return
    start = skipped = 0
    while start < len(counts):
        end, total = start, 0
        while end < len(counts) and total + counts[end] <= room:
            total += counts[end]
            end += 1
        part = slice(start, end)
        yield DocumentBatch(
            whole.indices[part], whole.texts[part], counts[part], document=whole.document, skipped=skipped
        )
        if end == len(counts):
            return
        start, context = end, 0
        while start > part.start + 1 and context + counts[start - 1] + counts[end] <= room // _OVERLAP:
            start -= 1
            context += counts[start]
        skipped = end - start


def _room(spec: ModelSpec, limits: Limits) -> int:
    return min(spec.max_tokens or _MAX_TOKENS, limits.batch_tokens or _MAX_TOKENS)


def _chunks(document: ChunkedText) -> list[str]:
    text = without_surrogates(document.text)
    return [text[start:end] for start, end in document.spans]
