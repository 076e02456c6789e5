"""The commands. Heavy modules are imported inside the commands, so that `--help` is fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from embedpipe.cli.database import db
from embedpipe.cli.models import models
from embedpipe.cli.options import (
    DEFAULT_MODEL,
    Collection,
    DatabaseUrl,
    DocumentPrompt,
    Json,
    Llm,
    LlmUrl,
    Model,
    ModelUrl,
    QueryPrompt,
    RerankUrl,
    Yes,
)
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
app.command()(models)

Number = Annotated[int, typer.Option("-k", min=1, help="The number of hits.")]
Mode = Literal["hybrid", "dense", "lexical"]
EveryMode = StrEnum("EveryMode", ["hybrid", "dense", "lexical"])  # typer takes no list of Literals
Filter = Annotated[
    str | None, typer.Option(help='Conditions on metadata in JSON, such as \'{"year": {"$gte": 2020}}\'.')
]
Chunker = Annotated[
    str, typer.Option(help="A name such as recursive or markdown, or none (whole documents). A wrong one lists all.")
]
ChunkSize = Annotated[
    str | None,
    typer.Option(metavar="NUMBER|model", help="Characters (tokens for tokens), or 'model' for the model's limit."),
]
ChunkOverlap = Annotated[
    int | None, typer.Option(min=0, help="In characters, tokens, sentences or paragraphs, depending on the chunker.")
]
ChunkHeaders = Annotated[
    bool, typer.Option("--headers", help="Embed and index each chunk with its title and headings.")
]
Threshold = Annotated[float | None, typer.Option(help="The lowest dense similarity of a hit.")]
RequiredPhrases = Annotated[
    bool, typer.Option("--required-phrases", help="Find only what holds the quoted phrases of the query.")
]
Recency = Annotated[
    str | None,
    typer.Option(
        metavar="KEY[:DAYS[:WEIGHT]]",
        help="Let new chunks gain in hybrid searches, by a date of their metadata: half as much after DAYS (30).",
    ),
]
Rerank = Annotated[
    str | None,
    typer.Option(
        help="Rerank the best hits: lexical, cross-encoder:MODEL, late-interaction:MODEL, cohere, voyage, jina, "
        "infinity:MODEL, tei:URL, or that of a package."
    ),
]
Candidates = Annotated[int | None, typer.Option(min=1, help="How many hits to rerank; 50 by default.")]


AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Search what the collection held then: 2026-05-01, or 2026-05-01T12:00, or with +02:00."
    ),
]


def _version(asked: bool) -> None:
    if asked:
        from embedpipe import __version__

        typer.echo(__version__)
        raise typer.Exit


_BATCH_CHARACTERS = 50_000  # small, so that the progress bar moves


@app.callback()
def embedpipe(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    """Chunk and embed text, store it in pgvector, search it, and answer questions with citations."""


def _check_candidates(candidates: int | None, rerank: str | None, k: int) -> None:
    if candidates is None:
        return
    if rerank is None:
        raise typer.BadParameter("--candidates needs --rerank.")
    if candidates < k:
        raise typer.BadParameter(f"--candidates is {candidates}, less than -k ({k}). The hits are chosen from them.")


@contextmanager
def _opened(
    model: str | EmbeddingGenerator,
    database: str | None,
    collection: str,
    *,
    must_exist: bool = False,
    rerank: str | None = None,
    rerank_url: str | None = None,
    **settings: Any,
) -> Iterator[SemanticSearchService]:
    from embedpipe.cli.choices import reranker_named
    from embedpipe.cli.commands import check_exists
    from embedpipe.service import SemanticSearchService

    reranker = reranker_named(rerank, url=rerank_url)
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
    """Ingest Python's reference documentation and ask some questions."""
    from embedpipe.cli.demo import COLLECTION, python_reference, run_demo

    with _opened(DEFAULT_MODEL, database, COLLECTION) as service:
        run_demo(service, python_reference(), as_json=as_json)


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders to search for files.")],
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents whose files are not among these.")] = False,
    chunker: Chunker = "recursive",
    chunk_size: ChunkSize = None,
    chunk_overlap: ChunkOverlap = None,
    history: Annotated[
        bool, typer.Option("--history", help="Have a new collection keep what is changed and deleted, for --as-of.")
    ] = False,
    headers: ChunkHeaders = False,
    context: Annotated[
        str | None,
        typer.Option(
            help="Embed and index each chunk with a sentence on its place in the document, by this chat model, named "
            "as in ask --llm."
        ),
    ] = None,
    context_url: LlmUrl = None,
    context_requests: Annotated[
        int | None, typer.Option(min=1, help="The most requests to the chat model. Further documents fail.")
    ] = None,
    late_chunking: Annotated[
        bool, typer.Option("--late-chunking", help="Embed the chunks of a document together, each in its context.")
    ] = False,
    detect_language: Annotated[
        bool,
        typer.Option(
            "--detect-language", help="Add the language of each document to its metadata. Needs the extra languages."
        ),
    ] = False,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out files below a folder that cannot be read, without error.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of text, CSV, HTML and the like. By default, it is found.")
    ] = None,
    main_content: Annotated[
        bool, typer.Option("--main-content", help="Of HTML, read only the main content, without navigation.")
    ] = False,
    text_field: Annotated[
        list[str] | None,
        typer.Option(help="A field of JSON records that is text, such as body or post.body. May be repeated."),
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="The field of JSON records that is their id.")] = None,
    reader: Annotated[
        Literal["docling"] | None, typer.Option(help="Another reader for all formats that it knows. Install it first.")
    ] = None,
    ocr: Annotated[bool, typer.Option("--ocr", help="Read scanned pages of PDFs by OCR. Needs the extra ocr.")] = False,
    model: Model = DEFAULT_MODEL,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Store files: text, Markdown, PDF, Word, HTML and many more. Unchanged chunks are not embedded again."""
    from embedpipe.cli.choices import chunker_named, contextual_header, generator_named
    from embedpipe.cli.ingesting import ingest_files
    from embedpipe.files import ReadOptions

    options = ReadOptions(
        encoding=encoding,
        main_content=main_content,
        text_fields=tuple(text_field or ()),
        id_field=id_field,
        reader=reader,
        ocr=ocr,
    )
    if context is None and (context_url is not None or context_requests is not None):
        raise typer.BadParameter("--context-url and --context-requests need --context, the name of the model.")
    writer = contextual_header(context, url=context_url, max_requests=context_requests) if context else None
    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    cutter = chunker_named(chunker, generator, size=chunk_size, overlap=chunk_overlap)
    with _opened(generator, database, collection, chunker=cutter, headers=headers, history=history or None) as service:
        complete = ingest_files(
            service,
            paths,
            options=options,
            context=writer,
            late_chunking=late_chunking,
            detect_language=detect_language,
            prune=prune,
            skip_unknown=skip_unknown,
            as_json=as_json,
        )
    raise typer.Exit(0 if complete else 1)


@app.command()
def attach(
    table: Annotated[str, typer.Argument(help="The table, as in SQL, such as public.articles.")],
    key: Annotated[list[str], typer.Option(help="A column of the key. May be repeated.")],
    text: Annotated[list[str], typer.Option(help="A column whose text is searched. May be repeated.")],
    metadata: Annotated[
        list[str] | None, typer.Option(help="A column whose values become metadata. May be repeated.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have a collection follow a table of your own. Triggers on it note which rows change."""
    from embedpipe.cli.attaching import attach_table
    from embedpipe.cli.choices import generator_named
    from embedpipe.storage import Table

    followed = Table(table, key=key, text=text, metadata=metadata or ())
    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    with _opened(generator, database, collection) as service:
        attach_table(service, followed, as_json=as_json)


