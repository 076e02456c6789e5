"""Spreadsheets: each sheet's rows as records, with cells as a person sees them."""

from __future__ import annotations

import datetime as dt
import io
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
import xlwt
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment

from embedpipe.errors import InputError
from embedpipe.files import document_of
from embedpipe.files.spreadsheet._workbook import form_of
from minimal_files import xls
from office import part, with_part

OLE_ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le")
SHEET = "xl/worksheets/sheet1.xml"
RELATIONS = "xl/_rels/workbook.xml.rels"
TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def workbook(fill: Callable[[Any], None]) -> bytes:
    """Return the workbook, whose first sheet is called Prices."""
    book = openpyxl.Workbook()
    book.active.title = "Prices"
    fill(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def of_rows(*rows: list[Any], merged: str = "") -> bytes:
    def fill(book: Any) -> None:
        for row in rows:
            book.active.append(row)
        for area in merged.split():
            book.active.merge_cells(area)

    return workbook(fill)


def text(data: bytes, name: str = "a.xlsx") -> str:
    return document_of(data, name=name).text


def test_sheets_rows_and_where_they_are() -> None:
    def fill(book: Any) -> None:
        book.active.append(["name", "price"])
        book.active.append(["Green", 1.5])
        book.active.append([])
        book.active.append(["Black", 2.0])
        hidden = book.create_sheet("Old")
        hidden["C3"] = "sencha"
        hidden.sheet_state = "hidden"
        book.create_sheet("Empty")
        book.properties.title = "Teas"
        book.properties.creator = "Anna"

    document = document_of(workbook(fill), name="a.xlsx")
    assert document.text == "## Prices\n\nname: Green\nprice: 1.5\n\nname: Black\nprice: 2\n\n## Old\n\nsencha\n"
    assert [(document.text[start:].split("\n")[0], place) for start, place in document.locations] == [
        ("## Prices", {"sheet": "Prices"}),
        ("name: Green", {"sheet": "Prices", "row": 2}),
        ("name: Black", {"sheet": "Prices", "row": 4}),
        ("## Old", {"sheet": "Old"}),
        ("sencha", {"sheet": "Old", "row": 3}),
    ]
    known = document.metadata
    assert (known["title"], known["author"]) == ("Teas", "Anna")
    assert (known["sheets"], known["hidden_sheets"]) == (["Prices", "Old", "Empty"], ["Old"])


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (1.0, "General", "1"),
        (0.1 + 0.2, "General", "0.3"),
        (123456789012345, "General", "123456789012345"),
        (1234.5, "#,##0.00", "1234.5"),
        (0.125, "0.0%", "12.5%"),
        (0.25, "0%", "25%"),
        (0.07, "0.00%", "7.00%"),
        (5, '#,##0.00 "€"', "5.00 €"),
        (5.5, "[$$-409]#,##0.00", "$5.50"),
        (12, '0.## "kg"', "12 kg"),
        (1234, "00000", "01234"),
        (-7, "000.0", "-007.0"),
        (True, "General", "TRUE"),
        (dt.datetime.fromisoformat("2024-01-02"), "DD.MM.YY", "2024-01-02"),
        (dt.datetime.fromisoformat("2024-01-02T03:04:05"), "yyyy-mm-dd h:mm", "2024-01-02 03:04:05"),
        (dt.time(8, 30), "h:mm", "08:30:00"),
        (dt.timedelta(hours=30, minutes=5), "[h]:mm:ss", "30:05:00"),
        ("one\r\ntwo", "General", "one\ntwo"),
        ("0042", "@", "0042"),
        ("#N/A", "General", "#N/A"),
    ],
)
def test_a_cell_is_as_a_person_sees_it(value: Any, form: str, shown: str) -> None:
    def fill(book: Any) -> None:
        book.active.append(["name", "value"])
        book.active.append(["Green", value])
        book.active["B2"].number_format = form

    assert text(workbook(fill)) == f"## Prices\n\nname: Green\nvalue: {shown}\n"


