"""The `serve` command."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
)

if TYPE_CHECKING:
    from embedpipe.types import Reranker

KeyFile = Annotated[
    Path | None,
    typer.Option(
        help="API keys, one per line. 'read KEY' may only read. Also: EMBEDPIPE_API_KEYS and EMBEDPIPE_READ_KEYS.",
        dir_okay=False,
    ),
]


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on. Any but this machine's own needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 8000,
    api_key_file: KeyFile = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow any address without a key.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A host name of the server, or of a page that calls it. May be repeated."),
    ] = None,
    alias: Annotated[list[str] | None, typer.Option(help="A further name for the model. May be repeated.")] = None,
    reranker: Annotated[
        str | None,
        typer.Option(
            help="A reranker as in search, or a cross-encoder: a name on the hub or a folder. Default: words and "
            "similarity."
        ),
    ] = None,
    rerank_url: RerankUrl = None,
    llm: Llm = None,
    llm_url: LlmUrl = None,
    cache: Annotated[str | None, typer.Option(help="A folder or redis:// URL to cache vectors.")] = None,
    max_requests: Annotated[int, typer.Option(min=1, help="The most requests at once. Others get 429.")] = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until an answer begins.")] = 60.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each request.")] = False,
    model: Model = DEFAULT_MODEL,
    model_url: ModelUrl = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Serve embeddings, search, ingest and answers over HTTP, with a search page at / and the API at /docs."""
    from embedpipe import server
    from embedpipe.cli.choices import chat_model_named, generator_named

    chat = chat_model_named(llm, url=llm_url)
    server.spare_machine()
    keys = server.ApiKeys.from_environment()
    if api_key_file is not None:
        keys += server.ApiKeys.from_file(api_key_file)
    server.check_address(host, keys, insecure=insecure)
    app = server.create_app(
        generator_named(model, url=model_url, query_prompt=query_prompt, document_prompt=document_prompt).model,
        database=database,
        collection=collection,
        keys=keys,
        settings=server.ServerSettings(max_requests=max_requests, request_timeout_s=timeout, aliases=alias or ()),
        cache=cache,
        reranker=_reranker(reranker, rerank_url),
        llm=chat,
        any_host=insecure,
        hosts=allow_host or (),
    )
    if verbose:
        logging.getLogger("embedpipe.server").setLevel(logging.INFO)
    with server.listen(host, port) as listener:
        url, state = server.address_of(listener), app.state.resources.check()
        start = {"url": url, "docs": f"{url}/docs", "keys": len(keys), "pid": os.getpid(), **asdict(state)}
        server.run(app, listener, timeout_s=timeout, on_ready=lambda: _say(start, as_json=as_json))


def _reranker(name: str | None, url: str | None) -> Reranker | None:
    """Return the reranker: one of embedpipe or of a package by its name, else a cross-encoder."""
    from embedpipe.cli.choices import reranker_named
    from embedpipe.reranking import RERANKERS, CrossEncoderReranker

    if name is None:
        if url is not None:
            raise typer.BadParameter("--rerank-url needs --reranker, the name of the reranker.")
        return None
    return reranker_named(name, url=url) if name.partition(":")[0] in RERANKERS else CrossEncoderReranker(name)


def _say(start: dict[str, Any], *, as_json: bool) -> None:
    """Print one line of JSON or two lines of text, flushed, since stdout may be a pipe."""
    from embedpipe.cli.render import counted

    if as_json:
        line = json.dumps(start)
    else:
        asked = counted(start["keys"], "API key") if start["keys"] else "no API key"
        line = (
            f"embedpipe serves {start['model']} at {start['url']} (API: {start['docs']})\n"
            f"collection {start['collection']}: {counted(start['documents'], 'document')}, "
            f"{counted(start['chunks'], 'chunk')}; {asked}; press Ctrl-C to stop"
        )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
