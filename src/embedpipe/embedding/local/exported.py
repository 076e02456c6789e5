"""Keep graphs that were made from a model's weights in the user's cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from platformdirs import user_cache_dir

from embedpipe.errors import ConfigurationError

logger = logging.getLogger(__name__)

Runtime: TypeAlias = Literal["torch", "onnx", "openvino"]
FORMAT = 6
"""Increase it when the way in which graphs are made changes."""


def exported_folder() -> Path:
    """Return the folder of exported models: `models` in EMBEDPIPE_HOME, else in the user's cache folder."""
    return Path(os.environ.get("EMBEDPIPE_HOME") or user_cache_dir("embedpipe")) / "models"


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of that name in `exported_folder()`. If it is missing, have `make(folder)` fill it.

    Several threads and processes may make it at once. Each fills a folder of its own, and the first one is kept.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    folder = exported_folder() / f"{name}-{FORMAT}"
    if folder.is_dir():
        return folder
    partial: Path | None = None
    logger.info("Making %s from the model's weights, once.", folder)
    started = time.monotonic()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=folder.parent))
        make(partial)
        partial.chmod(0o755)  # like any folder: other users may share this cache
        if not folder.is_dir():
            partial.rename(folder)
    except OSError as error:
        if folder.is_dir():  # another process was first
            return folder
        raise ConfigurationError(
            f"The model's graph cannot be kept in {folder.parent}: {error.strerror or error}. Set EMBEDPIPE_HOME to a "
            "folder that can be written to and has room, or pass runtime='torch'."
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    logger.info("Made %s in %.1f seconds.", folder.name, time.monotonic() - started)
    return folder


def calibration_mark(texts: Sequence[str]) -> str:
    """Return eight hexadecimal digits that differ for two calibrations."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