def test_raised_and_lowered_parts_of_a_text_are_marked() -> None:
    high, low = InlineFont(vertAlign="superscript"), InlineFont(vertAlign="subscript")
    cells = (
        CellRichText("10", TextBlock(high, "6")),
        CellRichText("CO", TextBlock(low, "2"), " in ", "m", TextBlock(high, "3")),
    )
    data = of_rows(["unit", "value"], list(cells), ["106", "CO2"])
    expected = "## Prices\n\nunit: 10^6\nvalue: CO_2 in m^3\n\nunit: 106\nvalue: CO2\n"
    assert text(data) == expected
    shared = "".join(f"<si>{found}</si>" for found in re.findall(r"<is>(.*?)</is>", part(data, SHEET)))
    numbers = iter(range(100))
    sheet = re.sub(r"<is>.*?</is>", lambda _: f"<v>{next(numbers)}</v>", part(data, SHEET)).replace("inlineStr", "s")
    texts = f'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{shared}</sst>'
    rels = part(data, RELATIONS).replace(
        "</Relationships>",
        f'<Relationship Id="s" Type="{TYPES}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
    )
    moved = with_part(with_part(data, SHEET, sheet), "xl/sharedStrings.xml", texts)
    assert text(with_part(moved, RELATIONS, rels)) == expected


@pytest.mark.parametrize("code", ["General", "0.00", "#,##0", "yyyy-mm-dd", "h:mm", "@", "", "0.00E+00", '"x', "[Red]"])
def test_a_form_without_a_unit_leaves_the_number_as_it_is(code: str) -> None:
    assert form_of(code) is None


@pytest.mark.parametrize(
    ("rows", "merged", "shown"),
    [
        (  # down
            [["region", "tea"], ["North", "Green"], [None, "Black"], ["South", "Oolong"]],
            "A2:A3",
            "region: North\ntea: Green\n\nregion: North\ntea: Black\n\nregion: South\ntea: Oolong",
        ),
        (  # across
            [["tea", "2023", "2024"], ["Green", "none", None], ["Black", 1, 2]],
            "B2:C2",
            "tea: Green\n2023: none\n2024: none\n\ntea: Black\n2023: 1\n2024: 2",
        ),
        (  # a header of two rows
            [["tea", "2023", None, "2024"], [None, "Q1", "Q2", "Q1"], ["Green", 1, 2, 3]],
            "A1:A2 B1:C1",
            "tea: Green\n2023 Q1: 1\n2023 Q2: 2\n2024 Q1: 3",
        ),
        (  # a title
            [["Prices of 2024", None], ["tea", "price"], ["Green", 1]],
            "A1:B1",
            "Prices of 2024\n\ntea: Green\nprice: 1",
        ),
    ],
)
def test_merged_cells_keep_their_columns(rows: list[list[Any]], merged: str, shown: str) -> None:
    assert text(of_rows(*rows, merged=merged)) == f"## Prices\n\n{shown}\n"


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (  # side by side
            [["tea", "price", None, "cup", "size"], ["Green", 1, None, "small", 2], [None, None, None, "large", 4]],
            "tea: Green\nprice: 1\n\ncup: small\nsize: 2\n\ncup: large\nsize: 4",
        ),
        (  # an empty column within a table
            [["item", None, "costs", "sales"], ["tea", None, 1, 2]],
            "item: tea\ncosts: 1\nsales: 2",
        ),
        (  # below each other, with other columns
            [["tea", "kind"], ["Green", "loose"], [], ["cup", "size", "color"], ["small", "2 dl", "red"]],
            "tea: Green\nkind: loose\n\ncup: small\nsize: 2 dl\ncolor: red",
        ),
        (  # below each other, a header of words above numbers
            [["tea", "price"], ["Green", 1], [], ["cup", "size"], ["small", 2]],
            "tea: Green\nprice: 1\n\ncup: small\nsize: 2",
        ),
        (  # an empty row within a table
            [["tea", "kind"], ["Green", "loose"], [], ["Black", "bags"], ["Oolong", "loose"]],
            "tea: Green\nkind: loose\n\ntea: Black\nkind: bags\n\ntea: Oolong\nkind: loose",
        ),
        (  # an empty row above numbers
            [["tea", "price"], ["Green", 1], [], ["Black", 2], ["Oolong", 3]],
            "tea: Green\nprice: 1\n\ntea: Black\nprice: 2\n\ntea: Oolong\nprice: 3",
        ),
    ],
)
def test_a_sheet_of_several_tables(rows: list[list[Any]], shown: str) -> None:
    assert text(of_rows(*rows)) == f"## Prices\n\n{shown}\n"


