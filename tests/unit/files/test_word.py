"""Word: what a document says is what is read. The documents are written by hand, as Word writes them."""

from __future__ import annotations

import io
import zipfile

import pytest

from embedpipe.errors import InputError
from embedpipe.files import document_of

NAMESPACES = " ".join(
    f'xmlns:{prefix}="{address}"'
    for prefix, address in {
        "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "w14": "http://schemas.microsoft.com/office/word/2010/wordml",
        "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
        "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "v": "urn:schemas-microsoft-com:vml",
        "o": "urn:schemas-microsoft-com:office:office",
    }.items()
)
TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def docx(body: str, **parts: str) -> bytes:
    """A document of this body. `parts` are the children of its other parts, such as `numbering` or `header1`."""
    roots = {"comments": "comments", "footnotes": "footnotes", "header": "hdr", "footer": "ftr", "chart": "chartSpace"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        related = ""
        for name, content in parts.items():
            kind = name.rstrip("0123456789")
            root = f"{'c' if kind == 'chart' else 'w'}:{roots.get(kind, kind)}"
            related += f'<Relationship Id="{name}" Type="{TYPES}/{kind}" Target="{name}.xml"/>'
            archive.writestr(f"word/{name}.xml", f"<{root} {NAMESPACES}>{content}</{root}>")
        for path, content in {
            "_rels/.rels": f'<Relationship Id="r" Type="{TYPES}/officeDocument" Target="word/document.xml"/>',
            "word/_rels/document.xml.rels": related,
        }.items():
            package = "http://schemas.openxmlformats.org/package/2006/relationships"
            archive.writestr(path, f'<Relationships xmlns="{package}">{content}</Relationships>')
        archive.writestr("word/document.xml", f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>")
    return file.getvalue()


def p(*runs: str, props: str = "") -> str:
    """A paragraph. Runs without markup are text."""
    return f"<w:p><w:pPr>{props}</w:pPr>{''.join(run if run.startswith('<') else r(run) for run in runs)}</w:p>"


def r(text: str, props: str = "") -> str:
    return f'<w:r><w:rPr>{props}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def raised(text: str) -> str:
    return r(text, '<w:vertAlign w:val="superscript"/>')


def lowered(text: str) -> str:
    return r(text, '<w:vertAlign w:val="subscript"/>')


def math(content: str) -> str:
    return f"<m:oMath>{content}</m:oMath>"


def m(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def field(instruction: str, result: str, data: str = "") -> str:
    char = '<w:r><w:fldChar w:fldCharType="{}">{}</w:fldChar></w:r>'
    return (
        char.format("begin", data)
        + f"<w:r><w:instrText>{instruction}</w:instrText></w:r>"
        + char.format("separate", "")
        + (r(result) if result else "")
        + char.format("end", "")
    )


def box(content: str) -> str:
    return f"<wps:wsp><wps:txbx><w:txbxContent>{content}</w:txbxContent></wps:txbx></wps:wsp>"


def drawing(content: str, description: str = "") -> str:
    return (
        f'<w:drawing><wp:inline><wp:docPr id="1" name="x" descr="{description}"/><a:graphic><a:graphicData>'
        f"{content}</a:graphicData></a:graphic></wp:inline></w:drawing>"
    )


def read(body: str, **parts: str) -> str:
    return document_of(docx(body, **parts), name="x.docx").text.rstrip("\n")


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (("10", raised("6"), " cells"), "10^6 cells"),
        (("10", raised("-"), raised("6")), "10^-6"),
        (("H", lowered("2"), "O"), "H_2O"),
        (("x", raised("n+1")), "x^(n+1)"),
        (("x", raised("n + 1"), "."), "x^(n + 1)."),
        ((r("10", "<w:b/>"), raised("6"), r(" cells", "<w:b/>")), "**10^6 cells**"),
        (("the 1", raised("st"), " of May"), "the 1st of May"),
        (("Word", raised("™")), "Word™"),
        (("It is so.", raised("12"), " And"), "It is so.[12] And"),
    ],
)
def test_raised_and_lowered_text(runs: tuple[str, ...], text: str) -> None:
    assert read(p(*runs)) == text


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("<w:noBreakHyphen/>", "a-b"),
        ("<w:softHyphen/>", "ab"),
        ("<w:t>\u00ad</w:t>", "ab"),
        ("<w:tab/>", "a\tb"),
        ("<w:br/>", "a  \nb"),
        ('<w:br w:type="page"/>', "a b"),
        ("<w:t>\u00a0</w:t>", "a\u00a0b"),
        ('<w:sym w:font="Symbol" w:char="F061"/>', "aαb"),
        ('<w:sym w:font="Wingdings" w:char="F0E0"/>', "a→b"),
        ('<w:rPr><w:rFonts w:ascii="Symbol"/></w:rPr><w:t>m</w:t>', "aμb"),
        (
            "<w:ruby><w:rt><w:r><w:t>かな</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>仮名</w:t></w:r></w:rubyBase></w:ruby>",
            "a仮名b 〔仮名（かな）〕",
        ),
        ("<w:rPr><w:b/></w:rPr><w:t>x</w:t>", "axb"),
    ],
)
def test_characters_within_a_word(run: str, text: str) -> None:
    assert read(p("a", f"<w:r>{run}</w:r>", "b")) == text


