"""PowerPoint: slides, shapes in reading order, tables, charts, notes and comments. Files are written by hand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import pytest

from embedpipe.errors import InputError
from embedpipe.files import document_of
from embedpipe.files._reading_order import Box, reading_order
from embedpipe.files.parsed import ReadOptions
from embedpipe.files.pptx import parse

NAMESPACES = " ".join(
    f'xmlns:{prefix}="{address}"'
    for prefix, address in {
        "p": "http://schemas.openxmlformats.org/presentationml/2006/main",
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "a14": "http://schemas.microsoft.com/office/drawing/2010/main",
        "dgm": "http://schemas.openxmlformats.org/drawingml/2006/diagram",
    }.items()
)
TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def relations(targets: dict[str, str]) -> str:
    """The relations to these targets by their kind, which is also their id."""
    found = (f'<Relationship Id="{kind}" Type="{TYPES}/{kind}" Target="{path}"/>' for kind, path in targets.items())
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{"".join(found)}'


def pptx(*slides: str, parts: dict[str, str] | None = None) -> bytes:
    """A presentation of slides with these shapes. `parts` are further parts of every slide, by their kind."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        write = archive.writestr
        write("_rels/.rels", relations({"officeDocument": "ppt/presentation.xml"}) + "</Relationships>")
        ids = "".join(f'<p:sldId r:id="s{n}"/>' for n in range(len(slides)))
        write("ppt/presentation.xml", f"<p:presentation {NAMESPACES}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>")
        listed = "".join(
            f'<Relationship Id="s{n}" Type="{TYPES}/slide" Target="slides/slide{n}.xml"/>' for n in range(len(slides))
        )
        if parts and "commentAuthors" in parts:
            listed += f'<Relationship Id="a" Type="{TYPES}/commentAuthors" Target="commentAuthors.xml"/>'
        write("ppt/_rels/presentation.xml.rels", relations({}) + listed + "</Relationships>")
        for kind, content in (parts or {}).items():
            write(f"ppt/{kind}.xml", content.replace(">", f" {NAMESPACES}>", 1))
        for n, shapes in enumerate(slides):
            tree = f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"
            write(f"ppt/slides/slide{n}.xml", f"<p:sld {NAMESPACES}>{tree}</p:sld>")
            own = {kind: f"../{kind}.xml" for kind in parts or {}}
            write(f"ppt/slides/_rels/slide{n}.xml.rels", relations(own) + "</Relationships>")
    return file.getvalue()


def p(text: str, props: str = "") -> str:
    return f"<a:p>{props}{text if text.startswith('<') else r(text)}</a:p>"


def r(text: str, attributes: str = "") -> str:
    return f"<a:r><a:rPr {attributes}/><a:t>{text}</a:t></a:r>"


def shape(text: str, *, kind: str | None = None, at: tuple[int, int, int, int] | None = None, alt: str = "") -> str:
    """A shape. `kind` makes it a placeholder, `at` is its left, top, width and height."""
    placeholder = "" if kind is None else f'<p:ph type="{kind}"/>'
    place = ""
    if at is not None:
        place = f'<a:xfrm><a:off x="{at[0]}" y="{at[1]}"/><a:ext cx="{at[2]}" cy="{at[3]}"/></a:xfrm>'
    body = text if text.startswith("<a:p>") else p(text)
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x" descr="{alt}"/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr>'
        f"<p:spPr>{place}</p:spPr><p:txBody>{body}</p:txBody></p:sp>"
    )


def frame(content: str) -> str:
    return f"<p:graphicFrame><a:graphic><a:graphicData>{content}</a:graphicData></a:graphic></p:graphicFrame>"


def picture(alt: str = "", media: str = "") -> str:
    named = f'<p:cNvPr id="1" name="x" descr="{alt}"/><p:nvPr>{media}</p:nvPr>'
    return f"<p:pic><p:nvPicPr>{named}</p:nvPicPr></p:pic>"


def read(*slides: str, parts: dict[str, str] | None = None) -> str:
    return document_of(pptx(*slides, parts=parts), name="x.pptx").text.rstrip("\n")


