"""Speed of reading files beside markitdown, format by format, and how the time grows with the size.

    python benchmarks/files.py [speed|growth] [FORMAT ...] [--megabytes 1] [--repeats 5] [--cpu]

Needs markitdown[docx,pptx,xlsx,pdf], reportlab, python-docx, python-pptx, openpyxl and odfpy, which write the files.
Each file holds the stated size of English prose ("MB" is a million code points of it, whatever the file takes on disk),
under headings, and with a table for every ten paragraphs where the format has both. The sides take turns; printed are
the medians and how many times as fast as markitdown we are. Ours counts with the way to the parsing process and back.
`--cpu` counts the processor's time in place of the clock's, for a machine that does other work, too. It needs Linux.
`growth` is the median time at 1 MB over that at 100 KB, and at 10 MB over 1 MB: 10 is linear growth.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import mailbox
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
from markitdown import MarkItDown, StreamInfo
from odf.opendocument import OpenDocumentText
from odf.text import H, P
from reportlab.pdfgen.canvas import Canvas

from embedpipe.errors import EmbedPipeError
from embedpipe.files import ReadOptions, _parsing, document_of, known_suffixes

TEXT = Path(__file__).parents[2] / "shared" / "data" / "text" / "english_books_20mb.txt.gz"
MILLION = 1_000_000
CELLS = (("Tea", "Minutes", "Celsius"), *((f"tea {number}", str(number), "80") for number in range(8)))


def sections(megabytes: float) -> Iterator[tuple[str, list[str]]]:
    """Yield headings with ten paragraphs each, as many as the size takes."""
    with gzip.open(TEXT, "rt", encoding="utf-8") as file:
        text = file.read(int(megabytes * MILLION))
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    for start in range(0, len(paragraphs), 10):
        yield f"Section {start // 10 + 1}", paragraphs[start : start + 10]


def txt(megabytes: float) -> bytes:
    return "\n\n".join(part for _, parts in sections(megabytes) for part in parts).encode()


def md(megabytes: float) -> bytes:
    table = "\n".join("| " + " | ".join(row) + " |" for row in (CELLS[0], ("---",) * 3, *CELLS[1:]))
    parts = (f"## {title}\n\n" + "\n\n".join(paragraphs) + f"\n\n{table}" for title, paragraphs in sections(megabytes))
    return "\n\n".join(parts).encode()


def html_of(megabytes: float) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in CELLS)
    body = "\n".join(
        f"<h2>{title}</h2>" + "".join(f"<p>{escape(part)}</p>\n" for part in parts) + f"<table>{rows}</table>"
        for title, parts in sections(megabytes)
    )
    return f"<!DOCTYPE html><html><head><title>Book</title></head><body>{body}</body></html>"


def html(megabytes: float) -> bytes:
    return html_of(megabytes).encode()


def pdf(megabytes: float) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file)
    lines = [line for _, parts in sections(megabytes) for part in parts for line in _lines(part, 90)]
    for start in range(0, len(lines), 45):
        for place, line in enumerate(lines[start : start + 45]):
            canvas.drawString(72, 750 - 15 * place, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _lines(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if len(line) + len(word) >= width:
            yield line
            line = ""
        line += f" {word}" if line else word
    yield line


def word(megabytes: float) -> bytes:
    document: Any = docx.Document()
    for title, parts in sections(megabytes):
        document.add_heading(title, 2)
        for part in parts:
            document.add_paragraph(part)
        table = document.add_table(0, 3)
        for row in CELLS:
            for cell, text in zip(table.add_row().cells, row, strict=True):
                cell.text = text
    return _saved(document)


def slides(megabytes: float) -> bytes:
    presentation: Any = pptx.Presentation()
    layout = presentation.slide_layouts[1]
    for title, parts in sections(megabytes):
        slide = presentation.slides.add_slide(layout)
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(parts)
    return _saved(presentation)


def xlsx(megabytes: float) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Prices")
    for row in rows(megabytes):
        sheet.append(row)
    return _saved(book)


def rows(megabytes: float) -> Iterator[list[Any]]:
    yield ["number", "section", "text", "price"]
    number = 0
    for title, parts in sections(megabytes):
        for part in parts:
            number += 1
            yield [number, title, part, number * 1.5]


def comma(megabytes: float) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows(megabytes))
    return file.getvalue().encode()


def epub(megabytes: float) -> bytes:
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Book</dc:title><dc:identifier id="i">i</dc:identifier>'
        '<dc:language>en</dc:language></metadata><manifest><item id="a" href="a.xhtml" '
        'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles><rootfile '
        'full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    page = html_of(megabytes).replace("<html>", '<html xmlns="http://www.w3.org/1999/xhtml">')
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("b.opf", opf)
        archive.writestr("a.xhtml", page)
    return file.getvalue()


def odt(megabytes: float) -> bytes:
    document = OpenDocumentText()
    for title, parts in sections(megabytes):
        document.text.addElement(H(outlinelevel=2, text=title))
        for part in parts:
            document.text.addElement(P(text=part))
    return _saved(document)


def rtf(megabytes: float) -> bytes:
    body = "".join(
        f"{{\\b {title}}}\\par\n" + "".join(f"{_rtf(part)}\\par\n" for part in parts)
        for title, parts in sections(megabytes)
    )
    return f"{{\\rtf1\\ansi\\deff0{{\\fonttbl{{\\f0 Arial;}}}}\n{body}}}".encode("ascii")


def _rtf(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("{", "\\{").replace("}", "\\}")
    return "".join(each if each.isascii() else f"\\u{ord(each)}?" for each in escaped)


def notebook(megabytes: float) -> bytes:
    cells: list[dict[str, Any]] = []
    for title, parts in sections(megabytes):
        cells.append({"cell_type": "markdown", "metadata": {}, "source": f"## {title}\n\n" + "\n\n".join(parts)})
        printed = {"output_type": "stream", "name": "stdout", "text": "42\n"}
        code = {"cell_type": "code", "source": "print(42)", "outputs": [printed], "execution_count": 1, "metadata": {}}
        cells.append(code)
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def records(megabytes: float) -> Iterator[dict[str, Any]]:
    for title, parts in sections(megabytes):
        for part in parts:
            yield {"title": title, "body": part, "year": 2026}


def array(megabytes: float) -> bytes:
    return json.dumps(list(records(megabytes))).encode()


def lines(megabytes: float) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records(megabytes)).encode()


def xml(megabytes: float) -> bytes:
    parts = (
        f"<section><title>{title}</title>" + "".join(f"<p>{escape(part)}</p>\n" for part in parts) + "</section>"
        for title, parts in sections(megabytes)
    )
    return f'<?xml version="1.0"?><book>{"".join(parts)}</book>'.encode()


def mail(megabytes: float) -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Book", "ann@tea.example", "bob@tea.example"
    message.set_content(txt(megabytes).decode())
    return message.as_bytes()


def mbox(megabytes: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        box = mailbox.mbox(Path(folder, "a.mbox"))
        for title, parts in sections(megabytes):
            message = EmailMessage()
            message["Subject"], message["From"] = title, "ann@tea.example"
            message.set_content("\n\n".join(parts))
            box.add(message)
        box.close()
        return Path(folder, "a.mbox").read_bytes()


def _saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


WRITERS: dict[str, Callable[[float], bytes]] = {
    "txt": txt,
    "md": md,
    "html": html,
    "pdf": pdf,
    "docx": word,
    "pptx": slides,
    "xlsx": xlsx,
    "csv": comma,
    "epub": epub,
    "odt": odt,
    "rtf": rtf,
    "ipynb": notebook,
    "json": array,
    "jsonl": lines,
    "xml": xml,
    "eml": mail,
    "mbox": mbox,
}
OPTIONS = {name: ReadOptions(text_fields=("body",)) for name in ("json", "jsonl")}


def ours(data: bytes, suffix: str) -> int:
    return len(document_of(data, name=f"a.{suffix}", options=OPTIONS.get(suffix, ReadOptions())).text)


def theirs(data: bytes, suffix: str) -> int:
    told = StreamInfo(extension=f".{suffix}", charset="utf-8")  # it guesses ASCII by the beginning, and fails
    return len(PEER.convert_stream(io.BytesIO(data), stream_info=told).markdown)


PEER = MarkItDown(enable_plugins=False)


def timed(side: Callable[[bytes, str], int], data: bytes, suffix: str, clock: Callable[[], float]) -> float:
    begun = clock()
    side(data, suffix)
    return clock() - begun


def processor_time() -> float:
    """Return the seconds that this process and the parsing process have computed."""
    child = _parsing._process  # noqa: SLF001 - no user needs it
    schedule = "0" if child is None else Path(f"/proc/{child.pid}/schedstat").read_text()
    return time.process_time() + int(schedule.split()[0]) / 1e9


def speed(suffix: str, megabytes: float, repeats: int, clock: Callable[[], float]) -> None:
    data, small = WRITERS[suffix](megabytes), WRITERS[suffix](0.01)
    sides: dict[str, Callable[[bytes, str], int]] = {"embedpipe": ours, "markitdown": theirs}
    times: dict[str, list[float]] = {}
    for name, side in sides.items():
        try:
            side(small, suffix)  # imports its libraries
            times[name] = []
        except Exception as error:  # noqa: BLE001 - a format that one side does not read
            print(f"{suffix:6} {name} does not read it: {str(error)[:80]!r}", flush=True)
    for _ in range(repeats):
        for name, taken in times.items():
            taken.append(timed(sides[name], data, suffix, clock))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    speeds = "  ".join(f"{name} {megabytes / median:8.2f} MB/s" for name, median in medians.items())
    faster = f"  x{medians['markitdown'] / medians['embedpipe']:.2f}" if len(medians) == 2 else ""
    print(f"{suffix:6} {len(data) / MILLION:6.2f} MB on disk  {speeds}{faster}", flush=True)


def growth(suffix: str, repeats: int, clock: Callable[[], float]) -> None:
    medians: list[float] = []
    for megabytes in (0.1, 1, 10):
        data = WRITERS[suffix](megabytes)
        try:
            ours(data, suffix)
        except EmbedPipeError as error:
            print(f"{suffix:6} at {megabytes:g} MB: {str(error)[:100]}", flush=True)
            break
        medians.append(statistics.median(timed(ours, data, suffix, clock) for _ in range(repeats)))
    steps = "  ".join(f"x{after / before:.1f}" for before, after in pairwise(medians))
    print(f"{suffix:6} {'  '.join(f'{median * 1000:.0f} ms' for median in medians)}  {steps}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "growth"], nargs="?", default="speed")
    parser.add_argument("formats", nargs="*", metavar="FORMAT")
    parser.add_argument("--megabytes", type=float, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    asked = parser.parse_args()
    clock = processor_time if asked.cpu else time.perf_counter
    for suffix in asked.formats or [name for name in WRITERS if f".{name}" in known_suffixes()]:
        if asked.what == "growth":
            growth(suffix, asked.repeats, clock)
        else:
            speed(suffix, asked.megabytes, asked.repeats, clock)


if __name__ == "__main__":
    sys.exit(main())
