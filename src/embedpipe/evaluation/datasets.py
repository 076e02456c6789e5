"""Load labelled questions: BEIR folders, your own CSV, and Chroma's questions with gold excerpts."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from embedpipe._checks import check_fields, checked_path
from embedpipe.errors import InputError
from embedpipe.types import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """Questions with the documents that answer them.

    Attributes:
        name: The set's name.
        queries: The questions by id.
        relevant: `relevant[query_id][document_id]` is a grade over 0.
        documents: The documents. Empty if the questions are for an existing collection.
    """

    name: str
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]
    documents: Sequence[Document] = ()

    def __post_init__(self) -> None:
        check_fields(self)


def load_beir(folder: Path | str, *, split: str = "test") -> EvaluationSet:
    """Load a BEIR folder.

    Queries without a grade over 0 are skipped. A document's title is put before its text, on a line of its own, and
    into its metadata.

    Args:
        folder: Holds corpus.jsonl, queries.jsonl and qrels.tsv or qrels/<split>.tsv, each plain or as `.gz`.
        split: The name of the judgements' file in qrels/.

    Raises:
        InputError: If a file is missing, or a line cannot be read. The message names both.
    """
    folder = checked_path("folder", folder)
    documents = [_beir_document(row) for row in _json_lines(_find(folder, "corpus.jsonl"))]
    relevant = _judgements(_find(folder, "qrels.tsv", f"qrels/{split}.tsv"))
    queries = {str(row["_id"]): str(row["text"]) for row in _json_lines(_find(folder, "queries.jsonl"))}
    missing = sorted(relevant.keys() - queries.keys())
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} judged queries are missing from queries.jsonl, such as {missing[0]!r}."
        )
    asked = {query_id: queries[query_id] for query_id in relevant}
    return EvaluationSet(name=folder.name, queries=asked, relevant=relevant, documents=documents)


def load_csv(path: Path | str) -> EvaluationSet:
    """Load judgements from a CSV file, for questions to an existing collection.

    Args:
        path: A CSV with the columns `query`, `document_id` and optionally `relevance`, a whole number. One row per
            judgement.

    Raises:
        InputError: If a row cannot be read. The message names the line.
    """
    path = checked_path("path", path)
    queries: dict[str, str] = {}
    relevant: dict[str, dict[str, int]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(_text(path))), 2):
        query, document_id = (row.get("query") or "").strip(), (row.get("document_id") or "").strip()
        if not query or not document_id:
            raise InputError(f"{path}, line {number}: query or document_id is empty. Fill in both.")
        queries[query] = query
        relevant.setdefault(query, {})[document_id] = _grade(row.get("relevance") or "1", f"{path}, line {number}")
    if not queries:
        raise InputError(f"{path} has no rows. Write a header with query,document_id and one row per judgement.")
    return EvaluationSet(name=path.name, queries=queries, relevant=relevant)


class Excerpt(NamedTuple):
    """A place in a document: its characters from `start` to `end`."""

    document_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcerptSet:
    """Questions with the excerpts of documents that answer them. `gold[query_id]` has the excerpts of a question."""

    name: str
    queries: Mapping[str, str]
    gold: Mapping[str, Sequence[Excerpt]]
    documents: Sequence[Document]

    def __post_init__(self) -> None:
        check_fields(self)


def load_excerpts(folder: Path | str) -> ExcerptSet:
    """Load a folder in the form of Chroma's chunking evaluation.

    Args:
        folder: Holds corpora/*.md and questions.csv.

    Raises:
        InputError: If a file is missing, or a question's references cannot be read.
    """
    folder = checked_path("folder", folder)
    documents = [
        Document(id=path.stem, text=path.read_text(encoding="utf-8"))
        for path in sorted(_existing(folder / "corpora").glob("*.md"))
    ]
    path = _find(folder, "questions.csv")
    rows = {str(number): row for number, row in enumerate(csv.DictReader(io.StringIO(_text(path))))}
    try:
        gold = {query_id: _excerpts(row) for query_id, row in rows.items()}
        queries = {query_id: row["question"] for query_id, row in rows.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read: {error!r}. It needs the columns question, references (JSON) and corpus_id."
        ) from error
    return ExcerptSet(name=folder.name, queries=queries, gold=gold, documents=documents)


def _excerpts(row: Mapping[str, str]) -> tuple[Excerpt, ...]:
    references = json.loads(row["references"])
    return tuple(Excerpt(row["corpus_id"], item["start_index"], item["end_index"]) for item in references)


def _beir_document(row: Mapping[str, Any]) -> Document:
    title, text = str(row.get("title") or ""), str(row["text"])
    whole = f"{title}\n{text}" if title else text
    return Document(id=str(row["_id"]), text=whole, metadata={"title": title} if title else {})


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    relevant: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_text(path).split("\n"), 1):
        fields = line.rstrip("\r").split("\t")
        if fields == [""] or (number == 1 and fields[-1] == "score"):
            continue
        if len(fields) != 3:
            raise InputError(
                f"{path}, line {number}: {line!r} is no judgement. Separate query-id, corpus-id and score by tabs."
            )
        grade = _grade(fields[2], f"{path}, line {number}")
        if grade > 0:
            relevant.setdefault(fields[0], {})[fields[1]] = grade
    return relevant


def _grade(value: str, where: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InputError(f"{where}: the relevance {value!r} is not a whole number.") from None


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield {"_id": row["_id"], "text": row["text"], "title": row.get("title")}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f'{path}, line {number}: {error!r}. Write one {{"_id": ..., "text": ...}} per line.'
            ) from error


def _find(folder: Path, *names: str) -> Path:
    candidates = [folder / f"{name}{ending}" for name in names for ending in ("", ".gz")]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(f"{folder} has no {' or '.join(names)}, plain or as .gz.")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return path


def _text(path: Path) -> str:
    if _existing(path).is_dir():
        raise InputError(f"{path} is a folder. Name a file.")
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
