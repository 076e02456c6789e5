"""Find a local model's folder, or download it from the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embedpipe._optional import require
from embedpipe.embedding import catalogue
from embedpipe.embedding.local.model_files import is_model_folder, is_static, modules_of
from embedpipe.embedding.local.runtimes import graph_source, has_torch
from embedpipe.errors import UnknownModelError
from embedpipe.text import packaged_folder

_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "**/config.json", "**/*.safetensors")
_GRAPHS = ("onnx/model.onnx*", "model.onnx*")


def locate(name: str) -> Path:
    """Return the folder of a model: the path itself, the hub's cache, a package that carries it, or a download.

    Raises:
        UnknownModelError: If nothing is found.
    """
    if is_model_folder(name):
        return Path(name).expanduser().resolve()
    known = catalogue.find(name)
    repository = known.repository if known else name
    folder = _kept(repository) or (known and packaged_folder(known.name)) or _download(repository)
    if folder is None:
        others = [model.name for model in catalogue.CATALOGUE if model is not known]
        raise UnknownModelError(
            f"There is no local model {name!r}: it is not a folder with a config.json, not in the hub's cache, and "
            "the hub was not reached or has no such repository. Pass the path of the model's folder, a repository of "
            f"the hub, or one of {', '.join(others)}."
        )
    return folder


def _kept(repository: str) -> Path | None:
    """Return the main snapshot in the hub's cache, found by its layout: the hub's client takes long to import."""
    cache = Path(require("huggingface_hub.constants", extra="local").HF_HUB_CACHE)
    folder = cache / f"models--{repository.replace('/', '--')}"
    try:
        snapshot = folder / "snapshots" / (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return snapshot if is_model_folder(str(snapshot)) else None


def _download(repository: str) -> Path | None:
    hub = require("huggingface_hub", extra="local")
    errors = require("huggingface_hub.errors", extra="local")
    try:
        folder = Path(hub.snapshot_download(repository, allow_patterns=_FILES))
        if further := _further(folder):
            hub.snapshot_download(repository, allow_patterns=further)
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.HFValidationError, OSError):
        return None
    return folder


def _further(folder: Path) -> Sequence[str]:
    """Return the files without which the model cannot run, beside `_FILES`, as patterns.

    PyTorch reads weights of the older form, where there are no others. Without it, the repository's own graph is the
    only way to run a model whose graph cannot be built.
    """
    if has_torch():
        weighty = [path for type_, path in modules_of(folder) if type_ not in ("Pooling", "Normalize")]
        older = [path.relative_to(folder) for path in weighty if not any(path.glob("*.safetensors"))]
        return [(path / "pytorch_model*.bin*").as_posix() for path in older]
    return _GRAPHS if not is_static(folder) and graph_source(folder) == "torch" else ()
