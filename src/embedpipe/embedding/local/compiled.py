"""Run local models by ONNX Runtime or OpenVINO, without PyTorch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from embedpipe._optional import require
from embedpipe.embedding.local.bert_graph import write_graph
from embedpipe.embedding.local.exported import Runtime, calibration_mark, made_once
from embedpipe.embedding.local.head import Head
from embedpipe.embedding.local.length_batches import length_batches
from embedpipe.embedding.local.model_files import check_weights, encoder_folder, read_json
from embedpipe.embedding.local.runtimes import graph_file, graph_source, has_torch
from embedpipe.errors import ConfigurationError
from embedpipe.text import ModelCounter
from embedpipe.types import ModelSpec, Vectors

Ids: TypeAlias = npt.NDArray[np.int64]
Inputs: TypeAlias = dict[str, Ids]

_openvino_process: int | None = None
"""The process in which OpenVINO was first used. A forked child inherits the number."""

_OVERHEAD = 16
"""The cost of a pass beside that of its tokens, counted in tokens."""
_LONGEST = 512
"""Most tokens of a text, for a model that states no limit."""
_INPUTS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
_OUTPUTS = ("token_embeddings", "last_hidden_state")


class _Session(Protocol):
    """Runs a graph. `run` returns the tokens' vectors (b, s, d)."""

    inputs: set[str]

    def run(self, inputs: Inputs) -> npt.NDArray[Any]: ...


class CompiledEncoder:
    """Turns texts into vectors by an ONNX graph of the encoder, and by numpy behind it.

    The graph is built from the weights, is the folder's own, or is exported by PyTorch. Made graphs are kept in the
    user's cache folder. With `calibration` texts the model is int8 (OpenVINO only), else float32.
    """

    def __init__(
        self,
        folder: Path,
        spec: ModelSpec,
        *,
        counter: ModelCounter,
        runtime: Runtime,
        calibration: Sequence[str] | None = None,
    ) -> None:
        self._counter = counter
        self._longest = spec.max_tokens or _LONGEST
        self._size = spec.dimensions
        self._head = Head(folder)
        graph = _graph(folder, spec, counter)
        if runtime == "onnx":
            self._session: _Session = _OnnxSession(graph)
        else:
            if calibration is not None:
                graph = _quantized(graph, self._passes(calibration), calibration_mark(calibration))
            self._session = _OpenVinoSession(graph)
        if lacking := self._session.inputs - _INPUTS:
            raise ConfigurationError(
                f"{graph} wants {', '.join(sorted(lacking))}, which a graph for embedding does not. Pass "
                "runtime='torch', or replace it by the graph of the encoder alone."
            )

    def encode(self, texts: Sequence[str], prompt: str) -> Vectors:
        """Return (n, d) float32, one row for each text, in order."""
        vectors = np.empty((len(texts), self._size), dtype=np.float32)
        prompt_tokens = self._prompt_tokens(prompt)
        for rows, ids, mask in self._passes([prompt + text for text in texts] if prompt else texts):
            states = self._session.run(_inputs(ids, mask, self._session.inputs))
            vectors[rows] = self._head.apply(states, mask, prompt_tokens)
        return vectors

    def _prompt_tokens(self, prompt: str) -> int:
        """Return how many tokens of a text the prompt takes, with the special ones before it."""
        return len(self._counter.ids([prompt])[0]) - self._counter.special_tokens[1] if prompt else 0

    def _passes(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Ids, Ids]]:
        """Yield rows, input_ids and attention_mask (b, s) of each pass: texts of like length, the longest first.

        Padding is at the right for every model. At the left, the positions of a text would depend on the others. A
        model that looks back only (Qwen3) does not see what is at the right.
        """
        longest, behind = self._longest, self._counter.special_tokens[1]
        encoded = self._counter.ids(texts)
        encoded = [
            ids if len(ids) <= longest else [*ids[: longest - behind], *ids[len(ids) - behind :]] for ids in encoded
        ]
        for rows in length_batches(list(map(len, encoded)), overhead=_OVERHEAD):
            length = len(encoded[rows[0]])  # the longest one's
            ids = np.zeros((len(rows), length), dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : len(encoded[row])] = encoded[row]
                mask[place, : len(encoded[row])] = 1
            yield rows, ids, mask


