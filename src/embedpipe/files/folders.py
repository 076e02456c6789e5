"""Find the files below folders, and say which are passed over, and why."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from embedpipe.errors import InputError
from embedpipe.files._formats import known_suffixes
from embedpipe.files._not_read import NOT_READ

Reason: TypeAlias = Literal["unknown suffix", "empty", "hidden", "link to a folder", "broken link", "no regular file"]


class PassedOver(NamedTuple):
    """A file or folder below a folder that was given, and why it is not read."""

    path: Path
    reason: Reason

    @property
    def advice(self) -> str:
        """Return what a file of unknown suffix is and what to do about it, "" if its suffix says nothing."""
        return NOT_READ.get(self.path.suffix.lower(), "") if self.reason == "unknown suffix" else ""


@dataclass(slots=True)
class FoundFiles:
    """The files to read, in order. `passed_over` has everything else that lies below the folders."""

    files: list[Path] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)

    def __iter__(self) -> Iterator[Path]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def found_files(paths: Path | str | Iterable[Path | str], *, reader: str | None = None) -> FoundFiles:
    """Find each file named, and all files of a known format below each folder.

    A file that is named is taken whatever its suffix. Below a folder, these are passed over: files of unknown suffix,
    empty files, hidden files and folders (".git"), links to folders elsewhere, links that lead nowhere, pipes and
    devices.

    Args:
        paths: A file or folder, or several.
        reader: "docling" if the files will be read by docling, which knows more formats.

    Returns:
        An iterable of paths, in order. Its `passed_over` lists what was passed over, each with the reason.

    Raises:
        InputError: If a path is not there, or a folder cannot be read: its files would seem to be gone.
    """
    found, folders = FoundFiles(), []
    for path in [Path(paths)] if isinstance(paths, str | Path) else map(Path, paths):
        if path.is_dir():
            below = [*_below(path, set(known_suffixes(reader)))]
            found.files += sorted(each for each, reason in below if reason is None)
            found.passed_over += sorted(PassedOver(each, reason) for each, reason in below if reason is not None)
            folders.append(path.resolve())
        elif _status(path) is None:
            fault = "is a link that leads nowhere" if path.is_symlink() else "is not there"
            raise InputError(f"{path} {fault}. Name a file or a folder.")
        else:
            found.files.append(path)
    found.passed_over = [each for each in dict.fromkeys(found.passed_over) if not _leads_into(each, folders)]
    return found


def _leads_into(passed_over: PassedOver, folders: Sequence[Path]) -> bool:
    """Return whether this is a link to a folder whose files are found at their own place."""
    if passed_over.reason != "link to a folder":
        return False
    target = passed_over.path.resolve()
    return any(target.is_relative_to(folder) for folder in folders)


def _below(folder: Path, known: set[str]) -> Iterator[tuple[Path, Reason | None]]:
    """Yield everything below a folder, with the reason if it is passed over. Hidden folders are not looked into."""
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        entered = []
        for name in folders:
            if name.startswith("."):
                yield Path(parent, name), "hidden"
            elif Path(parent, name).is_symlink():
                yield Path(parent, name), "link to a folder"
            else:
                entered.append(name)
        folders[:] = entered
        for name in names:
            path = Path(parent, name)
            yield path, "hidden" if name.startswith(".") else _reason(path, known)


def _reason(path: Path, known: set[str]) -> Reason | None:
    status = _status(path)
    if status is None:
        return "broken link"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    if not status.st_size:
        return "empty"
    return None if path.suffix.lower() in known else "unknown suffix"


def _status(path: Path) -> os.stat_result | None:
    """Return the state of a file, None if it is not there or a link leads nowhere or in a circle."""
    try:
        return path.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            _refuse(error)
        return None


def _refuse(error: OSError) -> None:
    raise InputError(
        f"{error.filename} cannot be read: {error.strerror}. Allow it to be read, or name the files and folders "
        "beside it."
    ) from error
