"""The least that a file of each format needs, with any content in it, also such as no program would write."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping

import xlwt

from office import pdf


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """Return a ZIP archive of these parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
        for name, content in parts.items():
            opened.writestr(name, content)
    return file.getvalue()


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
_M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
_MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """Return the part with the relations of another, by id: the last word of their kind, and their target."""
    listed = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_RELATIONS}">{listed}</Relationships>'


def docx(body: str, **parts: str) -> bytes:
    """Return a Word document with this body, and parts such as `styles`, whose content lies within their root."""
    roots = {"numbering": "numbering", "styles": "styles", "footnotes": "footnotes", "comments": "comments"}
    return archive(
        {
            "word/document.xml": f"<w:document {W} {_R} {_A} {_M} {_MC}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": _relations({name: (name, f"{name}.xml") for name in parts}),
            **{f"word/{name}.xml": f"<w:{roots[name]} {W}>{xml}</w:{roots[name]}>" for name, xml in parts.items()},
        }
    )


def pptx(tree: str, slides: int = 1) -> bytes:
    """Return a presentation in which all slides hold the same shapes."""
    numbers = range(1, slides + 1)
    ids = "".join(f'<p:sldId r:id="r{number}"/>' for number in numbers)
    slide = f"<p:sld {P} {_A} {_R} {_MC} {_M}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
    return archive(
        {
            "ppt/presentation.xml": f"<p:presentation {P} {_R}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
            "ppt/_rels/presentation.xml.rels": _relations(
                {f"r{number}": ("slide", f"slides/slide{number}.xml") for number in numbers}
            ),
            **{f"ppt/slides/slide{number}.xml": slide for number in numbers},
        }
    )


def _open_document(body: str, kind: str, styles: str = "") -> str:
    namespaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{uri}:1.0"'
        for name, uri in {
            **{name: name for name in ("office", "text", "table", "style", "form")},
            "draw": "drawing",
            "svg": "svg-compatible",
            "fo": "xsl-fo-compatible",
            "presentation": "presentation",
        }.items()
    )
    return (
        f"<office:document-content {namespaces}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )


def odt(body: str, styles: str = "") -> bytes:
    """Return a text document of OpenDocument."""
    return archive({"content.xml": _open_document(body, "text", styles)})


def odp(body: str) -> bytes:
    """Return a presentation of OpenDocument with these pages."""
    return archive({"content.xml": _open_document(body, "presentation")})


def ods(rows: str) -> bytes:
    """Return a spreadsheet of OpenDocument with these rows."""
    mimetype = "application/vnd.oasis.opendocument.spreadsheet"
    return archive(
        {
            "mimetype": mimetype,
            "META-INF/manifest.xml": '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest'
            f':1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="{mimetype}"/>'
            "</manifest:manifest>",
            "content.xml": _open_document(f'<table:table table:name="s">{rows}</table:table>', "spreadsheet"),
        }
    )


def xlsx(
    rows: str, *, after: str = "", strings: str = "", styles: str = "", comments: str = "", sheets: int = 1
) -> bytes:
    """Return a workbook whose sheets have the same rows. `after` stands behind the rows."""
    numbers = range(1, sheets + 1)
    listed = "".join(f'<sheet name="s{number}" sheetId="{number}" r:id="r{number}"/>' for number in numbers)
    related = {f"r{number}": ("worksheet", f"worksheets/sheet{number}.xml") for number in numbers}
    sheet = f"<worksheet {_S} {_R}><sheetData>{rows}</sheetData>{after}</worksheet>"
    return archive(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "_rels/.rels": _relations({"r": ("officeDocument", "xl/workbook.xml")}),
            "xl/workbook.xml": f"<workbook {_S} {_R}><sheets>{listed}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": _relations(
                {**related, "s": ("sharedStrings", "sharedStrings.xml"), "t": ("styles", "styles.xml")}
            ),
            "xl/sharedStrings.xml": f"<sst {_S}>{strings}</sst>",
            "xl/styles.xml": f"<styleSheet {_S}>{styles}</styleSheet>",
            "xl/worksheets/_rels/sheet1.xml.rels": _relations({"c": ("comments", "../comments1.xml")}),
            "xl/comments1.xml": f"<comments {_S}><commentList>{comments}</commentList></comments>",
            **{f"xl/worksheets/sheet{number}.xml": sheet for number in numbers},
        }
    )


