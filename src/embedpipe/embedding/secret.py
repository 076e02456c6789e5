"""A key that shows itself nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from embedpipe.errors import AuthenticationError


@dataclass(frozen=True, slots=True)
class Secret:
    """A provider's key: given, or read from the environment variable when it is needed.

    Its repr, its pickle and its copy by `dataclasses.asdict` hold the variable's name alone, so that a key never
    travels with a component; in another process it is read from that process's environment.
    """

    variable: str
    _read: Callable[[], str | None]

    @classmethod
    def of(cls, value: str | None, *, variable: str) -> Secret:
        return cls(variable, lambda: value)

    def reveal(self, *, default: str | None = None) -> str:
        """The key; `AuthenticationError` where there is none and no default."""
        key = self._read() or os.environ.get(self.variable) or default
        if not key:
            raise AuthenticationError(
                f"A key was expected in api_key= or in the environment variable {self.variable}, and both are empty. "
                f"Set {self.variable}, or pass api_key=, or choose a local model such as 'all-MiniLM-L6-v2'."
            )
        return key

    def redact(self, text: str) -> str:
        """The text without the key."""
        key = self._read() or os.environ.get(self.variable)
        return text.replace(key, "***") if key else text

    def safe(self, error: Exception) -> Exception | None:
        """The error, for a `raise ... from`; None where its words hold the key."""
        return error if self.redact(str(error)) == str(error) else None

    def __repr__(self) -> str:
        return f"Secret({self.variable})"

    def __reduce__(self) -> tuple[object, ...]:
        return _from_environment, (self.variable,)


def _from_environment(variable: str) -> Secret:
    return Secret.of(None, variable=variable)
