"""The data that travels between the stages, and the protocol of each stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from embedpipe._checks import check_fields
from embedpipe.text import Snippet, best_snippet

Metadata: TypeAlias = Mapping[str, Any]
"""Values that JSON has: str, int, finite float, bool, None, lists and dicts of those."""

Vectors: TypeAlias = npt.NDArray[np.float32]
"""(n, d) float32, one row for each text; or (d,) for one text."""

Kind: TypeAlias = Literal["document", "query"]
SearchMode: TypeAlias = Literal["dense", "lexical", "hybrid"]
Parent: TypeAlias = Literal["section", "document"]


class Location(NamedTuple):
    """Where a part of a document's text comes from: a page, a slide, a sheet and row.

    Every chunk that begins at offset `start` or behind it gets `metadata`, up to the next location. A chunk that goes
    on into further locations also gets the last value of each whole number, as in `row_end`.
    """

    start: int
    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text to be ingested. Its id must stay the same from one ingest to the next.

    Args:
        id: The id.
        text: The text.
        metadata: Values that every chunk of the document gets.
        locations: Values that some of its chunks get, by the offset where they begin to hold, in order. Offsets count
            code points. Without locations, form feeds in the text divide it into pages.
    """

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict)
    locations: Sequence[Location] = ()


class ChunkedText(NamedTuple):
    """A document's text, and the (start, end) of its chunks in code points, for a model that embeds them together."""

    text: str
    spans: Sequence[tuple[int, int]]


TABLE_HEADER = "table_header"
"""The metadata key of a framework's document that holds the header row of the table that its text goes on with."""


LOCATIONS = "locations"
"""The key of a chunk's payload that lists the locations within the chunk, each as [offset in the text, metadata]."""


