"""The `embedpipe` command."""

from __future__ import annotations

import io
import logging
import os
import sys

from embedpipe._optional import require
from embedpipe.errors import EmbedPipeError


class _OneLine(logging.Formatter):
    """Formats records in one line. A retry's record has its words in fields, which are none of the message."""

    def format(self, record: logging.LogRecord) -> str:
        fields = vars(record)
        if record.name == "stamina" and "stamina.caused_by" in fields:
            wait, cause = fields["stamina.wait_for"], fields["stamina.caused_by"]
            return f"{record.levelname}: retry {fields['stamina.retry_num']} in {wait} s, after {cause}"
        return super().format(record)


def main() -> None:
    """Run the command line. Errors print one message on stderr and exit with 1, wrong usage exits with 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows another one
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        require("typer", extra="cli")
        require("rich", extra="cli")
        from embedpipe.cli.app import app

        try:
            app()
        finally:
            if sys.stdout is not None:  # None if the caller closed it
                sys.stdout.flush()  # now, while an error can still be reported
    except EmbedPipeError as error:
        from embedpipe.cli.wording import told

        sys.exit(f"error: {told(error)}")
    except OSError as error:
        sys.exit(_exit_status(error))


def _exit_status(error: OSError) -> str | int:
    """Return the message. For a pipe whose reader has stopped reading, return the exit code alone."""
    if error.filename is not None:
        return f"error: {error.filename}: {error.strerror}."
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python flushes stdout again at exit
    return 1 if isinstance(error, BrokenPipeError) else f"error: the output cannot be written: {error.strerror}."
