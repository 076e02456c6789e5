"""Files as documents: text, Markdown and source code, in UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from embedpipe.errors import InputError
from embedpipe.types import Document

_TEXT_SUFFIXES = """
.txt .md .markdown .rst .adoc .tex .csv .tsv .log .org .json .jsonl .yaml .yml .toml .ini .cfg .xml
.py .pyi .js .mjs .ts .tsx .jsx .java .kt .go .rs .c .h .cc .cpp .hpp .cs .rb .php .swift .scala .sh .sql .r .lua
"""


def found_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Each file named, whatever its suffix, and all text files below each folder, but for hidden ones, in order.

    `InputError` for a path that is not there.
    """
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            below = sorted(path.rglob("*"))
            yield from (file for file in below if _is_text(file) and not _is_hidden(file.relative_to(path)))
        else:
            raise InputError(f"{path} is not there: expected a file or a folder.")


def read_document(path: Path) -> Document:
    """The file's text under its absolute path as id, so that the same file is the same document in every run.

    `InputError` where it is not UTF-8 text, or holds nothing but white space.
    """
    whole = path.resolve()
    try:
        text = whole.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): convert it or leave it out.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise InputError(f"{path} holds no text.")
    return Document(id=whole.as_posix(), text=text, metadata={"name": path.name, "suffix": path.suffix.lower()})


def _is_text(path: Path) -> bool:
    return path.suffix.lower() in _TEXT_SUFFIXES.split() and path.is_file()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
