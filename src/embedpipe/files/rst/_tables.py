"""Tables of reStructuredText, as Markdown."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

_BORDER = re.compile(r"=+(?: +=+)*")
_SPAN = re.compile(r"-+(?: +-+)*")

_Row: TypeAlias = "list[list[str]]"
"""The pieces of each cell."""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a table of Markdown. The first one is its header."""
    columns = max(map(len, rows), default=0)
    cells = ([" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows)
    lines = [f"| {' | '.join([*row, *[''] * (columns - len(row))])} |" for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * columns, *lines[1:]]) if columns else ""


def grid(lines: list[str]) -> str | None:
    """Return a table that is drawn with "+---+", or None if it has merged cells."""
    columns = [place for place, character in enumerate(lines[0]) if character == "+"]
    rows: list[_Row] = []
    for line in lines[:-1]:
        if set(line) <= set("+-="):
            if [place for place, character in enumerate(line) if character == "+"] != columns:
                return None
            rows.append([[] for _ in columns[1:]])
        elif any(line[place : place + 1] != "|" for place in columns):
            return None
        else:
            for cell, (start, end) in zip(rows[-1], pairwise(columns), strict=True):
                cell.append(line[start + 1 : end])
    return _markdown(rows)


def is_simple_border(line: str) -> bool:
    """Return whether the line is a border of a simple table with two columns or more: "====  ===="."""
    return " " in line.strip() and _BORDER.fullmatch(line.strip()) is not None


def simple(lines: list[str]) -> str:
    """Return a table whose columns are marked by "====  ====". A row without its first cell continues the one above."""
    border = lines[0]
    starts = [found.start() for found in re.finditer("=+", border)]
    ends = [*starts[1:], None]
    rows: list[_Row] = []
    for line in lines[1:]:
        if is_simple_border(line) or _SPAN.fullmatch(line.strip()):
            continue
        cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if not rows or cells[0]:
            rows.append([[] for _ in starts])
        for cell, piece in zip(rows[-1], cells, strict=True):
            cell.append(piece)
    return _markdown([row for row in rows if any(map(any, row))])


def of_csv(lines: list[str], header: str, delimiter: str) -> str:
    """Return the content of a "csv-table"."""
    one = {"tab": "\t", "space": " "}.get(delimiter, delimiter[:1] or ",")
    rows = csv.reader([header, *lines] if header else lines, delimiter=one, skipinitialspace=True)
    return markdown([row for row in rows if row])


def of_list(lines: list[str]) -> str:
    """Return the content of a "list-table": a list of lists, "* - cell"."""
    rows: list[_Row] = []
    for line in lines:
        stripped = line.lstrip()
        if stripped.startswith("* -"):
            rows.append([[stripped[3:]]])
        elif stripped.startswith("-") and rows and len(line) - len(stripped) <= 2:
            rows[-1].append([stripped[1:]])
        elif rows:
            rows[-1][-1].append(stripped)
    return _markdown(rows)


def _markdown(rows: list[_Row]) -> str:
    return markdown([[" ".join(pieces) for pieces in row] for row in rows])
