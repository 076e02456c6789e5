"""OpenDocument: texts and presentations, written by hand."""

from __future__ import annotations

import io
import zipfile

import pytest

from embedpipe.errors import InputError
from embedpipe.files import document_of
from embedpipe.files.opendocument import parse
from embedpipe.files.parsed import ReadOptions

OASIS = "urn:oasis:names:tc:opendocument:xmlns"
NAMESPACES = " ".join(
    f'xmlns:{prefix}="{address}"'
    for prefix, address in {
        "dc": "http://purl.org/dc/elements/1.1/",
        "xlink": "http://www.w3.org/1999/xlink",
        "fo": f"{OASIS}:xsl-fo-compatible:1.0",
        "svg": f"{OASIS}:svg-compatible:1.0",
        "draw": f"{OASIS}:drawing:1.0",
        **{
            name: f"{OASIS}:{name}:1.0" for name in ("office", "style", "text", "table", "form", "meta", "presentation")
        },
    }.items()
)


def style(family: str, name: str, properties: str = "", parent: str = "") -> str:
    known = f'style:family="{family}" style:name="{name}" style:parent-style-name="{parent}"'
    return f"<style:style {known}><style:text-properties {properties}/></style:style>"


NUMBERED = "text:list-level-style-number"
STYLES = (
    style("text", "Up", 'style:text-position="super 58%"')
    + style("text", "Low", 'style:text-position="-20% 58%"')
    + style("text", "Bold", 'fo:font-weight="bold"')
    + style("text", "Gone", 'text:display="none"')
    + style("paragraph", "P1", parent="Preformatted_20_Text")
    + style("paragraph", "Preformatted_20_Text")
    + style("paragraph", "Title")
    + f'<text:list-style style:name="L"><{NUMBERED} text:level="1" style:num-format="1" style:num-suffix="."/>'
    f'<{NUMBERED} text:level="2" style:num-format="a" style:num-suffix=")"/>'
    '<text:list-level-style-bullet text:level="3" text:bullet-char="·"/></text:list-style>'
    '<text:outline-style><text:outline-level-style text:level="1" style:num-format="1"/>'
    '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style>'
)


def opendocument(content: str, *, kind: str = "text", styles: str = "", parts: dict[str, str] | None = None) -> bytes:
    """A file of this content, with further parts."""
    file = io.BytesIO()
    root = f"office:document-content {NAMESPACES}"
    body = f"<office:body><office:{kind}>{content}</office:{kind}></office:body>"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        automatic = f"<office:automatic-styles>{STYLES}</office:automatic-styles>"
        archive.writestr("content.xml", f"<{root}>{automatic}{body}</office:document-content>")
        archive.writestr("styles.xml", f"<office:s {NAMESPACES}>{styles}</office:s>")
        for name, part in (parts or {}).items():
            archive.writestr(name, part.replace(">", f" {NAMESPACES}>", 1))
    return file.getvalue()


def read(content: str, *, kind: str = "text", styles: str = "", parts: dict[str, str] | None = None) -> str:
    data = opendocument(content, kind=kind, styles=styles, parts=parts)
    return document_of(data, name="x.odt").text.rstrip("\n")


def p(text: str, style: str = "") -> str:
    return f'<text:p text:style-name="{style}">{text}</text:p>'


def span(text: str, style: str) -> str:
    return f'<text:span text:style-name="{style}">{text}</text:span>'


def item(*content: str) -> str:
    return f"<text:list-item>{''.join(content)}</text:list-item>"