def test_slides_have_titles_and_locations() -> None:
    slides = [shape("Price: 2 €") + shape("Tea", kind="title"), "", shape("Thanks", kind="ctrTitle")]
    document = document_of(pptx(*slides), name="x.pptx")
    assert document.text == "# Tea\n\nPrice: 2 €\n\n# Thanks\n"
    assert document.metadata["slides"] == 3
    parsed = parse(pptx(*slides), "x.pptx", ReadOptions())
    assert [(parsed.text[start:][:8], known) for start, known in parsed.locations] == [
        ("# Tea\n\nP", {"slide": 1}),
        ("# Thanks", {"slide": 3}),
    ]


@pytest.mark.parametrize(
    ("paragraphs", "text"),
    [
        (p("one") + p("two"), "- one\n- two"),
        (p("one"), "one"),
        (p("one", '<a:pPr lvl="1"/>') + p("two", '<a:pPr lvl="2"/>'), "- one\n  - two"),
        (p("one", "<a:pPr><a:buNone/></a:pPr>") + p("two"), "one\n\n- two"),
        (p("a", '<a:pPr><a:buAutoNum type="alphaLcParenR" startAt="3"/></a:pPr>') * 2, "c) a\nd) a"),
        (p("a", '<a:pPr><a:buAutoNum type="romanUcPeriod"/></a:pPr>') * 2, "I. a\nII. a"),
        (p(r("10") + r("6", 'baseline="30000"') + r(" H") + r("2", 'baseline="-25000"')), "10^6 H_2"),
        (p(r("a") + "<a:br/>" + r("b_x000B_c")), "a  \nb\nc"),
        (p("<a14:m><m:oMath><m:r><m:t>x=1</m:t></m:r></m:oMath></a14:m>"), "x=1"),
    ],
)
def test_paragraphs(paragraphs: str, text: str) -> None:
    assert read(shape(paragraphs, kind="body")) == text


@pytest.mark.parametrize(
    ("places", "order"),
    [
        ([(0, 50, 90, 10), (0, 0, 90, 10)], [1, 0]),  # from top to bottom
        ([(0, 0, 40, 10), (0, 20, 40, 70), (50, 0, 40, 10), (50, 20, 40, 70)], [0, 1, 2, 3]),  # two columns, in order
        ([(0, 0, 40, 10), (50, 0, 40, 10), (0, 20, 40, 70), (50, 20, 40, 70)], [0, 1, 2, 3]),  # two rows, in order
        ([(50, 0, 40, 90), (0, 0, 40, 90)], [1, 0]),  # from left to right
        ([(0, 0, 90, 90), (10, 10, 20, 20)], [0, 1]),  # one on the other
        ([(0, n, 10, 10) for n in range(400, 0, -1)], list(range(400))),  # too many
    ],
)
def test_shapes_are_read_from_top_to_bottom_and_in_columns(
    places: Sequence[tuple[int, int, int, int]], order: list[int]
) -> None:
    boxes = [
        Box(left, top, left + width, top + height, number) for number, (left, top, width, height) in enumerate(places)
    ]
    assert reading_order(boxes) == order


def test_shapes_of_a_slide_are_in_reading_order() -> None:
    low, high = shape("low", at=(0, 90, 50, 10)), shape("high", at=(0, 10, 50, 10))
    group = f"<p:grpSp><p:grpSpPr/>{shape('b', at=(0, 20, 5, 5))}{shape('a', at=(0, 10, 5, 5))}</p:grpSp>"
    assert read(low + high) == "high\n\nlow"
    assert read(group) == "a\n\nb"


def cell(text: str, attributes: str = "") -> str:
    return f"<a:tc {attributes}><a:txBody>{p(text) if text else '<a:p/>'}</a:txBody></a:tc>"


def test_merged_cells_keep_their_columns() -> None:
    rows = [
        cell("wide", 'gridSpan="2"') + cell("", 'hMerge="1"') + cell("c"),
        cell("tall", 'rowSpan="2"') + cell("1") + cell("2"),
        cell("", 'vMerge="1"') + cell("3") + cell("4"),
    ]
    table = f"<a:tbl>{''.join(f'<a:tr>{row}</a:tr>' for row in rows)}</a:tbl>"
    assert read(frame(table)) == "| wide | wide | c |\n| --- | --- | --- |\n| tall | 1 | 2 |\n| tall | 3 | 4 |"


