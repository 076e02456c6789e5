"""Find a component by its name: embedpipe's own ones, and those that installed packages offer by an entry point."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeAlias

from embedpipe._checks import shown
from embedpipe.errors import ConfigurationError

Factory: TypeAlias = Callable[..., Any]

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class Registry:
    """The components of one kind, by name. Nothing is imported before `load`.

    A package offers a component by an entry point "name = package.module:factory" in `group`. A name is lower-case
    letters, digits, _ and -. No package replaces one of embedpipe's own names.

    Args:
        group: The group of entry points.
        own: "module:attribute" of each of embedpipe's own components, by name.
    """

    def __init__(self, group: str, own: Mapping[str, str]) -> None:
        self._group = group
        self.own = own

    def names(self) -> list[str]:
        """Return the names of all components, embedpipe's own first."""
        return [*self.own, *sorted(self._offered().keys() - self.own.keys())]

    def __contains__(self, name: str) -> bool:
        return name in self.own or (_NAME.fullmatch(name) is not None and name in self._offered())

    def misspelt(self, name: str) -> str:
        """Return the name of the component that was meant, if `name` differs from it by a letter; "" otherwise."""
        return next(iter(difflib.get_close_matches(name, self.names(), n=1, cutoff=0.88)), "")

    def load(self, name: str) -> Factory:
        """Import the component of that name, and return it.

        Raises:
            ConfigurationError: If there is none, if two packages offer it, or if its package cannot be imported.
        """
        if name in self.own:  # first, so that no package takes the place of one that gets a key
            module, _, attribute = self.own[name].partition(":")
            factory: Factory = getattr(importlib.import_module(module), attribute)
            return factory
        points = self._offered().get(name, [])
        if not points:
            raise ConfigurationError(
                f"There is no {shown(name)} in {self._group}. There are: {', '.join(self.names())}."
            )
        if len(points) > 1:
            packages = ", ".join(point.dist.name if point.dist else point.value for point in points)
            raise ConfigurationError(
                f"Several packages offer {name!r} in {self._group}: {packages}. Uninstall all but one."
            )
        try:
            loaded: Factory = points[0].load()
        except Exception as error:
            raise ConfigurationError(
                f"{points[0].value}, which offers {name!r} in {self._group}, cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        return loaded

    def _offered(self) -> Mapping[str, list[EntryPoint]]:
        return _entry_points(self._group, tuple(map(str, sys.path)))


@lru_cache(maxsize=16)
def _entry_points(group: str, path: tuple[str, ...]) -> Mapping[str, list[EntryPoint]]:
    """Return the entry points of installed packages by name. Their code is not imported.

    Reading every package's metadata takes tens of milliseconds, so it is done once for each `sys.path`.
    """
    offered: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        if _NAME.fullmatch(point.name):
            offered.setdefault(point.name, []).append(point)
    return offered
