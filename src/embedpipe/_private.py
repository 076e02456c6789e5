"""Files and folders that nobody else may read, whatever the umask: they hold texts' vectors or a provider's limits."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def private_folder(folder: Path) -> None:
    """Make the folder and those above it that are missing, for this user alone; what is there keeps its mode."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # its error, where a file has the name


def private_file(path: Path) -> None:
    """Make the file for this user alone, and take the others' reading from one that was made by the umask.

    A file that others may write to is shared on purpose and stays as it is.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    tighten(path)


def tighten(path: Path) -> None:
    """Take the others' reading from a file that they cannot write to."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 and not mode & 0o022:
        with suppress(PermissionError):  # another user's
            path.chmod(mode & 0o700)