def _inputs(ids: Ids, mask: Ids, names: set[str]) -> Inputs:
    """Return the inputs of these names, of those that graphs of encoders have."""
    given = {"input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in names:
        given["token_type_ids"] = np.zeros_like(ids)
    if "position_ids" in names:
        given["position_ids"] = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    return given


class _OnnxSession:
    def __init__(self, graph: Path) -> None:
        runtime = require("onnxruntime", extra="onnx")
        options = runtime.SessionOptions()
        # Its threads are not OpenMP's, but spin like them.
        if os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE":
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = runtime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.inputs = {put.name for put in self._session.get_inputs()}
        self._output = _output(graph, {put.name for put in self._session.get_outputs()})

    def run(self, inputs: Inputs) -> npt.NDArray[Any]:
        states: npt.NDArray[Any] = self._session.run([self._output], inputs)[0]
        return states


class _OpenVinoSession:
    def __init__(self, graph: Path) -> None:
        # One request at a time on all cores, and no silent bfloat16, whose vectors differ.
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        model = _openvino_core().compile_model(str(graph), "CPU", settings)
        self._request = model.create_infer_request()
        self.inputs = _input_names(model)
        self._output = _output(graph, {name for put in model.outputs for name in put.get_names()})

    def run(self, inputs: Inputs) -> npt.NDArray[Any]:
        states: npt.NDArray[Any] = self._request.infer(inputs)[self._output]
        return states


def _input_names(model: Any) -> set[str]:
    return {put.get_any_name() for put in model.inputs}


def _openvino_core() -> Any:
    global _openvino_process
    if _openvino_process not in (None, os.getpid()):
        # Its threads do not survive a fork, and it waits for them: in 11 of 30 children of a parent that was computing,
        # and in 4 of 60 where no call of ours was within OpenVINO at the fork (2026.4).
        raise ConfigurationError(
            "OpenVINO was used before this process forked, and would wait for the parent's threads. Load the model in "
            "the child only, start the workers by spawn, or pass runtime='onnx'."
        )
    _openvino_process = os.getpid()
    return require("openvino", extra="openvino").Core()


def _output(graph: Path, names: set[str]) -> str:
    for name in _OUTPUTS:
        if name in names:
            return name
    raise ConfigurationError(
        f"{graph} has no output {' or '.join(_OUTPUTS)}, but {', '.join(sorted(names))}. Pass runtime='torch', or "
        "replace it by the graph of the encoder alone."
    )


def _graph(folder: Path, spec: ModelSpec, counter: ModelCounter) -> Path:
    check_weights(folder, spec)
    encoder, source = encoder_folder(folder), graph_source(folder)
    if source == "file" and (file := graph_file(encoder)):
        return file
    if source == "torch" and not has_torch():
        kind = read_json(encoder / "config.json").get("model_type")
        raise ConfigurationError(
            f"{folder.name} ({kind}) has no onnx/model.onnx, and only PyTorch can export it. Put that file of its "
            "repository into the folder, or install PyTorch with: pip install 'embedpipe[local]'. runtime='torch' "
            "needs no graph."
        )

    def make(made: Path) -> None:
        if source == "weights":
            write_graph(encoder, made / "model.onnx")
        else:
            module = require("embedpipe.embedding.local.torch_export", extra="local")
            module.export_graph(folder, counter, spec.max_tokens or _LONGEST, made / "model.onnx")

    config = (encoder / "config.json").read_bytes() if (encoder / "config.json").is_file() else b""
    mark = hashlib.sha256(spec.revision.encode() + config).hexdigest()[:16]
    return made_once(f"{spec.name}-{mark}-{source}", make) / "model.onnx"


def _quantized(graph: Path, passes: Iterable[tuple[list[int], Ids, Ids]], mark: str) -> Path:
    def make(made: Path) -> None:
        model = _openvino_core().read_model(str(graph))
        names = _input_names(model)
        _quantize(model, [_inputs(ids, mask, names) for _, ids, mask in passes], made)

    return made_once(f"{graph.parent.name}-int8-{mark}", make) / "model.xml"


def _quantize(model: Any, samples: Sequence[Inputs], made: Path) -> None:
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
