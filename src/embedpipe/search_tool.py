"""A search as a tool that an agent calls: its arguments for the model, and its results as numbered sources.

`embedpipe.langchain` and `embedpipe.llama_index` make tools of their frameworks of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field, create_model

from embedpipe._checks import checked_count, checked_kind, checked_text
from embedpipe._threads import in_thread
from embedpipe.retrieval.context import ContextSettings, Passage, build_context
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Condition, Filter
from embedpipe.storage.filters import And, parse_filter
from embedpipe.storage.metadata import MetadataDescription, coerced
from embedpipe.text import token_counter
from embedpipe.types import SearchResult

NOTHING_FOUND = "Nothing was found. Try other words, or fewer conditions."

_WHEN = (
    "Search the user's documents by meaning and by words. Use it before you answer a question on their content. Ask "
    "one question at a time, in full words. The results are numbered sources: cite them as [1]."
)
_HOW_TO_FILTER = (
    "Conditions on metadata, only where the question asks for them. Write {key: value}, or {key: {operator: value}} "
    "with $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $like, $contains (of a list) or $exists. Join conditions with "
    '{"$and": [...]} or {"$or": [...]}. Dates are strings such as "2024-05-01". Keys:'
)
_MOST_KEYS = 30
_LONGEST_SUMMARY = 200


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a search tool returns.

    Attributes:
        text: The sources, numbered from 1, for the model. It is also `str(answer)`.
        sources: The same for a program, in the same order: `number`, `id`, `document_id`, `title`, `start_index`,
            `end_index`, `score`, `text` and `metadata` of each. Plain values, so that they can be stored and sent.
    """

    text: str
    sources: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text


class SearchTool:
    """A search of a service, as an agent's tool."""

    def __init__(
        self,
        service: SemanticSearchService,
        *,
        description: MetadataDescription | None = None,
        about: str | None = None,
        k: int = 5,
        max_tokens: int = 2000,
        filter: Condition = None,
    ) -> None:
        """Set up a tool.

        Args:
            service: The search service.
            description: What `service.describe_metadata()` returned. With it, the model can filter. Without it, the
                tool takes a question alone.
            about: What the documents are about, for the model.
            k: How many chunks a call searches for.
            max_tokens: The most tokens of the sources of a call, counted as cl100k_base.
            filter: A condition that holds for every call, whatever the model writes.

        Raises:
            InputError: If an argument is of another type, or out of its range.
        """
        self._service = checked_kind("service", service, SemanticSearchService)
        self._description = description
        self._k = checked_count("k", k)
        self._context = ContextSettings(max_tokens=checked_count("max_tokens", max_tokens))
        self._always = parse_filter(filter)
        about = "" if about is None else f" The documents: {checked_text('about', about)}"
        self.instructions = _WHEN + about

    @property
    def arguments(self) -> type[BaseModel]:
        """Return the arguments of a call, as a pydantic model."""
        query = (str, Field(description="The question, or the words to search for."))
        if self._description is None:
            return create_model("SearchArguments", query=query)
        keys = [f"{key.name}: {key.summary[:_LONGEST_SUMMARY]}" for key in self._description.keys[:_MOST_KEYS]]
        told = "\n- ".join([_HOW_TO_FILTER, *keys])
        conditions: Any = (dict[str, Any] | None, Field(default=None, description=told))
        return create_model("SearchArguments", query=query, filter=conditions)

    def search(self, query: str, filter: Mapping[str, Any] | None = None) -> ToolAnswer:
        """Search, and return the best chunks as sources. Chunks that touch are one source.

        Args:
            query: The question.
            filter: Conditions on metadata, as a model writes them.

        Raises:
            InputError: If the query is empty, the filter is not valid, or no chunk has one of its keys.
            EmbedPipeError: Any error of the service's `search`.
        """
        return self._answer(self._service.search(query, self._k, filter=self._condition(filter)))

    async def asearch(self, query: str, filter: Mapping[str, Any] | None = None) -> ToolAnswer:
        """Do the same as `search`, on the running event loop."""
        results = await self._service.asearch(query, self._k, filter=self._condition(filter))
        return await in_thread(self._answer, results)

    def _condition(self, written: Mapping[str, Any] | None) -> Filter | None:
        condition = parse_filter(written) if self._description is None else coerced(written, self._description)
        parts = tuple(part for part in (self._always, condition) if part is not None)
        return And(parts) if parts else None

    def _answer(self, results: list[SearchResult]) -> ToolAnswer:
        passages, _ = build_context(results, self._context, token_counter("cl100k_base"))
        texts = [_shown(number, passage) for number, passage in enumerate(passages, 1)]
        sources = [_source(number, passage) for number, passage in enumerate(passages, 1)]
        return ToolAnswer("\n\n".join(texts) or NOTHING_FOUND, sources)


def _shown(number: int, passage: Passage) -> str:
    return f"[{number}] {passage.title}\n{passage.headed_text}"


def _source(number: int, passage: Passage) -> dict[str, Any]:
    return {
        "number": number,
        "id": passage.results[0].id,
        "document_id": passage.document_id,
        "title": passage.title,
        "start_index": passage.start_index,
        "end_index": passage.end_index,
        "score": passage.score,
        "text": passage.text,
        "metadata": dict(passage.metadata),
    }