def _record(kind: int, content: bytes = b"") -> bytes:
    """Return a record of a binary workbook. Its kind and its size are written in groups of seven bits."""
    return _sevens(kind) + _sevens(len(content)) + content


def _sevens(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb(cells: bytes) -> bytes:
    """Return a binary workbook with these records of rows and cells."""
    bundle = struct.pack("<II", 0, 1) + _wide("r1") + _wide("s")
    edges = struct.pack("<IIII", 0, 2**20 - 1, 0, 2**14 - 1)
    return archive(
        {
            "_rels/.rels": _relations({"r": ("officeDocument", "xl/workbook.bin")}),
            "xl/workbook.bin": b"".join(map(_record, (0x83, 0x8F)))
            + _record(0x9C, bundle)
            + b"".join(map(_record, (0x90, 0x84))),
            "xl/_rels/workbook.bin.rels": _relations({"r1": ("worksheet", "worksheets/sheet1.bin")}),
            "xl/worksheets/sheet1.bin": _record(0x81)
            + _record(0x94, edges)
            + _record(0x91)
            + cells
            + b"".join(map(_record, (0x92, 0x82))),
        }
    )


def xlsb_row(number: int) -> bytes:
    """Return the record that begins a row."""
    return _record(0x00, struct.pack("<IIIHB", number, 0, 0, 0, 0) + bytes(8))


def xlsb_text(column: int, text: str) -> bytes:
    """Return the record of a cell with its own text."""
    return _record(0x06, struct.pack("<II", column, 0) + _wide(text))


def epub(pages: Mapping[str, str], *, spine: str = "", metadata: str = "", nav: str = "") -> bytes:
    """Return a book of these pages."""
    items = "".join(f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in pages)
    order = "".join(f'<itemref idref="{name}"/>' for name in pages)
    return archive(
        {
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="b.opf"/></rootfiles></container>',
            "b.opf": f'<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f'<metadata>{metadata}</metadata><manifest>{items}<item id="n" href="nav.html" properties="nav"/>'
            f"</manifest><spine>{order}{spine}</spine></package>",
            "nav.html": f"<html><nav>{nav}</nav></html>",
            **pages,
        }
    )


def rtf(body: str) -> bytes:
    """Return a file of RTF."""
    return f"{{\\rtf1\\ansi{{\\fonttbl{{\\f0 Arial;}}}}{body}}}".encode("latin-1")


def xls(write: Callable[[xlwt.Workbook], None]) -> bytes:
    """Return a workbook of Excel before 2007 that `write` filled."""
    book = xlwt.Workbook()
    write(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _priced(book: xlwt.Workbook) -> None:
    sheet = book.add_sheet("Prices")
    for row, values in enumerate([("Tea", "Price"), ("Sencha", 4.5), ("Assam", 3)]):
        for column, value in enumerate(values):
            sheet.write(row, column, value)


def _flat(archive: bytes) -> bytes:
    """Return the content of an OpenDocument file as a file of its own."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read("content.xml").replace(b"document-content", b"document")


_PAGE = "<html><head><title>Tea</title></head><body><h1>Tea</h1><table><tr><td>Sencha<td>4</table></body></html>"
_WORD = (
    '<w:p><w:pPr><w:pStyle w:val="h"/></w:pPr><w:r><w:t>Tea</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan '
    'w:val="2"/></w:tcPr><w:p><w:r><w:t>Sencha</w:t></w:r></w:p></w:tc></w:tr></w:tbl>'
)
_SLIDE = "<p:sp><p:txBody><a:p><a:r><a:t>Tea</a:t></a:r></a:p></p:txBody></p:sp>"
_OPEN_TEXT = (
    '<text:h text:outline-level="1">Tea</text:h><text:list><text:list-item><text:p>Sencha</text:p></text:list-item>'
    "</text:list><table:table><table:table-row><table:table-cell><text:p>4</text:p></table:table-cell>"
    "</table:table-row></table:table>"
)
_OPEN_PAGE = "<draw:page><draw:frame><draw:text-box><text:p>Tea</text:p></draw:text-box></draw:frame></draw:page>"
_OPEN_ROW = (
    '<table:table-row><table:table-cell table:number-columns-repeated="2" office:value-type="string"><text:p>Tea'
    "</text:p></table:table-cell></table:table-row>"
)
_ROWS = '<row r="1"><c r="A1" t="inlineStr"><is><t>Tea</t></is></c></row><row r="2"><c r="A2" s="0"><v>4</v></c></row>'
_STYLES = '<numFmts><numFmt numFmtId="200" formatCode="0.0%"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs>'
_MESSAGE = (
    "From: Ann <ann@example.com>\nTo: bob@example.com\nSubject: =?utf-8?q?Gr=C3=BCner?= tea\nMIME-Version: 1.0\n"
    "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n"
    "Content-Transfer-Encoding: quoted-printable\n\nSteep=20it.\n--b\nContent-Type: text/html\n\n<p>Steep it.\n--b--\n"
)
_NOTEBOOK = (
    '{"cells":[{"cell_type":"markdown","source":["# Tea"]},{"cell_type":"code","source":"print(4)","outputs":[{'
    '"output_type":"stream","name":"stdout","text":"4\\n"}]}],"metadata":{},"nbformat":4,"nbformat_minor":5}'
)
_RTF = (
    "{\\stylesheet{\\s1 heading 1;}}{\\info{\\title Tea}}{\\s1 Tea\\par}\\trowd\\cellx900\\cellx1800\\intbl Sencha"
    "\\cell 4\\cell\\row\\pard Gr\\'fcn{\\super 2}{\\footnote hot}\\u8364?\\par"
)
_FEED = (
    "<rss><channel><title>Tea</title><item><title>New</title><description>Sencha</description></item></channel></rss>"
)
_RST = (
    "Tea\n===\n\n* Sencha\n\n+---+---+\n| a | b |\n+---+---+\n\n.. note:: |hot| :ref:`it <x>`\n\n"
    ".. |hot| replace:: Hot\n"
)

INTACT: Mapping[str, bytes] = {
    "pdf": pdf(["Green tea.", "Black tea."], title="Tea"),
    **dict.fromkeys(
        ("docx", "docm"), docx(_WORD, styles='<w:style w:styleId="h"><w:name w:val="heading 1"/></w:style>')
    ),
    **dict.fromkeys(("pptx", "pptm", "ppsx"), pptx(_SLIDE, 2)),
    "rtf": rtf(_RTF),
    "odt": odt(_OPEN_TEXT),
    "fodt": _flat(odt(_OPEN_TEXT)),
    "odp": odp(_OPEN_PAGE),
    **dict.fromkeys(("html", "htm", "xhtml"), _PAGE.encode()),
    "epub": epub({"a.html": _PAGE, "b.html": _PAGE}, nav='<a href="a.html">Tea</a>'),
    **dict.fromkeys(("xml", "rss", "atom"), _FEED.encode()),
    **dict.fromkeys(("md", "markdown"), b"---\ntitle: Tea\ntags: [a, b]\n---\n# Tea\n\nSteep it.\n"),
    "csv": b'Tea;Price\nSencha;"4,50"\nAssam;3\n',
    "tsv": b"Tea\tPrice\nSencha\t4.5\n",
    **dict.fromkeys(
        ("xlsx", "xlsm"), xlsx(_ROWS, styles=_STYLES, comments='<comment ref="A1"><text><t>x</t></text></comment>')
    ),
    "xlsb": xlsb(xlsb_row(0) + xlsb_text(0, "Tea") + xlsb_row(1) + xlsb_text(3, "Sencha")),
    "xls": xls(_priced),
    "ods": ods(_OPEN_ROW * 2),
    "rst": _RST.encode(),
    "ipynb": _NOTEBOOK.encode(),
    "eml": _MESSAGE.encode(),
    "mbox": f"From ann Mon Jan  1 00:00:00 2024\n{_MESSAGE}\n".encode() * 2,
    "json": b'[{"name": "Sencha", "price": 4.5, "tags": ["green", "\\u00fc"]}, {"name": "Assam"}]',
    **dict.fromkeys(("jsonl", "ndjson"), b'{"name": "Sencha", "price": 4.5}\n{"name": "Assam"}\n'),
}
"""A small file of each format that is parsed, by its suffix."""