def items(*content: str, attributes: str = 'text:style-name="L"') -> str:
    return f"<text:list {attributes}>{''.join(content)}</text:list>"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (p(f"10{span('6', 'Up')} H{span('2', 'Low')}O"), "10^6 H_2O"),
        (p(f"a {span('b', 'Bold')} c"), "a **b** c"),
        (p(f"a{span('b', 'Bold')}c"), "abc"),
        (p("a\n   b<text:s text:c='2'/>c<text:tab/>d<text:line-break/>e"), "a b  c\td  \ne"),
        (p("soft\u00adhyphen"), "softhyphen"),
        (
            p("<text:ruby><text:ruby-base>仮名</text:ruby-base><text:ruby-text>かな</text:ruby-text></text:ruby>"),
            "仮名 〔仮名（かな）〕",
        ),
        (p("<text:a xlink:href='http://x.org'>link</text:a>"), "link"),
        (p("Tea", "Title"), "# Tea"),
        (p("if x:", "P1") + p('<text:s text:c="4"/>y', "P1"), "```\nif x:\n    y\n```"),
        (f"<text:section>{p('in a section')}</text:section>", "in a section"),
    ],
)
def test_paragraphs(content: str, text: str) -> None:
    assert read(content) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (items(item(p("a")), item(p("b"), items(item(p("x")), item(p("y"))))), "1. a\n2. b\n   a) x\n   b) y"),
        (
            items(item(p("a")))
            + p("Note")
            + items(item(p("b")), attributes='text:style-name="L" text:continue-numbering="true"'),
            "1. a\n\nNote\n\n2. b",
        ),
        (
            items(item(p("a")), attributes='text:style-name="L" xml:id="l1"')
            + p("Note")
            + items(item(p("b")), attributes='text:continue-list="l1" text:style-name="L"'),
            "1. a\n\nNote\n\n2. b",
        ),
        (items(item(p("a"))) + items(item(p("b"))), "1. a\n1. b"),
        (items(item(p("a")), '<text:list-item text:start-value="7"><text:p>b</text:p></text:list-item>'), "1. a\n7. b"),
        (items(item(p("a"), p("more"))), "1. a  \n   more"),
        (items(item(p("a")), attributes=""), "- a"),
        ("<text:h text:outline-level='1'>A</text:h><text:h text:outline-level='2'>B</text:h>", "# 1 A\n\n## 1.1 B"),
        ("<text:h text:outline-level='1' text:is-list-header='true'>A</text:h>", "# A"),
    ],
)
def test_numbers_of_lists_and_headings(content: str, text: str) -> None:
    assert read(content) == text


def cell(text: str, attributes: str = "") -> str:
    return f"<table:table-cell {attributes}>{p(text) if text else ''}</table:table-cell>"


def row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


COVERED = "<table:covered-table-cell/>"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (
            row(cell("wide", 'table:number-columns-spanned="2"'), COVERED, cell("c"))
            + row(cell("1"), cell("2"), cell("3")),
            "| wide | wide | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |",
        ),
        (
            row(cell("h"), cell("i"))
            + row(cell("tall", 'table:number-rows-spanned="2"'), cell("x"))
            + row(COVERED, cell("y")),
            "| h | i |\n| --- | --- |\n| tall | x |\n| tall | y |",
        ),
        (
            row(cell("a"), cell("", 'table:number-columns-repeated="2"'), cell("b"))
            + row(cell("", 'table:number-columns-repeated="16384"')),
            "| a |  |  | b |\n| --- | --- | --- | --- |",
        ),
        (
            f"<table:table-header-rows>{row(cell('a'))}</table:table-header-rows>"
            + row(cell("b"), attributes='table:number-rows-repeated="2"'),
            "| a |\n| --- |\n| b |",
        ),
    ],
)
def test_tables_keep_their_columns(rows: str, text: str) -> None:
    assert read(f"<table:table>{rows}</table:table>") == text


def note(kind: str, mark: str, text: str) -> str:
    cited = f"<text:note-citation>{mark}</text:note-citation><text:note-body>{p(text)}</text:note-body>"
    return f'<text:note text:note-class="{kind}">{cited}</text:note>'


def test_notes_and_comments_follow_their_paragraph() -> None:
    comment = f"<office:annotation><dc:creator>Ana</dc:creator>{p('Oat?')}</office:annotation>"
    content = p(f"Tea{note('footnote', '1', 'Green')}{note('endnote', 'i', 'Late')}") + p(f"Milk{comment}") + p("End")
    assert read(content) == "Tea[^1][^i]\n\n[^1]: Green\n\nMilk\n\n[Comment by Ana: Oat?]\n\nEnd\n\n[^i]: Late"


def test_deleted_text_is_gone_and_frames_are_read() -> None:
    content = f"<text:changed-region><text:deletion>{p('old')}</text:deletion></text:changed-region>"
    content = f"<text:tracked-changes>{content}</text:tracked-changes>"
    frame = f"<draw:frame><draw:text-box>{p('Max 250 kg')}</draw:text-box></draw:frame>"
    picture = "<draw:frame><draw:image/><svg:desc>a leaf</svg:desc></draw:frame>"
    assert read(content + p(f"new{frame}") + p(picture)) == "new\n\nMax 250 kg\n\na leaf"


def test_equations_and_charts_are_read() -> None:
    math = (
        '<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mrow><mi>x</mi><mo>=</mo><mfrac><msup><mi>a</mi>'
        "<mn>2</mn></msup><mn>3</mn></mfrac></mrow><annotation>x = a^2 over 3</annotation></semantics></math>"
    )
    chart = (
        f'<o:c xmlns:o="o" xmlns:chart="{OASIS}:chart:1.0"><chart:chart><chart:title>{p("Sales")}</chart:title>'
        f"<table:table>{row(cell(''), cell('Tea'))}{row(cell('May'), cell('3'))}</table:table></chart:chart></o:c>"
    )
    content = "".join(p(f'<draw:frame><draw:object xlink:href="./Object {n}"/></draw:frame>') for n in (1, 2, 3))
    parts = {"Object 1/content.xml": math, "Object 2/content.xml": chart}
    document = document_of(opendocument(content, parts=parts), name="x.odt")
    assert document.text == "x=(a^2)/3\n\nChart: Sales\n\n|  | Tea |\n| --- | --- |\n| May | 3 |\n"
    assert document.metadata["left_out"] == ["1 embedded object"]


