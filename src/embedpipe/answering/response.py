"""An answer with its checked citations, and its HTML in notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from html import escape
from typing import Any, Protocol, runtime_checkable

from embedpipe.answering.citations import Citation, CitationState, Statement
from embedpipe.errors import ConfigurationError
from embedpipe.retrieval.context import Passage
from embedpipe.types import SearchResult

_MARKS = {
    "quoted": "&#10003;",
    "paraphrased": "&#8776;",
    "unsupported": "&#10007; not in the source",
    "unsupported_value": "&#10007; a value is not in the source",
    "misquoted": "&#10007; not quoted from the source",
    "unknown_source": "&#10007; no such source",
}


@runtime_checkable
class Verifies(Protocol):
    """A search service that can check later what an answer cites."""

    def verify(self, answer: Any, /) -> list[CitationState]: ...

    async def averify(self, answer: Any, /) -> list[CitationState]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RAGResponse:
    """The answer to a question. In a notebook it shows as HTML.

    Attributes:
        question: The question.
        answer: The answer's text, with citations such as [1].
        statements: The answer's sentences with their checked citations.
        sources: The sources. The first has the number 1.
        answered: False if nothing was found, or if the sources hold too little of the question to quote a sentence.
            `answer` then says so. A language model's words that it cannot answer are not recognised.
        model: The language model, None for an extractive answer.
        tokens_used: The tokens of prompt and answer. None if no model ran or if it did not say.
        truncated: Whether the model stopped at its token limit.
        left_out: Results that did not fit the context's token budget or repeat a better result word for word.
        timings: Seconds for "search", "answer" and "total".
        verifier: The service that `verify` asks. A pickled response has none.
    """

    question: str
    answer: str
    statements: Sequence[Statement] = ()
    sources: Sequence[Passage] = ()
    answered: bool = True
    model: str | None = None
    tokens_used: int | None = None
    truncated: bool = False
    left_out: Sequence[SearchResult] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    verifier: Verifies | None = field(default=None, repr=False, compare=False)

    @property
    def citations(self) -> list[Citation]:
        """Return all citations in the order of the answer."""
        return [citation for statement in self.statements for citation in statement.citations]

    @property
    def problems(self) -> list[Citation]:
        """Return the citations that failed their check."""
        return [citation for citation in self.citations if not citation.valid]

    def verify(self) -> list[CitationState]:
        """Check whether the cited places still hold what they held when the answer was given.

        Returns:
            The state of each citation that has a place in a document. See `SemanticSearchService.verify`.

        Raises:
            ConfigurationError: If the answer did not come from a service that can check it, or was pickled since.
        """
        return self._verifier().verify(self)

    async def averify(self) -> list[CitationState]:
        """Do the same as `verify`, on the running event loop."""
        return await self._verifier().averify(self)

    def _verifier(self) -> Verifies:
        if self.verifier is None:
            raise ConfigurationError(
                "This response does not know the service of its sources. Pass it to SemanticSearchService.verify()."
            )
        return self.verifier

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the service and its connections. Before Python 3.11.5, a dataclass with slots overwrites __getstate__.
        return _restored, ({each.name: getattr(self, each.name) for each in fields(self) if each.name != "verifier"},)

    def to_dict(self) -> dict[str, Any]:
        """Return the response as a dict for JSON: sources by number, document and place, statements with citations."""
        return {
            "question": self.question,
            "answer": self.answer,
            "answered": self.answered,
            "statements": [asdict(statement) for statement in self.statements],
            "sources": [
                {
                    "number": number,
                    "document_id": source.document_id,
                    "title": source.title,
                    "start_index": source.start_index,
                    "end_index": source.end_index,
                    "score": source.score,
                    "chunk_ids": [result.id for result in source.results],
                    "text": source.text,
                    "snippet": source.snippet().to_dict(),
                    "metadata": source.metadata,
                }
                for number, source in enumerate(self.sources, 1)
            ],
            "model": self.model,
            "tokens_used": self.tokens_used,
            "truncated": self.truncated,
            "left_out": [result.id for result in self.left_out],
            "timings": dict(self.timings),
        }

    def _repr_html_(self) -> str:
        return "".join(_html(self))


def _html(response: RAGResponse) -> Iterator[str]:
    yield f"<div><p><em>{escape(response.question)}</em></p><p>"
    for statement in response.statements:
        yield escape(statement.text)
        yield from (_mark(citation) for citation in statement.citations)
        yield " "
    if not response.statements:
        yield escape(response.answer)
    yield "</p><ol>"
    for source in response.sources:
        place = escape(f"{source.document_id or 'source'} [{source.start_index}:{source.end_index}]")
        yield f"<li><details><summary>{place}</summary><pre>{escape(source.text)}</pre></details></li>"
    yield f"</ol><small>{escape(_footer(response))}</small></div>"


def _mark(citation: Citation) -> str:
    place = "" if citation.start_index is None else f"{citation.start_index}:{citation.end_index}"
    values = "".join(f": {escape(str(value))}" for value in citation.values)
    return f'<sup title="{escape(place)}">[{citation.source}] {_MARKS[citation.status]}{values}</sup>'


def _footer(response: RAGResponse) -> str:
    extractive = "sentences quoted from the sources" if response.answered else "no language model was asked"
    parts = [response.model or extractive]
    if response.tokens_used is not None:
        parts.append(f"{response.tokens_used} tokens")
    if response.truncated:
        parts.append("cut off at the token limit")
    parts.extend(f"{name} {seconds:.2f} s" for name, seconds in response.timings.items())
    return " · ".join(parts)


def _restored(values: dict[str, Any]) -> RAGResponse:
    return RAGResponse(**values)
