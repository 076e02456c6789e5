"""Read files as documents. The error of a file that cannot be read says what to do about it."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath
from typing import Any

from embedpipe.errors import InputError
from embedpipe.files._decoding import decode
from embedpipe.files._formats import check_reader, has_parser, known_suffixes, parsed_suffixes
from embedpipe.files._not_read import NOT_READ
from embedpipe.files._parsing import parse
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.types import Document

MAX_FILE_BYTES = 256 * 2**20
DEFAULT = ReadOptions()

_O_NONBLOCK, _O_BINARY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)


def read_document(path: Path | str, options: ReadOptions = DEFAULT) -> Document:
    """Read a file as one document. Its id is the absolute path, so that it is the same document in every run.

    PDF, Word (.docx), HTML and the formats of installed packages are parsed by their suffix. Any other file is read as
    text, and its encoding is found. Headings, tables and lists of Word and HTML become Markdown. A form feed stands
    between a PDF's pages, so that `page_at(text, offset)` returns the page. Records of one file are joined, a blank
    line between them.

    Args:
        path: The file.
        options: How it is read.

    Returns:
        A document whose metadata holds `name`, `suffix`, and what the file says of itself, such as its `title`.
        `left_out` lists what the file holds and the text does not, if anything.

    Raises:
        InputError: If the file cannot be read. The message names it and says what to do.
        MissingExtraError: If the parser is not installed.
        ConfigurationError: If the package of another format cannot be imported.
    """
    path = Path(path)
    return document_of(_content(path), name=str(path), id=_id(path), options=options)


def read_documents(path: Path | str, options: ReadOptions = DEFAULT) -> list[Document]:
    """Do the same as `read_document`, but return a document for each record of a file that is made of records.

    A record's id is the file's absolute path, "#", and the record's own id or its number, from 1.
    """
    path = Path(path)
    return documents_of(_content(path), name=str(path), id=_id(path), options=options)


def _content(path: Path) -> bytes:
    try:
        # O_NONBLOCK, since opening a pipe that nobody writes to would wait forever.
        with os.fdopen(os.open(path, os.O_RDONLY | _O_NONBLOCK | _O_BINARY), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path} is no regular file. Name a file that can be read to its end.")
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Allow it to be read, or leave it out.") from error


def _id(path: Path) -> str:
    place = path.resolve().as_posix()
    if any("\ud800" <= character <= "\udfff" for character in place):
        legible = place.encode("utf-8", "backslashreplace").decode()
        raise InputError(f"{legible} has bytes in its name that are no UTF-8. Rename it (convmv does).")
    return place


def document_of(data: bytes, *, name: str, id: str | None = None, options: ReadOptions = DEFAULT) -> Document:
    """Do the same as `read_document` for a file's content, such as an upload.

    Args:
        data: The content.
        name: The file's name, whose suffix says the format.
        id: The document's id. None for the name.
        options: How it is read.
    """
    parsed = _parsed(data, name, options, join=True)
    assert isinstance(parsed, Parsed)  # noqa: S101 - records are joined
    return _document(parsed, name=name, id=name if id is None else id)


def documents_of(data: bytes, *, name: str, id: str | None = None, options: ReadOptions = DEFAULT) -> list[Document]:
    """Do the same as `read_documents` for a file's content. See `document_of` for the arguments."""
    parsed, of_file = _parsed(data, name, options, join=False), name if id is None else id
    if isinstance(parsed, Parsed):
        return [_document(parsed, name=name, id=of_file)]
    return [
        _document(record, name=name, id=f"{of_file}#{number if record.id is None else record.id}")
        for number, record in enumerate(parsed, 1)
    ]


def _parsed(data: bytes, name: str, options: ReadOptions, *, join: bool) -> Parsed | list[Parsed]:
    if not data:
        raise InputError(f"{name} is empty (0 bytes). Write it anew, or leave it out.")
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name} is over {MAX_FILE_BYTES >> 20} MB. Cut it into several files.")
    suffix = _suffix(name)
    check_reader(options.reader)
    if has_parser(suffix, options.reader):
        parsed = parse(data, suffix=suffix, name=name, options=options, join=join)
    elif suffix in NOT_READ:
        raise InputError(f"{name} is {NOT_READ[suffix]}")
    else:
        parsed = _text(data, name, options)
    if not any(record.text.strip() for record in ([parsed] if isinstance(parsed, Parsed) else parsed)):
        raise InputError(f"{name} holds no text. Leave it out.")
    return parsed


def _document(parsed: Parsed, *, name: str, id: str) -> Document:
    metadata: dict[str, Any] = {"name": PurePath(name).name, "suffix": _suffix(name), **parsed.metadata}
    if parsed.left_out:
        metadata["left_out"] = list(parsed.left_out)
    return Document(id=id, text=parsed.text, metadata=metadata, locations=parsed.locations)


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _text(data: bytes, name: str, options: ReadOptions) -> Parsed:
    try:
        return decode(data, name, options.encoding)
    except InputError as error:
        if _suffix(name) in known_suffixes():
            raise
        raise InputError(f"{error} Files of other formats are {', '.join(parsed_suffixes())}.") from error
