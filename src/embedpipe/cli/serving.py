"""The `serve` command."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from embedpipe.cli.options import DEFAULT_MODEL, Collection, DatabaseUrl, Json, Model

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
        str | None, typer.Option(help="A cross-encoder: a name on the hub or a folder. Default: words and similarity.")
    ] = None,
    llm: Annotated[
        str | None, typer.Option(help="A chat model of an OpenAI-compatible endpoint. Its key is OPENAI_API_KEY.")
    ] = None,
    llm_url: Annotated[str | None, typer.Option(help="The endpoint's URL, if it is not OpenAI.")] = None,
    cache: Annotated[str | None, typer.Option(help="A folder or redis:// URL to cache vectors.")] = None,
    max_requests: Annotated[int, typer.Option(min=1, help="The most requests at once. Others get 429.")] = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until an answer begins.")] = 60.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each request.")] = False,
    model: Model = DEFAULT_MODEL,
    collection: Collection = "default",
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Serve embeddings, search, ingest and answers over HTTP, with a search page at / and the API at /docs."""
    if llm is None and llm_url is not None:
        raise typer.BadParameter("--llm-url needs --llm, the name of the model.")
    from embedpipe import server

    server.spare_machine()
    keys = server.ApiKeys.from_environment()
    if api_key_file is not None:
        keys += server.ApiKeys.from_file(api_key_file)
    server.check_address(host, keys, insecure=insecure)
    app = server.create_app(
        model,
        database=database,
        collection=collection,
        keys=keys,
        settings=server.ServerSettings(max_requests=max_requests, request_timeout_s=timeout, aliases=alias or ()),
        cache=cache,
        reranker=_reranker(reranker),
        llm=_chat(llm, llm_url),
        any_host=insecure,
        hosts=allow_host or (),
    )
    if verbose:
        logging.getLogger("embedpipe.server").setLevel(logging.INFO)
    with server.listen(host, port) as listener:
        url, state = server.address_of(listener), app.state.resources.check()
        start = {"url": url, "docs": f"{url}/docs", "keys": len(keys), "pid": os.getpid(), **asdict(state)}
        server.run(app, listener, timeout_s=timeout, on_ready=lambda: _say(start, as_json=as_json))


def _reranker(name: str | None) -> object | None:
    from embedpipe.reranking import CrossEncoderReranker

    return None if name is None else CrossEncoderReranker(name)


def _chat(name: str | None, url: str | None) -> object | None:
    from embedpipe.rag import OpenAIChat

    return None if name is None else OpenAIChat(name, base_url=url)


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
