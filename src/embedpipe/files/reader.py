"""Find files, and read each as a document. The error of a file that cannot be read says what to do about it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from embedpipe.errors import InputError
from embedpipe.files._formats import has_parser, known_suffixes, parsed_suffixes
from embedpipe.files._parsing import parse
from embedpipe.files.docx import OLE
from embedpipe.files.parsed import Parsed
from embedpipe.types import Document

MAX_FILE_BYTES = 256 * 2**20

_O_NONBLOCK, _O_BINARY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)
_BEGINNINGS = ((b"%PDF-", "a PDF", ".pdf"), (b"PK\x03\x04", "a ZIP archive", ""), (OLE, "an Office file", ""))


def found_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield each file named, and all files of a known format below each folder, in order.

    A file that is named is taken whatever its suffix. Below a folder, hidden files and hidden folders are left out.

    Raises:
        InputError: If a path is not there, or a folder cannot be read: its files would seem to be gone.
    """
    for path in paths:
        if _is_file(path):
            yield path
        elif path.is_dir():
            yield from sorted(_below(path))
        else:
            raise InputError(f"{path} is not there. Name a file or a folder.")


def read_document(path: Path | str) -> Document:
    """Read a file as a document. Its id is the absolute path, so that it is the same document in every run.

    PDF, Word (.docx), HTML and the formats of installed packages are parsed by their suffix. Any other file is read as
    UTF-8 text. Headings, tables and lists of Word and HTML become Markdown. A form feed stands between a PDF's pages,
    so that `page_at(text, offset)` returns the page.

    Returns:
        A document whose metadata holds `name`, `suffix`, a PDF's `pages`, and the `title` in the file, if any.

    Raises:
        InputError: If the file cannot be read. The message names it and says what to do.
        MissingExtraError: If the parser is not installed.
        ConfigurationError: If the package of another format cannot be imported.
    """
    path = Path(path)
    try:
        # O_NONBLOCK, since opening a pipe that nobody writes to would wait forever.
        with os.fdopen(os.open(path, os.O_RDONLY | _O_NONBLOCK | _O_BINARY), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path} is no regular file. Name a file that can be read to its end.")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return document_of(data, name=str(path), id=path.resolve().as_posix())


def document_of(data: bytes, *, name: str, id: str | None = None) -> Document:
    """Do the same as `read_document` for a file's content, such as an upload.

    Args:
        data: The content.
        name: The file's name, whose suffix says the format.
        id: The document's id. None for the name.
    """
    if not data:
        raise InputError(f"{name} is empty (0 bytes). Write it anew, or leave it out.")
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name} is over {MAX_FILE_BYTES >> 20} MB. Cut it into several files.")
    suffix = PurePath(name).suffix.lower()
    parsed = parse(data, suffix=suffix, name=name) if has_parser(suffix) else _text(data, name)
    if not parsed.text.strip():
        raise InputError(f"{name} holds no text. Leave it out.")
    metadata = {"name": PurePath(name).name, "suffix": suffix, **parsed.metadata}
    return Document(id=name if id is None else id, text=parsed.text, metadata=metadata)


def _text(data: bytes, name: str) -> Parsed:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text (byte {error.start}){_guess(data)}") from error
    return Parsed(text.replace("\r\n", "\n").replace("\r", "\n"))


def _guess(data: bytes) -> str:
    for beginning, kind, suffix in _BEGINNINGS:
        if data.startswith(beginning):
            return f", but {kind}. " + (f"Name it {suffix}." if suffix else "Leave it out.")
    return f". Convert it to text or one of {', '.join(parsed_suffixes())}, or leave it out."


def _below(folder: Path) -> Iterator[Path]:
    known = set(known_suffixes())
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [Path(parent, name) for name in names if not name.startswith(".")]
        yield from (file for file in files if file.suffix.lower() in known and _is_file(file))


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # a link that leads nowhere is no file
            _refuse(error)
        return False


def _refuse(error: OSError) -> None:
    raise InputError(
        f"{error.filename} cannot be read: {error.strerror}. Allow it to be read, or name the files and folders "
        "beside it."
    ) from error
