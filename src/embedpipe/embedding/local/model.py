"""`LocalModel`: a sentence-transformers model on this machine, by one of three runtimes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np

from embedpipe._forking import Lock, PerProcess
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import Limits
from embedpipe.embedding.local import model_files
from embedpipe.embedding.local.exported import Runtime, calibration_mark
from embedpipe.embedding.local.hub import locate
from embedpipe.embedding.local.length_batches import length_batches
from embedpipe.embedding.local.runtimes import choose_runtime, has_torch
from embedpipe.embedding.local.sentence_transformer import load_sentence_transformer
from embedpipe.embedding.local.static import StaticEncoder
from embedpipe.embedding.roles import checked_prompts, with_roles
from embedpipe.errors import ConfigurationError
from embedpipe.text import ModelCounter, folder_counter
from embedpipe.types import Kind, ModelSpec, Vectors

if TYPE_CHECKING:
    from embedpipe.embedding.local.late import LateEncoder

logger = logging.getLogger(__name__)

_TORCH_OVERHEAD = 64
"""The cost of a pass beside that of its tokens, counted in tokens."""


class _Encoder(Protocol):
    def encode(self, texts: Sequence[str], prompt: str) -> Vectors: ...


class LocalModel:
    """A sentence-transformers model, loaded at the first text.

    Args:
        name: A folder, a name of the catalogue, or a repository of the hub.
        device: "cpu", "cuda:0", "mps"; by default the best there is. For "torch" only.
        batch_size: Most texts in one pass of "torch".
        runtime: "torch" runs any such model by sentence-transformers. "onnx" and "openvino" run a graph of it on the
            processor. The graph of BERT and RoBERTa models (also XLM-RoBERTa) is made without PyTorch. For others it is
            the file onnx/model.onnx of the folder, or PyTorch exports it once. By default it is "onnx" if its extra is
            installed, the graph needs no PyTorch and there is no accelerator, else "torch". The vectors are the same.
            Static models (model2vec) need no runtime: they run by numpy, whatever is named here.
        calibration: A hundred texts or more of the kind to be embedded. They make the model of "openvino" int8. Its
            vectors differ, and cannot be compared with the others.
        query_prompt: Replaces the model's own prompt for questions.
        document_prompt: Replaces the model's own prompt for documents.

    Raises:
        ConfigurationError: If options do not fit the runtime.
    """

    provider = "local"

    def __init__(
        self,
        name: str,
        *,
        device: str | None = None,
        batch_size: int = 32,
        runtime: Runtime | None = None,
        calibration: Sequence[str] | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
    ) -> None:
        if runtime not in (None, *get_args(Runtime)):
            raise ConfigurationError(f"runtime={runtime!r} is not known. Pass one of: {', '.join(get_args(Runtime))}.")
        if calibration is not None and runtime != "openvino":
            raise ConfigurationError(f"`calibration` needs runtime='openvino', and runtime={runtime!r} was given.")
        if device is not None and runtime not in (None, "torch"):
            raise ConfigurationError(f"`device` needs runtime='torch', and runtime={runtime!r} was given.")
        self._name = name
        self._prompts = checked_prompts(query_prompt=query_prompt, document_prompt=document_prompt)
        self._settings: dict[str, Any] = {
            "device": device,
            "batch_size": batch_size,
            "runtime": "torch" if device is not None else runtime,
            "calibration": None if calibration is None else list(calibration),
            "query_prompt": query_prompt,
            "document_prompt": document_prompt,
        }
        self._lock = Lock()
        self._loaded: PerProcess[_Encoder] = PerProcess()
        self._late: PerProcess[LateEncoder] = PerProcess()

    @cached_property
    def folder(self) -> Path:
        """The folder of the model's files, which may be downloaded for it."""
        return locate(self._name)

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification, else the one that the folder's files state. Nothing is loaded for it."""
        known = None if model_files.is_model_folder(self._name) else catalogue.find(self._name)
        spec = known.spec if known and known.weights_sha256 else model_files.describe(self.folder, self._name)
        calibration = self._settings["calibration"]
        if calibration is not None:
            spec = replace(spec, revision=f"{spec.revision}-int8-{calibration_mark(calibration)}", aliases=())
        return with_roles(spec, self._prompts)

    @cached_property
    def counter(self) -> ModelCounter:
        return folder_counter(model_files.encoder_folder(self.folder))

    @property
    def special_tokens(self) -> int:
        return 0 if model_files.is_static(self.folder) else sum(self.counter.special_tokens)

    @property
    def limits(self) -> Limits:
        """One call of the model at a time. It sorts texts by length, and batches them within the call."""
        return Limits(batch_items=self._settings["batch_size"] * 32, batch_tokens=None, concurrency=1)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Return (n, d) float32, one row for each text, in order."""
        prompt = self.spec.query_prompt if kind == "query" else self.spec.document_prompt
        with self._lock:  # tokenizers and sessions are not safe to share between threads
            return self._loaded.get(self._load).encode(texts, prompt)

    def embed_document(self, text: str, spans: Sequence[tuple[int, int]]) -> Vectors:
        """Return (n, d) float32, one row for each span: the mean of its tokens, as they stand in the whole text.

        A text that is longer than the model's limit is embedded in windows that overlap. PyTorch runs it, whatever the
        runtime.
        """
        with self._lock:
            return self._late.get(self._late_encoder).encode(text, spans)

    def _late_encoder(self) -> LateEncoder:
        from embedpipe.embedding.local.late import LateEncoder

        settings = self._settings
        return LateEncoder(self.folder, self.spec, device=settings["device"], batch_size=settings["batch_size"])

    def _load(self) -> _Encoder:
        settings = self._settings
        if model_files.is_static(self.folder):
            return StaticEncoder(self.folder, self.spec, self.counter)
        runtime = settings["runtime"] or choose_runtime(self.folder)
        logger.info("%s runs on %s.", self.spec.name, runtime)
        if runtime == "torch":
            return self._torch()
        try:
            return self._compiled(runtime)
        except ConfigurationError as error:
            if settings["runtime"] is not None or not has_torch():
                raise
            logger.warning("PyTorch runs %s instead of ONNX Runtime. %s", self.spec.name, error)
            return self._torch()

    def _torch(self) -> _Encoder:
        return _TorchEncoder(self, device=self._settings["device"], batch_size=self._settings["batch_size"])

    def _compiled(self, runtime: Runtime) -> _Encoder:
        from embedpipe.embedding.local.compiled import CompiledEncoder

        return CompiledEncoder(
            self.folder,
            self.spec,
            counter=self.counter,
            runtime=runtime,
            calibration=self._settings["calibration"],
        )

    def __repr__(self) -> str:
        runtime = self._settings["runtime"]
        return f"LocalModel({self._name!r}" + (f", runtime={runtime!r})" if runtime else ")")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._name, self._settings)


class _TorchEncoder:
    """Encodes by sentence-transformers; on a processor in passes of texts of like length."""

    def __init__(self, local: LocalModel, *, device: str | None, batch_size: int) -> None:
        model_files.check_weights(local.folder, local.spec)
        self._batch_size, self._size = batch_size, local.spec.dimensions
        self._count = local.counter.count_many
        self._model = load_sentence_transformer(local.folder, device=device)
        # Of the specification, by which texts are split: the folder's own setting may differ.
        self._model.max_seq_length = local.spec.max_tokens

    def encode(self, texts: Sequence[str], prompt: str) -> Vectors:
        # An accelerator is faster with full batches, which sentence-transformers makes by itself.
        if len(texts) == 1 or self._model.device.type != "cpu":
            return self._encoded(texts, prompt)
        vectors = np.empty((len(texts), self._size), dtype=np.float32)
        for rows in length_batches(self._count(texts), overhead=_TORCH_OVERHEAD, most=self._batch_size):
            vectors[rows] = self._encoded([texts[row] for row in rows], prompt)
        return vectors

    def _encoded(self, texts: Sequence[str], prompt: str) -> Vectors:
        vectors = self._model.encode(
            list(texts), prompt=prompt, batch_size=self._batch_size, convert_to_numpy=True, show_progress_bar=False
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _rebuild(name: str, settings: dict[str, Any]) -> LocalModel:
    return LocalModel(name, **settings)
