"""A provider's words about a failure, as one short line for our own messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

from embedpipe._providers.secret import hidden, safe_cause, secrets_in
from embedpipe.errors import EmbedPipeError

_LONGEST = 300
_SAID = ("message", "msg", "error", "detail", "errors", "reason", "title")
_DEEPEST = 4


def words(body: object, *, secrets: Iterable[str] = ()) -> str:
    """Return the provider's own words from the body of an error reply, at most 300 characters, without the secrets.

    A body is bytes, text, or what JSON made of it. Known are OpenAI's `{"error": {"message"}}`, FastAPI's `{"detail"}`,
    `{"error": "text"}`, `{"message"}`, and lists of these. For any other body the beginning is returned.
    """
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    if isinstance(text, str):
        try:
            said = _said(json.loads(text), _DEEPEST)
        except (ValueError, RecursionError):
            said = ""
    else:
        said = _said(text, _DEEPEST)
    return shown(said or text, most=_LONGEST, secrets=secrets)


@contextmanager
def component_errors(name: str, component: object, kind: type[EmbedPipeError]) -> Iterator[None]:
    """Turn whatever a framework's component raises into `kind`, without the secrets that the component holds."""
    try:
        yield
    except EmbedPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - raised again as our own: a component may raise anything
        secrets = secrets_in(component)
        said = words(str(error), secrets=secrets)
        raise kind(f"{name} failed: {type(error).__name__}: {said}") from safe_cause(error, secrets)


def _said(value: object, depth: int) -> str:
    if isinstance(value, str):
        return value
    if depth and isinstance(value, Mapping):
        return next((said for name in _SAID if (said := _said(value.get(name), depth - 1))), "")
    if depth and isinstance(value, list):
        return "; ".join(said for each in value[:3] if (said := _said(each, depth - 1)))
    return ""


def shown(value: Any, *, most: int = 120, secrets: Iterable[str] = ()) -> str:
    """Return the value's beginning in one printable line, without the secrets."""
    text = value if isinstance(value, str) else repr(value)
    text = hidden(text[: 100 * most], secrets)  # before it is cut, since a part of a key is still a secret
    text = "".join(char if char.isprintable() else " " for char in text[: 2 * most])
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def redirect(
    status: int | None, headers: Mapping[str, str], url: str | None, *, secrets: Iterable[str] = ()
) -> str | None:
    """Return the predicate about a reply that redirects to another origin; None for any other reply.

    Nothing is sent to the target: it would get the key and the texts.
    """
    if status is None or not 300 <= status < 400:
        return None
    location = next((value for name, value in headers.items() if name.lower() == "location"), "")
    try:
        target = urlsplit(urljoin(url or "", location))
        origin = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
    except ValueError:
        origin = "an address that cannot be read"
    return (
        f"redirects (HTTP {status}) to {shown(origin, secrets=secrets)}. Nothing was sent there, neither key nor "
        "texts. If you trust the target, set base_url= to it."
    )