def test_comments_stand_below_their_row() -> None:
    def fill(book: Any) -> None:
        book.active.append(["name", "price"])
        book.active.append(["Green", 1])
        for cell in ("A1", "B2", "B9"):
            book.active[cell].comment = Comment(f"says {cell}", "Anna")

    assert text(workbook(fill)) == (
        "## Prices\n\nname: Green\nprice: 1\ncomment on B2: says B2\n\n"
        "comment on A1: says A1\n\ncomment on B9: says B9\n"
    )


def test_formulas_have_their_values_and_those_without_are_counted() -> None:
    data = of_rows(["a", "b"], ["x", "=1+1"], ["y", "=1/0"])
    xml = (
        part(data, SHEET)
        .replace("<v></v>", "<v>2</v>", 1)
        .replace("<v />", "<v>2</v>", 1)
        .replace("<v/>", "<v>2</v>", 1)
    )
    document = document_of(with_part(data, SHEET, xml), name="a.xlsx")
    assert document.text == "## Prices\n\na: x\nb: 2\n\na: y\n"
    assert document.metadata["left_out"] == ["1 formula without a value"]


def test_pictures_are_counted() -> None:
    data = with_part(of_rows(["a", "b"]), "xl/media/image1.png", b"x")
    assert document_of(data, name="a.xlsx").metadata["left_out"] == ["1 picture"]


def test_a_declared_dimension_costs_nothing() -> None:
    data = of_rows(["name", "price"], ["Green", 1])
    xml = part(data, SHEET).replace('<dimension ref="A1:B2"', '<dimension ref="A1:XFD1048576"')
    assert "XFD1048576" in xml
    assert text(with_part(data, SHEET, xml)) == "## Prices\n\nname: Green\nprice: 1\n"


def test_a_spreadsheet_of_libreoffice_is_read() -> None:
    cell = '<table:table-cell office:value-type="{}"><text:p>{}</text:p></table:table-cell>'
    number = '<table:table-cell office:value-type="float" office:value="1.5"><text:p>1,5</text:p></table:table-cell>'
    row = "<table:table-row>{}</table:table-row>"
    rows = row.format(cell.format("string", "name") + cell.format("string", "price"))
    rows += row.format(cell.format("string", "Green") + number)
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    body = f'<office:spreadsheet><table:table table:name="Prices">{rows}</table:table></office:spreadsheet>'
    content = f"<office:document-content {spaces}><office:body>{body}</office:body></office:document-content>"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", content)
    document = document_of(file.getvalue(), name="a.ods")
    assert document.text == "## Prices\n\nname: Green\nprice: 1.5\n"


def far_away() -> bytes:
    return workbook(lambda book: book.active.__setitem__("A1", "x") or book.active.__setitem__("XFD1048576", "y"))


def merged_everywhere() -> bytes:
    data = of_rows(*([["x", "y"]] * 300))
    areas = '<mergeCell ref="A1:XFD1048576"/>' * 20_000
    return with_part(
        data, SHEET, part(data, SHEET).replace("</sheetData>", f"</sheetData><mergeCells>{areas}</mergeCells>")
    )


