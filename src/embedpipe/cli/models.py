"""The command `models`: what is known of embedding models, and what a model of any kind does when it is tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from embedpipe.cli.options import Json, Llm, LlmUrl, ModelUrl, RerankUrl

if TYPE_CHECKING:
    from embedpipe.embedding import Finding

Rerank = Annotated[str | None, typer.Option(help="check --rerank KIND:MODEL tries a reranker, as in search.")]

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[check] [NAME]", help="NAME shows one embedding model. check NAME tries it."),
]


def models(
    words: Words = None,
    model_url: ModelUrl = None,
    rerank: Rerank = None,
    rerank_url: RerankUrl = None,
    llm: Llm = None,
    llm_url: LlmUrl = None,
    as_json: Json = False,
) -> None:
    """List the embedding models known by name, show one of them, or try a model of any kind.

    check NAME sends about 80 short texts and a long one, check --rerank NAME about 110 short texts and a long one,
    and check --llm NAME three questions, one of them with a long prompt. It prints what that costs, as far as known.
    """
    words = words or []
    checks = words[:1] == ["check"]
    name = words[1] if checks and len(words) == 2 else None
    if checks and len(words) <= 2 and (name or rerank or llm):
        _print_findings(_checks(name, model_url, rerank, rerank_url, llm, llm_url), as_json=as_json)
    elif rerank or llm or rerank_url or llm_url or len(words) > 1 or checks:
        raise typer.BadParameter("Pass no name, one NAME, check NAME, check --rerank NAME, or check --llm NAME.")
    elif words:
        _show(words[0], as_json=as_json)
    else:
        _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    from embedpipe.cli.render import console, models_table, write_json
    from embedpipe.embedding import catalogue

    rows = [asdict(model) for model in catalogue.CATALOGUE]
    if as_json:
        write_json(rows)
    else:
        console.print(models_table(rows))


def _show(name: str, *, as_json: bool) -> None:
    from embedpipe.cli.render import console, model_lines, write_json
    from embedpipe.embedding import catalogue

    row = asdict(catalogue.published(name))
    if as_json:
        write_json(row)
    else:
        console.print(model_lines(row))


def _checks(
    name: str | None, url: str | None, rerank: str | None, rerank_url: str | None, llm: str | None, llm_url: str | None
) -> Iterator[Finding]:
    """Try each model that is named."""
    from embedpipe.checking import check_chat, check_reranker
    from embedpipe.cli.choices import chat_model_named, generator_named, reranker_named
    from embedpipe.embedding import check_model

    reranker, chat = reranker_named(rerank, url=rerank_url), chat_model_named(llm, url=llm_url)
    if name is not None:
        yield from check_model(generator_named(name, url=url))
    if reranker is not None:
        yield from check_reranker(reranker)
    if chat is not None:
        yield from check_chat(chat)


def _print_findings(found: Iterable[Finding], *, as_json: bool) -> None:
    """Print each finding as it comes. End with 1 if one is wrong."""
    from embedpipe.cli.render import console, finding_line, write_json

    findings: list[Finding] = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            console.print(finding_line(finding.check, finding.found, is_good=finding.is_good))
    if as_json:
        write_json(list(map(asdict, findings)))
    if any(finding.is_good is False for finding in findings):
        raise typer.Exit(1)