LEVELS = (
    '<w:abstractNum w:abstractNumId="0">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2"/></w:lvl>'
    '<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%3)"/></w:lvl>'
    '<w:lvl w:ilvl="3"><w:start w:val="1"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%4."/></w:lvl>'
    '<w:lvl w:ilvl="4"><w:numFmt w:val="bullet"/><w:lvlText w:val="·"/></w:lvl>'
    '<w:lvl w:ilvl="5"><w:numFmt w:val="decimal"/><w:isLgl/><w:lvlText w:val="%4.%6"/></w:lvl></w:abstractNum>'
    '<w:abstractNum w:abstractNumId="1"><w:numStyleLink w:val="Steps"/></w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="0"/>'
    '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="4"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="upperLetter"/><w:lvlText w:val="Annex %1:"/></w:lvl>'
    "</w:lvlOverride></w:num>"
)
STYLES = (
    '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/>'
    '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/>'
    '<w:pPr><w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Berschrift"><w:name w:val="Mine"/><w:basedOn w:val="Heading2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Clause"><w:name w:val="Clause"/>'
    '<w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Code"><w:name w:val="Source Code"/></w:style>'
    '<w:style w:type="numbering" w:styleId="Steps"><w:name w:val="Steps"/>'
    '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
)


def item(text: str, number: int = 1, level: int = 0) -> str:
    return p(text, props=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def head(text: str, style: str, props: str = "") -> str:
    return p(text, props=f'<w:pStyle w:val="{style}"/>{props}')


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (item("a") + item("b") + p("Note") + item("c"), "1. a\n2. b\n\nNote\n\n3. c"),
        (item("a") + item("x", level=1) + item("y", level=1) + item("b") + item("z", level=1), None),
        (
            item("a", level=2) + item("b", level=2) + item("i", level=3) + item("c", level=2),
            "a) a\nb) b\n   I. i\nc) c",
        ),
        (item("a") + item("b", 2) + item("c", 2), "1. a\n5. b\n6. c"),
        (item("a") + item("b", 3), "1. a\n2. b"),
        (item("a", 4) + item("b", 4), "Annex A: a\nAnnex B: b"),
        (item("x", level=4), "- x"),
        (item("a", level=3) + item("b", level=3) + item("c", level=5), "I. a\nII. b\n    2.1 c"),
        (item("a") + item("") + item("c"), "1. a\n3. c"),
        (item("a", 9), "a"),
        (
            head("Scope", "Heading1") + head("Limits", "Heading2") + head("Cost", "Berschrift"),
            "# 1. Scope\n\n## 1.1 Limits\n\n## 1.2 Cost",
        ),
        (head("Free", "Heading1", '<w:numPr><w:numId w:val="0"/></w:numPr>'), "# Free"),
        (head("Deep", "Clause"), "### Deep"),
        (head("Plain", "Heading1", '<w:outlineLvl w:val="9"/><w:numPr><w:numId w:val="0"/></w:numPr>'), "Plain"),
        (head("if x:", "Code") + head("    y", "Code"), "```\nif x:\n    y\n```"),
    ],
)
def test_numbers_of_lists_and_headings(body: str, text: str | None) -> None:
    text = "1. a\n   1.1 x\n   1.2 y\n2. b\n   2.1 z" if text is None else text
    assert read(body, numbering=LEVELS, styles=STYLES) == text


