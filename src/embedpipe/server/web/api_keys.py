"""API keys that never show up in a repr, and the check that a server is not open to a network by mistake."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

from embedpipe.errors import ConfigurationError
from embedpipe.server.web.cross_site import is_loopback

_VARIABLE = "EMBEDPIPE_API_KEYS"
_READ_VARIABLE = "EMBEDPIPE_READ_KEYS"
_READING = "read "
"""The prefix of a line in a file of keys whose key may only read."""
_MIN_CHARACTERS = 16
_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The API keys of a server. Only their digests are kept, so that no repr, log or pickle can show a key.

    A key may do everything, or only read: search, ask, embed and rerank, but not change a collection.
    """

    _digests: tuple[bytes, ...] = field(default=(), repr=False)
    _reading: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, keys: Iterable[str], *, reading: Iterable[str] = ()) -> Self:
        """Return the given keys.

        Args:
            keys: The keys that may do everything.
            reading: The keys that may only read.

        Raises:
            ConfigurationError: If a key is short, is not printable ASCII, or is in both lists.
        """
        full, reads = _checked(keys), _checked(reading)
        if set(full) & set(reads):
            raise ConfigurationError(
                "A key was given twice: once with all rights, once to read only. Make another key."
            )
        return cls(full, reads)

    @classmethod
    def from_environment(cls) -> Self:
        """Read the keys from `EMBEDPIPE_API_KEYS` and `EMBEDPIPE_READ_KEYS`, separated by commas or white space.

        A variable that is not set has no keys.
        """
        full, reading = (os.environ.get(name, "").replace(",", " ").split() for name in (_VARIABLE, _READ_VARIABLE))
        return cls.of(full, reading=reading)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read the keys from a file with one key per line.

        A line "read KEY" holds a key that may only read. Blank lines and lines that start with # are skipped.

        Raises:
            ConfigurationError: If the file cannot be read or holds no key, and as `of` raises it.
        """
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The API key file {path} cannot be read: {type(error).__name__}.") from error
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise ConfigurationError(f"The API key file {path} holds no key. Write one key per line.")
        reading = [key.removeprefix(_READING).strip() for key in keys if key.startswith(_READING)]
        return cls.of([key for key in keys if not key.startswith(_READING)], reading=reading)

    def __add__(self, other: ApiKeys) -> ApiKeys:
        return ApiKeys(self._digests + other._digests, self._reading + other._reading)

    def __len__(self) -> int:
        return len(self._digests) + len(self._reading)

    def holds(self, key: str) -> bool:
        """Return whether the key is one of these. The time does not depend on the key (no timing attack)."""
        return _among(key, self._digests + self._reading)

    def may_write(self, key: str) -> bool:
        """Return whether the key is one of these and may write. The time does not depend on the key."""
        return _among(key, self._digests)


def _checked(keys: Iterable[str]) -> tuple[bytes, ...]:
    found = list(keys)
    for place, key in enumerate(found, 1):
        if len(key) < _MIN_CHARACTERS or not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigurationError(
                f"API key number {place} is not usable. A key needs {_MIN_CHARACTERS} or more printable ASCII "
                f"characters and no spaces. {_MAKE_ONE}"
            )
    return tuple(_digest(key) for key in found)


def _among(key: str, digests: Iterable[bytes]) -> bool:
    digest = _digest(key)
    return sum(hmac.compare_digest(digest, known) for known in digests) > 0


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def check_address(host: str, keys: ApiKeys, *, insecure: bool) -> None:
    """Check that other machines cannot reach a server without keys, unless `insecure` allows it.

    Raises:
        ConfigurationError: If `host` is not a loopback address, there are no keys, and `insecure` is false.
    """
    if keys or insecure or is_loopback(host):
        return
    raise ConfigurationError(
        f"Without an API key the server only listens on 127.0.0.1, not on {host}. Set {_VARIABLE} or pass "
        f"--api-key-file. If a proxy in front of the server checks who calls, pass --insecure. {_MAKE_ONE}"
    )
