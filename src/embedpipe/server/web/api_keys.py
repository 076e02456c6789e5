"""Who may ask: keys that show themselves nowhere, and addresses that are not open to the world by mistake."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

from embedpipe.errors import ConfigurationError

VARIABLE = "EMBEDPIPE_API_KEYS"
READING_VARIABLE = "EMBEDPIPE_READ_KEYS"
_READING = "read "
"""What a line of a file of keys begins with where its key may only read."""
_MIN_CHARACTERS = 16
_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys that a server takes, held as digests alone, so that nothing of it can show one.

    A key may do everything, or only read: search, ask, embed and rerank, but change no collection.
    """

    _digests: tuple[bytes, ...] = field(default=(), repr=False)
    _reading: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, keys: Iterable[str], *, reading: Iterable[str] = ()) -> Self:
        """The keys given, of which those in `reading` may only read.

        `ConfigurationError` for one that is short or no printable ASCII, or that is in both.
        """
        full, reads = _checked(keys), _checked(reading)
        if set(full) & set(reads):
            raise ConfigurationError("A key was given twice, once as one that may only read. Make another one.")
        return cls(full, reads)

    @classmethod
    def from_environment(cls) -> Self:
        """Those in `EMBEDPIPE_API_KEYS` and `EMBEDPIPE_READ_KEYS`, between commas or white space; none where unset."""
        full, reading = (os.environ.get(name, "").replace(",", " ").split() for name in (VARIABLE, READING_VARIABLE))
        return cls.of(full, reading=reading)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """One key a line, at least one; behind the word "read" one that may only read.

        Blank lines and lines that start with # are passed over.
        """
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The file of API keys {path} cannot be read: {type(error).__name__}.") from error
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise ConfigurationError(f"The file of API keys {path} expected one key a line, and holds none.")
        reading = [key.removeprefix(_READING).strip() for key in keys if key.startswith(_READING)]
        return cls.of([key for key in keys if not key.startswith(_READING)], reading=reading)

    def __add__(self, other: ApiKeys) -> ApiKeys:
        return ApiKeys(self._digests + other._digests, self._reading + other._reading)

    def __len__(self) -> int:
        return len(self._digests) + len(self._reading)

    def holds(self, key: str) -> bool:
        """Whether the key is one of these; it takes the same time whichever it is, and whether it is."""
        return _among(key, self._digests + self._reading)

    def may_write(self, key: str) -> bool:
        """Whether the key is one of these that may do everything; in the same time, too."""
        return _among(key, self._digests)


def _checked(keys: Iterable[str]) -> tuple[bytes, ...]:
    found = list(keys)
    for place, key in enumerate(found, 1):
        if len(key) < _MIN_CHARACTERS or not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigurationError(
                f"Each API key expected {_MIN_CHARACTERS} or more printable ASCII characters without spaces, and "
                f"number {place} is none such. {_MAKE_ONE}"
            )
    return tuple(_digest(key) for key in found)


def _among(key: str, digests: Iterable[bytes]) -> bool:
    digest = _digest(key)
    return sum(hmac.compare_digest(digest, known) for known in digests) > 0


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name other than localhost may mean any."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_address(host: str, keys: ApiKeys, *, insecure: bool) -> None:
    """`ConfigurationError` where anyone could come from another machine, and that was not asked for."""
    if keys or insecure or is_loopback(host):
        return
    raise ConfigurationError(
        f"Without an API key the server listens on this machine alone (127.0.0.1), and {host} was asked for. Set "
        f"{VARIABLE} or give --api-key-file; or, where something before it keeps strangers out, give --insecure. "
        f"{_MAKE_ONE}"
    )
