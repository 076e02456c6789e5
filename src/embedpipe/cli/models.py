"""The command `models`: what is known of embedding models, and what a model does when it is tried."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from embedpipe.cli.options import Json, ModelUrl

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[check] [NAME]", help="NAME shows one model. check NAME tries it."),
]


def models(words: Words = None, model_url: ModelUrl = None, as_json: Json = False) -> None:
    """List the embedding models known by name, show one of them, or try one.

    check sends about 80 short texts and a long one. It prints the price of that where the catalogue has one.
    """
    words = words or []
    if words[:1] == ["check"] and len(words) == 2:
        _check(words[1], url=model_url, as_json=as_json)
    elif len(words) == 1 and words != ["check"]:
        _show(words[0], as_json=as_json)
    elif not words:
        _list(as_json=as_json)
    else:
        raise typer.BadParameter("Pass no name, one NAME, or check NAME.")


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


def _check(name: str, *, url: str | None, as_json: bool) -> None:
    """Print each finding as it comes. End with 1 if one is wrong."""
    from embedpipe.cli.render import console, finding_line, write_json
    from embedpipe.embedding import EmbeddingGenerator, check_model

    findings: list[dict[str, Any]] = []
    for finding in check_model(EmbeddingGenerator(name, base_url=url)):
        findings.append(asdict(finding))
        if not as_json:
            console.print(finding_line(finding.check, finding.found, is_good=finding.is_good))
    if as_json:
        write_json(findings)
    if any(finding["is_good"] is False for finding in findings):
        raise typer.Exit(1)
