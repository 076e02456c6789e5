"""Export the ONNX graph of any encoder that transformers runs, by PyTorch. Imports PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from embedpipe._optional import require
from embedpipe.embedding.local.sentence_transformer import load_sentence_transformer
from embedpipe.errors import ConfigurationError
from embedpipe.text import ModelCounter

Array: TypeAlias = npt.NDArray[Any]

_OPSET = 18
_TEXT = "Rows of green tea. A cat sat; Wörter, слова, 言葉. One two three, four."
_TRACED = (9, 7)
"""Tokens of the two texts that the exporter traces, padded to the longer."""
_LENGTHS = (2, 9, 33, 150)
"""Tokens of the texts by which the graph is compared with the model, beside the longest. T5 and MPNet have a bias for
each distance up to 128 tokens. What a trace took for constant is wrong at another length."""
_LONGEST = 512
"""Most tokens of such a text, unless the model treats near tokens otherwise: large models take long for more."""
_COSINE = 0.9999


def export_graph(folder: Path, counter: ModelCounter, longest: int, file: Path) -> None:
    """Write the encoder's graph: input_ids and attention_mask (b, s) int64 to token_embeddings (b, s, d) float32.

    Args:
        folder: A sentence-transformers folder. Code in it is never run.
        counter: The tokenizer that the graph will be used with.
        longest: Most tokens of a text.
        file: Where the graph is written.

    Raises:
        ConfigurationError: If the model cannot be exported, or the graph gives other vectors than the model for texts
            of some length, alone or padded, or the tokenizer gives other tokens.
    """
    model = load_sentence_transformer(folder, device="cpu", model_kwargs={"dtype": "float32"})
    transformer = model[0].auto_model.eval()
    text = _TEXT.lower() if getattr(model[0], "do_lower_case", False) else _TEXT
    ids = counter.ids([text])[0]
    if model.tokenizer(text)["input_ids"] != ids:
        raise ConfigurationError(
            f"The tokenizer.json of {folder.name} gives other tokens than transformers makes of it. Pass "
            "runtime='torch'."
        )
    longest = min(longest, max(_LONGEST, 2 * _near_tokens(transformer.config)))
    draw = np.random.default_rng(0)
    texts = [draw.choice(ids, size) for size in (*_LENGTHS, longest) if size <= longest]
    try:
        # By the model as it is, before the exporter's attention is set, and without padding.
        expected = [_states(transformer, *_padded([text])) for text in texts]
        _export(transformer, _padded([text[:size] for text, size in zip(texts[-2:], _TRACED, strict=True)]), file)
        least = _least_cosine(file, texts, expected)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigurationError(
            f"{folder.name} cannot be exported to ONNX: {type(error).__name__}: {first:.300}. Pass runtime='torch'."
        ) from error
    if not least >= _COSINE:
        raise ConfigurationError(
            f"The ONNX graph of {folder.name} gives other vectors than the model (cosine {least:.4f}). Pass "
            "runtime='torch'."
        )


def _near_tokens(config: Any) -> int:
    """Return the distance or length from which on the model computes otherwise; 0 if it states none."""
    rotations = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    sizes = (getattr(config, "sliding_window", None), rotations.get("original_max_position_embeddings"))
    return max(size or 0 for size in sizes)


def _padded(texts: Sequence[Array]) -> tuple[Array, Array]:
    """Return input_ids and attention_mask (b, s), with padding at the right."""
    ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask


def _states(encoder: Any, ids: Array, mask: Array) -> Array:
    with torch.no_grad():
        states: Array = encoder(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask))[0].numpy()
    return states


class _Encoder(torch.nn.Module):
    """The transformer alone, with the one output that is used."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        # Masks of models with attention in both directions (Gemma) are made by vmap, which cannot be traced. Only for
        # models that use sdpa: MPNet adds its mask to the scores, and would add this one's True and False.
        if getattr(transformer.config, "_attn_implementation", None) == "sdpa":
            transformers.AttentionInterface.register("embedpipe", sdpa_attention_forward)
            transformers.AttentionMaskInterface.register("embedpipe", _mask_without_vmap)
            transformer.set_attn_implementation("embedpipe")
        transformer.config.use_cache = False
        self.transformer = transformer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.transformer(input_ids=input_ids, attention_mask=attention_mask)[0]
        return states


def _mask_without_vmap(*arguments: Any, **options: Any) -> torch.Tensor | None:
    return sdpa_mask(*arguments, **{**options, "use_vmap": False})


def _export(transformer: Any, traced: tuple[Array, Array], file: Path) -> None:
    names = ["input_ids", "attention_mask"]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of each shape that it reads
        # The TorchScript exporter. The newer one takes five times as long (8.9 s against 1.8 s for all-MiniLM-L6-v2),
        # needs onnxscript and fails for T5 (PyTorch 2.13).
        torch.onnx.export(
            _Encoder(transformer).eval(),
            tuple(map(torch.tensor, traced)),
            str(file),
            dynamo=False,
            opset_version=_OPSET,
            input_names=names,
            output_names=["token_embeddings"],
            dynamic_axes={name: {0: "b", 1: "s"} for name in (*names, "token_embeddings")},
        )


def _least_cosine(file: Path, texts: Sequence[Array], expected: Sequence[Array]) -> float:
    """Return the least cosine of a token's vectors: by the graph, for each text alone and all padded, and expected."""
    session = require("onnxruntime", extra="onnx").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    least = 1.0
    for batch in (*([row] for row in range(len(texts))), range(len(texts))):
        ids, mask = _padded([texts[row] for row in batch])
        states = session.run(["token_embeddings"], {"input_ids": ids, "attention_mask": mask})[0]
        for row, made in zip(batch, states, strict=True):
            wanted, found = expected[row][0], made[: len(texts[row])]
            lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
            least = min(least, float(np.min(np.einsum("sd,sd->s", wanted, found) / lengths)))
    return least
