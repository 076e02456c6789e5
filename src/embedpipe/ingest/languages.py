"""The languages of documents, for a collection that stems each chunk by its own (`BM25(by_language=True)`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from embedpipe._checks import checked_kind
from embedpipe.text import detect_language
from embedpipe.types import Document

_KEY = "language"


def with_languages(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the documents, with `metadata["language"]` where it is missing and the text tells it.

    Ingest what this yields. It needs the extra `languages`.

    Raises:
        InputError: If one of them is of another kind.
        MissingExtraError: If the extra is not installed.
    """
    for document in documents:
        checked_kind("document", document, Document)
        language = None if _KEY in document.metadata else detect_language(document.text)
        yield document if language is None else replace(document, metadata={**document.metadata, _KEY: language})
