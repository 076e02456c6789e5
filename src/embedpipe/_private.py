"""Privacy on a shared machine: files and folders for this user alone, and environments without keys for programs."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|PWD$|CREDENTIAL|AUTH|_URL$|_URI$|_DSN$", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/\s]*@")


def private_folder(folder: Path) -> None:
    """Make a folder and its missing parents, for this user alone. Those that exist keep their mode."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # its error, where a file has the name


def private_file(path: Path) -> None:
    """Make a file for this user alone. If it exists, take other users' right to read it.

    A file that others may write to is shared on purpose and stays as it is.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    tighten(path)


def tighten(path: Path) -> None:
    """Take other users' right to read a file, unless they may write to it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 and not mode & 0o022:
        with suppress(PermissionError):  # another user's
            path.chmod(mode & 0o700)


def harmless_environment() -> dict[str, str]:
    """Return the environment without keys, passwords and addresses, for a program that needs none of them.

    The environment of a program is readable by the user that it runs as. A malicious file that it parses may send it.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name == "PWD" or not (_SECRET_NAME.search(name) or _LOGIN.search(value))
    }
