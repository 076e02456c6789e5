"""LangChain text splitters over the chunkers, with the chunkers' exact offsets."""

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

from embedpipe._checks import checked_items
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
from embedpipe.types import TABLE_HEADER, Chunk, Chunker

# The repr of a callable setting has its address, which differs in each run. Ids must not.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_TELL_APART = ("source", "page", "page_label", "page_number")
"""Metadata that differ between parts to which a loader gave the same id."""


class ChunkerTextSplitter(TextSplitter):
    """Splits with any chunker: `ChunkerTextSplitter(RecursiveChunker(chunk_size=500))`.

    Each piece is a Document with a copy of the source's metadata, the chunk's own metadata and its exact
    `start_index`. If the source has an id, the metadata also have the piece's document (`document_id`, unless the
    source has this key) and its number in the document (`chunk_index`). A piece that is split again keeps its document,
    and offsets into it.

    A piece that goes on with a table's rows has the table's header row in its metadata (`table_header`).
    `EmbedPipeVectorStore` embeds and indexes it before the text.

    The pieces' ids are `<source id>:<number>:<digest>`. They are the same in each run, and differ between texts,
    places, pages and chunkers.
    """

    def __init__(self, chunker: Chunker, *, add_start_index: bool = True) -> None:
        """Wrap a chunker.

        Args:
            chunker: The chunker.
            add_start_index: Whether to write `start_index` into the metadata.
        """
        super().__init__(add_start_index=add_start_index)
        self.chunker = chunker

    def split_text(self, text: str) -> list[str]:
        """Return the texts of the chunks, in order."""
        return [chunk.text for chunk in self.chunker.chunk(text)]

    def create_documents(self, texts: list[str], metadatas: list[dict[Any, Any]] | None = None) -> list[Document]:
        """Split texts.

        Args:
            texts: The texts.
            metadatas: The metadata of each text.

        Returns:
            The pieces of all texts, in order.

        Raises:
            InputError: If `texts` is one string, or if there are not as many metadata as texts.
        """
        if isinstance(texts, str):
            raise InputError("texts is one str. Pass a list of str.")
        texts = checked_items("texts", texts, str)
        metadatas = None if metadatas is None else checked_items("metadatas", metadatas, dict)
        if metadatas is not None and len(metadatas) != len(texts):
            raise InputError(
                f"There are {len(texts)} texts and {len(metadatas)} metadatas. Pass one metadata per text."
            )
        sources = zip(texts, metadatas or [{}] * len(texts), strict=True)
        return self.split_documents(Document(page_content=text, metadata=metadata) for text, metadata in sources)

    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """Split documents.

        Args:
            documents: The documents.

        Returns:
            The pieces of all documents, in order.

        Raises:
            InputError: If a value is not a Document.
        """
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
        if chunk.header is not None:
            metadata[TABLE_HEADER] = chunk.header
        if self._add_start_index:
            # The source may be a piece of a document itself. Its metadata then have its place in the document.
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
        """Return a splitter that measures sizes in tokens of tiktoken.

        Args:
            encoding_name: The name of an encoding.
            model_name: The name of a model, whose encoding is taken instead.
            allowed_special: Not supported: special tokens in the text count as plain text.
            disallowed_special: Not used, for the same reason.
            **settings: Settings of the chunker.

        Raises:
            ConfigurationError: If tiktoken does not know the encoding or model, or if `allowed_special` is set.
        """
        if allowed_special:
            raise ConfigurationError(
                "allowed_special is not supported: special tokens count as plain text. Leave it out."
            )
        return cls._counting(_known_encoding(encoding_name if model_name is None else model_name), settings)

    @classmethod
    def from_huggingface_tokenizer(cls, tokenizer: Any, **settings: Any) -> Self:
        """Return a splitter that measures sizes in tokens of a `transformers` tokenizer, without special tokens.

        Args:
            tokenizer: A fast tokenizer of `transformers`.
            **settings: Settings of the chunker.

        Raises:
            ConfigurationError: If `tokenizer` is not a fast tokenizer of `transformers`.
        """
        return cls._counting(counter_of_transformers(tokenizer), settings)

    @classmethod
    def _counting(cls, tokenizer: Tokenizer, settings: dict[str, Any]) -> Self:
        raise ConfigurationError(
            f"{cls.__name__} measures sizes as its chunker does. Pass unit='tokens' and tokenizer=... to the chunker, "
            "or use RecursiveTextSplitter."
        )


