"""Recognise requests that a web page of another origin makes a browser send."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from starlette.types import Scope

_OWN = ("same-origin", "none")
"""The values of `Sec-Fetch-Site` for the server's own page and for an address that a person typed."""


def is_local(scope: Scope) -> bool:
    """Return whether the request calls the server by a loopback name."""
    hosts = header(scope, b"host")
    return bool(hosts) and all(is_loopback(name_of(host)) for host in hosts)


def is_called(scope: Scope, names: Collection[str]) -> bool:
    """Return whether the request calls the server by one of these names, whatever the port."""
    hosts = header(scope, b"host")
    return bool(hosts) and all(name_of(host) in names for host in hosts)


def is_foreign(scope: Scope, names: Collection[str], *, has_key: bool, is_page: bool) -> bool:
    """Return whether a web page of another origin sent the request.

    Programs send neither `Origin` nor `Sec-Fetch-Site`, and a page cannot change what its browser sends there. Pages
    under one of `names` are the server's own. A proxy may call the server by another name than the browser did, so a
    page is also the server's own if the browser says "same-origin" and the request has a key.

    Args:
        scope: The request's ASGI scope.
        names: Host names of the server, as `name_of` returns them.
        has_key: Whether the request has a valid API key.
        is_page: Whether the route is a page that links on other sites may lead to.
    """
    sites, origins = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if origins and all(name_of(_place(origin)) in names for origin in origins):
        return False
    # `Sec-Fetch-Site` is the browser's own word. Older browsers only send `Origin`, which is compared with `Host`.
    if any(site not in _OWN for site in sites):
        return not (is_page and _is_navigation(scope))
    own = header(scope, b"host")
    return any(_place(origin) not in own for origin in origins) and not (has_key and sites)


def header(scope: Scope, name: bytes) -> list[str]:
    """Return all values of a header, in lower case."""
    return [value.decode("latin-1").strip().lower() for key, value in scope["headers"] if key.lower() == name]


def _is_navigation(scope: Scope) -> bool:
    return (
        scope["method"] in ("GET", "HEAD")
        and header(scope, b"sec-fetch-mode") == ["navigate"]
        and header(scope, b"sec-fetch-dest") == ["document"]
    )


def _place(origin: str) -> str:
    """Return host and port of an origin, "" for `null`, the origin of files and sandboxed frames."""
    return origin.partition("://")[2]


def name_of(host: str) -> str:
    """Return a host's name or address in lower case without its port. IPv6 addresses get brackets."""
    host = host.lower()
    if host.count(":") > 1 and "[" not in host:  # people write IPv6 addresses without brackets, requests do not
        return f"[{host}]"
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address. A name other than localhost may mean any address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
