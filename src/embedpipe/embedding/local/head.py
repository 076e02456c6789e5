"""Turn tokens' vectors into a text's: pooling, dense layers and normalisation, as a model's own files say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from embedpipe._optional import require
from embedpipe.embedding.local.model_files import modules_of, pooling_config, pooling_modes, read_json
from embedpipe.errors import ConfigurationError
from embedpipe.types import Vectors

Mask: TypeAlias = npt.NDArray[np.int64]


class Step(Protocol):
    """Maps vectors (n, d) to (n, d')."""

    def apply(self, vectors: Vectors) -> Vectors: ...


class Head:
    """What a sentence-transformers folder states behind its encoder.

    Raises:
        ConfigurationError: If it has a module or setting that is not known here.
    """

    def __init__(self, folder: Path) -> None:
        modules = modules_of(folder)
        modes = pooling_modes(folder)
        if further := {type_ for type_, _ in modules[1:]} - {"Pooling", *_STEPS}:
            raise _unsupported(folder, f"has modules of other kinds ({', '.join(sorted(further))})")
        if unknown := set(modes) - _POOLINGS.keys():
            raise _unsupported(folder, f"pools in another way ({', '.join(sorted(unknown))})")
        self._poolings = [_POOLINGS[mode] for mode in modes]
        self._with_prompt = pooling_config(folder).get("include_prompt", True)
        self._steps = [_STEPS[type_](path) for type_, path in modules[1:] if type_ in _STEPS]

    def apply(self, states: npt.NDArray[Any], mask: Mask, prompt_tokens: int) -> Vectors:
        """Return (b, d) float32 of the tokens' vectors (b, s, n). Padding is at the right.

        The first `prompt_tokens` are left out where the model's pooling says so.
        """
        if prompt_tokens and not self._with_prompt:
            mask = mask.copy()
            mask[:, :prompt_tokens] = 0
        states = np.asarray(states, dtype=np.float32)
        vectors = np.concatenate([pooling(states, mask.astype(np.float32)) for pooling in self._poolings], axis=1)
        for step in self._steps:
            vectors = step.apply(vectors)
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _unsupported(folder: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{folder.name} {reason}. Pass runtime='torch', which runs it by sentence-transformers.")


# As sentence-transformers' Pooling computes them. `mask` is (b, s) float32.
def _cls(states: Vectors, mask: Vectors) -> Vectors:
    first: Vectors = states[np.arange(len(states)), mask.argmax(axis=1)]
    return first


def _last(states: Vectors, mask: Vectors) -> Vectors:
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    vectors: Vectors = states[np.arange(len(states)), last] * mask.max(axis=1, keepdims=True)
    return vectors


def _sum(states: Vectors, weights: Vectors) -> Vectors:
    total: Vectors = (weights[:, None, :] @ states)[:, 0]
    return total


def _mean(states: Vectors, mask: Vectors) -> Vectors:
    mean: Vectors = _sum(states, mask) / np.maximum(mask.sum(axis=1, keepdims=True), 1e-9)
    return mean


def _mean_sqrt(states: Vectors, mask: Vectors) -> Vectors:
    mean: Vectors = _mean(states, mask) * np.sqrt(mask.sum(axis=1, keepdims=True))
    return mean


def _weighted_mean(states: Vectors, mask: Vectors) -> Vectors:
    return _mean(states, mask * np.arange(1, mask.shape[1] + 1, dtype=np.float32))


def _max(states: Vectors, mask: Vectors) -> Vectors:
    highest: Vectors = np.where(mask[:, :, None] > 0, states, -np.inf).max(axis=1)
    return highest


_POOLINGS: Mapping[str, Callable[[Vectors, Vectors], Vectors]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}


class _Normalize:
    def __init__(self, folder: Path) -> None: ...

    def apply(self, vectors: Vectors) -> Vectors:
        return normalized(vectors)


def normalized(vectors: Vectors) -> Vectors:
    """Return the vectors with length 1. A vector of zeros stays one."""
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


class _LayerNorm:
    def __init__(self, folder: Path) -> None:
        self._weights = _weights(folder)

    def apply(self, vectors: Vectors) -> Vectors:
        centred = vectors - vectors.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)
        shifted: Vectors = centred / deviation * self._weights["norm.weight"] + self._weights["norm.bias"]
        return shifted


class _Dense:
    def __init__(self, folder: Path) -> None:
        config = read_json(folder / "config.json")
        activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
        name = activation.rpartition(".")[2]
        if not activation.startswith("torch.") or name not in _ACTIVATIONS:
            raise _unsupported(folder, f"has the activation function {activation}")
        if config.get("use_residual") or config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
            raise _unsupported(folder, "is a dense layer of another kind")
        self._activation = _ACTIVATIONS[name]
        self._weights = _weights(folder)

    def apply(self, vectors: Vectors) -> Vectors:
        product = vectors @ self._weights["linear.weight"].T
        if "linear.bias" in self._weights:
            product = product + self._weights["linear.bias"]
        return self._activation(product)


_STEPS: Mapping[str, Callable[[Path], Step]] = {"Dense": _Dense, "LayerNorm": _LayerNorm, "Normalize": _Normalize}


def _same(vectors: Vectors) -> Vectors:
    return vectors


def _relu(vectors: Vectors) -> Vectors:
    return np.maximum(vectors, 0)


_ACTIVATIONS: Mapping[str, Callable[[Vectors], Vectors]] = {"Identity": _same, "Tanh": np.tanh, "ReLU": _relu}


def _weights(folder: Path) -> dict[str, Vectors]:
    """Return a module's weights, float32. Only PyTorch reads the older form."""
    file = folder / "model.safetensors"
    if file.is_file():
        weights = require("safetensors.numpy", extra="onnx").load_file(file)
    else:
        state = require("torch", extra="local").load(folder / "pytorch_model.bin", weights_only=True)
        weights = {name: tensor.float().numpy() for name, tensor in state.items()}
    return {name: np.asarray(array, dtype=np.float32) for name, array in weights.items()}
