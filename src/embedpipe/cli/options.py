"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="The embedding model: a name, a folder, or provider:name.")]
ModelUrl = Annotated[
    str | None, typer.Option(help="Where the embedding model is reached, such as a server of your own.")
]
QueryPrompt = Annotated[
    str | None, typer.Option(help="Put before each question, for a model on a server. Default: the model's own prompt.")
]
DocumentPrompt = Annotated[str | None, typer.Option(help="As --query-prompt, for documents.")]
Llm = Annotated[
    str | None,
    typer.Option(help="A chat model: openai:NAME, anthropic:NAME, gemini:NAME, ollama:NAME, or that of a package."),
]
LlmUrl = Annotated[str | None, typer.Option(help="Where the chat model is reached, such as a server of your own.")]
RerankUrl = Annotated[str | None, typer.Option(help="Where the reranker is reached, such as a server of your own.")]
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
