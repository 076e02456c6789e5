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
_MIN_CHARACTERS = 16
_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys that a server takes, held as digests alone, so that nothing of it can show one."""

    _digests: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, keys: Iterable[str]) -> Self:
        """The keys given; `ConfigurationError` for one that is short or no printable ASCII."""
        found = list(keys)
        for place, key in enumerate(found, 1):
            if len(key) < _MIN_CHARACTERS or not (key.isascii() and key.isprintable()) or " " in key:
                raise ConfigurationError(
                    f"Each API key expected {_MIN_CHARACTERS} or more printable ASCII characters without spaces, and "
                    f"number {place} is none such. {_MAKE_ONE}"
                )
        return cls(tuple(_digest(key) for key in found))

    @classmethod
    def from_environment(cls) -> Self:
        """The keys in `EMBEDPIPE_API_KEYS`, separated by commas or white space; none where it is not set."""
        return cls.of(os.environ.get(VARIABLE, "").replace(",", " ").split())

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """One key a line; blank lines and lines that start with # are passed over. At least one is expected."""
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The file of API keys {path} cannot be read: {type(error).__name__}.") from error
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise ConfigurationError(f"The file of API keys {path} expected one key a line, and holds none.")
        return cls.of(keys)

    def __add__(self, other: ApiKeys) -> ApiKeys:
        return ApiKeys(self._digests + other._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def holds(self, key: str) -> bool:
        """Whether the key is one of these; it takes the same time whichever it is, and whether it is."""
        digest = _digest(key)
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0


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
