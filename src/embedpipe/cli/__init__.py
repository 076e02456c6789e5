"""The `embedpipe` command."""

from __future__ import annotations

import io
import logging
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

        app()
    except EmbedPipeError as error:
        sys.exit(f"error: {error}")