def test_charts_and_diagrams_are_read() -> None:
    points = '<c:pt idx="0"><c:v>4.4000000000000004</c:v></c:pt>'
    series = f"<c:ser><c:tx><c:v>Tea</c:v></c:tx><c:cat>{points.replace('4.4000000000000004', 'May')}</c:cat>"
    parts = {
        "chart": f"<c:chartSpace><c:chart>{series}<c:val>{points}</c:val></c:ser></c:chart></c:chartSpace>",
        "diagramData": f"<dgm:dataModel><dgm:pt><dgm:t>{p('Plan')}</dgm:t></dgm:pt></dgm:dataModel>",
    }
    shapes = frame('<c:chart r:id="chart"/>') + frame('<dgm:relIds r:dm="diagramData"/>')
    assert read(shapes, parts=parts) == "Chart\n\n|  | Tea |\n| --- | --- |\n| May | 4.4 |\n\n- Plan"


def test_notes_and_comments_follow_the_slide() -> None:
    parts = {
        "notesSlide": f"<p:notes>{shape('Say hello', kind='body')}{shape('7', kind='sldNum')}</p:notes>",
        "comments": '<p:cmLst><p:cm authorId="3"><p:text>Too long</p:text></p:cm></p:cmLst>',
        "commentAuthors": '<p:cmAuthorLst><p:cmAuthor id="3" name="Ana"/></p:cmAuthorLst>',
    }
    assert read(shape("Tea"), parts=parts) == "Tea\n\nNotes:\n\nSay hello\n\n[Comment by Ana: Too long]"


def test_footers_are_read_once_and_numbers_never() -> None:
    number = f'<a:p><a:fld type="slidenum"><a:t>{4}</a:t></a:fld></a:p>'
    shapes = shape("Tea") + shape("Secret", kind="ftr") + shape(number, kind="sldNum")
    assert read(shapes, shapes) == "Tea\n\nSecret\n\nTea"


def test_bullets_and_places_are_inherited_from_the_layout() -> None:
    layout = shape("Click", kind="body", at=(0, 90, 10, 10)).replace(
        "<p:txBody>", "<p:txBody><a:lstStyle><a:lvl1pPr><a:buNone/></a:lvl1pPr></a:lstStyle>"
    )
    body = shape(p("one") + p("two"), kind="body")
    text = read(body + shape("top", at=(0, 0, 10, 10)), parts={"slideLayout": f"<p:sldLayout>{layout}</p:sldLayout>"})
    assert text == "top\n\none\n\ntwo"


def test_what_is_not_text_is_described_or_told() -> None:
    shapes = picture() + picture("a leaf") + picture(media='<a:videoFile r:link="x"/>') + shape("", alt="an arrow")
    document = document_of(pptx(shapes + frame('<p:oleObj progId="Excel.Sheet.12"/>')), name="x.pptx")
    assert document.text == "a leaf\n\nan arrow\n"
    assert document.metadata["left_out"] == [
        "1 picture without a description",
        "1 video",
        "1 embedded object (Excel.Sheet.12)",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04", "x.pptx is broken, or no PowerPoint presentation"),
        (pptx("<p:grpSp>" * 300 + "</p:grpSp>" * 300), "x.pptx nests its elements too deep"),
        (pptx(" " * (33 << 20)), "x.pptx unpacks to 33 MB of XML, and at most 32 MB are read"),
        (pptx(""), "x.pptx holds no text"),
        (
            b"\xd0\xcf\x11\xe0" + "PowerPoint Document".encode("utf-16-le"),
            "x.pptx is of PowerPoint before 2007. Open it in PowerPoint or LibreOffice, and save it as .pptx",
        ),
    ],
)
def test_a_presentation_that_cannot_be_read_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(data, name="x.pptx")


def test_a_presentation_of_one_slide_many_times_is_bounded() -> None:
    data = pptx(*[""] * 3)
    slide = f"<p:sld {NAMESPACES}><p:cSld><p:spTree>{shape('x' * 3_000_000)}</p:spTree></p:cSld></p:sld>"
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name.endswith("presentation.xml"):
                content = content.replace('<p:sldId r:id="s0"/>', '<p:sldId r:id="s0"/>' * 1000)
            new.writestr(name, slide if name.endswith("slide0.xml") else content)
    with pytest.raises(InputError, match="at most 32 MB are read"):
        document_of(file.getvalue(), name="x.pptx")