def test_form_controls_have_their_value() -> None:
    forms = (
        '<office:forms><form:form><form:checkbox form:id="c1" form:label="Smoker" form:current-state="checked"/>'
        '<form:text form:id="c2" form:current-value="Ana"/></form:form></office:forms>'
    )
    controls = p('<draw:control draw:control="c1"/>') + p('Name: <draw:control draw:control="c2"/>')
    assert read(forms + controls) == "[x] Smoker\n\nName: Ana"


def test_hidden_text_is_told() -> None:
    document = document_of(opendocument(p(f"a{span('secret', 'Gone')}")), name="x.odt")
    assert document.text == "a\n"
    assert document.metadata["left_out"] == ["1 run of hidden text"]


def test_headers_and_footers_are_read_once() -> None:
    footer = f"<style:footer>{p('4')}{p('Secret')}</style:footer>"
    page = f"<style:master-page><style:header>{p('ACME')}</style:header>{footer}</style:master-page>"
    assert read(p("one"), styles=page * 2) == "ACME\n\none\n\nSecret"


def shape(kind: str, top: int, text: str) -> str:
    place = f'svg:x="0cm" svg:y="{top}cm" svg:width="1cm" svg:height="1cm"'
    return f'<draw:frame presentation:class="{kind}" {place}><draw:text-box>{p(text)}</draw:text-box></draw:frame>'


def test_slides_have_locations() -> None:
    notes = f"<presentation:notes>{shape('notes', 0, 'Say hello')}</presentation:notes>"
    shapes = shape("outline", 9, "low") + shape("outline", 2, "high") + shape("title", 0, "Tea") + notes
    pages = f"<draw:page>{shapes}</draw:page><draw:page/><draw:page>{shape('title', 0, 'End')}</draw:page>"
    found = parse(opendocument(pages, kind="presentation"), "x.odp", ReadOptions())
    assert found.text == "# Tea\n\nhigh\n\nlow\n\nNotes:\n\nSay hello\n\n# End\n"
    assert [(found.text[start:][:5], known) for start, known in found.locations] == [
        ("# Tea", {"slide": 1}),
        ("# End", {"slide": 3}),
    ]


def test_metadata_and_the_form_of_one_part() -> None:
    meta = (
        "<office:meta><meta:initial-creator>Ana</meta:initial-creator><dc:creator>Bea</dc:creator>"
        "<dc:title>Tea</dc:title><meta:keyword>hot</meta:keyword><meta:keyword>green</meta:keyword></office:meta>"
    )
    body = f"<office:body><office:text>{p('one')}</office:text></office:body>"
    flat = f"<office:document {NAMESPACES}>{meta}{body}</office:document>"
    document = document_of(flat.encode(), name="x.fodt")
    assert document.text == "one\n"
    assert document.metadata == {
        "name": "x.fodt",
        "suffix": ".fodt",
        "title": "Tea",
        "author": "Ana",
        "keywords": "hot, green",
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04", "x.odt is broken, or no OpenDocument file"),
        (b"<x", "x.odt is broken, or no OpenDocument file"),
        (b"<x/>", "x.odt is no OpenDocument file with a text"),
        (
            opendocument("", parts={"META-INF/manifest.xml": "<m:encryption-data>"}),
            "x.odt is encrypted. Open it in LibreOffice",
        ),
        (opendocument("<text:section>" * 300 + "</text:section>" * 300), "x.odt nests its elements too deep"),
        (opendocument(" " * (33 << 20)), "x.odt unpacks to 33 MB of XML, and at most 32 MB are read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(data, name="x.odt")


@pytest.mark.parametrize(
    "rows",
    [
        row(cell("x" * 1000, 'table:number-columns-repeated="999999"')) * 100,
        row(cell("x"), cell("", 'table:number-columns-repeated="999999"'), cell("y")) * 100,
        row(cell("x" * 1000), attributes='table:number-rows-repeated="999999"') * 100,
    ],
)
def test_repeated_cells_are_bounded(rows: str) -> None:
    document = document_of(opendocument(f"<table:table>{rows}</table:table>"), name="x.odt")
    assert len(document.text) < 10_000_000
