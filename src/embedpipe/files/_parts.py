"""How requests and replies travel through the pipes of the parsing process: each part has its length before it."""

from __future__ import annotations

import struct
from typing import IO

_LENGTH = struct.Struct(">Q")


def write_part(stream: IO[bytes], data: bytes) -> None:
    """Write the data with its length before it. The stream may be unbuffered, and take less at once."""
    for part in (_LENGTH.pack(len(data)), data):
        left = memoryview(part)
        while left:
            left = left[stream.write(left) :]


def read_part(stream: IO[bytes]) -> bytes:
    """Read what `write_part` wrote. Raises `EOFError` where the stream ends before."""
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    return _read(stream, length)


def _read(stream: IO[bytes], size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
