"""Docling as the reader of all formats that it knows: `ReadOptions(reader="docling")`. It is installed separately.

Docling recognises the layout of pages with models of its own, which it downloads when they are first needed. They take
gigabytes, so the limit of memory does not hold for it.
"""

from __future__ import annotations

import importlib
import io
from functools import cache
from itertools import accumulate
from pathlib import PurePath
from typing import Any

from embedpipe.errors import InputError, MissingExtraError
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.text import PAGE_BREAK
from embedpipe.types import Location

SUFFIXES = frozenset(
    """
.pdf .docx .dotx .docm .dotm .pptx .potx .ppsx .pptm .potm .ppsm .xlsx .xlsm .odt .ott .ods .ots .odp .otp .doc .dot
.ppt .pot .pps .xls .xlt .pages .html .htm .xhtml .epub .msg .tex .latex .adoc .asciidoc .asc .vtt
.png .jpg .jpeg .tif .tiff .bmp .webp
""".split()  # noqa: SIM905 - read as a list of words
)
"""What docling reads, as its `FormatToExtensions` has it. Plain text, records and sound are not among them."""

_UNITS = {
    **dict.fromkeys(
        [".pptx", ".potx", ".ppsx", ".pptm", ".potm", ".ppsm", ".odp", ".otp", ".ppt", ".pot", ".pps"], "slide"
    ),
    **dict.fromkeys([".xlsx", ".xlsm", ".ods", ".ots", ".xls", ".xlt"], "sheet"),
}
"""What docling's "pages" are in other formats."""
_MARKDOWN = {"escape_html": False, "escape_underscores": False, "image_placeholder": ""}


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the text as docling's Markdown, with a location for each page or slide.

    Raises:
        InputError: If docling cannot read the file.
        MissingExtraError: If docling, or its package for this format, is not installed.
    """
    converter, models = _docling()
    source = models.DocumentStream(name=PurePath(name).name, stream=io.BytesIO(data))
    try:
        result = converter.convert(source, raises_on_error=False)
    except ImportError as error:  # docling says which of its extras lacks
        raise MissingExtraError(f"{name}: {error}") from error
    reasons = "; ".join(str(error.error_message) for error in result.errors)
    if result.status not in ("success", "partial_success"):
        raise InputError(f"{name} was not read by docling: {reasons or result.status}. Read it without this reader.")
    document = result.document
    left_out = [f"what docling could not read: {reasons}"] if reasons else []
    if document.pictures:
        left_out.append(f"{len(document.pictures)} picture{'s' if len(document.pictures) > 1 else ''}")
    numbers = sorted(document.pages)
    if not numbers or any(not item.prov for item, _ in document.iterate_items()):  # no part says where it is
        return Parsed(document.export_to_markdown(**_MARKDOWN), left_out=left_out)
    unit = _UNITS.get(PurePath(name).suffix.lower(), "page")
    between = f"\n{PAGE_BREAK}" if unit == "page" else "\n\n"
    parts = [document.export_to_markdown(page_no=number, **_MARKDOWN) for number in numbers]
    starts = accumulate((len(part) + len(between) for part in parts[:-1]), initial=0)
    locations = [Location(start, {unit: number}) for start, number in zip(starts, numbers, strict=True)]
    return Parsed(between.join(parts), {f"{unit}s": len(parts)}, locations, left_out)


@cache
def _docling() -> tuple[Any, Any]:
    """Return a converter, which keeps its models loaded, and docling's module of types."""
    try:
        converters = importlib.import_module("docling.document_converter")
        models = importlib.import_module("docling.datamodel.base_models")
    except ImportError as error:
        raise MissingExtraError(
            f"reader='docling' needs docling, which cannot be imported ({error}). Install it with: pip install docling"
        ) from error
    return converters.DocumentConverter(), models
