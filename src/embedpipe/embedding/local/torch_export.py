"""Export the ONNX graph of any encoder that transformers runs, by PyTorch. Imports PyTorch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from embedpipe._forking import torch_computes
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError
from embedpipe.text import ModelCounter

_OPSET = 18
_TEXTS = ("Rows.", "A cat sat; Wörter, слова, 言葉.", "One two three, four. " * 200)
"""Texts of different lengths, by which the graph is compared with the model."""
_COSINE = 0.9999
_LONGEST = 512
"""Most tokens of these texts: large models take long for more."""


def export_graph(folder: Path, counter: ModelCounter, longest: int, file: Path) -> None:
    """Write the encoder's graph: input_ids and attention_mask (b, s) int64 to token_embeddings (b, s, d) float32.

    The graph must give the same vectors as the model for texts of different lengths, alone and padded.

    Args:
        folder: A sentence-transformers folder. Code in it is never run.
        counter: The tokenizer that the graph will be used with.
        longest: Most tokens of a text.
        file: Where the graph is written.

    Raises:
        ConfigurationError: If the model cannot be exported, or the graph or tokenizer differs from it.
    """
    torch_computes()
    require("transformers.utils.logging", extra="local").disable_progress_bar()
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})
        encoder = _Encoder(model[0].auto_model).eval()
        short = model.tokenizer(list(_TEXTS[:2]), padding=True)
        longest = min(longest, _LONGEST)
        tokenized = model.tokenizer(list(_TEXTS), padding=True, truncation=True, max_length=longest)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of each shape that it reads
            # The TorchScript exporter: the newer one takes 20 times as long, needs onnxscript and fails for T5
            # (PyTorch 2.13).
            torch.onnx.export(
                encoder,
                (torch.tensor(short["input_ids"]), torch.tensor(short["attention_mask"])),
                str(file),
                dynamo=False,
                opset_version=_OPSET,
                input_names=["input_ids", "attention_mask"],
                output_names=["token_embeddings"],
                dynamic_axes={name: {0: "b", 1: "s"} for name in ("input_ids", "attention_mask", "token_embeddings")},
            )
        least = _least_cosine(encoder, file, tokenized)
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
    if model.tokenizer(list(_TEXTS[:2]))["input_ids"] != counter.ids(_TEXTS[:2]):
        raise ConfigurationError(
            f"The tokenizer.json of {folder.name} gives other tokens than transformers makes of it. Pass "
            "runtime='torch'."
        )


class _Encoder(torch.nn.Module):
    """The transformer alone, with the one output that is used."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        if getattr(transformer.config, "_attn_implementation", None) == "sdpa":
            # Masks of models with attention in both directions (Gemma) are made by vmap, which cannot be traced.
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


def _least_cosine(encoder: _Encoder, file: Path, tokenized: Any) -> float:
    """Return the least cosine of a token's vectors by the graph, in a padded batch, and by the model, alone."""
    session = require("onnxruntime", extra="onnx").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    ids, mask = (np.array(tokenized[name], dtype=np.int64) for name in ("input_ids", "attention_mask"))
    states = session.run(["token_embeddings"], {"input_ids": ids, "attention_mask": mask})[0]
    least = 1.0
    for row, kept in zip(range(len(ids)), mask.astype(bool), strict=True):
        with torch.no_grad():
            expected = encoder(torch.tensor(ids[row, kept][None]), torch.tensor(mask[row, kept][None]))[0].numpy()
        lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(states[row, kept], axis=1)
        least = min(least, float(np.min(np.einsum("sd,sd->s", expected, states[row, kept]) / lengths)))
    return least
