"""Build the passages that a language model reads from search results: merged, within a token budget, ordered."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, Protocol

from embedpipe._checks import MOST_COUNT, Bounds, check_fields, checked_items, checked_kind
from embedpipe.errors import ConfigurationError
from embedpipe.retrieval.neighbors import check_neighbors
from embedpipe.text import PAGE_BREAK, Snippet, best_snippet
from embedpipe.types import LOCATIONS, Metadata, Parent, SearchResult, title_of

_MAX_GAP = 8
_LOG = logging.getLogger(__name__)


class CountsTokens(Protocol):
    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage of one document: one hit, or several that touch or overlap.

    Attributes:
        text: `document[start_index:start_index + len(text)]`, except for the gaps.
        start_index: The passage's place in its document, in characters.
        results: The hits, in the order of the document.
        gaps: (start, end) within `text` of white space between two chunks. The document has white space of the same
            length there, perhaps of another kind.
    """

    text: str
    start_index: int
    results: tuple[SearchResult, ...]
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def headed_text(self) -> str:
        """Return the text as a model reads it: below the header of the first chunk, as the columns of its table."""
        header = self.results[0].chunk.header
        return self.text if header is None else f"{header}\n{self.text}"

    @property
    def end_index(self) -> int:
        return self.results[0].chunk.end_index if self.cleaned else self.start_index + len(self.text)

    @property
    def cleaned(self) -> bool:
        """Return whether the text was cleaned before it was stored. Its offsets are then not those of the document."""
        chunk = self.results[0].chunk
        return len(self.results) == 1 and chunk.end_index - chunk.start_index != len(chunk.text)

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return the place of `text[start:end]` in the document. For cleaned text, return that of the whole passage."""
        if self.cleaned:
            return self.start_index, self.end_index
        return self.start_index + start, self.start_index + end

    def metadata_at(self, start: int) -> Metadata:
        """Return the metadata of the last chunk that begins at or before `text[start]`, with its location there."""
        starts = [result.chunk.start_index - self.start_index for result in self.results]
        position = max(bisect_right(starts, start) - 1, 0)
        chunk = self.results[position].chunk
        within = [] if self.cleaned or chunk.payload is None else chunk.payload.get(LOCATIONS, [])
        metadata = _at_location(chunk.metadata, within, self.start_index + start)
        if "page_end" not in metadata:
            return metadata
        before = self.text[max(starts[position], 0) : start].lstrip()
        turned = before.count(PAGE_BREAK)
        labels = () if not turned or within else ("page_label",)  # of the chunk's first page
        known = {key: value for key, value in metadata.items() if key not in ("page_end", *labels)}
        return known | {"page": known["page"] + turned}

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """Return (start, end) within `text` of each part between the gaps."""
        cuts = [0, *(edge for gap in self.gaps for edge in gap), len(self.text)]
        return list(zip(cuts[0::2], cuts[1::2], strict=True))

    @property
    def document_id(self) -> str | None:
        return self.results[0].document_id

    @property
    def metadata(self) -> Metadata:
        """Return the metadata of the best result. Between equal scores, a hit comes before its neighbors."""
        return max(self.results, key=lambda result: (result.score, not result.surrounds)).metadata

    @property
    def score(self) -> float:
        return max(result.score for result in self.results)

    @property
    def title(self) -> str:
        """Return the title of its document, else that of its best result. See `SearchResult.title`."""
        return title_of(self.metadata, self.document_id or self.results[0].id)

    def snippet(self, max_characters: int = 240) -> Snippet:
        """Return the part of the passage that fits the query best. See `SearchResult.snippet`."""
        return best_snippet(
            self.text,
            self.results[0].query or "",
            max_characters,
            start_index=self.start_index,
            end_index=self.end_index,
        )


def _at_location(metadata: Metadata, within: Sequence[tuple[int, Metadata]], offset: int) -> Metadata:
    """Return a chunk's metadata with those of the location at an offset in its document.

    Args:
        metadata: The chunk's, which say where it begins, and where it ends as in `row_end`.
        within: The further locations in the chunk. See `LOCATIONS`.
        offset: The offset.
    """
    if not within:
        return metadata
    place = bisect_right(within, offset, key=itemgetter(0)) - 1
    changes = within[place][1] if place >= 0 else {}
    gone = {f"{key}_end" for _, changed in within for key in changed}
    gone.update(key for key, value in changes.items() if value is None)
    return {key: value for key, value in {**metadata, **changes}.items() if key not in gone}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """How search results become context.

    Attributes:
        window: How many neighbors before and after each hit to add. The hits come first in the token budget.
        parent: Add all chunks of each hit's "section" (those under the same headings, see `MarkdownChunker`) or
            "document" instead of a window.
        max_tokens: The token budget of all passages. None means no limit.
        merge: Whether to join chunks of one document that touch or overlap.
        order: "score" puts the best passage first. "edges" puts the best ones first and last and the weakest in the
            middle, which models read least (Liu et al. 2023, "Lost in the Middle").
    """

    window: int = 0
    parent: Parent | None = None
    max_tokens: int | None = 4000
    merge: bool = True
    order: Literal["score", "edges"] = "score"

    def __post_init__(self) -> None:
        check_fields(self, {"window": Bounds(0, MOST_COUNT)})
        check_neighbors(self.window, self.parent)


def build_context(
    results: Sequence[SearchResult], settings: ContextSettings, counter: CountsTokens | None = None
) -> tuple[list[Passage], list[SearchResult]]:
    """Build the passages of a context.

    A result that does not fit the token budget is left out, and a smaller one after it may still fit. A result that
    repeats a better one word for word is left out, too.

    Args:
        results: The results, best first.
        settings: How results become context.
        counter: Counts tokens. Required if `settings.max_tokens` is set.

    Returns:
        The passages in reading order, and the results left out.

    Raises:
        ConfigurationError: If no result fits the budget, or if there is a budget and no counter.
    """
    checked_kind("settings", settings, ContextSettings, error=ConfigurationError)
    results = checked_items("results", results, SearchResult)
    distinct, repeated = _without_repetitions(results)
    kept, left_out = _within_budget(distinct, settings.max_tokens, counter)
    passages = _merged(kept) if settings.merge else [_single(result) for result in kept]
    passages.sort(key=lambda passage: -passage.score)
    return (_edges(passages) if settings.order == "edges" else passages), [*left_out, *repeated]


def _without_repetitions(results: Sequence[SearchResult]) -> tuple[list[SearchResult], list[SearchResult]]:
    first = {result.text: result for result in reversed(results)}
    distinct = [result for result in results if first[result.text] is result]
    return distinct, [result for result in results if first[result.text] is not result]


def _within_budget(
    results: Sequence[SearchResult], budget: int | None, counter: CountsTokens | None
) -> tuple[list[SearchResult], list[SearchResult]]:
    if budget is None or not results:
        return list(results), []
    if counter is None:
        raise ConfigurationError("`max_tokens` needs a token counter. Pass one, or max_tokens=None.")
    counts = counter.count_many([result.chunk.embedded_text for result in results])
    kept: list[SearchResult] = []
    left_out: list[SearchResult] = []
    for result, count in zip(results, counts, strict=True):
        if count <= budget:
            kept.append(result)
            budget -= count
        else:
            left_out.append(result)
    if not kept:
        raise ConfigurationError(
            f"No result fits the context: the smallest has {min(counts)} tokens, and max_tokens is {budget}. "
            "Raise max_tokens, or ingest with smaller chunks."
        )
    if left_out:
        _LOG.info(
            "%d of %d results do not fit the token budget of the context and are left out", len(left_out), len(results)
        )
    return kept, left_out


def _single(result: SearchResult) -> Passage:
    return Passage(text=result.text, start_index=result.chunk.start_index, results=(result,))


def _merged(results: Sequence[SearchResult]) -> list[Passage]:
    passages: list[Passage] = []
    by_place = sorted(results, key=lambda r: (r.document_id or "", r.chunk.start_index, r.chunk.end_index))
    for result in by_place:
        joined = _join(passages[-1], result) if passages else None
        if joined is None:
            passages.append(_single(result))
        else:
            passages[-1] = joined
    return passages


def _join(passage: Passage, result: SearchResult) -> Passage | None:
    """Join the two. Return None if they may not be side by side in one text."""
    chunk, last = result.chunk, passage.results[-1].chunk
    if result.document_id is None or result.document_id != passage.document_id:
        return None
    if passage.cleaned or _single(result).cleaned:
        return None
    gap = chunk.start_index - passage.end_index
    results = (*passage.results, result)
    if gap >= 0 and chunk.chunk_index != last.chunk_index + 1:
        return None  # not known to be neighbors: each page of a document may count from 0
    if gap > 0:
        if gap > _MAX_GAP:
            return None
        filler = " " if gap == 1 else "\n" * gap
        gaps = (*passage.gaps, (len(passage.text), len(passage.text) + gap))
        return Passage(
            text=passage.text + filler + chunk.text, start_index=passage.start_index, results=results, gaps=gaps
        )
    offset = chunk.start_index - passage.start_index
    shared = passage.text[offset : offset + len(chunk.text)]
    if not chunk.text.startswith(shared):
        return None
    return Passage(
        text=passage.text + chunk.text[len(shared) :],
        start_index=passage.start_index,
        results=results,
        gaps=passage.gaps,
    )


def _edges(passages: Sequence[Passage]) -> list[Passage]:
    return [*passages[0::2], *reversed(passages[1::2])]
