"""The demo: search and answer questions from Python's reference documentation, which comes with Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rich.rule import Rule
from rich.text import Text

from embedpipe.cli.ingesting import ingest_with_progress, stats_json, summary
from embedpipe.cli.render import console, result_json, show_answer, show_hits, write_json
from embedpipe.errors import ConfigurationError
from embedpipe.rag import RAGPipeline
from embedpipe.types import Document

if TYPE_CHECKING:
    from embedpipe.service import SemanticSearchService

COLLECTION = "demo"
QUESTIONS = (
    "When is the finally clause executed?",
    "How does a context manager suppress an exception?",
    "How can a class make its instances callable?",
    "Which objects are considered false in a truth test?",
    "When is __getattr__ called and when __getattribute__?",
)


def python_reference() -> list[Document]:
    """Return the topics of `pydoc_data` as documents. Raise `ConfigurationError` if this Python has none."""
    try:
        topics: Mapping[str, str] = import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise ConfigurationError(
            "This Python has no reference documentation (pydoc_data). Use another one, such as python.org's."
        ) from error
    return [Document(id=name, text=text, metadata=_metadata(text)) for name, text in topics.items() if text.strip()]


def _metadata(text: str) -> dict[str, str]:
    title = text.strip().partition("\n")[0].strip()
    return {"title": title, "kind": "statement" if "statement" in title.lower() else "reference"}


def run_demo(service: SemanticSearchService, documents: Sequence[Document], *, as_json: bool) -> None:
    """Ingest the documents, then search for and answer each of `QUESTIONS`."""
    if not as_json:
        console.print(f"Python's reference documentation: {len(documents)} topics into the collection {COLLECTION!r}")
    stats = ingest_with_progress(service, documents)
    stats.raise_for_failures()
    rag = RAGPipeline(service)
    if as_json:
        write_json({"ingest": stats_json(stats), "questions": [_asked(service, rag, q) for q in QUESTIONS]})
        return
    console.print(summary(stats))
    for question in QUESTIONS:
        console.print(Rule(Text(question, style="bold"), align="left"), width=min(console.width, 80))
        show_hits(service.search(question))
        console.print()
        show_answer(rag.query(question))
    console.print("\nAsk more: embedpipe ask -c demo 'How do I …?'   Search: embedpipe search -c demo 'lambda'")


def _asked(service: SemanticSearchService, rag: RAGPipeline, question: str) -> dict[str, Any]:
    hits = [result_json(result) for result in service.search(question)]
    return {"hits": hits, "answer": rag.query(question).to_dict()}
