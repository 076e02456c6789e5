"""The chunkers as LangChain text splitters, with the offsets that the chunkers give."""

from __future__ import annotations

import copy
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Set
from dataclasses import fields
from typing import Any, ClassVar, Literal, Self

from langchain_core.documents import Document
from langchain_text_splitters import Language, RecursiveCharacterTextSplitter, TextSplitter

from embedpipe.chunking import (
    MarkdownChunker,
    ParagraphChunker,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    Separator,
    TokenChunker,
)
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import ConfigurationError, InputError, unknown_option
from embedpipe.langchain._documents import CHUNK_INDEX, DOCUMENT_ID, START_INDEX, checked_documents, is_offset
from embedpipe.text import Tokenizer, counter_of_transformers, encoding_name
from embedpipe.types import Chunk, Chunker

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_TELL_APART = ("source", "page", "page_label", "page_number")
"""Metadata of parts that loaders give one id."""


class ChunkerTextSplitter(TextSplitter):
    """Splits with any chunker: `ChunkerTextSplitter(RecursiveChunker(chunk_size=500))`.

    Each piece is a Document with the source's metadata (a copy), the chunk's own, and its exact `start_index` unless
    declined. Of a source with an id, the metadata also say which document a piece is of (`document_id`, unless the
    source has that key) and its number there (`chunk_index`). A piece that is split again keeps the document, and
    offsets into it. The pieces' ids are `<source id>:<number>:<digest>`: the same in every run, and different for
    pieces of another text, place, page or chunker.
    """

    def __init__(self, chunker: Chunker, *, add_start_index: bool = True) -> None:
        super().__init__(add_start_index=add_start_index)
        self.chunker = chunker

    def split_text(self, text: str) -> list[str]:
        """Return the texts of the chunks, in order."""
        return [chunk.text for chunk in self.chunker.chunk(text)]

    def create_documents(self, texts: list[str], metadatas: list[dict[Any, Any]] | None = None) -> list[Document]:
        """Return the chunks of all texts, in order. Raise `InputError` unless there is one metadata for each text."""
        if isinstance(texts, str):
            raise InputError("texts must be a list of str; got one str. Put it into a list.")
        if metadatas is not None and len(metadatas) != len(texts):
            raise InputError(f"Expected one metadata for each of {len(texts)} texts, got {len(metadatas)}.")
        sources = zip(texts, metadatas or [{}] * len(texts), strict=True)
        return self.split_documents(Document(page_content=text, metadata=metadata) for text, metadata in sources)

    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """Return the chunks of all documents, in order. Raise `InputError` for what is no Document."""
        settings = _ADDRESS.sub("", repr(self.chunker))
        numbers: Counter[str] = Counter()
        digests: Counter[bytes] = Counter()
        pieces = []
        for source in checked_documents(documents):
            for chunk in self.chunker.chunk(source.page_content):
                piece = self._piece(source, chunk)
                if source.id is not None:
                    document_id = str(piece.metadata.setdefault(DOCUMENT_ID, source.id))
                    piece.metadata[CHUNK_INDEX] = numbers[document_id]
                    numbers[document_id] += 1
                    digest = _digest(settings, piece, chunk)
                    piece.id = f"{source.id}:{chunk.chunk_index}:{_distinct(digest, digests)}"
                pieces.append(piece)
        return pieces

    def _piece(self, source: Document, chunk: Chunk) -> Document:
        metadata = {**copy.deepcopy(source.metadata), **chunk.metadata}
        if self._add_start_index:
            # What is a piece already has its place in the document beside the document's id.
            before = source.metadata.get(START_INDEX) if CHUNK_INDEX in source.metadata else 0
            shift = before if is_offset(before) and DOCUMENT_ID in source.metadata else 0
            metadata[START_INDEX] = chunk.start_index + shift
        return Document(page_content=chunk.text, metadata=metadata)

    @classmethod
    def from_tiktoken_encoder(
        cls,
        encoding_name: str = "gpt2",
        model_name: str | None = None,
        allowed_special: Literal["all"] | Set[str] | None = None,
        disallowed_special: Literal["all"] | Collection[str] = "all",
        **settings: Any,
    ) -> Self:
        """Return a splitter whose sizes are tokens of a tiktoken encoding, or of the encoding that a model has.

        What spells a special token is counted as plain text, whatever `disallowed_special` says.

        Raises:
            ConfigurationError: For an encoding or model that tiktoken does not know, and for `allowed_special`.
        """
        if allowed_special:
            raise ConfigurationError("allowed_special is not supported: special tokens are counted as plain text.")
        return cls._counting(_known_encoding(encoding_name if model_name is None else model_name), settings)

    @classmethod
    def from_huggingface_tokenizer(cls, tokenizer: Any, **settings: Any) -> Self:
        """Return a splitter whose sizes are tokens of a tokenizer of `transformers`, special tokens left out.

        Raises:
            ConfigurationError: For what is no fast tokenizer of `transformers`.
        """
        return cls._counting(counter_of_transformers(tokenizer), settings)

    @classmethod
    def _counting(cls, tokenizer: Tokenizer, settings: dict[str, Any]) -> Self:
        raise ConfigurationError(
            f"{cls.__name__} counts as its chunker does. Give the chunker unit='tokens' and tokenizer=..., or use "
            "RecursiveTextSplitter."
        )


