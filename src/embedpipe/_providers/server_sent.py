"""Read a stream of server-sent events, each with an object in JSON as its data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class EventReader:
    """Cuts bytes, as they come, into events. Its time is linear, however they are cut and however long a line is.

    HTTP libraries cut text at each of Unicode's line breaks, and JSON may hold those as they are.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[Any]:
        """Yield the data of each event that ends in this piece.

        Raises:
            ValueError: If it is no JSON.
        """
        first, *further = piece.split(b"\n")
        self._line.append(first)
        for rest in further:
            line = b"".join(self._line).removesuffix(b"\r")
            self._line = [rest]
            if line.startswith(b"data:"):
                self._data.append(line.removeprefix(b"data:"))
            elif not line and self._data:
                data, self._data = b"\n".join(self._data), []
                yield json.loads(data)
