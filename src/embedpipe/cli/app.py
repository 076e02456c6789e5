"""The commands. What is heavy to import is imported where it is needed, so that `--help` comes at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

if TYPE_CHECKING:
    from embedpipe.service import SemanticSearchService

app = typer.Typer(
    help="Text in, cited passages out: chunk, embed, store in pgvector, search and answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The database and the embedded server.", no_args_is_help=True)
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
Mode = Literal["hybrid", "dense", "lexical"]
Filter = Annotated[
    str | None, typer.Option(help='Conditions on metadata in JSON, such as \'{"year": {"$gte": 2020}}\'.')
]
Threshold = Annotated[float | None, typer.Option(help="The least dense similarity of a hit.")]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
_BATCH_CHARACTERS = 50_000  # small, so that the bar moves


@contextmanager
def _opened(
    model: str, database: str | None, collection: str, *, must_exist: bool = False
) -> Iterator[SemanticSearchService]:
    from embedpipe.cli.commands import check_exists
    from embedpipe.service import SemanticSearchService

    service = SemanticSearchService(model, database=database, collection=collection)
    service.settings = replace(service.settings, batch_characters=_BATCH_CHARACTERS)
    try:
        if must_exist:
            check_exists(collection, service.store.database)
        yield service
    finally:
        service.close()


@app.command()
def demo(database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Ingest Python's own reference documentation, and ask it some questions."""
    from embedpipe.cli.demo import COLLECTION, python_reference, run_demo

    with _opened(DEFAULT_MODEL, database, COLLECTION) as service:
        run_demo(service, python_reference(), as_json=as_json)


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

    with _opened(model, database, collection) as service:
        complete = ingest_files(service, paths, as_json=as_json)
    raise typer.Exit(0 if complete else 1)


@app.command()
def search(
    query: str,
    k: Number = 5,
    mode: Mode = "hybrid",
    filter: Filter = None,
    threshold: Threshold = None,
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Find passages, with the scores and ranks of both legs and their place in the document."""
    from embedpipe.cli.commands import parsed_filter
    from embedpipe.cli.render import console, hits_table, result_json, write_json

    with _opened(model, database, collection, must_exist=True) as service:
        results = service.search(query, k, mode=mode, filter=parsed_filter(filter), threshold=threshold)
    if as_json:
        write_json({"query": query, "results": [result_json(result) for result in results]})
    elif results:
        console.print(hits_table(results))
    else:
        console.print("nothing found")


@app.command()
def ask(
    question: str,
    k: Number = 5,
    mode: Mode = "hybrid",
    filter: Filter = None,
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
    from embedpipe.cli.commands import answer, parsed_filter
    from embedpipe.rag import OpenAIChat, RAGPipeline

    if llm is None and llm_url is not None:
        raise typer.BadParameter("--llm-url needs --llm, the name of the model there.")
    chat = OpenAIChat(llm, base_url=llm_url) if llm else None
    with _opened(model, database, collection, must_exist=True) as service:
        rag = RAGPipeline(service, chat, k=k)
        answer(rag, question, as_json=as_json, mode=mode, filter=parsed_filter(filter), threshold=threshold)


@app.command()
def evaluate(
    path: Annotated[
        Path,
        typer.Argument(help="A BEIR folder, one with corpora/ and questions.csv, or a CSV with query,document_id."),
    ],
    mode: Annotated[Mode | None, typer.Option(help="Only this one; without it all, side by side.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first queries.")] = None,
    save: Annotated[Path | None, typer.Option(help="Where the runs are written, for a later --against.")] = None,
    against: Annotated[Path | None, typer.Option(help="Runs saved before, to compare with.")] = None,
    model: Model = DEFAULT_MODEL,
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="A BEIR set has its own.")] = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Measure search on labelled questions: modes side by side, with significance."""
    from embedpipe.cli.evaluating import default_collection, evaluate_modes, load_set

    dataset = load_set(path, limit)
    with _opened(model, database, collection or default_collection(dataset)) as service:
        evaluate_modes(
            service, dataset, modes=[mode] if mode else get_args(Mode), save=save, against=against, as_json=as_json
        )


@app.command()
def models(as_json: Json = False) -> None:
    """The embedding models that are known by name."""
    from embedpipe.cli.render import console, models_table, write_json
    from embedpipe.embedding.catalogue import CATALOGUE

    rows = [asdict(model) for model in CATALOGUE]
    if as_json:
        write_json(rows)
    else:
        console.print(models_table(rows))


@db.command("collections")
def db_collections(database: DatabaseUrl = None, as_json: Json = False) -> None:
    """The collections of the database, with their models and sizes."""
    from embedpipe.cli.render import collections_table, console, write_json
    from embedpipe.storage import Database

    opened = Database(database)
    rows = [asdict(info) for info in opened.collections()]
    opened.close()
    if as_json:
        write_json(rows)
    elif rows:
        console.print(collections_table(rows))
    else:
        console.print("no collections yet")


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