@pytest.mark.parametrize(
    ("kind", "number", "text"),
    [
        ("lowerLetter", 28, "bb"),
        ("upperRoman", 1994, "MCMXCIV"),
        ("decimalZero", 7, "07"),
        ("ordinal", 22, "22nd"),
        ("chineseCounting", 21, "二十一"),
        ("decimalEnclosedCircle", 3, "③"),
        ("lowerRoman", 10**8, "100000000"),
    ],
)
def test_formats_of_numbers(kind: str, number: int, text: str) -> None:
    levels = (
        f'<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="{number}"/><w:numFmt w:val="{kind}"/>'
        '<w:lvlText w:val="%1"/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    )
    assert read(item("x"), numbering=levels) == f"{text} x"


def test_a_text_box_is_read_once() -> None:
    new = f'<mc:Choice Requires="wps">{drawing(box(p("Max load 250 kg")))}</mc:Choice>'
    old = f"<w:txbxContent>{p('Max load 250 kg')}</w:txbxContent>"
    old = f"<mc:Fallback><w:pict><v:shape><v:textbox>{old}</v:textbox></v:shape></w:pict></mc:Fallback>"
    body = p("Before", f"<w:r><mc:AlternateContent>{new}{old}</mc:AlternateContent></w:r>") + p("After")
    assert read(body) == "Before\n\nMax load 250 kg\n\nAfter"
    assert read(body.replace(new, "")) == "Before\n\nMax load 250 kg\n\nAfter"
    unknown = '<mc:Choice Requires="new"><w:drawing><w:other/></w:drawing></mc:Choice>'
    assert read(body.replace(new, unknown)) == "Before\n\nMax load 250 kg\n\nAfter"


def test_notes_and_comments_follow_their_paragraph() -> None:
    mark = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:{} w:id="{}"/></w:r>'
    body = p("Tea", mark.format("footnoteReference", 7), " is hot", mark.format("endnoteReference", 4))
    body += p("Milk", mark.format("commentReference", 0)) + p("End", mark.format("footnoteReference", 8))
    text = read(
        body,
        footnotes=note("footnote", 0, "-") + note("footnote", 7, "Green") + note("footnote", 8, "Black"),
        endnotes=note("endnote", 4, "At 80 °C"),
        comments=note("comment", 0, "Oat?", 'w:author="Ana Ruiz"') + note("comment", 1, "Old"),
    )
    assert text == (
        "Tea[^1] is hot[^i]\n\n[^1]: Green\n\nMilk\n\n[Comment by Ana Ruiz: Oat?]\n\nEnd[^2]\n\n[^2]: Black\n\n"
        "[^i]: At 80 °C\n\n[Comment: Old]"
    )


def note(kind: str, number: int, text: str, attributes: str = "") -> str:
    mark = f"<w:r><w:{kind}Ref/></w:r>"
    return f'<w:{kind} w:id="{number}" {attributes}>{p(mark, text)}</w:{kind}>'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (p("a", f"<w:ins>{r('new')}</w:ins>", "<w:del><w:r><w:delText>old</w:delText></w:r></w:del>", "b"), "anewb"),
        (p(f"<w:moveFrom>{r('moved')}</w:moveFrom>", "x") + p(f"<w:moveTo>{r('moved')}</w:moveTo>"), "x\n\nmoved"),
        (p("one ", props="<w:rPr><w:del/></w:rPr>") + p("two"), "one two"),
        (p("one", props="<w:rPr><w:del/></w:rPr>"), "one"),
        (p(f"<w:ins><w:del>{r('never')}</w:del></w:ins>", "x"), "x"),
        (p("x", r("y", "<w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange>")), "xy"),
    ],
)
def test_tracked_changes_count_as_accepted(body: str, text: str) -> None:
    assert read(body) == text


def check(state: str) -> str:
    return (
        f'<w:sdt><w:sdtPr><w14:checkbox><w14:checked w14:val="{state}"/></w14:checkbox></w:sdtPr>'
        f"<w:sdtContent>{r('☒')}</w:sdtContent></w:sdt>"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (p(check("1"), " Smoker") + p(check("0"), " Diabetic"), "[x] Smoker\n\n[ ] Diabetic"),
        (check("true").replace(r("☒"), p("☒")), "[x]"),
        (
            p(field("FORMCHECKBOX", "", "<w:ffData><w:checkBox><w:default w:val='1'/></w:checkBox></w:ffData>"), " A"),
            "[x] A",
        ),
        (
            p(field("FORMCHECKBOX", "", "<w:ffData><w:checkBox><w:checked w:val='0'/></w:checkBox></w:ffData>"), " A"),
            "[ ] A",
        ),
        (
            p(
                field(
                    "FORMDROPDOWN",
                    "b",
                    "<w:ffData><w:ddList><w:result w:val='1'/><w:listEntry w:val='a'/><w:listEntry w:val='b'/>"
                    "</w:ddList></w:ffData>",
                )
            ),
            "b",
        ),
        (p(field("FORMTEXT", "Ana")), "Ana"),
        (p("see ", field('HYPERLINK "http://x.org"', "the page")), "see the page"),
        (p(field(f"IF {field('MERGEFIELD x', 'inner')}", "shown")), "shown"),
        (p("a", '<w:r><w:fldChar w:fldCharType="begin"/></w:r>', "lost?") + p("kept"), "a\n\nkept"),
        (p('<w:r><w:fldChar w:fldCharType="begin"/><w:fldChar w:fldCharType="separate"/></w:r>' * 99, "x"), "x"),
        (p('<w:fldSimple w:instr="PAGE">' + r("3") + "</w:fldSimple>"), "3"),
        (p("a", f'<w:hyperlink r:id="x">{r(" link")}</w:hyperlink>'), "a link"),
        (f"<w:sdt><w:sdtContent>{p('in a control')}</w:sdtContent></w:sdt>", "in a control"),
    ],
)
def test_forms_fields_and_controls(body: str, text: str) -> None:
    assert read(body) == text


