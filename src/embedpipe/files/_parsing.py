"""Parse files in a process of its own, with limits of memory and time.

A file of two kilobytes can make a parser unpack a gigabyte, run for hours or crash. Parsers are other projects' code,
so this cannot be prevented inside them. In a process of its own, such a file costs only itself. The process is started
for the first file that needs it, and kept for the next ones.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any

from embedpipe._private import harmless_environment
from embedpipe.errors import ConfigurationError, InputError, MissingExtraError
from embedpipe.files._parts import read_part, write_part
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.types import Location

MEMORY_MB = 1024
"""How much memory a parser may take, beyond that of its modules. EMBEDPIPE_PARSER_MEMORY_MB sets another limit."""

SECONDS = 120.0
"""How long one file may take. EMBEDPIPE_PARSER_SECONDS sets another limit."""

_LOOK_S, _LOOKS = 0.25, 4
"""How often it is looked whether the process is out of memory, and how often it must be so in a row."""

_ERRORS = {"missing": MissingExtraError, "unusable": ConfigurationError, "refused": InputError}
_one_at_a_time = threading.Lock()
_process: subprocess.Popen[bytes] | None = None
_path: list[str] = []
"""Where the parsing process finds modules."""


def parse(data: bytes, *, suffix: str, name: str, options: ReadOptions, join: bool) -> Parsed | list[Parsed]:
    """Parse a file's content by the parser of its suffix, in the parsing process.

    Returns:
        One text, or one for each record if the file is made of records and they are not to be joined.

    Raises:
        InputError: If the parser refuses the file, crashes, or takes too much memory or time.
        MissingExtraError: If what the parser needs is not installed.
        ConfigurationError: If the package of the parser cannot be imported, or a limit in the environment is no
            positive number.
    """
    seconds = _limit("EMBEDPIPE_PARSER_SECONDS", SECONDS)
    with _one_at_a_time:
        kept = _process is not None and _process.poll() is None
        settings = json.dumps({"options": asdict(options), "join": join})
        parts = [suffix.encode(), name.encode("utf-8", "surrogatepass"), settings.encode(), data]
        answer = _asked(parts, seconds=seconds)
        if kept and answer.get("failed") in ("memory", "ended"):  # earlier files may have left too little memory
            answer = _asked(parts, seconds=seconds)
    for logger, level, message in answer.get("messages", []):
        logging.getLogger(logger).log(level, "%s", message)
    for outcome, error in _ERRORS.items():
        if outcome in answer:
            raise error(answer[outcome])
    if "failed" in answer:
        raise InputError(_refusal(name, answer["failed"], seconds))
    records = [_parsed(record) for record in answer["records"]]
    return records[0] if answer["single"] else records


def _parsed(record: dict[str, Any]) -> Parsed:
    locations = tuple(Location(start, metadata) for start, metadata in record["locations"])
    return Parsed(record["text"], record["metadata"], locations, record["left_out"], record["id"])


def _refusal(name: str, reason: str, seconds: float) -> str:
    if reason == "memory":
        limit = _limit("EMBEDPIPE_PARSER_MEMORY_MB", MEMORY_MB)
        return (
            f"{name} needs more than {limit:g} MB of memory to be read. Cut it into several files, or raise "
            "EMBEDPIPE_PARSER_MEMORY_MB if you trust it."
        )
    if reason == "time":
        return (
            f"{name} was not read within {seconds:g} s. Cut it into several files, or raise "
            "EMBEDPIPE_PARSER_SECONDS if you trust it."
        )
    if reason == "nesting":
        return (
            f"{name} nests its elements too deep to be read (several hundred within each other). Simplify it, or save "
            "its text as .txt."
        )
    if reason == "ended":
        return (
            f"{name} is broken, or needs more memory than a parser may take: its parser crashed. Save it anew, or cut "
            "it into several files."
        )
    return f"{name} is broken ({reason}). Save it anew."


def _limit(variable: str, default: float) -> float:
    given = os.environ.get(variable)
    try:
        limit = float(given) if given else default
    except ValueError:
        limit = 0
    if not 0 < limit < 2**40:
        raise ConfigurationError(f"{variable} is {given!r}. Set a positive number, or unset it.")
    return limit


def _asked(parts: Sequence[bytes], *, seconds: float) -> dict[str, Any]:
    """Return the process's reply, or how the process ended. It is left ready for the next file, or ended."""
    process = _started()
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
    watch = _Watch(process, seconds)
    watch.start()
    answer: dict[str, Any] = {}
    try:
        for part in parts:
            write_part(process.stdin, part)
        answer = json.loads(read_part(process.stdout))
    except (EOFError, OSError):
        answer = {"failed": watch.reason or "ended"}
    finally:
        watch.over.set()
        if not answer or answer.get("failed") in ("memory", "time", "ended"):
            _end()  # also where the caller is interrupted: the next reply would be this file's
    return answer


