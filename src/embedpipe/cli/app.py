"""The commands. What is heavy to import is imported where it is needed, so that `--help` comes at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from embedpipe.cli.database import db
from embedpipe.cli.options import DEFAULT_MODEL, Collection, DatabaseUrl, Json, Model, Yes
from embedpipe.cli.serving import serve

if TYPE_CHECKING:
    from embedpipe.embedding import EmbeddingGenerator
    from embedpipe.service import SemanticSearchService

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(db, name="db")
app.command()(serve)

Number = Annotated[int, typer.Option("-k", min=1, help="How many hits.")]
Mode = Literal["hybrid", "dense", "lexical"]
EveryMode = StrEnum("EveryMode", ["hybrid", "dense", "lexical"])  # typer takes no list of Literals
Filter = Annotated[
    str | None, typer.Option(help='Conditions on metadata in JSON, such as \'{"year": {"$gte": 2020}}\'.')
]
Threshold = Annotated[float | None, typer.Option(help="The least dense similarity of a hit.")]
Rerank = Annotated[
    str | None, typer.Option(help="A closer look at the best hits: lexical, cross-encoder:MODEL or cohere.")
]
Candidates = Annotated[int | None, typer.Option(min=1, help="How many hits --rerank looks at; 50 by default.")]


def _version(asked: bool) -> None:
    if asked:
        from embedpipe import __version__

        typer.echo(__version__)
        raise typer.Exit


_BATCH_CHARACTERS = 50_000  # small, so that the bar moves


@app.callback()
def embedpipe(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Print it.")] = False,
) -> None:
    """Text in, cited passages out: chunk, embed, store in pgvector, search and answer."""


def _check_candidates(candidates: int | None, rerank: str | None, k: int) -> None:
    if candidates is None:
        return
    if rerank is None:
        raise typer.BadParameter("--candidates is what --rerank looks at, and needs it.")
    if candidates < k:
        raise typer.BadParameter(
            f"--candidates expected at least -k ({k}), as the hits come from them; got {candidates}."
        )


@contextmanager
def _opened(
    model: str | EmbeddingGenerator,
    database: str | None,
    collection: str,
    *,
    must_exist: bool = False,
    rerank: str | None = None,
    **settings: Any,
) -> Iterator[SemanticSearchService]:
    from embedpipe.cli.choices import reranker_named
    from embedpipe.cli.commands import check_exists
    from embedpipe.service import SemanticSearchService

    reranker = None if rerank is None else reranker_named(rerank)
    service = SemanticSearchService(model, database=database, collection=collection, reranker=reranker, **settings)
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
    chunker: Annotated[
        str, typer.Option(help="recursive, markdown, sentence, paragraph, tokens, semantic, or none: one a document.")
    ] = "recursive",
    chunk_size: Annotated[
        str | None, typer.Option(metavar="NUMBER|model", help="Characters (tokens: tokens), or the model's limit.")
    ] = None,
    chunk_overlap: Annotated[
        int | None, typer.Option(min=0, help="Characters, tokens, sentences or paragraphs, by the chunker.")
    ] = None,
    headers: Annotated[
        bool, typer.Option("--headers", help="Embed and index each chunk under its title and headings.")
    ] = False,
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Store text, Markdown, source code, PDF, Word and HTML; what is unchanged is not embedded again."""
    from embedpipe.cli.choices import chunker_named
    from embedpipe.cli.ingesting import ingest_files
    from embedpipe.embedding import EmbeddingGenerator

    generator = EmbeddingGenerator(model)
    cut = chunker_named(chunker, generator, size=chunk_size, overlap=chunk_overlap)
    with _opened(generator, database, collection, chunker=cut, headers=headers) as service:
        complete = ingest_files(service, paths, prune=prune, as_json=as_json)
    raise typer.Exit(0 if complete else 1)


@app.command()
def delete(
    documents: Annotated[list[str] | None, typer.Argument(help="Files, folders, or ids of documents.")] = None,
    filter: Filter = None,
    collection: Collection = "default",
    yes: Yes = False,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Remove documents, or what meets a condition."""
    from embedpipe.cli.administration import delete_documents
    from embedpipe.cli.commands import parsed_filter

    complete = delete_documents(database, collection, documents, parsed_filter(filter), yes=yes, as_json=as_json)
    raise typer.Exit(0 if complete else 1)


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
    rerank: Rerank = None,
    candidates: Candidates = None,
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Find passages, with the scores and ranks of both legs and their place in the document."""
    from embedpipe.cli.commands import parsed_filter
    from embedpipe.cli.render import console, hits_table, result_json, write_json

    _check_candidates(candidates, rerank, k)
    condition = parsed_filter(filter)
    with _opened(model, database, collection, must_exist=True, rerank=rerank) as service:
        results = service.search(query, k, mode=mode, filter=condition, threshold=threshold, candidates=candidates)
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
    rerank: Rerank = None,
    candidates: Candidates = None,
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
    _check_candidates(candidates, rerank, k)
    chat = OpenAIChat(llm, base_url=llm_url) if llm else None
    settings = {"mode": mode, "filter": parsed_filter(filter), "threshold": threshold}
    with _opened(model, database, collection, must_exist=True, rerank=rerank) as service:
        rag = RAGPipeline(service, chat, k=k)
        answer(rag, question, as_json=as_json, candidates=candidates, **settings)


@app.command()
def evaluate(
    path: Annotated[
        Path,
        typer.Argument(help="A BEIR folder, one with corpora/ and questions.csv, or a CSV with query,document_id."),
    ],
    mode: Annotated[list[EveryMode] | None, typer.Option(help="May be repeated; without it all, side by side.")] = None,
    rerank: Annotated[
        list[str] | None, typer.Option(help="A reranker, as of search, beside none; may be repeated.")
    ] = None,
    chunker: Annotated[
        list[str] | None,
        typer.Option(help="NAME[:SIZE[:OVERLAP]], as of ingest; may be repeated. Each has a collection for the while."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first queries.")] = None,
    save: Annotated[Path | None, typer.Option(help="Where the runs are written, for a later --against.")] = None,
    against: Annotated[Path | None, typer.Option(help="Runs saved before, to compare with.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help=f"May be repeated, where --chunker says how to cut; {DEFAULT_MODEL}.")
    ] = None,
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="A BEIR set has its own.")] = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Measure search on labelled questions: chunkers, models, modes and rerankers side by side, with significance."""
    from embedpipe.cli.evaluating import Choices, evaluate_choices

    choices = Choices(
        modes=[name for name in get_args(Mode) if mode is None or name in mode],
        rerankers=rerank or [],
        chunkers=chunker or [],
        models=model or [DEFAULT_MODEL],
    )
    evaluate_choices(
        path,
        choices,
        limit=limit,
        save=save,
        against=against,
        collection=collection,
        database=database,
        as_json=as_json,
    )


@app.command()
def models(as_json: Json = False) -> None:
    """The embedding models that are known by name."""
    from embedpipe.cli.render import console, models_table, write_json
    from embedpipe.embedding import catalogue

    rows = [asdict(model) for model in catalogue.CATALOGUE]
    if as_json:
        write_json(rows)
    else:
        console.print(models_table(rows))