def _known_encoding(name: str) -> str:
    if encoding_name(name) is None:
        raise ConfigurationError(f"tiktoken has no encoding or model {name!r:.100}.")
    return name


def _digest(settings: str, piece: Document, chunk: Chunk) -> bytes:
    """Return a digest of everything that distinguishes a piece from others with the same source id."""
    told = [repr(piece.metadata.get(key)) for key in _TELL_APART]
    told += [str(piece.metadata.get(START_INDEX)), str(chunk.start_index), str(chunk.end_index)]
    digest = hashlib.blake2b(digest_size=8)
    for part in (settings, *told, piece.page_content):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def _distinct(digest: bytes, made: Counter[bytes]) -> str:
    """Return the digest in hexadecimal. A repeated digest gets a number at the end."""
    made[digest] += 1
    return digest.hex() if made[digest] == 1 else f"{digest.hex()}-{made[digest]}"


class _SettingsSplitter(ChunkerTextSplitter):
    """The base of splitters that take the settings of one kind of chunker."""

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
                    f"{cls.__name__} does not support chunk_overlap={overlap!r}: it has no overlap in characters or "
                    f"tokens. Set it to 0. Its own option for an overlap: {own}."
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
    """Splits with a `RecursiveChunker`. Takes its settings."""

    chunker_class = RecursiveChunker

    @classmethod
    def from_language(cls, language: Language, **settings: Any) -> Self:
        """Return a splitter with LangChain's separators for a programming language.

        Args:
            language: The language.
            **settings: Further settings of the chunker.

        Raises:
            ConfigurationError: If LangChain has no separators for the language.
        """
        separators = [Separator(text, regex=True) for text in cls.get_separators_for_language(language)]
        return cls(separators=separators, **settings)

    @staticmethod
    def get_separators_for_language(language: Language) -> list[str]:
        """Return LangChain's separators for a programming language, as regular expressions.

        Args:
            language: The language.

        Raises:
            ConfigurationError: If LangChain has no separators for the language.
        """
        try:
            return RecursiveCharacterTextSplitter.get_separators_for_language(Language(language))
        except ValueError as error:
            raise ConfigurationError(
                f"LangChain has no separators for the language {language!r:.100}. Choose a member of its `Language`."
            ) from error


class TokenTextSplitter(_SettingsSplitter):
    """Splits with a `TokenChunker`. Takes its settings."""

    chunker_class = TokenChunker


class SentenceTextSplitter(_SettingsSplitter):
    """Splits with a `SentenceChunker`. Takes its settings."""

    chunker_class = SentenceChunker


class ParagraphTextSplitter(_SettingsSplitter):
    """Splits with a `ParagraphChunker`. Takes its settings."""

    chunker_class = ParagraphChunker


class MarkdownTextSplitter(_SettingsSplitter):
    """Splits with a `MarkdownChunker`. Takes its settings. The metadata have the path of headings."""

    chunker_class = MarkdownChunker


class SemanticTextSplitter(_SettingsSplitter):
    """Splits with a `SemanticChunker`. Takes its settings. `model` may also be the name of an embedding model."""

    chunker_class = SemanticChunker

    def __init__(self, *, model: Any = "all-MiniLM-L6-v2", add_start_index: bool = True, **settings: Any) -> None:
        generator = EmbeddingGenerator(model) if isinstance(model, str) else model
        super().__init__(model=generator, add_start_index=add_start_index, **settings)