@app.command()
def detach(collection: Collection = "default", database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Have a collection no longer follow its table, which is then as it was. What was brought in stays."""
    from embedpipe.cli.attaching import detach_table

    detach_table(database, collection, as_json=as_json)


@app.command()
def sync(
    chunker: Chunker = "recursive",
    chunk_size: ChunkSize = None,
    chunk_overlap: ChunkOverlap = None,
    headers: ChunkHeaders = False,
    model: Model = DEFAULT_MODEL,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Bring in what changed in the attached table, once. Exits with 1 if a row failed."""
    from embedpipe.cli.attaching import sync_once
    from embedpipe.cli.choices import chunker_named, generator_named

    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    cutter = chunker_named(chunker, generator, size=chunk_size, overlap=chunk_overlap)
    with _opened(generator, database, collection, must_exist=True, chunker=cutter, headers=headers) as service:
        complete = sync_once(service, as_json=as_json)
    raise typer.Exit(0 if complete else 1)


@app.command()
def worker(
    interval: Annotated[
        float, typer.Option(min=0.05, max=3600, help="Seconds between two looks at the table's changes.")
    ] = 1.0,
    chunker: Chunker = "recursive",
    chunk_size: ChunkSize = None,
    chunk_overlap: ChunkOverlap = None,
    headers: ChunkHeaders = False,
    model: Model = DEFAULT_MODEL,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
) -> None:
    """Bring in what changes in the attached table, until it is stopped. Several workers share the work."""
    from embedpipe.cli.attaching import follow
    from embedpipe.cli.choices import chunker_named, generator_named

    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    cutter = chunker_named(chunker, generator, size=chunk_size, overlap=chunk_overlap)
    with _opened(generator, database, collection, must_exist=True, chunker=cutter, headers=headers) as service:
        follow(service, interval_s=interval)


@app.command()
def delete(
    documents: Annotated[list[str] | None, typer.Argument(help="Files, folders, or ids of documents.")] = None,
    filter: Filter = None,
    collection: Collection = "default",
    yes: Yes = False,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Remove documents by name, or chunks by a condition on metadata."""
    from embedpipe.cli.administration import delete_documents
    from embedpipe.cli.commands import parsed_filter

    complete = delete_documents(database, collection, documents, parsed_filter(filter), yes=yes, as_json=as_json)
    raise typer.Exit(0 if complete else 1)


@app.command()
def forget(
    document: Annotated[str, typer.Argument(help="A file, or the id of a document.")],
    collection: Collection = "default",
    yes: Yes = False,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Delete a document for good: with its earlier versions, and with kept answers that lean on it."""
    from embedpipe.cli.living import forget_document

    forget_document(database, collection, document, yes=yes, as_json=as_json)


@app.command()
def verify(
    answer: Annotated[str, typer.Argument(help="The id that `ask --keep` printed.")],
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Check whether the citations of a kept answer still hold. Exits with 1 if one does not."""
    from embedpipe.cli.living import verify_answer

    with _opened(model, database, collection, must_exist=True) as service:
        holds = verify_answer(service, answer, as_json=as_json)
    raise typer.Exit(0 if holds else 1)


@app.command()
def affected(
    documents: Annotated[list[str], typer.Argument(help="Files, or ids of documents, that were changed or deleted.")],
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """List the kept answers whose citations of these documents do not hold any more."""
    from embedpipe.cli.living import show_affected

    with _opened(model, database, collection, must_exist=True) as service:
        show_affected(service, documents, as_json=as_json)


@app.command()
def reembed(
    model: Annotated[str, typer.Argument(help="The new embedding model: a name, a folder, or provider:name.")],
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    drop: Annotated[bool, typer.Option("--drop", help="Remove the former models' vectors afterwards.")] = False,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Embed a collection with another model. Searches use the former one until it is done. Run again to continue."""
    from embedpipe.cli.choices import generator_named
    from embedpipe.cli.reembedding import reembed_collection

    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    reembed_collection(database, collection, generator, drop=drop, as_json=as_json)


@app.command("import")
def import_(
    kind: Annotated[
        Literal["langchain", "langchain-table", "llama-index"],
        typer.Argument(help="A PGVector collection, a PGVectorStore table or a LlamaIndex table."),
    ],
    name: Annotated[str, typer.Argument(help="The name of the collection or table in its own library.")],
    model: Model,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    schema: Annotated[str, typer.Option(help="The database schema of the source.")] = "public",
    source: Annotated[str | None, typer.Option("--from", help="The source's database, if it is another one.")] = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Import a vector store of LangChain or LlamaIndex with its vectors. --model must be the model of these vectors."""
    from embedpipe.cli.choices import generator_named
    from embedpipe.cli.importing import import_stored

    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    complete = import_stored(
        kind,
        name,
        model=generator.spec,
        schema=schema,
        source=source,
        collection=collection,
        url=database,
        as_json=as_json,
    )
    raise typer.Exit(0 if complete else 1)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder for chunks.parquet and documents.parquet.")],
    vectors: Annotated[
        Literal["float32", "int8"],
        typer.Option(help="int8 needs a quarter of the space, with an error of at most half a step."),
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
    """Check the database and its indexes. Exits with 1 if something is wrong."""
    from embedpipe.cli.administration import examine

    raise typer.Exit(0 if examine(database, as_json=as_json) else 1)


@app.command()
def search(
    query: str,
    k: Number = 5,
    mode: Mode = "hybrid",
    filter: Filter = None,
    threshold: Threshold = None,
    required_phrases: RequiredPhrases = False,
    recency: Recency = None,
    rerank: Rerank = None,
    rerank_url: RerankUrl = None,
    candidates: Candidates = None,
    as_of: AsOf = None,
    model: Model = DEFAULT_MODEL,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Search for passages. Shows their scores and ranks by meaning and by words, and their place in the document."""
    from embedpipe.cli.choices import fusion_by_recency, generator_named
    from embedpipe.cli.commands import ingested_folder, moment, parsed_filter
    from embedpipe.cli.render import result_json, show_hits, write_json

    _check_candidates(candidates, rerank, k)
    condition = parsed_filter(filter)
    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    with _opened(generator, database, collection, must_exist=True, rerank=rerank, rerank_url=rerank_url) as service:
        results = service.search(
            query,
            k,
            mode=mode,
            filter=condition,
            threshold=threshold,
            candidates=candidates,
            required_phrases=required_phrases,
            as_of=moment(as_of),
            fusion=fusion_by_recency(recency),
        )
        folder = "" if as_json else ingested_folder(service.store)
    if as_json:
        write_json({"query": query, "results": [result_json(result) for result in results]})
    else:
        show_hits(results, folder)


@app.command()
def ask(
    question: str,
    k: Number = 5,
    mode: Mode = "hybrid",
    filter: Filter = None,
    threshold: Threshold = None,
    required_phrases: RequiredPhrases = False,
    recency: Recency = None,
    rerank: Rerank = None,
    rerank_url: RerankUrl = None,
    candidates: Candidates = None,
    as_of: AsOf = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the answer in the database, for `embedpipe verify`.")
    ] = False,
    llm: Llm = None,
    llm_url: LlmUrl = None,
    model: Model = DEFAULT_MODEL,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Answer a question with checked citations. Without --llm, quote sentences from the sources."""
    from embedpipe.cli.choices import chat_model_named, fusion_by_recency, generator_named
    from embedpipe.cli.commands import answer, ingested_folder, moment, parsed_filter
    from embedpipe.rag import RAGPipeline

    chat = chat_model_named(llm, url=llm_url)
    _check_candidates(candidates, rerank, k)
    settings = {
        "mode": mode,
        "filter": parsed_filter(filter),
        "threshold": threshold,
        "required_phrases": required_phrases,
        "as_of": moment(as_of),
        "fusion": fusion_by_recency(recency),
    }
    generator = generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt)
    with _opened(generator, database, collection, must_exist=True, rerank=rerank, rerank_url=rerank_url) as service:
        rag = RAGPipeline(service, chat, k=k)
        folder = "" if as_json else ingested_folder(service.store)
        keeper = service if keep else None
        answer(rag, question, folder, keeper=keeper, as_json=as_json, candidates=candidates, **settings)


@app.command()
def evaluate(
    path: Annotated[
        Path,
        typer.Argument(
            help="A BEIR folder, a folder with corpora/ and questions.csv, or a CSV with query,document_id."
        ),
    ],
    mode: Annotated[list[EveryMode] | None, typer.Option(help="May be repeated. All modes by default.")] = None,
    rerank: Annotated[
        list[str] | None, typer.Option(help="A reranker as in search. May be repeated. Also runs without one.")
    ] = None,
    rerank_url: RerankUrl = None,
    chunker: Annotated[
        list[str] | None,
        typer.Option(help="NAME[:SIZE[:OVERLAP]] as in ingest. May be repeated. Each gets a temporary collection."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first queries.")] = None,
    save: Annotated[Path | None, typer.Option(help="Save the runs to this file, for a later --against.")] = None,
    against: Annotated[Path | None, typer.Option(help="Saved runs to compare with.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help=f"The embedding model. May be repeated with --chunker. Default: {DEFAULT_MODEL}."),
    ] = None,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", help="The collection. By default, a BEIR set has its own.")
    ] = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Measure search on labelled questions. Compares chunkers, models, modes and rerankers, with p-values."""
    from embedpipe.cli.evaluating import Choices, evaluate_choices

    choices = Choices(
        modes=[name for name in get_args(Mode) if mode is None or name in mode],
        rerankers=rerank or [],
        chunkers=chunker or [],
        models=model or [DEFAULT_MODEL],
        model_url=model_url,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        rerank_url=rerank_url,
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
