"""The process in which files are parsed: `python -m embedpipe.files._child BYTES`.

It reads requests from standard input and writes replies to standard output, until the input ends. A request is a
suffix, a name and a file's content. A reply is JSON. Each part has its length before it. Nothing is pickled: a file
that takes over a parser must not reach the process that asked.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path

from embedpipe.errors import ConfigurationError, InputError, MissingExtraError
from embedpipe.files._formats import OWN_SUFFIXES, parser_of
from embedpipe.files._parts import read_part, write_part


class _Messages(logging.Handler):
    """Collects log messages of the parsers. The process that asked for the file logs them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((record.name, record.levelno, record.getMessage()))


def _limit_memory(size: int) -> None:
    """Let this process take at most `size` bytes more than it has. Systems without such limits set none."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        size += int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # macOS, which does not hold processes to the limit either
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


def _answer(suffix: str, name: str, data: bytes, messages: _Messages) -> bytes:
    """Parse a file. Return the reply: its text and metadata, or why there are none."""
    messages.found.clear()
    try:
        parsed = parser_of(suffix)(data, name)
        answer = {"text": "".join([parsed.text]), "metadata": dict(parsed.metadata)}  # fails if the text is no str
        return json.dumps({**answer, "messages": messages.found}).encode()
    except InputError as error:
        answer = {"refused": str(error)}
    except MissingExtraError as error:
        answer = {"missing": str(error)}
    except ConfigurationError as error:
        answer = {"unusable": str(error)}
    except MemoryError:
        answer = {"failed": "memory"}
    except RecursionError:
        answer = {"failed": "nesting"}
    except Exception as error:  # noqa: BLE001 - anything that a parser meets in a broken file
        answer = {"failed": f"{type(error).__name__}: {error}"[:500]}
    return json.dumps({**answer, "messages": messages.found}).encode()


def main() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks decides when this one ends
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not go into the replies
    messages = _Messages()
    logging.getLogger("embedpipe.files").addHandler(messages)
    for suffix in OWN_SUFFIXES:  # load all that our parsers import before memory is limited
        _answer(suffix, "", b"%PDF-<p>x</p>", messages)
    _limit_memory(int(sys.argv[1]))
    while True:
        try:
            asked, named, data = (read_part(requests) for _ in range(3))
        except EOFError:
            return
        try:
            answer = _answer(asked.decode(), named.decode("utf-8", "surrogatepass"), data, messages)
        except MemoryError:
            answer = b'{"failed": "memory"}'
        write_part(replies, answer)
        replies.flush()


if __name__ == "__main__":
    main()
