"""Keep keys and passwords out of messages, logs, reprs and pickles."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, quote_plus, unquote, urlsplit, urlunsplit

from embedpipe.errors import AuthenticationError, ConfigurationError

Login: TypeAlias = tuple[str, str]

_SHORTEST = 4  # hiding a shorter one would hide half of each message
_NAMED = ("key", "token", "secret", "password")


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
        """Return a secret of this value, or of the environment variable if it is None."""
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"api_key is a {type(value).__name__}. Pass the key as a str.")
        return cls(variable, lambda: value)

    def reveal(self, *, default: str | None = None) -> str:
        """Return the key, without white space at its ends.

        Raises:
            AuthenticationError: If there is none and no default, or if it has characters that no HTTP header takes.
        """
        key = (self._read() or os.environ.get(self.variable) or default or "").strip()
        if not key:
            raise AuthenticationError(
                f"There is no key: api_key= and the environment variable {self.variable} are empty. "
                f"Set {self.variable}, or pass api_key=. A local model needs none."
            )
        if not (key.isascii() and key.isprintable()):  # the HTTP library's own error would quote it
            raise AuthenticationError(
                f"The key in api_key= or {self.variable} holds a line break or another character that no key has. "
                "Copy it again from the provider's page."
            )
        return key

    @property
    def values(self) -> tuple[str, ...]:
        """The key in a tuple, for `hidden`; empty if there is none."""
        key = self._read() or os.environ.get(self.variable)
        return (key,) if key else ()

    @property
    def bare(self) -> Secret:
        """The same without the value, as a pickle has it."""
        return Secret.of(None, variable=self.variable)

    def __repr__(self) -> str:
        return f"Secret({self.variable})"

    def __reduce__(self) -> tuple[object, ...]:
        return _from_environment, (self.variable,)


def _from_environment(variable: str) -> Secret:
    return Secret.of(None, variable=variable)


class Endpoint:
    """A provider's `base_url`, with the user name and password in it kept apart.

    The URL then stands in no log line, repr or pickle with them. A pickle holds the URL without them: where another
    process needs them, leave `base_url=` out and set the environment variable there.
    """

    def __init__(self, base_url: str | None, *, variable: str) -> None:
        self.variable = variable
        url, login = (None, None) if base_url is None else _parted(base_url, named="base_url")
        self.url = url
        self._login: Callable[[], Login | None] = lambda: login  # no repr shows what a function holds

    def resolved(self) -> tuple[str | None, Login | None]:
        """Return the URL and the login (name, password), from the environment if no URL was given."""
        if self.url is None and (named := os.environ.get(self.variable)):
            return _parted(named, named=self.variable)
        return self.url, self._login()

    @property
    def values(self) -> tuple[str, ...]:
        """The login's secrets in every form in which they are sent, for `hidden`."""
        try:
            login = self.resolved()[1]
        except ConfigurationError:
            return ()
        return () if login is None else (*login, base64.b64encode(":".join(login).encode()).decode())

    @property
    def bare(self) -> Endpoint:
        """The same without the login, as a pickle has it."""
        return Endpoint(self.url, variable=self.variable)

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _endpoint, (self.url, self.variable)


def _endpoint(url: str | None, variable: str) -> Endpoint:
    return Endpoint(url, variable=variable)


def _parted(url: str, *, named: str) -> tuple[str, Login | None]:
    """Return the URL without its login, and the login. Refuse a URL that can be read in two ways, unquoted."""
    if not isinstance(url, str):
        raise ConfigurationError(f"{named} is a {type(url).__name__}. Pass a str.")
    try:
        parts = urlsplit(url)
        login, at, place = parts.netloc.rpartition("@")
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    # An @ behind the host, or a fragment, is the rest of a password that holds a / or # as it is. No interface takes a
    # query there, and a key in it would stand in every log.
    if not sound or not url.isprintable() or parts.fragment or parts.query or "@" in parts.path:
        raise ConfigurationError(
            f"{named} cannot be read. Pass http://host:port/path or https://host/path, without a query. Percent-encode "
            "a user name, a password or a path: @ is %40, / is %2F, : is %3A, # is %23, ? is %3F."
        ) from None
    name, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=place)), (unquote(name), unquote(password)) if at else None


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return the text with *** for each secret, also for a secret that is percent-encoded or escaped."""
    for secret in secrets:
        for form in sorted(_forms(secret), key=len, reverse=True):  # a short form may be a part of a longer one
            text = text.replace(form, "***")
    return text


def _forms(secret: str) -> set[str]:
    """Return the forms in which a secret may stand in a text."""
    bare = secret.strip()
    if len(bare) < _SHORTEST:
        return set()
    forms = {
        each
        for form in (secret, bare)
        for each in (
            form,
            quote(form),
            quote(form, safe=""),
            quote_plus(form),
            repr(form)[1:-1],
            json.dumps(form)[1:-1],
            json.dumps(form, ensure_ascii=False)[1:-1],
        )
    }
    return forms | {form.lower() for form in forms if "%" in form and form not in (secret, bare)}


def safe_cause(error: BaseException, secrets: Sequence[str]) -> BaseException | None:
    """Return the error for a `raise ... from`; None if its message, or that of an error behind it, holds a secret."""
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        if any(hidden(form, secrets) != form for form in (str(each), repr(each))):
            return None
        each = each.__cause__ or each.__context__
    return error


def secrets_in(component: object, *, deep: bool = True) -> tuple[str, ...]:
    """Return the keys that a framework's model holds, by the names of its attributes, to hide them in its errors."""
    found: list[str] = []
    for name, value in getattr(component, "__dict__", {}).items():
        if any(part in name.lower() for part in _NAMED):
            reveal = getattr(value, "get_secret_value", None)
            plain = reveal() if callable(reveal) else value
            if isinstance(plain, str):
                found.append(plain)
        elif deep and hasattr(value, "__dict__"):
            found.extend(secrets_in(value, deep=False))
    return tuple(found)
