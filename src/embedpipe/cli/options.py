"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="The embedding model: a name, a folder, or provider:name.")]
Collection = Annotated[str, typer.Option("--collection", "-c", help="The collection of chunks.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="EMBEDPIPE_DATABASE_URL",
        show_envvar=True,
        help="A postgresql:// URL. Without one, the embedded PostgreSQL.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
