"""How the documentation is built: `make docs`."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

project = "embedpipe"
author = "the embedpipe authors"
release = re.findall(r'__version__ = "(.+)"', (ROOT / "src/embedpipe/__init__.py").read_text(encoding="utf-8"))[0]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"embedpipe {release}"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["ref.python"]  # "bytes" of a signature is also the name of a field

autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
maximum_signature_line_length = 100
python_use_unqualified_type_names = True

# Before autodoc makes TYPE_CHECKING true, with which neither LlamaIndex nor FastAPI can be imported.
for page in (ROOT / "docs" / "reference").glob("*.md"):
    for module in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8")):
        importlib.import_module(module)

CODE = re.compile(r"`([^`]+)`(\w?)")


def plain(text: str) -> str:
    """Text outside of code, with what reStructuredText would take for its own marks escaped."""
    return re.sub(r"([*|\\])|(?<=\w)(_)(?!\w)", r"\\\1\2", text)


def literal(line: str) -> str:
    """The line with code in single backticks as reStructuredText marks it."""
    parts, end = [], 0
    for match in CODE.finditer(line):
        parts.append(f"{plain(line[end : match.start()])}``{match[1]}``" + (f"\\ {match[2]}" if match[2] else ""))
        end = match.end()
    return "".join(parts) + plain(line[end:])


def paragraphs(lines: list[str]) -> Iterator[str]:
    """Docstrings are plain English in which an indented paragraph is code, as in Markdown."""
    for paragraph in re.split(r"\n{2,}", "\n".join(lines)):
        if paragraph.startswith("    "):
            yield "::\n\n" + paragraph
        else:
            yield literal(paragraph)


def as_restructured_text(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """What autodoc calls for each docstring, whose lines are changed in place."""
    lines[:] = "\n\n".join(paragraphs(lines)).split("\n")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_restructured_text)
