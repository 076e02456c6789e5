"""Build the ONNX graph of a BERT or RoBERTa encoder from the weight file, without PyTorch.

Beside a graph that PyTorch exports, it needs 1 GB less to be installed. It is made in half the processor time (0.5 s
against 1.1 s, imports aside) and loads in a quarter of it (38 ms against 161 ms). It takes 2 to 10 % less for short
texts. All-MiniLM-L6-v2, one thread, medians of 3 to 41.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from embedpipe._optional import require
from embedpipe.embedding.local.model_files import read_json

_WEIGHTS = "model.safetensors"
_SIZES = {"hidden_size", "num_attention_heads", "num_hidden_layers"}
_PREFIXES = {"bert": "bert.", "roberta": "roberta.", "xlm-roberta": "roberta.", "camembert": "roberta."}
_OPSET = 20
_IR_VERSION = 10


def write_graph(folder: Path, file: Path) -> None:
    """Write the graph of an encoder that `can_be_built`: input_ids and attention_mask (b, s) int64 to token_embeddings.

    The weights are written beside it, in a file of the same name with ".data" behind.
    """
    onnx = require("onnx", extra="onnx")
    config = read_json(folder / "config.json")
    graph = _Graph(onnx, require("safetensors.numpy", extra="onnx").load_file(folder / _WEIGHTS), config)
    graph.embed()
    for layer in range(config["num_hidden_layers"]):
        graph.layer(f"encoder.layer.{layer}.")
    # Weights beside the graph are mapped into memory as they are, which halves the time to load it.
    data = file.with_name(f"{file.name}.data")
    onnx.save(graph.model(), file, save_as_external_data=True, location=data.name)
    data.chmod(file.stat().st_mode)  # onnx lets only the owner read it


def can_be_built(folder: Path) -> bool:
    """Return whether the encoder in the folder can be such a graph."""
    config = read_json(folder / "config.json")
    prefix = _PREFIXES.get(str(config.get("model_type")))
    plain = (
        prefix is not None
        and not config.get("is_decoder")
        and config.keys() >= _SIZES
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
    )
    if not plain or not (folder / _WEIGHTS).is_file():
        return False
    safetensors = require("safetensors", extra="onnx")
    last = f"encoder.layer.{config['num_hidden_layers'] - 1}.output.LayerNorm.weight"
    try:
        with safetensors.safe_open(folder / _WEIGHTS, "numpy") as file:
            types = {name.removeprefix(prefix): file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError:
        return False
    return types.get(last) in ("F32", "F16")  # numpy has no bfloat16


class _Graph:
    """A graph that is being built. `state` names the hidden states (b, s, d) that the next part starts from."""

    def __init__(self, onnx: Any, weights: dict[str, Any], config: dict[str, Any]) -> None:
        self._onnx = onnx
        prefix = _PREFIXES[config["model_type"]]
        self._weights = {name.removeprefix(prefix): np.asarray(w, dtype=np.float32) for name, w in weights.items()}
        self._size: int = config["hidden_size"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config.get("layer_norm_eps", 1e-12)
        # RoBERTa counts positions from the one behind the padding's id.
        self._first_position = 0 if config["model_type"] == "bert" else config.get("pad_token_id", 1) + 1
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._names = 0
        self.state = ""

    def embed(self) -> None:
        """Add words, positions and the first token type, normalised, and the bias that hides padding."""
        w = self._weights
        # Every token has the first type, so that its vector is added to the positions once, here.
        positions = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
        length = self._node("Shape", "input_ids", start=1, end=2)
        zero = self._constant(np.array([0], np.int64))
        position = self._node("Slice", self._constant(positions[self._first_position :]), zero, length, zero)
        words = self._node("Gather", self._constant(w["embeddings.word_embeddings.weight"]), "input_ids")
        self.state = self._norm(self._node("Add", words, position), "embeddings.LayerNorm")
        # The bias of attention is 0 for a token and the lowest float for padding, whose softmax is 0 then.
        mask = self._node("Cast", "attention_mask", to=self._onnx.TensorProto.FLOAT)
        hidden = self._node("Sub", self._constant(np.array(1, np.float32)), mask)
        lowest = self._constant(np.array(np.finfo(np.float32).min, np.float32))
        axes = self._constant(np.array([1, 2], np.int64))
        self._bias = self._node("Unsqueeze", self._node("Mul", hidden, lowest), axes)

    def layer(self, name: str) -> None:
        """Add one encoder layer (Vaswani et al. 2017, normalised after each skip, as in Devlin et al. 2019)."""
        self.state = self._skip(self._attention(name + "attention.self."), name + "attention.output")
        raised = self._node("Gelu", self._product(self.state, name + "intermediate.dense"))
        self.state = self._skip(raised, name + "output")

    def model(self) -> Any:
        """Return the finished model."""
        helper, types = self._onnx.helper, self._onnx.TensorProto
        self._nodes.append(helper.make_node("Identity", [self.state], ["token_embeddings"]))
        inputs = [
            helper.make_tensor_value_info(name, types.INT64, ["b", "s"]) for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("token_embeddings", types.FLOAT, ["b", "s", self._size])
        constants = [self._onnx.numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, "bert", inputs, [output], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)

    def _attention(self, name: str) -> str:
        # softmax(Q K^T / sqrt(d)) V for each head. The scale is multiplied into the weights of Q, which costs nothing.
        query = self._head(name + "query", [0, 2, 1, 3], scale=(self._size // self._heads) ** -0.5)
        key = self._head(name + "key", [0, 2, 3, 1])
        value = self._head(name + "value", [0, 2, 1, 3])
        scores = self._node("Add", self._node("MatMul", query, key), self._bias)
        mixed = self._node("MatMul", self._node("Softmax", scores, axis=-1), value)
        merged = self._constant(np.array([0, 0, self._size], np.int64))
        return self._node("Reshape", self._node("Transpose", mixed, perm=[0, 2, 1, 3]), merged)

    def _head(self, name: str, order: list[int], *, scale: float = 1.0) -> str:
        split = self._constant(np.array([0, 0, self._heads, self._size // self._heads], np.int64))
        projected = self._product(self.state, name, scale=scale)
        return self._node("Transpose", self._node("Reshape", projected, split), perm=order)

    def _product(self, source: str, name: str, *, scale: float = 1.0) -> str:
        weight, bias = self._weights[name + ".weight"].T, self._weights[name + ".bias"]
        product = self._node("MatMul", source, self._constant(weight * np.float32(scale)))
        return self._node("Add", product, self._constant(bias * np.float32(scale)))

    def _skip(self, source: str, name: str) -> str:
        return self._norm(self._node("Add", self._product(source, name + ".dense"), self.state), name + ".LayerNorm")

    def _norm(self, source: str, name: str) -> str:
        scale = self._constant(self._weights[name + ".weight"])
        shift = self._constant(self._weights[name + ".bias"])
        return self._node("LayerNormalization", source, scale, shift, axis=-1, epsilon=self._epsilon)

    def _constant(self, array: Any) -> str:
        name = self._name("c")
        self._constants[name] = np.asarray(array, order="C")  # ascontiguousarray would make a scalar a vector
        return name

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = self._name("n")
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"
