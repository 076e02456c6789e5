"""The `embedpipe` command."""

from __future__ import annotations

import io
import logging
import os
import sys

from embedpipe._optional import require
from embedpipe.errors import EmbedPipeError


def main() -> None:
    """Runs the command line; a mistake ends in one message on stderr and exit code 1, a wrong usage in 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character gets another
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        require("typer", extra="cli")
        require("rich", extra="cli")
        from embedpipe.cli.app import app

        try:
            app()
        finally:
            if sys.stdout is not None:  # closed by who called
                sys.stdout.flush()  # while an error can still be told
    except EmbedPipeError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(_told(error))


def _told(error: OSError) -> str | int:
    """The message; the exit code alone where a pipe's reader has seen enough."""
    if error.filename is not None:
        return f"error: {error.filename}: {error.strerror}."
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries again when it ends
    return 1 if isinstance(error, BrokenPipeError) else f"error: the output cannot be written: {error.strerror}."
