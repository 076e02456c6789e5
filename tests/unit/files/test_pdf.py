from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from embedpipe.errors import InputError
from embedpipe.files import ReadOptions, document_of
from embedpipe.files.pdf._hyphens import join_divided_words
from embedpipe.types import Document
from office import SCAN, pdf


def drawn(*pages: Callable[[Canvas], Any]) -> Document:
    """Return the document of a PDF with a page for each function."""
    file = io.BytesIO()
    canvas = Canvas(file, invariant=1)
    for page in pages:
        canvas.setFont("Helvetica", 12)
        page(canvas)
        canvas.showPage()
    canvas.save()
    return document_of(file.getvalue(), name="a.pdf")


KEPT = [
    ("certified by ISO-\n9001 today", "ISO-9001"),
    ("the part AX-\n200 is", "AX-200"),
    ("the part 4711-\n0815-2 is", "4711-0815-2"),
    ("since COVID-\n19 came", "COVID-19"),
    ("call it with --dry-\nrun first", "--dry-run"),
    ("see file-\nname.py there", "file-name.py"),
    ("read my_long-\nname there", "my_long-name"),
    ("at https://www.ex-\nample.org/a now", "https://www.ex-ample.org/a"),
    ("at https://example.org/some/long-\npath now", "https://example.org/some/long-path"),
    ("in /usr/lib/foo-\nbar now", "/usr/lib/foo-bar"),
    ("write to info@my-\nfirm.org now", "info@my-firm.org"),
    ("a state-of-the-\nart method", "state-of-the-art"),
    ("a state-\nof-the-art method", "state-of-the-art"),
    ("a well-\nknown method", "well-known"),
    ("a rule-\nbased method", "rule-based"),
    ("a (pre)-\nview of", "(pre)-view"),
    ("an e-\nmail came", "e-mail"),
    ("his ex-\nwife came", "ex-wife"),
    ("two ex-\nministers came", "ex-ministers"),
    ("the add-\nons of it", "add-ons"),
    ("a plug-\nin for it", "plug-in"),
    ("an all-\ninclusive stay", "all-inclusive"),
    ("the PDF-\nfile is", "PDF-file"),
    ("die Online-\nShops sind", "Online-Shops"),
    ("by Jean-\nPaul himself", "Jean-Paul"),
    ("c'est peut-\nêtre vrai", "peut-être"),
    ("the re-\ncreated thing, re-created", "re-created thing"),
]


@pytest.mark.parametrize(("lines", "kept"), KEPT)
def test_a_hyphen_of_the_word_stays_at_a_lines_end(lines: str, kept: str) -> None:
    assert kept in document_of(pdf([lines]), name="a.pdf").text


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        ("much infor-\nmation is", "information"),
        ("the multi-\nplication is", "multiplication"),
        ("these high-\nlights are", "highlights"),
        ("an un-\nknown thing", "unknown"),
        ("the re-\ncreated thing, recreated", "recreated thing"),
        ("OF INFOR-\nMATION SYSTEMS", "INFORMATION"),
        ("die Über-\nprüfung ist", "Überprüfung"),
        ("la connais-\nsance est", "connaissance"),
    ],
)
def test_a_divided_word_is_joined(lines: str, joined: str) -> None:
    assert joined in document_of(pdf([lines]), name="a.pdf").text


def test_a_hyphen_for_the_rest_of_the_next_word_stays() -> None:
    text = document_of(pdf(["alle Vor-\nund Nachteile, pre-\nand postwar"]), name="a.pdf").text
    assert text == "alle Vor-\nund Nachteile, pre-\nand postwar"


def test_a_word_divided_by_a_page_break_is_on_its_first_page() -> None:
    document = document_of(pdf(["much infor-", "mation of ISO-", "9001 is here"]), name="a.pdf")
    assert document.text == "much information\n\fof ISO-9001\n\fis here"