def _known_encoding(name: str) -> str:
    if encoding_name(name) is None:
        raise ConfigurationError(f"tiktoken has no encoding or model {name!r:.100}.")
    return name


def _digest(settings: str, piece: Document, chunk: Chunk) -> bytes:
    """Return a digest of what tells the piece from others of its source."""
    told = [repr(piece.metadata.get(key)) for key in _TELL_APART]
    told += [str(piece.metadata.get(START_INDEX)), str(chunk.start_index), str(chunk.end_index)]
    digest = hashlib.blake2b(digest_size=8)
    for part in (settings, *told, piece.page_content):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def _distinct(digest: bytes, made: Counter[bytes]) -> str:
    """Return the digest in hexadecimal, with a number behind it from the second piece on that has the same."""
    made[digest] += 1
    return digest.hex() if made[digest] == 1 else f"{digest.hex()}-{made[digest]}"


class _SettingsSplitter(ChunkerTextSplitter):
    """What the splitters share that take the settings of one kind of chunker."""

    chunker_class: ClassVar[type[Any]]

    def __init__(self, *, add_start_index: bool = True, **settings: Any) -> None:
        super().__init__(self._chunker(settings), add_start_index=add_start_index)

    @classmethod
    def _chunker(cls, settings: dict[str, Any]) -> Chunker:
        names = {field.name for field in fields(cls.chunker_class)}
        if "chunk_overlap" in settings and "chunk_overlap" not in names:
            overlap = settings.pop("chunk_overlap")
            if overlap != 0:
                own = ", ".join(sorted(name for name in names if "overlap" in name)) or "none"
                raise ConfigurationError(
                    f"{cls.__name__} has no overlap in characters or tokens; got chunk_overlap={overlap!r}. "
                    f"Set it to 0. Its own option for an overlap: {own}."
                )
        for name in settings:
            if name not in names:
                raise unknown_option(cls.__name__, name, {*names, "add_start_index"})
        chunker: Chunker = cls.chunker_class(**settings)
        return chunker

    @classmethod
    def _counting(cls, tokenizer: Tokenizer, settings: dict[str, Any]) -> Self:
        if any(field.name == "unit" for field in fields(cls.chunker_class)):
            settings = {**settings, "unit": "tokens"}
        return cls(tokenizer=tokenizer, **settings)


class RecursiveTextSplitter(_SettingsSplitter):
    """Splits with a `RecursiveChunker`, whose settings it takes."""

    chunker_class = RecursiveChunker

    @classmethod
    def from_language(cls, language: Language, **settings: Any) -> Self:
        """Return a splitter at the places where LangChain's splitter for that language splits.

        Raises:
            ConfigurationError: For a language that LangChain has no separators for.
        """
        separators = [Separator(text, regex=True) for text in cls.get_separators_for_language(language)]
        return cls(separators=separators, **settings)

    @staticmethod
    def get_separators_for_language(language: Language) -> list[str]:
        """Return LangChain's separators for that language. Raises as `from_language`."""
        try:
            return RecursiveCharacterTextSplitter.get_separators_for_language(Language(language))
        except ValueError as error:
            raise ConfigurationError(f"LangChain has no separators for the language {language!r:.100}.") from error


class TokenTextSplitter(_SettingsSplitter):
    """Splits with a `TokenChunker`, whose settings it takes."""

    chunker_class = TokenChunker


class SentenceTextSplitter(_SettingsSplitter):
    """Splits with a `SentenceChunker`, whose settings it takes."""

    chunker_class = SentenceChunker


class ParagraphTextSplitter(_SettingsSplitter):
    """Splits with a `ParagraphChunker`, whose settings it takes."""

    chunker_class = ParagraphChunker


class MarkdownTextSplitter(_SettingsSplitter):
    """Splits with a `MarkdownChunker`, whose settings it takes; a piece's metadata holds its heading path."""

    chunker_class = MarkdownChunker


class SemanticTextSplitter(_SettingsSplitter):
    """Splits with a `SemanticChunker`, whose settings it takes; `model` may be an embedding model's name."""

    chunker_class = SemanticChunker

    def __init__(self, *, model: Any = "all-MiniLM-L6-v2", add_start_index: bool = True, **settings: Any) -> None:
        generator = EmbeddingGenerator(model) if isinstance(model, str) else model
        super().__init__(model=generator, add_start_index=add_start_index, **settings)
