"""How the documentation is built: `make docs`."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.errors import ExtensionError

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

project = "embedpipe"
author = "the embedpipe authors"
release = re.findall(r'__version__ = "(.+)"', (ROOT / "src/embedpipe/__init__.py").read_text(encoding="utf-8"))[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
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
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Before autodoc makes TYPE_CHECKING true, with which neither LlamaIndex nor FastAPI can be imported.
for page in (ROOT / "docs" / "reference").glob("*.md"):
    for module in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8")):
        importlib.import_module(module)

CODE = re.compile(r"`([^`]+)`(\w?)")
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):\n")


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
    """Yield a docstring's paragraphs. Outside Google's sections, an indented one is code, as in Markdown."""
    in_section = False
    for paragraph in re.split(r"\n{2,}", "\n".join(lines)):
        indented = paragraph.startswith("    ")
        in_section = in_section if indented else SECTION.match(paragraph) is not None
        yield "::\n\n" + paragraph if indented and not in_section else literal(paragraph)


def as_restructured_text(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """What autodoc calls for each docstring, whose lines are changed in place."""
    lines[:] = "\n\n".join(paragraphs(lines)).split("\n")


SUMMARY = (
    "Search texts on PostgreSQL with pgvector by meaning and by words (BM25) at once, and answer questions with "
    "checked citations. A Python library with components for LangChain and LlamaIndex, a command line and a server."
)


def below(env: BuildEnvironment, page: str) -> Iterator[str]:
    """Yield the page and all pages under it, in the order of the navigation."""
    yield page
    for child in env.toctree_includes.get(page, ()):
        yield from below(env, child)


def entry(env: BuildEnvironment, page: str) -> str:
    """Return the page's line in llms.txt: its title, a link, and its first sentence.

    The link leads to the page's Markdown. A page of the reference is only directives there, so its link leads to HTML.
    """
    first = next(iter(env.get_doctree(page).findall(nodes.paragraph)), None)
    sentence = "" if first is None else ": " + re.split(r"(?<=[.!?])\s", " ".join(first.astext().split()))[0]
    target = f"{page}.html" if page.startswith("reference/") else f"_sources/{page}.md.txt"
    return f"- [{env.titles[page].astext()}]({target}){sentence}"


def write_llms_txt(app: Sphinx, exception: Exception | None) -> None:
    """Write llms.txt, an index of all pages for language models, beside the HTML (see llmstxt.org)."""
    if exception is not None or app.builder.name != "html":
        return
    lines, listed = [f"# {project}", "", f"> {SUMMARY}"], {"index"}
    for toctree in app.env.get_doctree("index").findall(addnodes.toctree):
        pages = [page for top in toctree["includefiles"] for page in below(app.env, top)]
        lines += ["", f"## {toctree['caption']}", "", *(entry(app.env, page) for page in pages)]
        listed.update(pages)
    if missing := app.env.found_docs - listed:
        raise ExtensionError(f"llms.txt does not list {sorted(missing)}. Add them to a toctree.")
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon, which is at 500
    app.connect("build-finished", write_llms_txt)
