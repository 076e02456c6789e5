"""The commands. What is heavy to import is imported where it is needed, so that `--help` comes at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from embedpipe.cli.database import db
from embedpipe.cli.options import DEFAULT_MODEL, Collection, DatabaseUrl, Json, Model, Yes
from embedpipe.cli.serving import serve

if TYPE_CHECKING:
    from embedpipe.service import SemanticSearchService

app = typer.Typer(
    help="Text in, cited passages out: chunk, embed, store in pgvector, search and answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(db, name="db")
app.command()(serve)

Number = Annotated[int, typer.Option("-k", min=1, help="How many hits.")]
Mode = Literal["hybrid", "dense", "lexical"]
Filter = Annotated[
    str | None, typer.Option(help='Conditions on metadata in JSON, such as \'{"year": {"$gte": 2020}}\'.')
]
Threshold = Annotated[float | None, typer.Option(help="The least dense similarity of a hit.")]

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
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders to be searched for files.")],
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents that are not among these files.")] = False,
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Store text, Markdown, source code, PDF, Word and HTML; what is unchanged is not embedded again."""
    from embedpipe.cli.ingesting import ingest_files

    with _opened(model, database, collection) as service:
        complete = ingest_files(service, paths, prune=prune, as_json=as_json)
    raise typer.Exit(0 if complete else 1)


@app.command()
def delete(
    documents: Annotated[list[str] | None, typer.Argument(help="Files or ids of documents.")] = None,
    filter: Filter = None,
    collection: Collection = "default",
    yes: Yes = False,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Remove documents, or what meets a condition."""
    from embedpipe.cli.administration import delete_documents
    from embedpipe.cli.commands import parsed_filter

    delete_documents(database, collection, documents, parsed_filter(filter), yes=yes, as_json=as_json)


@app.command()
def reembed(
    model: Annotated[str, typer.Argument(help="The new embedding model: a name, a folder, or provider:name.")],
    drop: Annotated[bool, typer.Option("--drop", help="Then remove the former models' vectors.")] = False,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Change a collection's model, while others go on with the former one; run again, it goes on where it was."""
    from embedpipe.cli.reembedding import reembed_collection

    reembed_collection(database, collection, model, drop=drop, as_json=as_json)


@app.command("import")
def import_(
    kind: Annotated[
        Literal["langchain", "langchain-table", "llama-index"],
        typer.Argument(help="PGVector's collection, PGVectorStore's table, or LlamaIndex's."),
    ],
    name: Annotated[str, typer.Argument(help="The collection's or table's name, as its own library takes it.")],
    model: Model,
    schema: Annotated[str, typer.Option(help="The database schema that it lies in.")] = "public",
    source: Annotated[str | None, typer.Option("--from", help="Its database, where it is another one.")] = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Take over what LangChain or LlamaIndex stored, with its vectors; --model is what it was embedded with."""
    from embedpipe.cli.importing import import_stored

    complete = import_stored(
        kind, name, model=model, schema=schema, source=source, collection=collection, url=database, as_json=as_json
    )
    raise typer.Exit(0 if complete else 1)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder, for chunks.parquet and documents.parquet.")],
    vectors: Annotated[
        Literal["float32", "int8"], typer.Option(help="int8 takes a quarter, and is half a step off at most.")
    ] = "float32",
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Write a collection's documents, chunks, vectors and metadata to Parquet files."""
    from embedpipe.cli.exporting import export as write

    write(database, collection, folder, vectors=vectors, as_json=as_json)


@app.command()
def doctor(database: DatabaseUrl = None, as_json: Json = False) -> None:
    """See whether the database is whole and its indexes serve the searches; ends with 1 where something is wrong."""
    from embedpipe.cli.administration import examine

    raise typer.Exit(0 if examine(database, as_json=as_json) else 1)


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
