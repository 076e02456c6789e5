"""Imports of optional dependencies, with an error that says what to install."""

from __future__ import annotations

import importlib
from typing import Any

from embedpipe.errors import MissingExtraError


def require(module: str, *, extra: str) -> Any:
    """The imported module, else a `MissingExtraError` that names the pip command which brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} is needed here and cannot be imported ({error}). "
            f"Install it with: pip install 'embedpipe[{extra}]'"
        ) from error
