"""The process in which files are parsed: `python -m embedpipe.files._child BYTES`.

It reads requests from standard input and writes replies to standard output, until the input ends. A request is a
suffix, a name, JSON (the options, and whether records are joined), and a file's content. A reply is JSON. Each part has
its length before it. Nothing is pickled: a file that takes over a parser must not reach the process that asked.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from embedpipe.errors import ConfigurationError, InputError, MissingExtraError
from embedpipe.files._formats import is_by_docling, is_own, parser_of
from embedpipe.files._parts import read_part, write_part
from embedpipe.files.parsed import Parsed, ReadOptions, joined


class _Messages(logging.Handler):
    """Collects log messages of the parsers. The process that asked for the file logs them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((record.name, record.levelno, record.getMessage()))


class _Memory:
    """Limits how much memory this process takes beyond its own modules. Systems without such limits set none."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._loaded: set[tuple[str, bool]] = set()
        self._is_limited = False
        try:
            import resource
        except ImportError:  # Windows
            self._resource: Any = None
        else:
            self._resource = resource
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def limit_for(self, suffix: str, options: ReadOptions, messages: _Messages) -> None:
        """Load the parser of this suffix with all that it imports, then limit the memory. Do so once for a suffix.

        There is no limit for docling, whose models take gigabytes. OCR may take twice as much as parsers.
        """
        if is_by_docling(suffix, options.reader):
            self._limit(None)
            return
        if (suffix, options.ocr) in self._loaded and self._is_limited:
            return
        self._loaded.add((suffix, options.ocr))
        self._limit(None)
        if is_own(suffix):  # our parsers import libraries when they are called
            _answer(suffix, "", ReadOptions(ocr=options.ocr), b"%PDF-<p>x</p>", messages, join=False)
        else:
            with suppress(ConfigurationError):
                parser_of(suffix)
        self._limit(2 * self._size if options.ocr else self._size)

    def _limit(self, size: int | None) -> None:
        self._is_limited = size is not None
        if self._resource is None:
            return
        hard = self._resource.getrlimit(self._resource.RLIMIT_AS)[1]
        soft = hard
        if size is not None:
            try:
                present = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
            except OSError:  # macOS, which does not hold processes to the limit either
                return
            soft = present + size if hard == self._resource.RLIM_INFINITY else min(present + size, hard)
        self._resource.setrlimit(self._resource.RLIMIT_AS, (soft, hard))


def _answer(suffix: str, name: str, options: ReadOptions, data: bytes, messages: _Messages, *, join: bool) -> bytes:
    """Parse a file. Return the reply: its texts with their metadata, joined to one or not, or why there are none."""
    messages.found.clear()
    try:
        parsed = parser_of(suffix, options.reader)(data, name, options)
        if join and not isinstance(parsed, Parsed):
            parsed = joined(parsed)
        single = isinstance(parsed, Parsed)
        records = [_as_json(record) for record in ([parsed] if isinstance(parsed, Parsed) else parsed)]
        return json.dumps({"single": single, "records": records, "messages": messages.found}).encode()
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


def _as_json(parsed: Parsed) -> dict[str, Any]:
    return {
        "text": "".join([parsed.text]),  # fails if the text is no str
        "metadata": dict(parsed.metadata),
        "locations": list(parsed.locations),
        "left_out": list(parsed.left_out),
        "id": parsed.id,
    }


def main() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks decides when this one ends
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not go into the replies
    messages = _Messages()
    logging.getLogger("embedpipe.files").addHandler(messages)
    memory = _Memory(int(sys.argv[1]))
    gc.set_threshold(200_000, 20, 100)  # files of records make millions of objects, and hardly any cycles
    while True:
        try:
            asked, named, given, data = (read_part(requests) for _ in range(4))
        except EOFError:
            return
        try:
            settings = json.loads(given)
            options, suffix = ReadOptions(**settings["options"]), asked.decode()
            memory.limit_for(suffix, options, messages)
            name = named.decode("utf-8", "surrogatepass")
            answer = _answer(suffix, name, options, data, messages, join=settings["join"])
        except MemoryError:
            answer = b'{"failed": "memory"}'
        write_part(replies, answer)
        replies.flush()


if __name__ == "__main__":
    main()
