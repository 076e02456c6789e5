"""Build the ONNX graph of a BERT encoder with its pooling from the weight file, without PyTorch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from embedpipe._optional import require
from embedpipe.embedding.local.model_files import module_types, pooling_of, read_json
from embedpipe.errors import ConfigurationError

_FUSED = "com.microsoft"
_WEIGHTS = "model.safetensors"
_SIZES = {"hidden_size", "num_attention_heads", "num_hidden_layers"}
_MODULES = {"Transformer", "Pooling", "Normalize"}
_OPSET = 20
_IR_VERSION = 10


def write_graph(folder: Path, file: Path, *, fused: bool, normalize: bool) -> None:
    """Write the graph of the model in `folder`: input_ids and attention_mask (b, s) int64 to vectors (b, d) float32.

    The weights are written beside it, in a file of the same name with ".data" behind.

    Args:
        folder: The model's folder.
        file: Where the graph is written.
        fused: Use ONNX Runtime's own operators for attention and skip connections, which other runtimes lack.
        normalize: Bring the vectors to length 1.

    Raises:
        ConfigurationError: If the model cannot be such a graph, see `unsupported`.
    """
    onnx = require("onnx", extra="onnx")
    if reason := unsupported(folder):
        raise ConfigurationError(
            f"{folder.name} {reason}. runtime='onnx' and 'openvino' run BERT models with their pooling only. Pass "
            "runtime='torch'."
        )
    config = read_json(folder / "config.json")
    graph = _Graph(onnx, require("safetensors.numpy", extra="onnx").load_file(folder / _WEIGHTS), config)
    graph.embed()
    for layer in range(config["num_hidden_layers"]):
        graph.layer(f"encoder.layer.{layer}.", fused=fused)
    graph.pool(pooling_of(folder) or "mean", normalize=normalize)
    # Weights beside the graph are mapped into memory as they are, which halves the time to load it.
    data = file.with_name(f"{file.name}.data")
    onnx.save(graph.model(), file, save_as_external_data=True, location=data.name)
    data.chmod(file.stat().st_mode)  # onnx lets only the owner read it


def graph_mark(folder: Path, revision: str, *, normalize: bool) -> str:
    """Return 16 hexadecimal digits of all that a graph is made of: not only the weights."""
    config = (folder / "config.json").read_bytes() if (folder / "config.json").is_file() else b""
    rest = f"{revision} {pooling_of(folder)} {normalize} ".encode()
    return hashlib.sha256(rest + config).hexdigest()[:16]


def unsupported(folder: Path) -> str | None:
    """Return why the model in the folder cannot be such a graph, as a predicate ("is ..."); None if it can."""
    config = read_json(folder / "config.json")
    if config.get("model_type") != "bert" or config.get("is_decoder"):
        return f"is {config.get('model_type')!r}" + (" as a decoder" if config.get("is_decoder") else "")
    if lacking := _SIZES - config.keys():
        return f"states no {', '.join(sorted(lacking))}"
    if config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        return f"has {config.get('hidden_act')} and {config.get('position_embedding_type')} positions"
    if further := module_types(folder) - _MODULES:
        return f"has further modules ({', '.join(sorted(further))})"
    if read_json(folder / "sentence_bert_config.json").get("do_lower_case"):
        return "lowers texts before its tokenizer"
    if pooling_of(folder) is None:
        return "pools otherwise than by the mean or the first token"
    return _unsupported_weights(folder, config)


def _unsupported_weights(folder: Path, config: dict[str, Any]) -> str | None:
    if not (folder / _WEIGHTS).is_file():
        return f"has no {_WEIGHTS}"
    safetensors = require("safetensors", extra="onnx")
    try:
        with safetensors.safe_open(folder / _WEIGHTS, "numpy") as file:
            types = {name.removeprefix("bert."): file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        return f"has weights that cannot be read ({error})"
    last = f"encoder.layer.{config['num_hidden_layers'] - 1}.output.LayerNorm.weight"
    if last not in types:
        return f"names its weights in another way (no {last})"
    if types[last] != "F32":
        return f"has weights in {types[last]}"
    return None


class _Graph:
    """A graph that is being built. `state` names the hidden states (b, s, d) that the next part starts from."""

    def __init__(self, onnx: Any, weights: dict[str, Any], config: dict[str, Any]) -> None:
        self._onnx = onnx
        self._weights = {name.removeprefix("bert."): array for name, array in weights.items()}
        self._size: int = config["hidden_size"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config.get("layer_norm_eps", 1e-12)
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._names = 0
        self.state = ""

    def embed(self) -> None:
        """Add words, positions and the first token type, normalised, and the attention mask in its later forms."""
        w = self._weights
        # Every token has the first type, so that its vector is added to the positions once, here.
        positions = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
        length = self._node("Shape", "input_ids", start=1, end=2)
        zero = self._constant(np.array([0], np.int64))
        position = self._node("Slice", self._constant(positions), zero, length, zero)
        words = self._node("Gather", self._constant(w["embeddings.word_embeddings.weight"]), "input_ids")
        self.state = self._norm(self._node("Add", words, position), "embeddings.LayerNorm")
        self._mask = self._node("Cast", "attention_mask", to=self._onnx.TensorProto.FLOAT)
        self._mask32 = self._node("Cast", "attention_mask", to=self._onnx.TensorProto.INT32)
        # The bias of attention is 0 for a token and the lowest float for padding, whose softmax is 0 then.
        hidden = self._node("Sub", self._constant(np.array(1, np.float32)), self._mask)
        lowest = self._constant(np.array(np.finfo(np.float32).min, np.float32))
        axes = self._constant(np.array([1, 2], np.int64))
        self._bias = self._node("Unsqueeze", self._node("Mul", hidden, lowest), axes)

    def layer(self, name: str, *, fused: bool) -> None:
        """Add one encoder layer (Vaswani et al. 2017, normalised after each skip, as in Devlin et al. 2019)."""
        attended = self._fused_attention(name) if fused else self._attention(name)
        self.state = self._skip(attended, name + "attention.output", fused=fused)
        raised = self._node("MatMul", self.state, self._weight(name + "intermediate.dense"))
        bias = self._constant(self._weights[name + "intermediate.dense.bias"])
        if fused:
            raised = self._node("BiasGelu", raised, bias, domain=_FUSED)
        else:
            raised = self._node("Gelu", self._node("Add", raised, bias))
        self.state = self._skip(raised, name + "output", fused=fused)

    def pool(self, pooling: str, *, normalize: bool) -> None:
        """Add the pooling: one vector for each text, under the name "vectors"."""
        one = self._constant(np.array([1], np.int64))
        if pooling == "mean":
            # mask (b, 1, s) @ states (b, s, d) is the sum over the tokens, divided by their number.
            row = self._node("Unsqueeze", self._mask, one)
            total = self._node("Squeeze", self._node("MatMul", row, self.state), one)
            pooled = self._node("Div", total, self._node("ReduceSum", self._mask, one, keepdims=1))
        else:
            pooled = self._node("Gather", self.state, self._constant(np.array(0, np.int64)), axis=1)
        if normalize:
            pooled = self._node("Div", pooled, self._node("ReduceL2", pooled, one, keepdims=1))
        self._nodes.append(self._onnx.helper.make_node("Identity", [pooled], ["vectors"]))

    def model(self) -> Any:
        """Return the finished model."""
        helper, types = self._onnx.helper, self._onnx.TensorProto
        inputs = [
            helper.make_tensor_value_info(name, types.INT64, ["b", "s"]) for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("vectors", types.FLOAT, ["b", self._size])
        constants = [self._onnx.numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, "bert", inputs, [output], constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)

    def _fused_attention(self, name: str) -> str:
        # ONNX Runtime's Attention takes the three matrices side by side, and does all of `_attention`.
        parts = [f"{name}attention.self.{part}" for part in ("query", "key", "value")]
        weight = self._constant(np.concatenate([self._weights[part + ".weight"].T for part in parts], axis=1))
        bias = self._constant(np.concatenate([self._weights[part + ".bias"] for part in parts]))
        return self._node("Attention", self.state, weight, bias, self._mask32, domain=_FUSED, num_heads=self._heads)

    def _attention(self, name: str) -> str:
        # softmax(Q K^T / sqrt(d)) V for each head. The scale is multiplied into the weights of Q, which costs nothing.
        scale = np.float32((self._size // self._heads) ** -0.5)
        query = self._head(f"{name}attention.self.query", [0, 2, 1, 3], scale=scale)
        key = self._head(f"{name}attention.self.key", [0, 2, 3, 1])
        value = self._head(f"{name}attention.self.value", [0, 2, 1, 3])
        scores = self._node("Add", self._node("MatMul", query, key), self._bias)
        mixed = self._node("MatMul", self._node("Softmax", scores, axis=-1), value)
        merged = self._constant(np.array([0, 0, self._size], np.int64))
        return self._node("Reshape", self._node("Transpose", mixed, perm=[0, 2, 1, 3]), merged)

    def _head(self, name: str, order: list[int], *, scale: np.float32 | None = None) -> str:
        weight, bias = self._weights[name + ".weight"].T, self._weights[name + ".bias"]
        if scale is not None:
            weight, bias = weight * scale, bias * scale
        projected = self._node("Add", self._node("MatMul", self.state, self._constant(weight)), self._constant(bias))
        split = self._constant(np.array([0, 0, self._heads, self._size // self._heads], np.int64))
        return self._node("Transpose", self._node("Reshape", projected, split), perm=order)

    def _skip(self, source: str, name: str, *, fused: bool) -> str:
        raised = self._node("MatMul", source, self._weight(name + ".dense"))
        bias = self._constant(self._weights[name + ".dense.bias"])
        if not fused:
            return self._norm(self._node("Add", self._node("Add", raised, bias), self.state), name + ".LayerNorm")
        scale = self._constant(self._weights[name + ".LayerNorm.weight"])
        shift = self._constant(self._weights[name + ".LayerNorm.bias"])
        inputs = (raised, self.state, scale, shift, bias)
        return self._node("SkipLayerNormalization", *inputs, domain=_FUSED, epsilon=self._epsilon)

    def _norm(self, source: str, name: str) -> str:
        scale = self._constant(self._weights[name + ".weight"])
        shift = self._constant(self._weights[name + ".bias"])
        return self._node("LayerNormalization", source, scale, shift, axis=-1, epsilon=self._epsilon)

    def _weight(self, name: str) -> str:
        return self._constant(self._weights[name + ".weight"].T)

    def _constant(self, array: Any) -> str:
        name = self._name("c")
        self._constants[name] = np.asarray(array, order="C")  # ascontiguousarray would make a scalar a vector
        return name

    def _node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = self._name("n")
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"
