"""Choose the runtime of a local model if the user names none."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Literal, TypeAlias

from embedpipe.embedding.local.bert_graph import can_be_built
from embedpipe.embedding.local.exported import Runtime
from embedpipe.embedding.local.model_files import encoder_folder

Source: TypeAlias = Literal["weights", "file", "torch"]

_ONNX = ("onnx", "onnxruntime", "safetensors", "tokenizers")
_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Files by which Linux shows a graphics processor that PyTorch may use: NVIDIA's, AMD's, Windows' under Linux."""


def choose_runtime(folder: Path) -> Runtime:
    """Return "onnx" if it is installed, its graph needs no PyTorch, and there is no accelerator; else "torch".

    Both give the same vectors. On a processor ONNX Runtime is faster (several times for one short text), it loads in a
    third of a second, and its memory does not grow with the shapes of its inputs.
    """
    onnx = _installed(*_ONNX) and not (has_torch() and _may_have_accelerator())
    return "onnx" if onnx and graph_source(folder) != "torch" else "torch"


def graph_source(folder: Path) -> Source:
    """Return where the model's ONNX graph comes from.

    "weights": built from the weights, for BERT and RoBERTa. "file": the folder has it. "torch": PyTorch exports it.
    """
    encoder = encoder_folder(folder)
    if can_be_built(encoder):
        return "weights"
    return "torch" if graph_file(encoder) is None else "file"


def graph_file(encoder: Path) -> Path | None:
    """Return the ONNX graph that lies in the encoder's folder, as repositories of the hub have it."""
    return next(filter(Path.is_file, (encoder / "onnx" / "model.onnx", encoder / "model.onnx")), None)


def has_torch() -> bool:
    """Return whether PyTorch could run a model instead."""
    return _installed("torch", "sentence_transformers")


def _installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)


def _may_have_accelerator() -> bool:
    """Return whether PyTorch may have an accelerator. Its build and the machine tell; PyTorch itself takes seconds."""
    if importlib.metadata.version("torch").endswith("+cpu"):
        return False
    return sys.platform != "linux" or any(Path(device).exists() for device in _DEVICES)
