"""Imports of optional dependencies, with an error that says what to install."""

from __future__ import annotations

import importlib
from typing import Any

from embedpipe.errors import MissingExtraError


def require(module: str, *, extra: str) -> Any:
    """Import a module of an optional dependency and return it.

    Raises:
        MissingExtraError: If it cannot be imported. The message has the pip command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"This needs {module}, which cannot be imported ({error}). "
            f"Install it with: pip install 'embedpipe[{extra}]'"
        ) from error
