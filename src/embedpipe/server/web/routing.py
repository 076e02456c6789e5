"""Routes that state who may call them. `create_app` refuses a route without that statement.

A route that is added to the application later needs a key. For other methods than GET, HEAD and OPTIONS, it needs a key
that may write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from fastapi import FastAPI
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class _AnyText(PathConvertor):
    """Take any text. Starlette's own `path` converter stops at a line break."""

    regex = "(?s:.*)"


ANY_TEXT = "embedpipe_any_text"
"""The converter for ids in a path: `f"/documents/{{document_id:{ANY_TEXT}}}"`."""
register_url_convertor(ANY_TEXT, _AnyText())

RULES = "embedpipe.route_rules"
"""The key of an ASGI scope that holds the rules of the route called."""

MAY_WRITE = "embedpipe.may_write"
"""The key of an ASGI scope that holds whether the caller may call routes that write."""


class Access(Enum):
    """Who may call a route. Auth, cross-site checks and backpressure go by it."""

    PAGE = auto()
    """Anyone, without a key. Links on other sites may lead here: a page for people, with no data of a collection."""
    OPEN = auto()
    """Anyone, without a key: static files and descriptions, with no data of a collection."""
    PROBE = auto()
    """Anyone, without a key. Monitoring may call it by the machine's address instead of the server's name."""
    METRICS = auto()
    """Any key. Monitoring that has a key may call it by the machine's address."""
    READ = auto()
    """Any key. The route changes nothing."""
    WRITE = auto()
    """A key that may write."""

    @property
    def needs_key(self) -> bool:
        return self in (Access.METRICS, Access.READ, Access.WRITE)

    @property
    def is_limited(self) -> bool:
        """Return whether backpressure applies. The other routes cost next to nothing and must answer under any load."""
        return self in (Access.READ, Access.WRITE)


@dataclass(frozen=True, slots=True)
class RouteRules:
    """What a route states of itself.

    `number_weight` is how much a number in the body counts towards `ServerSettings.max_values`.
    """

    access: Access
    number_weight: float = 1.0


_READING_METHODS = ("GET", "HEAD", "OPTIONS")


class Routes:
    """The routes of one resource, to be added to an application by `RouteTable.include`."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self.declared: list[tuple[RouteRules, dict[str, Any]]] = []

    def add(
        self, method: str, path: str, access: Access, *, number_weight: float = 1.0, **options: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator that makes a function answer `method` at `path`.

        Args:
            method: "GET", "POST" or "DELETE"; several are separated by spaces.
            path: The path as FastAPI writes it.
            access: Who may call the route.
            number_weight: See `RouteRules`.
            **options: Passed on to `FastAPI.add_api_route`.
        """
        rules = RouteRules(access, number_weight)

        def declare(endpoint: Endpoint) -> Endpoint:
            route = {"path": path, "endpoint": endpoint, "methods": method.split(), "tags": [self._tag]}
            self.declared.append((rules, route | options))
            return endpoint

        return declare


class RouteTable:
    """The rules of every route of an application."""

    def __init__(self, app: FastAPI) -> None:
        """Take the routes that `app` has already, which are those of FastAPI's documentation."""
        self._app = app
        self._rules: list[tuple[BaseRoute, RouteRules]] = [
            (route, RouteRules(Access.PAGE if getattr(route, "path", None) == "/docs" else Access.OPEN))
            for route in app.routes
        ]

    def include(self, routes: Routes) -> None:
        """Add the routes to the application."""
        for rules, route in routes.declared:
            self._app.add_api_route(**route)
            self._rules.append((self._app.routes[-1], rules))

    def check(self) -> None:
        """Raise `TypeError` for a route of the application that states no rules."""
        stated = {id(route) for route, _ in self._rules}
        for route in self._app.routes:
            if id(route) not in stated:
                raise TypeError(f"{route!r} states no access. Declare it with `Routes.add`.")

    def find(self, scope: Scope) -> RouteRules:
        """Return the rules of the route that a request calls.

        A path that nothing declared answers by this method (404, 405, or a route that was added later) goes by the
        method. So only callers with a key learn that there is nothing. What needs no key answers 405 to anyone.
        """
        # The same order and the same `matches` as in Starlette's router, so both find the same route.
        by_key = RouteRules(Access.READ if scope["method"] in _READING_METHODS else Access.WRITE)
        other_method: RouteRules | None = None
        for route, rules in self._rules:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return rules
            if match is Match.PARTIAL:
                other_method = other_method or rules
        return by_key if other_method is None or other_method.access.needs_key else other_method
