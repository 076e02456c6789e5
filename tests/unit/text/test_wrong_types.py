"""Every public function on texts refuses what it cannot take with an error of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import embedpipe.text
from embedpipe.errors import EmbedPipeError

_WRONG = [None, 5, 1.5, b"x", ["a"], {"a": 1}, object(), "", "\ud800", True, float("nan"), "x"]
_RIGHT = {"texts": ["a"], "offset": 0, "offsets": [0], "max_characters": 9, "start_index": 0, "end_index": 1}


def _parameters() -> Iterator[Any]:
    for name in embedpipe.text.__all__:
        function = getattr(embedpipe.text, name)
        if callable(function) and not getattr(function, "_is_protocol", False):
            for parameter in inspect.signature(function).parameters.values():
                if parameter.default is parameter.empty:
                    yield pytest.param(function, parameter.name, id=f"{name}-{parameter.name}")


@pytest.mark.parametrize(("function", "parameter"), list(_parameters()))
@pytest.mark.parametrize("value", _WRONG, ids=lambda value: ascii(value)[:12])
def test_a_wrong_argument_gets_an_error_of_ours_or_none(
    function: Callable[..., Any], parameter: str, value: object
) -> None:
    needed = [each.name for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    arguments = {name: _RIGHT.get(name, "a") for name in needed} | {parameter: value}
    with suppress(EmbedPipeError):
        function(**arguments)
