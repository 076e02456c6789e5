"""The commands. What is heavy to import is imported where it is needed, so that `--help` comes at once."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from embedpipe.service import SemanticSearchService

app = typer.Typer(
    help="Text in, cited passages out: chunk, embed, store in pgvector, search and answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The embedded PostgreSQL.", no_args_is_help=True)
app.add_typer(db, name="db")

Model = Annotated[str, typer.Option(help="The embedding model: a name, a folder, or provider:name.")]
Collection = Annotated[str, typer.Option("--collection", "-c", help="Where the chunks are stored.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="EMBEDPIPE_DATABASE_URL",
        show_envvar=True,
        help="A postgresql:// URL; the embedded PostgreSQL without one.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Number = Annotated[int, typer.Option("-k", min=1, help="How many hits.")]
Threshold = Annotated[float | None, typer.Option(help="The least dense similarity of a hit.")]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
_BATCH_CHARACTERS = 50_000  # small, so that the bar moves


class Mode(StrEnum):
    hybrid = "hybrid"
    dense = "dense"
    lexical = "lexical"


def _service(model: str, database: str | None, collection: str) -> SemanticSearchService:
    from embedpipe.service import SemanticSearchService

    service = SemanticSearchService(model, database=database, collection=collection)
    service.settings = replace(service.settings, batch_characters=_BATCH_CHARACTERS)
    return service


@app.command()
def demo(database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Ingest Python's own reference documentation, and ask it some questions."""
    from embedpipe.cli.demo import COLLECTION, run_demo

    run_demo(_service(DEFAULT_MODEL, database, COLLECTION), as_json=as_json)


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders to be searched for text files.")],
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Store text, Markdown and source code files; what is unchanged since the last time is not embedded again."""
    from embedpipe.cli.commands import ingest_files

    if not ingest_files(_service(model, database, collection), paths, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def search(
    query: str,
    k: Number = 5,
    mode: Mode = Mode.hybrid,
    threshold: Threshold = None,
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Find passages, with the scores and ranks of both legs and their place in the document."""
    from embedpipe.cli.render import console, hits_table, result_json, write_json

    service = _service(model, database, collection)
    results = service.search(query, k, mode=mode.value, threshold=threshold)
    if as_json:
        write_json({"query": query, "results": [result_json(result) for result in results]})
    elif results:
        console.print(hits_table(results))
    else:
        empty = service.store.count() == 0
        console.print(f"nothing found: the collection {collection!r} is empty" if empty else "nothing found")


@app.command()
def ask(
    question: str,
    k: Number = 5,
    mode: Mode = Mode.hybrid,
    threshold: Threshold = None,
    llm: Annotated[
        str | None, typer.Option(help="A chat model behind an OpenAI-compatible endpoint; its key is OPENAI_API_KEY.")
    ] = None,
    llm_url: Annotated[str | None, typer.Option(help="The endpoint, where it is not OpenAI's.")] = None,
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Answer a question with checked citations; without --llm, in sentences quoted from the sources."""
    from embedpipe.cli.commands import answer
    from embedpipe.rag import OpenAIChat, RAGPipeline

    if llm is None and llm_url is not None:
        raise typer.BadParameter("--llm-url needs --llm, the name of the model there.")
    chat = OpenAIChat(llm, base_url=llm_url) if llm else None
    rag = RAGPipeline(_service(model, database, collection), chat, k=k)
    answer(rag, question, as_json=as_json, mode=mode.value, threshold=threshold)


@app.command()
def evaluate(
    path: Annotated[Path, typer.Argument(help="A BEIR folder, or a CSV with query,document_id.")],
    modes: Annotated[list[Mode] | None, typer.Option("--mode", help="Repeat it for several; all without one.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first queries.")] = None,
    save: Annotated[Path | None, typer.Option(help="Where the runs are written, for a later --against.")] = None,
    against: Annotated[Path | None, typer.Option(help="Runs saved before, to compare with.")] = None,
    model: Model = DEFAULT_MODEL,
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="A BEIR set has its own.")] = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Measure search on labelled questions: modes side by side, with significance."""
    from embedpipe.cli.evaluating import evaluate_modes, load_set

    dataset = load_set(path, limit)
    service = _service(model, database, collection or (f"evaluate {dataset.name}" if dataset.documents else "default"))
    evaluate_modes(
        service, dataset, modes=[mode.value for mode in modes or Mode], save=save, against=against, as_json=as_json
    )


@app.command()
def models(as_json: Json = False) -> None:
    """The embedding models that are known by name."""
    from dataclasses import asdict

    from embedpipe.cli.render import console, models_table, write_json
    from embedpipe.embedding.catalogue import CATALOGUE

    rows = [asdict(model) for model in CATALOGUE]
    if as_json:
        write_json(rows)
    else:
        console.print(models_table(rows))


@db.command("url")
def db_url(as_json: Json = False) -> None:
    """The embedded server's URL; it is started where it does not run, and stops with its last user."""
    from embedpipe.cli.render import write_fact
    from embedpipe.storage.embedded import embedded_url

    write_fact("url", embedded_url(), as_json=as_json)


@db.command("start")
def db_start(as_json: Json = False) -> None:
    """Start the embedded server, which then runs until `db stop`, and print its URL."""
    from embedpipe.cli.render import write_fact
    from embedpipe.storage.embedded import start_embedded

    write_fact("url", start_embedded(), as_json=as_json)


@db.command("stop")
def db_stop(as_json: Json = False) -> None:
    """Stop the embedded server, whoever still uses it."""
    from embedpipe.cli.render import write_json
    from embedpipe.storage.embedded import stop_embedded

    stopped = stop_embedded()
    if as_json:
        write_json({"stopped": stopped})
    else:
        typer.echo("stopped" if stopped else "it was not running")