class Chunk(NamedTuple):
    """A span of a text. A stored chunk has an id, too.

    `text` is `source[start_index:end_index]` in code points. `payload` is a framework's own record of the chunk, which
    the core stores and returns untouched, or lists the locations within the chunk. `header` is embedded and indexed
    before the text: the document's title and headings, and the header row of the table whose rows the text holds. It is
    a tuple, since chunks are made by the million.
    """

    text: str
    start_index: int
    end_index: int
    chunk_index: int
    metadata: Metadata
    document_id: str | None = None
    id: str | None = None
    payload: Metadata | None = None
    header: str | None = None

    @property
    def embedded_text(self) -> str:
        """Return the text that is embedded, indexed and reranked: the header, if any, on a line before the text."""
        return self.text if self.header is None else f"{self.header}\n{self.text}"

    @classmethod
    def whole(
        cls, text: str, *, id: str | None = None, document_id: str | None = None, metadata: Metadata | None = None
    ) -> Chunk:
        """Make one chunk of the whole text."""
        return cls(text, 0, len(text), 0, {} if metadata is None else metadata, document_id, id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """A stored chunk that a search found, with its scores. For every score, higher is better.

    Args:
        chunk: The chunk.
        score: The score that the results are ordered by.
        similarity: The cosine of query and chunk.
        lexical_score: The BM25 score, zero if no query term occurs.
        dense_rank: The place in the search by meaning, from 1. None if it did not find the chunk.
        lexical_rank: The place in the search by words, from 1. None if it did not find the chunk.
        dense_weight: The weight that a hybrid search gave the similarity, 0 to 1. The BM25 score had the rest.
        phrase_boost: What quoted phrases that the chunk holds add to its score. None if the query has none, and in
            lexical searches, which require them.
        neighbor_boost: What its neighbors in its document add to its score. None unless `Fusion(neighbor_weight=)` is
            set.
        recency_boost: What its date adds to its score. None unless `Fusion(recency=)` is set.
        age_days: Its age in days by that date. None if it has none that can be read, and without `Fusion(recency=)`.
        undated: How many of the candidates have no such date. None unless `Fusion(recency=)` is set.
        rerank_score: The reranker's score.
        vector: The chunk's vector, (d,) float32, if the search was asked for it.
        query: The words that were searched for, without exclusions and operators. None if the chunk was found by
            another chunk or a vector alone.
    """

    chunk: Chunk
    score: float
    similarity: float | None = None
    lexical_score: float | None = None
    dense_rank: int | None = None
    lexical_rank: int | None = None
    dense_weight: float | None = None
    phrase_boost: float | None = None
    neighbor_boost: float | None = None
    recency_boost: float | None = None
    age_days: float | None = None
    undated: int | None = None
    rerank_score: float | None = None
    vector: Vectors | None = field(default=None, repr=False, compare=False)
    query: str | None = field(default=None, repr=False, compare=False)

    @property
    def id(self) -> str:
        assert self.chunk.id is not None  # noqa: S101 - a stored chunk has one
        return self.chunk.id

    @property
    def text(self) -> str:
        return self.chunk.text

    @property
    def document_id(self) -> str | None:
        return self.chunk.document_id

    @property
    def metadata(self) -> Metadata:
        return self.chunk.metadata

    @property
    def start_index(self) -> int:
        """Return the start of the chunk in its document, in code points."""
        return self.chunk.start_index

    @property
    def end_index(self) -> int:
        """Return the end of the chunk in its document, in code points."""
        return self.chunk.end_index

    @property
    def title(self) -> str:
        """Return the document's title, else the headings above the chunk, else the name of the file, else the id."""
        return title_of(self.metadata, self.document_id or self.id)

    def snippet(self, max_characters: int = 240) -> Snippet:
        """Return the passage of the chunk that fits the query best, and the words in it that match.

        The passage is made of whole sentences, as a person reads them. It is found by words alone, and no model is
        asked. Words match that are equal but for case and accents, or that begin alike. Without a query, it is the
        beginning of the chunk.

        Args:
            max_characters: The greatest length of the passage in code points.

        Returns:
            The passage, with its places in the document.

        Raises:
            InputError: If `max_characters` is less than 1 or not an integer.
        """
        return best_snippet(
            self.text, self.query or "", max_characters, start_index=self.start_index, end_index=self.end_index
        )

    @property
    def surrounds(self) -> bool:
        """Return whether no search found the chunk: it is a neighbor of one that a search found."""
        return self.similarity is None and self.lexical_score is None and self.rerank_score is None

    def explain(self) -> str:
        """Explain the score: the chunk and its snippet, then a line for each search or reranker that rated it."""
        place = f"{self.document_id or self.id} [{self.start_index}:{self.end_index}]"
        lines = [f"{self.score:.4f}  {place}", f"  “{self.snippet(_EXPLAINED)}”"]
        if self.similarity is not None:
            lines.append(f"  by meaning: similarity {self.similarity:.4f}, {_rank(self.dense_rank)}")
        if self.lexical_score is not None:
            lines.append(f"  by words: BM25 {self.lexical_score:.4f}, {_rank(self.lexical_rank)}")
        if self.dense_weight is not None:
            lines.append(f"  fused: {self.dense_weight:.2f} by meaning, {1 - self.dense_weight:.2f} by words")
        if self.phrase_boost is not None:
            lines.append(f"  by quoted phrases: {self.phrase_boost:+.4f}")
        if self.neighbor_boost is not None:
            lines.append(f"  by its neighbors in the document: {self.neighbor_boost:+.4f}")
        if self.recency_boost is not None:
            age = "no date" if self.age_days is None else f"{self.age_days:.1f} days old"
            lines.append(f"  by its date: {self.recency_boost:+.4f}, {age}; candidates without a date: {self.undated}")
        if self.rerank_score is not None:
            lines.append(f"  by the reranker: {self.rerank_score:.4f}")
        return "\n".join(lines)


def title_of(metadata: Metadata, otherwise: str) -> str:
    """Return the title of a passage: its document's, else its headings, else its file's name.

    Args:
        metadata: The metadata of its chunk.
        otherwise: An id. Its last part is the title if the metadata have none.
    """
    headings = metadata.get("heading_path")
    path = " › ".join(map(str, headings)) if isinstance(headings, list | tuple) else metadata.get("heading")
    for found in (metadata.get("title"), path, metadata.get("name")):
        if isinstance(found, str) and found.strip():
            return " ".join(found.split())
    return otherwise.rstrip("/").rpartition("/")[2] or otherwise


_EXPLAINED = 120
"""The characters of the snippet in an explanation."""


def _rank(rank: int | None) -> str:
    return "not among its candidates" if rank is None else f"rank {rank}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The identity of an embedding model, which two vectors must share to be comparable, and its limit.

    `revision` distinguishes two sets of weights of one name. `max_tokens` is None if the model has no limit.
    `compression` names the compressor that made its vectors shorter. `aliases` are names of the same published model in
    other packages. They are not recorded.

    Raises:
        ConfigurationError: If a field is of another type, or out of its range.
    """

    name: str
    dimensions: int
    max_tokens: int | None = None
    revision: str = ""
    query_prompt: str = ""
    document_prompt: str = ""
    normalized: bool = True
    compression: str = ""
    aliases: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits over every field that changes a vector."""
        fields = {key: value for key, value in self.record().items() if key != "max_tokens"}
        if not self.compression:
            del fields["compression"]  # fingerprints stay those of versions without the field
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]

    def record(self) -> dict[str, Any]:
        """Return the fields that are written to catalogues and files."""
        fields = asdict(self)
        del fields["aliases"]
        return fields

    def is_same(self, other: ModelSpec) -> bool:
        """Return whether vectors of both can be compared, as far as is known.

        For another package's embeddings, such as "HuggingFaceEmbeddings:owner/name", only the model's name and the
        dimensions are known. They are taken for the published model of that name.
        """
        if self.fingerprint == other.fingerprint:
            return True
        if (self.dimensions, self.compression) != (other.dimensions, other.compression):
            return False
        (package, stated), (other_package, other_stated) = self._stated(), other._stated()
        return bool(package or other_package) and (
            stated in map(str.lower, other.aliases) or other_stated in map(str.lower, self.aliases)
        )

    def _stated(self) -> tuple[str, str]:
        """Return the class of another package's embeddings, "" for a model of our own, and the model's name."""
        package, colon, name = self.name.partition(":")
        return (package, name.lower()) if colon and not self.revision else ("", self.name.lower())


@runtime_checkable
class Chunker(Protocol):
    """Cuts a text into spans.

    `repr(chunker)` names every setting that changes the chunks: a document whose text, metadata and chunker are
    unchanged is not cut again.
    """

    def chunk(self, text: str) -> list[Chunk]:
        """Return spans in order of `start_index`. Together they hold every non-space character of the text."""
        ...


@runtime_checkable
class EmbeddingModel(Protocol):
    """A backend that turns texts into vectors. It does not batch, cache or retry."""

    @property
    def spec(self) -> ModelSpec: ...

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Return (n, d) float32, one row for each text, in order."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Orders results by comparing query and texts more closely."""

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Return the same results, best first, each with its `rerank_score`."""
        ...