def parts(*named: str) -> str:
    """Elements of an equation: "num", "a" becomes a numerator with the text a. Content in markup stays."""
    pairs = zip(named[::2], named[1::2], strict=True)
    return "".join(f"<m:{name}>{text if text.startswith('<') else m(text)}</m:{name}>" for name, text in pairs)


BINOMIAL = '<m:f><m:fPr><m:type m:val="noBar"/></m:fPr>' + parts("num", "n", "den", "k") + "</m:f>"
SUM = '<m:naryPr><m:chr m:val="∑"/></m:naryPr>'
HAT = '<m:accPr><m:chr m:val="&#x302;"/></m:accPr>'


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (m("A=π") + parts("sSup", parts("e", "r", "sup", "2")), "A=πr^2"),
        (parts("f", parts("num", "a+b", "den", "2")), "(a+b)/2"),
        (parts("f", parts("num", "1", "den", "2a")), "1/(2a)"),
        (parts("rad", parts("deg", "", "e", "x")), "√x"),
        (parts("rad", parts("deg", "3", "e", "x+1")), "∛(x+1)"),
        (parts("nary", SUM + parts("sub", "i=1", "sup", "n", "e", "i")), "∑_(i=1)^n i"),
        (parts("sSub", parts("e", "x", "sub", "ij")), "x_(ij)"),
        (parts("sSup", parts("e", parts("d", parts("e", "x+a")), "sup", "n")), "(x+a)^n"),
        (parts("d", parts("e", BINOMIAL)), "(n¦k)"),
        (parts("func", parts("fName", "sin", "e", "x")), "sin x"),
        (parts("acc", HAT + parts("e", "a")), "â"),
        (parts("m", parts("mr", parts("e", "a", "e", "b"), "mr", parts("e", "c", "e", "d"))), "[a, b; c, d]"),
        (m("\U0001d465"), "x"),
    ],
)
def test_equations_are_linear_text(content: str, text: str) -> None:
    assert read(p("is ", math(content), ".")) == f"is {text}."


TOP, GOES_ON, WIDE = '<w:vMerge w:val="restart"/>', "<w:vMerge/>", '<w:gridSpan w:val="2"/>'


def row(*cells: str) -> str:
    return f"<w:tr>{''.join(cells)}</w:tr>"


def c(content: str, props: str = "") -> str:
    return f"<w:tc><w:tcPr>{props}</w:tcPr>{content if content.startswith('<') else p(content)}</w:tc>"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (row(c("a"), c("b|c")) + row(c("1"), c("2")), "| a | b\\|c |\n| --- | --- |\n| 1 | 2 |"),
        (
            row(c("wide", WIDE), c("c")) + row(c("1"), c("2"), c("3")),
            "| wide | wide | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |",
        ),
        (
            row(c("h"), c("i")) + row(c("tall", TOP), c("x")) + row(c("", GOES_ON), c("y")),
            "| h | i |\n| --- | --- |\n| tall | x |\n| tall | y |",
        ),
        (
            row(c("a"), c("b")) + "<w:tr><w:trPr><w:gridBefore w:val='1'/></w:trPr>" + c("late") + "</w:tr>",
            "| a | b |\n| --- | --- |\n|  | late |",
        ),
        (row(c("a"), c("b")) + "<w:tr><w:trPr><w:del/></w:trPr>" + c("gone") + "</w:tr>", "| a | b |\n| --- | --- |"),
        (
            row(c("a"), c(f"<w:tbl>{row(c('x'), c('1')) + row(c('y'), c('2'))}</w:tbl>")),
            "| a | x, 1; y, 2 |\n| --- | --- |",
        ),
        (row(c(p("one") + p("two"))), "one\n\ntwo"),
    ],
)
def test_tables_keep_their_columns(rows: str, text: str) -> None:
    assert read(f"<w:tbl>{rows}</w:tbl>") == text


