"""Load a model's folder by sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedpipe._forking import torch_computes
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError


def load_sentence_transformer(folder: Path, *, device: str | None, **options: Any) -> Any:
    """Return the folder's `SentenceTransformer`. Code in the folder is never run.

    Raises:
        ConfigurationError: If the model needs such code.
    """
    library = require("sentence_transformers", extra="local")
    require("transformers.utils.logging", extra="local").disable_progress_bar()
    torch_computes()
    try:
        return library.SentenceTransformer(str(folder), device=device, local_files_only=True, **options)
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ConfigurationError(
            f"{folder.name} needs code from its own repository, which is never run by itself. Read that code, load "
            "the model with it, and pass it as LangChain's or LlamaIndex's HuggingFace embeddings."
        ) from error
