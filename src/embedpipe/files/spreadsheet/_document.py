"""Spreadsheets: each sheet under a heading with its name, its rows as records under their header. `_rows` says how.

calamine reads the values, seventeen times as fast as openpyxl. What it passes over, `_workbook` takes from the XML of
.xlsx: the forms of numbers, errors, comments, text boxes, and formulas without a value.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import PurePath
from typing import Any, TypeAlias

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files import _rows
from embedpipe.files._blocks import left_out
from embedpipe.files._decoding import printable
from embedpipe.files._not_read import OLE
from embedpipe.files._office import refusal
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.files.spreadsheet._container import has_loop
from embedpipe.files.spreadsheet._tables import tables
from embedpipe.files.spreadsheet._workbook import MAX_BYTES, SheetDetails, Workbook
from embedpipe.types import Location

_Area: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"
_WITH_XML = (".xlsx", ".xlsm", ".xltx", ".xltm")
_MAX_MERGED = 1_000_000
_MAX_CELLS = 50_000_000
"""With the empty ones between: calamine makes an object of each. A full sheet of this size takes gigabytes."""


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the sheets with cells as a person sees them: values of formulas, dates as ISO 8601 has them, percents.

    Hidden sheets are read, and named in the metadata. Each row is a location with its sheet and number.

    Raises:
        InputError: If the file is encrypted, broken, no spreadsheet, or larger unpacked than can be read.
    """
    calamine = require("python_calamine", extra="files")
    _check_size(data, name)
    if data.startswith(OLE) and has_loop(data):
        raise InputError(f"{name} is broken: its parts form a loop. Save it anew as .xlsx or .csv.")
    details = Workbook(data, name) if PurePath(name).suffix.lower() in _WITH_XML and not data.startswith(OLE) else None
    try:
        book = calamine.load_workbook(io.BytesIO(data))
        sheets = [book.get_sheet_by_name(sheet) for sheet in book.sheet_names]
        known = {sheet.name: sheet for sheet in book.sheets_metadata}
    except calamine.PasswordError as error:
        raise InputError(refusal(data, name, suffix="xlsx")) from error
    except Exception as error:  # anything that a parser meets in a broken file
        if data.startswith(OLE) and "EncryptedPackage".encode("utf-16-le") in data:
            raise InputError(refusal(data, name, suffix="xlsx")) from error
        raise InputError(f"{name} is broken, or no spreadsheet ({error}). Save it anew as .xlsx or .csv.") from error
    text: list[str] = []
    locations: list[Location] = []
    length = uncomputed = 0
    for sheet in sheets:
        found = details.sheet(sheet.name) if details else SheetDetails()
        uncomputed += found.uncomputed
        if (cells := sheet.total_height * sheet.total_width) > _MAX_CELLS:
            raise InputError(
                f"{name}: the sheet {sheet.name!r} spans {cells} cells, and at most {_MAX_CELLS} are read. Delete what "
                "stands far from the rest, or save the sheet as .csv."
            )
        rows = _cells(sheet, found)
        if not rows and not found.notes:
            continue
        text.append(f"## {printable(sheet.name)}\n\n")
        locations.append(Location(length, {"sheet": sheet.name}))
        length += len(text[-1])
        notes = dict(found.notes)
        for table in [*tables(rows), []]:  # the last one for notes beside empty cells
            before = len(text)
            beside = {number: notes.pop(number) for number, _ in table if number in notes} if table else notes
            locations += _rows.write(table, text, length, {"sheet": sheet.name}, beside)[0]
            length += sum(map(len, text[before:]))
    hidden = [sheet for sheet in book.sheet_names if str(known[sheet].visible) != "SheetVisibleEnum.Visible"]
    metadata = {**(details.metadata() if details else {}), "sheets": list(book.sheet_names)}
    missing = details.left_out() if details else []
    missing += left_out({"formula without a value": uncomputed})
    if hidden:
        metadata["hidden_sheets"] = hidden
    return Parsed("".join(text).rstrip("\n") + "\n", metadata, locations, missing)


def _check_size(data: bytes, name: str) -> None:
    """Refuse an archive that says of itself that it unpacks to more than can be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist() if info.filename.endswith((".xml", ".bin")))
    except zipfile.BadZipFile:
        return
    if size > MAX_BYTES:
        raise InputError(
            f"{name} unpacks to {size / 2**20:.0f} MB, and at most {MAX_BYTES >> 20} MB are read. Cut it into several "
            "files, or save its sheets as .csv."
        )


def _cells(sheet: Any, details: SheetDetails) -> list[tuple[int, Sequence[str]]]:
    """Return the number and the cells of each row, as they are shown."""
    if sheet.start is None:
        return []
    left = sheet.start[1]
    rows: list[list[Any]] = list(sheet.iter_rows())
    for (row, column), form in details.forms.items():
        if row < len(rows) and left <= column < left + len(rows[row]):
            rows[row][column - left] = form.shown(rows[row][column - left])
    for (row, column), text in {**details.errors, **details.marked}.items():
        if row < len(rows) and left <= column < left + len(rows[row]):
            rows[row][column - left] = text
    shown = [[_shown(value) for value in row] if any(value != "" for value in row) else [] for row in rows]
    merged = [((top, a - left), (bottom, b - left)) for (top, a), (bottom, b) in sheet.merged_cell_ranges or ()]
    _fill(shown, merged)
    _join_headers(shown, merged)
    return [(number, row) for number, row in enumerate(shown, 1) if row]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        lines = value if value.isprintable() else printable(value.replace("\r\n", "\n").replace("\r", "\n"))
        return lines.strip()
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return str(value)


def _fill(rows: list[list[str]], merged: list[_Area]) -> None:
    """Write what merged cells show into each of them, in rows that show something else as well.

    A title over the whole table stands alone in its row, and stays there once.
    """
    filled = 0
    for (top, left), (bottom, right) in merged:
        if not (top < len(rows) and 0 <= left < len(rows[top]) and rows[top][left]):
            continue
        value = rows[top][left]
        for row in rows[top : bottom + 1]:
            filled += right - left + 1
            if filled > _MAX_MERGED:
                return
            if any(row[:left]) or any(row[right + 1 :]):
                row[left : right + 1] = [value] * len(row[left : right + 1])


def _join_headers(rows: list[list[str]], merged: list[_Area]) -> None:
    """Join a header of two rows: "2023" over "Q1" and "Q2" becomes "2023 Q1" and "2023 Q2"."""
    first = next((number for number, row in enumerate(rows) if sum(map(bool, row)) > 1), len(rows))
    over = [left for (top, left), (bottom, right) in merged if top == bottom == first and right > left]
    if not over or first + 1 >= len(rows) or not rows[first + 1] or any(map(_rows.is_value, rows[first + 1])):
        return
    below = rows[first + 1]
    rows[first] = [" ".join(dict.fromkeys(filter(None, names))) for names in zip(rows[first], below, strict=True)]
    rows[first + 1] = []