def test_headers_and_footers_are_read_once() -> None:
    reference = '<w:{0}Reference w:type="{1}" r:id="{2}"/>'.format
    sections = (
        f"<w:sectPr>{reference('header', 'default', 'header1')}{reference('header', 'even', 'header3')}"
        f"{reference('footer', 'default', 'footer1')}</w:sectPr>"
    )
    body = p("one", props=sections) + p("two") + sections.replace("header1", "header2")
    text = read(body, header1=p("ACME"), header2=p("ACME"), header3=p("stale"), footer1=p("Secret") + p("12"))
    assert text == "ACME\n\none\n\ntwo\n\nSecret"


def test_what_cannot_be_read_is_told() -> None:
    body = p(
        "x",
        *(f"<w:r>{drawing('<a:blip/>', description)}</w:r>" for description in ("", "", "a leaf")),
        *(
            f'<w:r><w:object><o:OLEObject ProgID="{kind}"/></w:object></w:r>'
            for kind in ("Equation.3", "Excel.Sheet.12")
        ),
        '<w:r><w:sym w:font="Webdings" w:char="F061"/></w:r>',
        r("hidden", "<w:vanish/>"),
    )
    document = document_of(docx(body), name="x.docx")
    assert document.text == "xa leaf\n"
    assert document.metadata["left_out"] == [
        "2 pictures without a description",
        "1 equation (Equation.3)",
        "1 embedded object (Excel.Sheet.12)",
        "1 symbol of the font Webdings",
        "1 run of hidden text",
    ]


def test_a_chart_is_a_table() -> None:
    points = "".join(f'<c:pt idx="{n}"><c:v>{value}</c:v></c:pt>' for n, value in enumerate((3, 5)))
    names = "".join(f'<c:pt idx="{n}"><c:v>{value}</c:v></c:pt>' for n, value in enumerate(("May", "June")))
    chart = (
        "<c:chart><c:title><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:title><c:ser><c:tx><c:v>Tea</c:v></c:tx>"
        f"<c:cat>{names}</c:cat><c:val>{points}</c:val></c:ser></c:chart>"
    )
    body = p("<w:r>" + drawing('<c:chart r:id="chart1"/>') + "</w:r>") * 2
    assert read(body, chart1=chart) == "Chart: Sales\n\n|  | Tea |\n| --- | --- |\n| May | 3 |\n| June | 5 |"


def test_the_strict_variant_is_read() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx(p("10", raised("6"))))) as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            strict = old.read(name).replace(
                b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
                b"http://purl.oclc.org/ooxml/wordprocessingml/main",
            )
            new.writestr(name, strict)
    assert document_of(archive.getvalue(), name="x.docx").text == "10^6\n"


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (
            "EncryptedPackage",
            "x.docx is encrypted. Open it in Word or LibreOffice, and save it as .docx without a password",
        ),
        ("WordDocument", "x.docx is of Word before 2007. Open it in Word or LibreOffice, and save it as .docx"),
    ],
)
def test_files_of_other_formats_are_named(stream: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + stream.encode("utf-16-le"), name="x.docx")


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (f"<w:tbl>{row(c('x', WIDE.replace('2', '999999999'))) * 1000}</w:tbl>", {}),
        (
            f"<w:tbl>{row(c('x' * 10_000, TOP), c('y')) + row(c('', GOES_ON), c('y')) * 1000}</w:tbl>",
            {},
        ),
        (item("x") * 1000, {"numbering": LEVELS.replace("%1.", "%1" * 10_000)}),
        (
            p('<w:r><w:footnoteReference w:id="1"/></w:r>') * 1000,
            {"footnotes": f'<w:footnote w:id="1">{p("x" * 10_000)}</w:footnote>'},
        ),
        (
            head("x", "S0") * 10,
            {
                "styles": "".join(
                    f'<w:style w:styleId="S{n}"><w:name w:val="s"/><w:basedOn w:val="S{n + 1}"/></w:style>'
                    for n in range(5000)
                )
            },
        ),
    ],
)
def test_small_documents_have_small_texts(body: str, parts: dict[str, str]) -> None:
    """What a document repeats, its text does not repeat without a bound."""
    assert len(read(body, **parts)) < 400_000