def test_a_header_of_the_next_page_is_no_part_of_a_divided_word() -> None:
    text = document_of(pdf(["much infor-", "12 Chapter", "mation"]), name="a.pdf").text
    assert text == "much infor-\n\f12 Chapter\n\fmation"


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        ("η πληρο-\nφορία είναι", "η πληροφορία είναι"),
        ("вся инфор-\nмация здесь", "вся информация здесь"),
        ("кто-\nнибудь есть", "кто-нибудь есть"),
        ("le rendez-\nvous est", "le rendez-vous est"),
        ("die Donau-\ndampfschifffahrt", "die Donaudampfschifffahrt"),
        ("das EU-\nweite Recht", "das EU-weite Recht"),
        ("a hyphen\u2010\nation", "a hyphenation"),
        ("soft infor\xadmation, AX\xad200", "soft information, AX-200"),
        ("Run pip install scikit-\nlearn now", "Run pip install scikit-learn now"),
        ("$ docker-\ncompose up", "$ docker-compose up"),
        ("a retrieval-\naugmented model", "a retrieval-augmented model"),
        ("the data sub-\nset. A subset", "the data subset. A subset"),
        ("the Trace-\nMonkey. A TraceMonkey", "the TraceMonkey. A TraceMonkey"),
        ("an au-\nthorship.[8] and", "an authorship.[8] and"),
        ("each ver-\nsion/edition is", "each version/edition is"),
        ("an ex-\nample of", "an example of"),
        ("die all-\ngemeine Freun-\ndin", "die allgemeine Freundin"),
    ],
)
def test_line_ends_in_any_script(lines: str, joined: str) -> None:
    assert join_divided_words(lines) == joined


def test_a_text_with_compounds_alone_keeps_all_its_hyphens() -> None:
    compounds = [f"{first}-{second}" for first in ("mid", "pine", "sea") for second in ("point", "cone", "fish")]
    text = " ".join(compounds) + "\n" + " ".join(compound.replace("-", "-\n") for compound in compounds)
    assert (
        join_divided_words(f"{text} a wind-\nmill")
        == " ".join([*compounds]) + "\n" + " ".join(compounds) + " a wind-mill"
    )


@given(
    st.lists(st.sampled_from(["a", "of", "infor", "X1", "-", "-\n", "-\n\f", "\n\f", "\xad", " ", "."]), max_size=30)
)
def test_joining_lines_loses_no_letter_and_no_page(parts: list[str]) -> None:
    text = "".join(parts)
    joined = join_divided_words(text)
    assert re.sub(r"[-\xad\s]", "", joined) == re.sub(r"[-\xad\s]", "", text)
    assert joined.count("\f") == text.count("\f")
    assert joined.count("-") <= text.count("-") + text.count("\xad")


def test_text_of_many_line_ends_takes_steps_as_it_grows() -> None:
    assert join_divided_words("a-\n" * 300_000) == "a-" * 299_999 + "a-\n"
    assert join_divided_words("\xad" * 300_000) == "\xad" * 300_000


def raised(before: str, number: str, behind: str) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(72, 700)
        text.textOut(before)
        text.setRise(5)
        text.setFont("Helvetica", 8)
        text.textOut(number)
        text.setRise(0)
        text.setFont("Helvetica", 12)
        text.textOut(behind)
        canvas.drawText(text)

    return draw


@pytest.mark.parametrize(
    ("before", "number", "behind", "text"),
    [
        ("about 10", "6", " cells", "about 10^6 cells"),
        ("about 10 feet", "2", " wide", "about 10 feet^2 wide"),
        ("about 10", "-3", " mol", "about 10^-3 mol"),
        ("an area of 5 m", "2", " or so", "an area of 5 m^2 or so"),
        ("an area of 5 km", "2", ", or so", "an area of 5 km^2, or so"),
        ("(a + b)", "2", " is", "(a + b)^2 is"),
        ("the results", "12", " say", "the results[12] say"),
        ("the results.", "3", " So", "the results.[3] So"),
        ("the results (of all)", "3", " say", "the results (of all)[3] say"),
        ("since 2019", "3", " it is", "since 2019[3] it is"),
        ("Ann Smith", "1,2", " and others", "Ann Smith[1,2] and others"),
        ("the sum x", "n", " is", "the sum x^n is"),
        ("the sum a", "n+1", " is", "the sum a^(n+1) is"),
        ("E = mc", "2", " is", "E = mc^2 is"),
    ],
)
def test_a_raised_number_is_a_power_or_a_footnotes_mark(before: str, number: str, behind: str, text: str) -> None:
    assert drawn(raised(before, number, behind)).text == text


