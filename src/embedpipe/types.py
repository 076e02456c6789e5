"""What travels between the stages, and what each stage must be able to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

Metadata: TypeAlias = Mapping[str, Any]
"""What JSON holds: str, int, finite float, bool, None, lists and dicts of those."""

Vectors: TypeAlias = npt.NDArray[np.float32]
"""(n, d) float32, one row a text; or (d,) for one."""

Kind: TypeAlias = Literal["document", "query"]
SearchMode: TypeAlias = Literal["dense", "lexical", "hybrid"]
Parent: TypeAlias = Literal["section", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text to be ingested, under an id that stays the same from one ingest to the next."""

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict)


class Chunk(NamedTuple):
    """A span of a text, and once stored its ids.

    `text` is `source[start_index:end_index]` in code points. `payload` is a framework's own record of the chunk, which
    the core stores and hands back untouched. `header` is what is put before the text where it is embedded and indexed,
    such as the document's title. A tuple, since chunks are made by the million.
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
        """What is embedded and indexed: the header, if there is one, on a line before the text."""
        return self.text if self.header is None else f"{self.header}\n{self.text}"

    @classmethod
    def whole(
        cls, text: str, *, id: str | None = None, document_id: str | None = None, metadata: Metadata | None = None
    ) -> Chunk:
        """The whole text as one chunk."""
        return cls(text, 0, len(text), 0, {} if metadata is None else metadata, document_id, id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """A stored chunk with the scores that brought it up.

    For every score higher is better. `similarity` is the cosine of query and chunk; `lexical_score` is zero where no
    query term occurs. A rank counts from 1 and is None where that leg did not bring the chunk. `score` is what the
    results are ordered by. `vector` is the chunk's own, (d,) float32, where the search was asked for it.
    """

    chunk: Chunk
    score: float
    similarity: float | None = None
    lexical_score: float | None = None
    dense_rank: int | None = None
    lexical_rank: int | None = None
    rerank_score: float | None = None
    vector: Vectors | None = field(default=None, repr=False, compare=False)

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
    def surrounds(self) -> bool:
        """Whether no search brought the chunk: it stands around one that a search brought."""
        return self.similarity is None and self.lexical_score is None and self.rerank_score is None

    def explain(self) -> str:
        """How the result came to its score: a line for the chunk, and one for each search or reranker that rated it."""
        chunk = self.chunk
        place = f"{self.document_id or self.id} [{chunk.start_index}:{chunk.end_index}]"
        lines = [f"{self.score:.4f}  {place}"]
        if self.similarity is not None:
            lines.append(f"  by meaning: similarity {self.similarity:.4f}, {_rank(self.dense_rank)}")
        if self.lexical_score is not None:
            lines.append(f"  by words: BM25 {self.lexical_score:.4f}, {_rank(self.lexical_rank)}")
        if self.rerank_score is not None:
            lines.append(f"  by the reranker: {self.rerank_score:.4f}")
        return "\n".join(lines)


def _rank(rank: int | None) -> str:
    return "not among its candidates" if rank is None else f"rank {rank}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What two embeddings must share to be comparable, and what the model takes.

    `revision` tells two sets of weights of one name apart; `max_tokens` is None where the model has no limit;
    `compression` names what has made its vectors shorter. `aliases` are the names under which other packages state the
    same published model; they are not recorded.
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

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits over every field that changes a vector."""
        fields = {key: value for key, value in self.record().items() if key != "max_tokens"}
        if not self.compression:
            del fields["compression"]  # as it was before there was one
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]

    def record(self) -> dict[str, Any]:
        """Return what is written of the model into catalogues and files."""
        fields = asdict(self)
        del fields["aliases"]
        return fields

    def is_same(self, other: ModelSpec) -> bool:
        """Whether vectors of both can be compared, as far as is known.

        Of a model that another package's embeddings state, as in "HuggingFaceEmbeddings:owner/name", only the name and
        the dimensions are known: it is the published model of that name.
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
        """Spans in order of `start_index`; together they hold every non-space character of the text."""
        ...


@runtime_checkable
class EmbeddingModel(Protocol):
    """A backend that turns texts into vectors and does nothing else."""

    @property
    def spec(self) -> ModelSpec: ...

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """(n, d) float32, one row for each text, in order."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Orders results by a closer look at query and text."""

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """The same results, best first, each with its `rerank_score`."""
        ...