class _Watch(threading.Thread):
    """Ends the parsing process at the limit of time, or when it has been out of memory for a second.

    It should report that itself. But CPython 3.11 tries without end to make an integer where an error passes the end of
    a `with` block or a handler, and no memory is left for one.

    Attributes:
        reason: Why the process was ended: "time", "memory", or None if it was not.
        over: Set it when the file is parsed.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        super().__init__(name="embedpipe-parsing", daemon=True)
        self.reason: str | None = None
        self.over = threading.Event()
        self._process = process
        self._deadline = time.monotonic() + seconds

    def run(self) -> None:
        full = 0
        while (left := self._deadline - time.monotonic()) > 0 and full < _LOOKS:
            if self.over.wait(min(_LOOK_S, left)):
                return
            full = full + 1 if _is_out_of_memory(self._process.pid) else 0
        if not self.over.is_set():
            self.reason = "time" if full < _LOOKS else "memory"
            self._process.kill()


def _is_out_of_memory(process: int) -> bool:
    """Return whether a process cannot get another megabyte, the least that Python asks for. Known on Linux only."""
    try:
        import resource

        used = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = resource.prlimit(process, resource.RLIMIT_AS)[0]
    except (ImportError, AttributeError, OSError, IndexError):
        return False
    return limit != resource.RLIM_INFINITY and used > limit - 2**20


def _started() -> subprocess.Popen[bytes]:
    """Return the parsing process. Start it if there is none, or if this process has other places for modules now."""
    global _process, _path
    path = _places()
    if _process is None or _process.poll() is not None or path != _path:
        _end()
        _path = path
        memory = int(_limit("EMBEDPIPE_PARSER_MEMORY_MB", MEMORY_MB) * 2**20)
        _process = subprocess.Popen(  # noqa: S603 - our own module
            [os.fsdecode(get_executable()), "-P", "-m", "embedpipe.files._child", str(memory)],
            bufsize=0,  # a buffer would be written twice after a fork
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**harmless_environment(), "PYTHONPATH": os.pathsep.join(path)},
        )
    return _process


def _places() -> list[str]:
    """Return where this process finds modules. -m would add the present folder, whose files may be anybody's."""
    places: list[object] = [*sys.path]  # Python, too, ignores what is no text there
    return [place or str(Path.cwd()) for place in places if isinstance(place, str)]


def _end() -> None:
    """End the parsing process, if there is one."""
    global _process
    process, _process = _process, None
    if process is not None:
        process.kill()
        process.wait()
        _close_pipes(process)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _forget() -> None:
    """Leave the parent's process to the parent, after a fork."""
    global _process, _one_at_a_time
    process, _process = _process, None
    _one_at_a_time = threading.Lock()
    if process is not None:
        process.returncode = 0  # it is no child of this process, which must not wait for it
        _close_pipes(process)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
atexit.register(_end)