def in_line(*parts: tuple[str, float], small: float = 8) -> Callable[[Canvas], None]:
    """Draw words with their rise, those that rise or drop in small type."""

    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(72, 700)
        for words, rise in parts:
            text.setRise(rise)
            text.setFont("Helvetica", small if rise else 12)
            text.textOut(words)
        canvas.drawText(text)
        canvas.drawString(72, 680, "next")

    return draw


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([("The H", 0), ("2", -5), ("O of x", 0), ("i", -3), (" is", 0)], "The H_2O of x_i is"),
        ([("all of", 0), ("2", -2), (", so", 0)], "all of_2, so"),
        ([("of H", 0), ("2", -3), ("SO", 0), ("4", -3), (" in", 0)], "of H_2SO_4 in"),
        ([("(NH", 0), ("4", -3), (")", 0), ("2", -3), (" is", 0)], "(NH_4)_2 is"),
        ([("from x", 0), ("n+1", -3), (" on", 0)], "from x_(n+1) on"),
        ([("if a", 0), ("12", -3), ("3 is", 0)], "if a_(12)3 is"),
        ([("each key", 0), ("i", -3), (", too", 0)], "each key_i, too"),
        ([("at T", 0), ("max", -3), (" it", 0)], "at T_max it"),
        ([("id", 0), ("X", -3), (" is", 0)], "id_X is"),
    ],
)
def test_a_lowered_number_or_letter_is_an_index(parts: list[tuple[str, float]], text: str) -> None:
    assert drawn(in_line(*parts)).text == f"{text}\nnext"


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_lowered_numbers_are_found_however_a_page_is_turned(turn: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.translate(300, 400)
        canvas.rotate(turn)
        canvas.translate(-150, -600)
        in_line(("The H", 0), ("2", -3), ("O and x", 0), ("i", -3), (" too", 0))(canvas)

    assert drawn(draw).text == "The H_2O and x_i too\nnext"


@pytest.mark.parametrize(
    ("parts", "small", "text"),
    [
        ([("a shar", 0), ("ed", -2), (" one", 0)], 8, "a shared one"),
        ([("the gra", 0), ("p", -2), ("h is", 0)], 8, "the graph is"),
        ([("in 1", 0), ("2", -3), (" it", 0)], 8, "in 12 it"),
        ([("Big", 0), ("Small words go on", -2), ("", 0)], 8, "BigSmall words go on"),
        ([("The H", 0), ("2", -3), ("O", 0)], 12, "The H2O"),
        ([("The H", 0), ("2", -0.2), ("O", 0)], 8, "The H2O"),
    ],
)
def test_what_is_lowered_or_small_for_other_reasons_is_no_index(
    parts: list[tuple[str, float]], small: float, text: str
) -> None:
    assert drawn(in_line(*parts, small=small)).text == f"{text}\nnext"


def test_a_raised_number_that_stands_apart_in_the_file_belongs_to_its_base() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(72, 650, "x 10")
        canvas.setFont("Helvetica", 7)
        canvas.drawString(97, 655, "23")
        canvas.setFont("Helvetica", 12)
        canvas.drawString(108, 650, "units")

    assert drawn(draw).text == "x 10^23 units"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_lines_come_in_their_order_however_a_page_is_turned(rotation: int, turn: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(rotation)
        canvas.translate(300, 400)
        canvas.rotate(turn)
        for place, line in enumerate(["The first line", "the second with infor-", "mation, and the third"]):
            canvas.drawString(-100, -15 * place, line)

    assert drawn(draw).text == "The first line\nthe second with information, and the third"


def form(canvas: Canvas) -> None:
    acro = canvas.acroForm
    canvas.drawString(72, 700, "Name:")
    acro.textfield(name="n", value="Ann Example", x=120, y=695, width=200, height=18)
    canvas.drawString(72, 640, "Address")
    acro.textfield(name="a", value="12 High Street", x=72, y=615, width=200, height=18)
    canvas.drawString(72, 560, "Country:")
    acro.choice(name="c", value="FR", options=[("France", "FR"), ("Peru", "PE")], x=140, y=555, width=80, height=18)
    acro.checkbox(name="s", checked=True, x=72, y=500, size=12)
    canvas.drawString(90, 502, "Smoker")
    acro.checkbox(name="d", checked=False, x=72, y=480, size=12)
    canvas.drawString(90, 482, "Driver")
    acro.radio(name="sex", value="f", selected=True, x=72, y=450, size=12)
    canvas.drawString(90, 452, "female")
    acro.radio(name="sex", value="m", selected=False, x=172, y=450, size=12)
    canvas.drawString(190, 452, "male")
    acro.textfield(name="form.code[0]", tooltip="Code", value="K-7", x=400, y=100, width=100, height=18)
    acro.textfield(name="pin", value="1234", fieldFlags="password", x=400, y=60, width=100, height=18)
    acro.checkbox(name="alone", checked=True, x=400, y=30, size=12)


HELVETICA = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def page_of(resources: str, stream: str, *objects: str, catalog: str = "") -> bytes:
    """Return a PDF of one page. Further objects are numbered from 5."""
    content = [
        f"<</Type/Catalog/Pages 2 0 R{catalog}>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources{resources}>>",
        f"<</Length {len(stream)}>>stream\n{stream}\nendstream",
        *objects,
    ]
    body = "\n".join(f"{number} 0 obj\n{words}\nendobj" for number, words in enumerate(content, 1))
    return f"%PDF-1.6\n{body}\ntrailer<</Root 1 0 R>>\n%%EOF".encode()


NOTE = "Text/Rect[9 9 19 19]/Contents(so)"
FORM = "/AcroForm<</Fields[KIDS]>>"
LIST = "/FT/Ch/T(f)/V(o299)/Opt OPTIONS"


def test_values_of_a_form_stand_beside_their_labels() -> None:
    assert drawn(form).text.split("\n") == [
        *["Name: Ann Example", "Address 12 High Street", "Country: France", "[x] Smoker", "[ ] Driver"],
        *["[x] female [ ] male", "", "Code: K-7", "[x] alone"],
    ]


def test_boxes_and_lists_stand_behind_a_label_on_their_left() -> None:
    def draw(canvas: Canvas) -> None:
        acro = canvas.acroForm
        canvas.drawString(50, 580, "Red")
        acro.radio(name="col", value="red", selected=True, x=100, y=575)
        canvas.drawString(50, 540, "Blue")
        acro.radio(name="col", value="blue", selected=False, x=100, y=535)
        acro.radio(name="far", value="green", selected=True, x=400, y=235)
        acro.radio(name="far", value="grey", selected=False, x=400, y=205)
        canvas.drawString(50, 460, "Tags:")
        acro.listbox(name="t", value=["A", "B"], options=["A", "B"], fieldFlags="multiSelect", x=100, y=420, height=50)

    assert drawn(draw).text.split("\n") == ["Red [x]", "Blue [ ]", "Tags: A, B", "", "[x] far: green"]


@pytest.mark.parametrize(
    ("catalog", "fields", "text"),
    [
        pytest.param("", [NOTE] * 3000, "Label:\n" + "\nNote: so" * 3000, id="notes"),
        pytest.param(FORM, ["/FT/Tx/T(f)/V(v)"] * 3000, "Label:" + " v" * 3000, id="fields"),
        # PDFium would take minutes to draw these.
        pytest.param(FORM, [LIST] * 300, "Label:" + " o299" * 300, id="lists"),
        pytest.param(FORM, ["/FT/Tx/T(f)/V(v)/Kids[5 0 R]/Parent 5 0 R"], "Label: v", id="circle"),
    ],
)
def test_many_and_odd_fields_are_read(catalog: str, fields: list[str], text: str) -> None:
    kids = " ".join(f"{number} 0 R" for number in range(5, 5 + len(fields)))
    options = f"{5 + len(fields)} 0 R"
    widgets = [field if field == NOTE else f"Widget/Rect[100 745 300 765]{field}" for field in fields]
    data = page_of(
        f"<</Font<</F{HELVETICA}>>>>/Annots[{kids}]",
        "BT /F 12 Tf 50 750 Td (Label:) Tj ET",
        *(f"<</Subtype/{widget.replace('OPTIONS', options)}>>" for widget in widgets),
        f"[{' '.join(f'(o{number})' for number in range(300))}]",
        catalog=catalog.replace("KIDS", kids),
    )
    assert document_of(data, name="a.pdf").text == text


def test_text_in_a_font_that_cannot_be_read_is_named() -> None:
    chinese = (
        "<</Type/Font/Subtype/Type0/BaseFont/SimSun/Encoding/GBK-EUC-H/DescendantFonts[<</Type/Font/Subtype"
        "/CIDFontType2/BaseFont/SimSun/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 0>>>>]>>"
    )
    lines = " ".join(f"BT /C 12 Tf 50 {750 - 10 * line} Td <c4e3> Tj ET" for line in range(40))
    data = page_of(f"<</Font<</F{HELVETICA}/C{chinese}>>>>", f"{lines} BT /F 12 Tf 50 50 Td (Page 1) Tj ET")
    document = document_of(data, name="a.pdf")
    assert document.text == "Page 1"
    assert document.metadata["left_out"] == ["page 1: text in fonts that cannot be read"]


def test_words_of_annotations_stand_behind_their_page() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(72, 700, "The page.")
        canvas.textAnnotation("Is this so?", Rect=[100, 100, 120, 120])
        canvas.freeTextAnnotation("Free text", "/Helv 12 Tf", Rect=[100, 200, 200, 220])
        canvas.highlightAnnotation("Well said", Rect=[72, 700, 120, 712])
        canvas.linkURL("https://example.org", (72, 600, 100, 620))

    text = drawn(draw, lambda canvas: canvas.drawString(72, 700, "Next.")).text
    assert text == "The page.\n\nNote: Is this so?\nFree text\nHighlight: Well said\n\fNext."


def test_a_page_that_shows_letters_as_lines_has_no_text_layer() -> None:
    def outlines(canvas: Canvas) -> None:
        for place in range(40):
            canvas.circle(72 + 5 * place, 700, 3)

    def frame(canvas: Canvas) -> None:
        canvas.rect(72, 72, 400, 600)

    def scan(canvas: Canvas) -> None:
        canvas.drawImage(SCAN, 100, 100)

    document = drawn(lambda canvas: canvas.drawString(72, 700, "Text"), outlines, frame, scan)
    assert document.metadata["pages_without_text"] == [2, 4]
    assert document.metadata["left_out"] == ["pages 2 and 4 have no text layer"]


def test_a_scanned_page_is_read_by_ocr_if_asked() -> None:
    pytest.importorskip("rapidocr")
    picture = Image.new("L", (420, 60), "white")
    ImageDraw.Draw(picture).text((10, 10), "Boiling water 1234", fill="black", font=ImageFont.load_default(36))
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(210, 60))
    canvas.drawImage(ImageReader(picture), 0, 10, width=210, height=30)
    canvas.save()
    with pytest.raises(InputError, match=r"holds only images, no text \(1 pages\)\. Read it with --ocr"):
        document_of(file.getvalue(), name="a.pdf")
    document = document_of(file.getvalue(), name="a.pdf", options=ReadOptions(ocr=True))
    assert "Boiling water" in document.text
    assert document.metadata["pages_by_ocr"] == [1]
    assert "pages_without_text" not in document.metadata


def test_a_pdf_says_who_wrote_it_and_labels_its_pages() -> None:
    def preface(canvas: Canvas) -> None:
        canvas.setTitle("Tea")
        canvas.setAuthor("Ann  Example")
        canvas.addPageLabel(0, style="ROMAN_LOWER")
        canvas.addPageLabel(1, style="ARABIC")
        canvas.drawString(72, 700, "Preface")

    document = drawn(preface, lambda canvas: canvas.drawString(72, 700, "Text"))
    assert (document.metadata["title"], document.metadata["author"]) == ("Tea", "Ann Example")
    assert [tuple(location) for location in document.locations] == [(0, {"page_label": "i"}), (9, {"page_label": "1"})]


def test_titles_of_the_outline_become_headings() -> None:
    def chapter(canvas: Canvas) -> None:
        for level, (title, key) in enumerate([("Green tea", "g"), ("Water", "w"), ("Twice", "t")]):
            canvas.bookmarkPage(key)
            canvas.addOutlineEntry(title, key, level=min(level, 1))
        for place, line in enumerate(["Green tea", "It needs water.", "Water", "Twice", "Twice"]):
            canvas.drawString(72, 700 - 15 * place, line)

    assert drawn(chapter).text == "# Green tea\nIt needs water.\n## Water\nTwice\nTwice"


@pytest.mark.parametrize(("count", "left_out"), [(3, None), (103, ["signatures: 3 more"])])
def test_signatures_are_named_up_to_a_hundred(count: int, left_out: list[str] | None) -> None:
    fields = " ".join(f"{10 + 2 * number} 0 R" for number in range(count))
    signed = "".join(
        f"{10 + 2 * number} 0 obj <</FT /Sig /T (s{number}) /V {11 + 2 * number} 0 R>> endobj\n"
        f"{11 + 2 * number} 0 obj <</Type /Sig /Name (Ann {number}) /ByteRange [0 1 2 3] /Contents <00>>> endobj\n"
        for number in range(count)
    )
    content = (
        f"%PDF-1.7\n1 0 obj <</Type /Catalog /Pages 2 0 R /AcroForm <</Fields [{fields}] /SigFlags 3>>>> endobj\n"
        "2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj\n"
        "3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 9 9]>> endobj\n"
        f"{signed}trailer <</Root 1 0 R>>\n"
    )
    document = document_of(content.encode(), name="a.pdf")
    lines = [f"Signed by Ann {number}" for number in range(min(count, 100))]
    assert document.text.strip().split("\n") == lines
    assert document.metadata.get("left_out") == left_out