def test_many_merged_areas_end() -> None:
    assert text(merged_everywhere()).count("x") >= 300


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xlsx", b"PK\x03\x04\xff\xfe", r"a\.xlsx is broken, or no spreadsheet .* as \.xlsx or \.csv"),
        ("a.xlsx", b"a,b\n1,2\n", r"a\.xlsx is broken, or no spreadsheet .* \.csv"),
        ("a.xlsx", of_rows(["a"])[:-100], r"a\.xlsx is broken, or no spreadsheet .* \.csv"),
        ("a.xlsx", with_part(of_rows(["a"]), SHEET, "<nope"), r"a\.xlsx is broken, or no spreadsheet .* \.csv"),
        ("a.xlsx", with_part(of_rows(["a"]), SHEET, b" " * (129 << 20)), "unpacks to 129 MB, and at most 128 MB"),
        ("a.xlsx", with_part(of_rows(["a"]), "xl/sharedStrings.xml", b" " * (129 << 20)), "unpacks to 129 MB"),
        ("a.xlsx", of_rows(), "holds no text"),
        ("a.xlsx", far_away(), "more memory than a parser may take"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, r"a\.xls is broken, or no spreadsheet .* \.csv"),
        ("a.xlsx", OLE_ENCRYPTED, r"a\.xlsx is encrypted\. .* save it as \.xlsx without a password"),
        ("a.ods", b"PK\x03\x04", r"a\.ods is broken, or no spreadsheet .* \.csv"),
        ("a.numbers", b"PK\x03\x04", r"a spreadsheet of Apple Numbers\. Save it as \.xlsx or \.csv"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(data, name=name)


def old_workbook(fill: Callable[[xlwt.Worksheet], None]) -> bytes:
    """Return a workbook of Excel before 2007."""

    def write(book: xlwt.Workbook) -> None:
        fill(book.add_sheet("Prices"))

    return xls(write)


def test_a_workbook_from_before_2007_is_read() -> None:
    def fill(sheet: xlwt.Worksheet) -> None:
        day, moment, share = (xlwt.easyxf(num_format_str=form) for form in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm", "0%"))
        for column, name in enumerate(("tea", "price", "since", "picked", "organic", "share")):
            sheet.write(0, column, name)
        for column, value in enumerate(("Grüner Tee \u8336\u20ac", 4.5, dt.date(2024, 1, 31))):
            sheet.write(1, column, value, day if column == 2 else xlwt.Style.default_style)
        sheet.write(1, 3, dt.datetime(2024, 2, 1, 13, 30), moment)  # noqa: DTZ001 - cells have no time zone
        sheet.write(1, 4, True)
        sheet.write(1, 5, 0.5, share)
        sheet.write_merge(2, 3, 0, 0, "Assam")
        sheet.write(2, 1, 3)
        sheet.write(3, 1, -2.25)

    document = document_of(old_workbook(fill), name="a.xls")
    assert document.text == (
        "## Prices\n\n"
        "tea: Grüner Tee \u8336\u20ac\nprice: 4.5\nsince: 2024-01-31\npicked: 2024-02-01 13:30:00\norganic: TRUE\n"
        "share: 0.5\n\ntea: Assam\nprice: 3\n\ntea: Assam\nprice: -2.25\n"
    )
    assert document.metadata["sheets"] == ["Prices"]
    assert {"sheet": "Prices", "row": 4} in [location.metadata for location in document.locations]


def test_formulas_from_before_2007_have_their_values() -> None:
    def fill(sheet: xlwt.Worksheet) -> None:
        sheet.write(0, 0, "sum")
        sheet.write(0, 1, "text")
        sheet.write(1, 0, xlwt.Formula("1+2"))

    written = old_workbook(fill)
    # The record of the formula in row 1: its size, row, column and format, then the value. xlwt computes none.
    [record] = re.finditer(rb"\x06\x00[^\x00]\x00\x01\x00\x00\x00..", written, re.DOTALL)
    data = written[: record.end()] + struct.pack("<d", 3.5) + written[record.end() + 8 :]
    assert "sum: 3.5\n" in text(data, "a.xls")


def test_sectors_that_lead_back_to_themselves_are_refused_before_they_take_all_memory() -> None:
    data = bytearray(old_workbook(lambda sheet: sheet.write(0, 0, "tea")))
    (table,) = struct.unpack_from("<I", data, 76)  # the sector of the table that names the sector behind each
    struct.pack_into("<I", data, (table + 1) * 512 + 4 * 3, 2)
    struct.pack_into("<I", data, (table + 1) * 512 + 4 * 2, 3)
    with pytest.raises(InputError, match=r"a\.xls is broken: its parts form a loop"):
        document_of(bytes(data), name="a.xls")
