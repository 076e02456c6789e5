"""Which files are read, and what becomes of each: a document, or an error that says what to do about the file."""

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
    """Each file named, whatever its suffix, and all files of a known kind below each folder, in order.

    Those below a folder that are hidden, or lie in a hidden folder, are left out. `InputError` for a path that is not
    there, and for a folder that cannot be read: its files would seem to be gone.
    """
    for path in paths:
        if _is_file(path):
            yield path
        elif path.is_dir():
            yield from sorted(_below(path))
        else:
            raise InputError(f"{path} is not there: expected a file or a folder.")


def read_document(path: Path | str) -> Document:
    """The file's text under its absolute path as id, so that the same file is the same document in every run.

    PDF, Word (.docx) and HTML are read by their suffix, anything else as UTF-8 text. Headings of Word and HTML are
    Markdown headings in the text, tables and lists are Markdown's, too; a form feed stands between a PDF's pages, so
    that `page_at(text, offset)` tells the page. The metadata holds `name`, `suffix`, a PDF's `pages`, and the `title`
    that the file gives itself, if any.

    Raises `InputError` for a file that cannot be read, naming it and what to do; `MissingExtraError` where the parser
    is not installed.
    """
    path = Path(path)
    try:
        # Without waiting, since a pipe that nobody writes to would never be open.
        with os.fdopen(os.open(path, os.O_RDONLY | _O_NONBLOCK | _O_BINARY), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path} is no regular file. Name a file that can be read to its end.")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return document_of(data, name=str(path), id=path.resolve().as_posix())


def document_of(data: bytes, *, name: str, id: str | None = None) -> Document:
    """As `read_document`, for a file's content: one that was uploaded, say. `id` None takes the name."""
    if not data:
        raise InputError(f"{name} is empty (0 bytes): write it anew, or leave it out.")
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name} is over {MAX_FILE_BYTES >> 20} MB. Cut it into several files.")
    suffix = PurePath(name).suffix.lower()
    parsed = parse(data, suffix=suffix, name=name) if has_parser(suffix) else _text(data, name)
    if not parsed.text.strip():
        raise InputError(f"{name} holds no text.")
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
            return f", but {kind}: " + (f"name it {suffix}." if suffix else "leave it out.")
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
