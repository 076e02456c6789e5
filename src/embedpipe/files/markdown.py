"""Markdown: the text, and its front matter as metadata."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from embedpipe.files._decoding import decode
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.text import front_matter_end

_LONGEST = 64 * 2**10
"""Longer front matter is text, in code points. YAML takes seconds for more."""

_DEEPEST = 100
"""How deep front matter may nest its fields, and of how many names a key of TOML may be made. tomllib takes quadratic
time and memory for the names."""

_MAX_BITS = 1024
"""Of how many bits a whole number may be. YAML reads "59:59:59" as one, of any size."""

_DOTTED = re.compile(rf"(?<![\w.\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{_DEEPEST}}}")
_REFUSED = re.compile("[\x00\ud800-\udfff]")
_OF_FILE = ("name", "suffix", "encoding", "encoding_confidence", "left_out")


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the text behind the front matter, and the fields of that as metadata: title, date, tags and others.

    Front matter that is no YAML or TOML stays in the text. So does the front matter of a file without other text.

    Raises:
        InputError: If the file is no text, or its encoding cannot be told.
    """
    decoded = decode(data, name, options.encoding)
    end = front_matter_end(decoded.text)
    if not 0 < end <= _LONGEST or not decoded.text[end:].strip():
        return decoded
    matter = decoded.text[:end].strip().removeprefix("\ufeff")
    body, left_out = decoded.text[end:], list(decoded.left_out)
    try:
        found = _toml(matter) if matter.startswith("+++") else _yaml(matter)
        fields = found and {
            f"front_matter_{key}" if key in _OF_FILE else _plain(key): _plain(value) for key, value in found.items()
        }
    except ImportError:
        fields = {}
        left_out.append("front matter, which needs PyYAML (pip install 'embedpipe[files]')")
    except _BrokenError:
        left_out.append("fields of the front matter: it cannot be read, and stands in the text")
        return Parsed(decoded.text, decoded.metadata, decoded.locations, left_out)
    if fields is None:
        return decoded
    return Parsed(body, {**fields, **decoded.metadata}, decoded.locations, left_out)


class _BrokenError(Exception):
    """Front matter that is no YAML or TOML, holds aliases, or what metadata cannot hold."""


def _toml(matter: str) -> Mapping[str, Any]:
    if _DOTTED.search(matter):
        raise _BrokenError
    try:
        return tomllib.loads(matter[3:-3])
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _BrokenError from error


def _yaml(matter: str) -> Mapping[str, Any] | None:
    """Return the fields, None if there are none. Aliases are refused: a few lines of them make gigabytes."""
    import yaml  # of the extra "files". Markdown without YAML needs none.

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("an alias")
            return super().compose_node(parent, index)

    lines = matter.splitlines()[1:-1]
    try:
        fields = yaml.load("\n".join(lines), Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _BrokenError from error
    return {str(key): value for key, value in fields.items()} if isinstance(fields, dict) else None


def _plain(value: Any, depth: int = 0) -> Any:
    """Return the value as JSON has it. Dates become ISO 8601."""
    if depth > _DEEPEST or (isinstance(value, int) and value.bit_length() > _MAX_BITS):
        raise _BrokenError
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, str):
        return _REFUSED.sub("\ufffd", value)  # escapes such as "\0" make what no database takes
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
