"""CSV and TSV: rows as records under their header. `_rows` says how."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

from embedpipe.files import _rows
from embedpipe.files._decoding import decode
from embedpipe.files.parsed import Parsed, ReadOptions

_DELIMITERS = "\t;|,"
"""In the order in which they win a draw: "1,5;2,5" has as many commas in each row as semicolons."""
_SEPARATOR = re.compile(r'"?sep=(.)"?\n', re.IGNORECASE)
_ESCAPED_QUOTE = re.compile(r'\\"(?![\t;|,\n])')
_SAMPLE = 64 * 2**10
_MAX_CELL = 2**31 - 1


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return a paragraph for each row, and the names of the columns. The delimiter is found, or taken from "sep=;".

    Rows are numbered as a spreadsheet shows them. Cells beyond the header are kept as "column 5: value".

    Raises:
        InputError: If the file is no text, or its encoding cannot be told.
    """
    decoded = decode(data, name, options.encoding)
    first = _SEPARATOR.match(decoded.text)
    content = decoded.text[first.end() :] if first else decoded.text
    csv.field_size_limit(_MAX_CELL)
    delimiter = first[1] if first else _delimiter(content[:_SAMPLE])
    rows = list(enumerate(_rows_of(content, delimiter), 2 if first else 1))
    text: list[str] = []
    locations, names = _rows.write(rows, text, 0, {}, {})
    metadata = {**decoded.metadata, **({"columns": names} if names else {})}
    return Parsed("".join(text[:-1]) + "\n", metadata, locations, decoded.left_out)


def _rows_of(content: str, delimiter: str) -> list[list[str]]:
    """Return each row's cells, without white space around them. A quote that is never closed is a character."""
    if _ESCAPED_QUOTE.search(content[:_SAMPLE]) and '""' not in content[:_SAMPLE]:
        content = content.replace('\\"', '""')  # csv's escapechar would remove the backslashes of paths
    reader = csv.reader(io.StringIO(content), delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    start = end = 0
    for row in reader:
        rows.append([cell.strip() for cell in row])
        start, end = end, reader.line_num
    if end - start > 1 and _is_open(lines := content.split("\n")[start:], delimiter):
        unquoted = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        rows[-1:] = [[cell.strip() for cell in row] for row in unquoted]
    return rows


def _is_open(lines: list[str], delimiter: str) -> bool:
    """Return whether the row in these lines ends within a quote."""
    try:
        list(csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _delimiter(sample: str) -> str:
    """Return the delimiter by which most rows have the same number of cells, more than one."""
    whole = sample if len(sample) < _SAMPLE else sample.rpartition("\n")[0] or sample
    scores = {}
    for delimiter in _DELIMITERS:
        if delimiter not in whole:
            continue
        counts = Counter(len(row) for row in csv.reader(io.StringIO(whole), delimiter=delimiter) if row)
        columns, rows = max(counts.items(), key=lambda item: (item[1], item[0]))
        scores[delimiter] = round(rows / counts.total(), 1) if columns > 1 else 0
    return max(scores, key=scores.__getitem__, default=",")
