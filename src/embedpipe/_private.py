"""What nobody else may read: files and folders of this user alone, and other programs' environments without keys."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|PWD$|CREDENTIAL|AUTH|_URL$|_URI$|_DSN$", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/\s]*@")


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


def harmless_environment() -> dict[str, str]:
    """Return the environment without keys, passwords and addresses, for a program that needs none of them.

    What such a program holds, another user may read who runs it, and a file that it parses may make it send.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name == "PWD" or not (_SECRET_NAME.search(name) or _LOGIN.search(value))
    }
