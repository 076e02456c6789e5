"""Which requests a web page of another origin has a browser send, whatever framework reads them afterwards."""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import Scope

from embedpipe.server.web.api_keys import is_loopback

_OWN = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of the server's own page, and of an address that a person typed."""


def is_local(scope: Scope) -> bool:
    """Return whether the request calls the server by a name that only this machine has."""
    hosts = header(scope, b"host")
    return bool(hosts) and all(is_loopback(name_of(host)) for host in hosts)


def is_called(scope: Scope, names: Collection[str]) -> bool:
    """Return whether the request calls the server by one of these names, whatever the port."""
    hosts = header(scope, b"host")
    return bool(hosts) and all(name_of(host) in names for host in hosts)


def is_foreign(scope: Scope, names: Collection[str], *, has_key: bool, is_page: bool) -> bool:
    """Return whether a web page of another origin than the server's own has sent the request.

    Programs send neither `Origin` nor `Sec-Fetch-Site`; a page cannot change what its browser says there. Pages at one
    of `names` are the server's own. So is, behind a proxy that calls the server by another name than the browser did,
    a page that has a key and is of the same origin by the browser's own word.
    """
    sites, origins = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if origins and all(name_of(_place(origin)) in names for origin in origins):
        return False
    if any(site not in _OWN for site in sites):
        return not (is_page and _is_navigation(scope))
    own = header(scope, b"host")
    return any(_place(origin) not in own for origin in origins) and not (has_key and sites)


def header(scope: Scope, name: bytes) -> list[str]:
    """Return every value that the request has for the header, in lower case."""
    return [value.decode("latin-1").strip().lower() for key, value in scope["headers"] if key.lower() == name]


def _is_navigation(scope: Scope) -> bool:
    return (
        scope["method"] in ("GET", "HEAD")
        and header(scope, b"sec-fetch-mode") == ["navigate"]
        and header(scope, b"sec-fetch-dest") == ["document"]
    )


def _place(origin: str) -> str:
    """Host and port of an origin; "" for `null`, which is that of files and sandboxed frames."""
    return origin.partition("://")[2]


def name_of(host: str) -> str:
    """Return the name or address in a host, in lower case and without a port, an address of IPv6 in brackets."""
    host = host.lower()
    if host.count(":") > 1 and "[" not in host:  # as people write it, and no request
        return f"[{host}]"
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
