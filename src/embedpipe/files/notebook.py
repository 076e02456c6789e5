"""Jupyter notebooks: Markdown cells, code and what it printed. Pictures and other binary outputs are left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from embedpipe.errors import InputError
from embedpipe.files._blocks import left_out
from embedpipe.files._decoding import ANSI, decode, printable
from embedpipe.files.html import markdown
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.types import Location

_FENCE = re.compile("`{3,}")
_MAGIC = re.compile(r"%%(bash|sh|html|javascript|js|latex|perl|ruby|sql|R)\b")
_OBJECT = re.compile(r"<[^<>\n]*>")
"""How Python names an object that has no text of its own, such as a figure."""


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the cells, each with its number as a location, from 1. The kernel's `language` is metadata.

    Code and outputs stand in fences. An output's Markdown is taken first, then tables of its HTML, then its plain text.

    Raises:
        InputError: If the file is no notebook.
    """
    decoded = decode(data, name, options.encoding)
    try:
        notebook = json.loads(decoded.text)
        if "worksheets" in notebook:  # version 3
            notebook["cells"] = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        known = notebook.get("metadata") or {}
        language = _language(known)
        texts = [printable("\n\n".join(_cell(cell, language))) for cell in notebook["cells"]]
        missing = _not_read(notebook["cells"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{name} is broken, or no Jupyter notebook ({reason}). Save it anew, or as .py or .md."
        ) from error
    locations, start = [], 0
    for number, text in enumerate(texts, 1):
        if text.strip():
            locations.append(Location(start, {"cell": number}))
            start += len(text) + 2
    metadata = {**decoded.metadata, **({"language": language} if language else {})}
    if isinstance(title := known.get("title"), str) and title.strip():
        metadata["title"] = printable(title.strip())
    text = "\n\n".join(text for text in texts if text.strip())
    return Parsed(text + "\n", metadata, locations, [*decoded.left_out, *missing])


def _language(known: dict[str, Any]) -> str:
    named = known.get("language_info", {}).get("name") or known.get("kernelspec", {}).get("language") or ""
    return printable(str(named)).strip().lower()


def _cell(cell: Any, language: str) -> Iterator[str]:
    """Yield the blocks of a cell: its source, then its outputs."""
    source = _joined(cell.get("source", cell.get("input", ""))).strip("\n")
    if cell["cell_type"] != "code":
        yield f"{'#' * min(int(cell.get('level', 1)), 6)} {source}" if cell["cell_type"] == "heading" else source
        return
    if source.strip():
        magic = _MAGIC.match(source)
        yield _fenced(source, magic[1].lower() if magic else language)
    for output in cell.get("outputs", []):
        if text := _output(output).strip("\n"):
            yield text


def _output(output: Any) -> str:
    """Return an output as Markdown: a table of HTML as a table, other text in a fence."""
    if output["output_type"] in ("error", "pyerr"):
        lines = _joined(output.get("traceback") or [f"{output.get('ename')}: {output.get('evalue')}"], "\n")
        return _fenced(_as_shown(lines), "text")
    forms = output.get("data", output)
    plain = _as_shown(_joined(forms.get("text/plain", forms.get("text", ""))))
    html = _joined(forms.get("text/html", forms.get("html", "")))
    if "text/markdown" in forms:
        return _as_shown(_joined(forms["text/markdown"]))
    if "<table" in html or (html and not plain.strip()):
        return markdown(html).text
    if _OBJECT.fullmatch(plain.strip()) and len(forms) > 1:
        return ""
    return _fenced(plain, "text") if plain.strip() else _as_shown(_joined(forms.get("text/latex", "")))


def _not_read(cells: list[Any]) -> list[str]:
    """Count the pictures, and the outputs that have no text."""
    outputs = [output.get("data", output) for cell in cells for output in cell.get("outputs", [])]
    pictures = sum(
        any(form.startswith("image/") or form in ("png", "jpeg", "svg") for form in data) for data in outputs
    )
    pictures += sum(len(cell.get("attachments", {})) for cell in cells)
    others = sum(all(form.startswith("application/") for form in data) for data in outputs if data)
    return left_out({"picture": pictures, "output without text": others})


def _joined(lines: Any, separator: str = "") -> str:
    return lines if isinstance(lines, str) else separator.join(lines)


def _as_shown(text: str) -> str:
    """Return what a terminal shows: no escape sequences, and of a progress bar its last state."""
    lines = ANSI.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines).strip("\n")


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, _FENCE.findall(text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
