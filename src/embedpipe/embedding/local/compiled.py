"""Run local models by ONNX Runtime or OpenVINO, without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedpipe._optional import require
from embedpipe.embedding.local.bert_graph import graph_mark, write_graph
from embedpipe.embedding.local.exported import Runtime, calibration_mark, made_once
from embedpipe.embedding.local.length_batches import length_batches
from embedpipe.embedding.local.model_files import check_weights
from embedpipe.errors import ConfigurationError
from embedpipe.types import ModelSpec, Vectors

Ids: TypeAlias = npt.NDArray[np.int64]
Run: TypeAlias = Callable[[Ids, Ids], Vectors]

_openvino_process: int | None = None
"""The process in which OpenVINO was first used. A forked child inherits the number."""

_OVERHEAD = 16
"""The cost of a pass beside that of its tokens, counted in tokens."""


class CompiledEncoder:
    """Turns texts into vectors by a graph made from the folder's weights, which is kept in the user's cache folder.

    `tokens` returns the ids of each text, of which the first and the last are special. Ids over the model's limit are
    cut off before the last one. With `calibration` texts the model is int8 (OpenVINO only), else float32.
    """

    def __init__(
        self,
        folder: Path,
        spec: ModelSpec,
        *,
        tokens: Callable[[Sequence[str]], list[list[int]]],
        runtime: Runtime,
        calibration: Sequence[str] | None = None,
    ) -> None:
        self._tokens = tokens
        self._longest = spec.max_tokens or 512
        self._size = spec.dimensions
        make = _onnx if runtime == "onnx" else _openvino
        self._run: Run = make(folder, spec, calibration, self._passes)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (n, d) float32, one row for each text, in order."""
        vectors = np.empty((len(texts), self._size), dtype=np.float32)
        for rows, ids, mask in self._passes(texts):
            vectors[rows] = self._run(ids, mask)
        return vectors

    def _passes(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Ids, Ids]]:
        """Yield rows, input_ids and attention_mask (b, s) of each pass: texts of like length, the longest first."""
        longest = self._longest
        encoded = [ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]] for ids in self._tokens(texts)]
        for rows in length_batches(list(map(len, encoded)), overhead=_OVERHEAD):
            length = len(encoded[rows[0]])  # the longest one's
            ids = np.zeros((len(rows), length), dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : len(encoded[row])] = encoded[row]
                mask[place, : len(encoded[row])] = 1
            yield rows, ids, mask


def _onnx(folder: Path, spec: ModelSpec, calibration: Sequence[str] | None, _passes: Any) -> Run:
    runtime = require("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    if os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE":  # its threads are not OpenMP's, but spin like them
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = str(_graph(folder, spec, fused=True))
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(ids: Ids, mask: Ids) -> Vectors:
        vectors: Vectors = session.run(["vectors"], {"input_ids": ids, "attention_mask": mask})[0]
        return vectors

    return run


def _openvino(
    folder: Path,
    spec: ModelSpec,
    calibration: Sequence[str] | None,
    passes: Callable[[Sequence[str]], Iterator[tuple[list[int], Ids, Ids]]],
) -> Run:
    global _openvino_process
    if _openvino_process not in (None, os.getpid()):
        # Its threads do not survive a fork, and it waits for them: in 11 of 30 children of a parent that was computing,
        # and in 4 of 60 where no call of ours was within OpenVINO at the fork (2026.4).
        raise ConfigurationError(
            "OpenVINO was used before this process forked, and would wait for the parent's threads. Load the model in "
            "the child only, start the workers by spawn, or pass runtime='onnx'."
        )
    _openvino_process = os.getpid()
    core = require("openvino", extra="openvino").Core()
    graph = _graph(folder, spec, fused=False)
    if calibration is not None:
        samples = [{"input_ids": ids, "attention_mask": mask} for _, ids, mask in passes(calibration)]
        name = f"{graph.parent.name}-int8-{calibration_mark(calibration)}"
        graph = made_once(name, lambda made: _quantize(core.read_model(str(graph)), samples, made)) / "model.xml"
    # One request at a time on all cores, and no silent bfloat16, whose vectors differ.
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(str(graph), "CPU", settings).create_infer_request()

    def run(ids: Ids, mask: Ids) -> Vectors:
        vectors: Vectors = request.infer({"input_ids": ids, "attention_mask": mask})["vectors"]
        return vectors

    return run


def _graph(folder: Path, spec: ModelSpec, *, fused: bool) -> Path:
    def make(made: Path) -> None:
        check_weights(folder, spec)
        write_graph(folder, made / "model.onnx", fused=fused, normalize=spec.normalized)

    mark = graph_mark(folder, spec.revision, normalize=spec.normalized)
    return made_once(f"{spec.name}-{mark}-{'fused' if fused else 'plain'}", make) / "model.onnx"


def _quantize(model: Any, samples: Sequence[dict[str, Ids]], made: Path) -> None:
    """Quantise the model to int8 after its training, by NNCF, with ranges from the samples.

    The products over a GELU's output, a third of the work, stay float32: their outliers make most of the loss. With
    them in int8 the mean cosine to the original is .994, without .9987 (all-MiniLM-L6-v2, texts of 1,000 characters).
    """
    nncf = require("nncf", extra="openvino")
    quantized = nncf.quantize(
        model,
        nncf.Dataset(samples),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=_behind_gelu(model)),
    )
    require("openvino", extra="openvino").save_model(quantized, str(made / "model.xml"), compress_to_fp16=False)


def _behind_gelu(model: Any) -> list[str]:
    """Return the names of the matrix products over a GELU's output."""
    products = [node for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"]
    return [node.get_friendly_name() for node in products if node.input_value(0).get_node().get_type_name() == "Gelu"]
