"""Read a local model's specification from its files."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from embedpipe._optional import require
from embedpipe.embedding import catalogue
from embedpipe.errors import ConfigurationError
from embedpipe.types import ModelSpec

_UNBOUNDED = 1e9
"""Tokenizers without a limit state a number beyond it, such as 1e30."""
_FORMER_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""In the order in which sentence-transformers joins them."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_model_folder(name: str) -> bool:
    """Return whether the name is a folder with a model in it."""
    try:
        folder = Path(name).expanduser()
        return (folder / "config.json").is_file() or (folder / "modules.json").is_file()
    except (OSError, ValueError, RuntimeError):  # too long, or no path at all
        return False


def check_weights(folder: Path, spec: ModelSpec) -> None:
    """Raise `ConfigurationError` if the folder's weights are not those that the specification's revision names."""
    expected, found = spec.revision.partition("-")[0], digest(folder)
    if found != expected:
        raise ConfigurationError(
            f"The weights in {folder} are not those of {spec.name}: their SHA-256 is {found}, not {expected}. Remove "
            "that copy to fetch it again, or pass the folder's path to use these weights as they are."
        )


def digest(folder: Path) -> str:
    """Return the SHA-256 of the weight file as hexadecimal digits; of several files, the SHA-256 of their digests."""
    encoder = encoder_folder(folder)
    kinds = ("*.safetensors", "pytorch_model*.bin", "onnx/model.onnx*", "model.onnx*")
    files = next(filter(None, (sorted(encoder.glob(kind)) for kind in kinds)), [])
    if not files:
        raise ConfigurationError(f"There is no weight file (model.safetensors) in {folder}. Download the model again.")
    digests = [_file_digest(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _file_digest(file: Path) -> str:
    blob = file.resolve().name
    if _SHA256.fullmatch(blob):  # the hub's cache names its files so
        return blob
    status = file.stat()
    return _hashed(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _hashed(file: Path, _size: int, _mtime_ns: int) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_json(file: Path) -> dict[str, Any]:
    """Return the file's object; an empty one if there is no file."""
    if not file.is_file():
        return {}
    loaded = json.loads(file.read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else {}


def describe(folder: Path, name: str) -> ModelSpec:
    """Return the specification that the folder's own files state.

    The same weights have one name, wherever they are: the published one, else the last part of `name`. Published
    weights with other settings are another model.
    """
    revision = digest(folder)
    named, published = catalogue.find(name), catalogue.of_weights(revision)
    stated = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    documents = (stated.get(key) for key in ("document", "passage", "corpus"))  # as encode_document looks for it
    spec = ModelSpec(
        name=named.name if named else Path(name).name,
        dimensions=_dimensions(folder),
        max_tokens=_max_tokens(folder),
        revision=revision,
        query_prompt=stated.get("query") or (named.query_prompt if named else ""),
        document_prompt=next(filter(None, documents), named.document_prompt if named else ""),
        normalized=any(type_ == "Normalize" for type_, _ in modules_of(folder)),
        aliases=named.aliases if named else (),
    )
    if published is None:
        return spec
    pooling = pooling_of(folder)
    own = replace(spec, name=published.name, aliases=published.aliases)
    return own if own == published.spec and pooling == "mean" else replace(spec, revision=f"{revision}-{pooling}")


def modules_of(folder: Path) -> list[tuple[str, Path]]:
    """Return the kind and folder of each module that the model consists of, in order. The first is the encoder.

    A folder that states none is an encoder alone; sentence-transformers takes the mean of its tokens' vectors.
    """
    file = folder / "modules.json"
    if not file.is_file():
        return [("Transformer", folder)]
    stated = json.loads(file.read_text(encoding="utf-8"))
    return [(module["type"].rpartition(".")[2], folder / module["path"]) for module in stated]


def encoder_folder(folder: Path) -> Path:
    """Return the folder of the first module: the encoder's weights, configuration and tokenizer."""
    return modules_of(folder)[0][1]


def is_static(folder: Path) -> bool:
    """Return whether the model has one vector for each token and no encoder."""
    bare = (
        not (folder / "modules.json").is_file() and read_json(folder / "config.json").get("model_type") == "model2vec"
    )
    return bare or modules_of(folder)[0][0] == "StaticEmbedding"


def pooling_modes(folder: Path) -> list[str]:
    """Return how the tokens' vectors become the text's: "mean", "cls" ... The results of several are joined."""
    config = pooling_config(folder)
    if mode := config.get("pooling_mode"):  # sentence-transformers writes a name since 6.0, and wrote flags before
        return [mode] if isinstance(mode, str) else list(mode)
    return [mode for key, mode in _FORMER_MODES.items() if config.get(key) is True] or ["mean"]


def pooling_of(folder: Path) -> str:
    """Return the pooling in one word."""
    return "+".join(pooling_modes(folder))


def pooling_config(folder: Path) -> dict[str, Any]:
    """Return the pooling module's settings; none without such a module."""
    path = next((path for type_, path in modules_of(folder) if type_ == "Pooling"), None)
    return {} if path is None else read_json(path / "config.json")


def _dimensions(folder: Path) -> int:
    encoder = encoder_folder(folder)
    if is_static(folder):
        return _columns(encoder / "model.safetensors")
    for type_, path in reversed(modules_of(folder)):
        if type_ == "Dense" and (size := read_json(path / "config.json").get("out_features")):
            return int(size)
    pooling, config = pooling_config(folder), read_json(encoder / "config.json")
    size = pooling.get("embedding_dimension") or pooling.get("word_embedding_dimension")
    size = size or config.get("hidden_size") or config.get("dim") or config.get("d_model")
    if not size:
        raise ConfigurationError(
            f"Neither 1_Pooling/config.json nor config.json (hidden_size) in {folder} states the vectors' dimension. "
            "Pass the folder of an embedding model."
        )
    return int(size) * len(pooling_modes(folder))


def _columns(file: Path) -> int:
    """Return the dimension of a static model's vectors."""
    with require("safetensors", extra="onnx").safe_open(file, "numpy") as stored:
        name = "embedding.weight" if "embedding.weight" in stored.keys() else "embeddings"  # noqa: SIM118
        return int(stored.get_slice(name).get_shape()[1])


def _max_tokens(folder: Path) -> int | None:
    """Return the limit that sentence-transformers uses: its own setting, else the lower of tokenizer's and model's."""
    if is_static(folder):
        return None
    encoder = encoder_folder(folder)
    if size := read_json(encoder / "sentence_bert_config.json").get("max_seq_length"):
        return int(size)
    tokenizer = read_json(encoder / "tokenizer_config.json").get("model_max_length")
    positions = read_json(encoder / "config.json").get("max_position_embeddings")
    sizes = [int(size) for size in (tokenizer, positions) if size and 0 < size < _UNBOUNDED]
    return min(sizes, default=None)
