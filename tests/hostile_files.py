"""Files that are made to overwhelm a parser: kinds for each format, of any size."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from minimal_files import P, W, docx, epub, odp, ods, odt, pptx, rtf, xlsb, xlsb_row, xlsb_text, xlsx
from office import pdf_of_objects, pdf_of_streams, with_part

Kind: TypeAlias = Callable[[int], bytes]
"""Returns a file of about so many bytes. Those of archives are counted unpacked."""


class Pattern(NamedTuple):
    """Text that repeats a unit, in which "%d" becomes the number of the repetition. `closing` is repeated behind it."""

    unit: str
    before: str = ""
    after: str = ""
    closing: str = ""

    def of(self, size: int) -> str:
        """Return about `size` characters of it."""
        count = max(1, size // (len(self.unit) + len(self.closing) + self.unit.count("%d") * 3))
        if "%d" in self.unit:
            middle = "".join(self.unit.replace("%d", str(number)) for number in range(1, count + 1))
        else:
            middle = self.unit * count
        return self.before + middle + self.closing * count + self.after


def _kinds(write: Callable[[str], bytes], **patterns: Pattern) -> dict[str, Kind]:
    def kind(pattern: Pattern) -> Kind:
        return lambda size: write(pattern.of(size))

    return {name.replace("_", " "): kind(pattern) for name, pattern in patterns.items()}


def _plain(text: str) -> bytes:
    return text.encode()


def laughs(size: int) -> str:
    """Return a document type whose entity `z` unpacks to a million times as much as the file."""
    entities = "".join(f'<!ENTITY {after} "{f"&{before};" * 100}">' for before, after in ("ab", "bc", "cz"))
    return f'<!DOCTYPE l [<!ENTITY a "{"x" * size}">{entities}]>'


_TEXT = _kinds(
    _plain,
    one_line=Pattern("x"),
    line_ends=Pattern("\r"),
    blank_lines=Pattern("\n \n"),
    terminal_codes=Pattern("\x1b[31m", "x"),
    open_terminal_codes=Pattern("\x1b]", "x"),
    half_pairs=Pattern("\\ud800", "x"),
)
_TEXT |= {
    "broken UTF-8": lambda size: b"x" * 100 + b"\xe4\xf6 " * (size // 3),
    "UTF-16 halves": lambda size: b"\xff\xfe" + b"\x00\xd8" * (size // 2),
    "bytes of all kinds": lambda size: bytes(range(32, 256)) * (size // 224),
    "few bytes that are no UTF-8": lambda size: (b"abc def\n" * 1000 + b"caf\xe9\n") * (size // 8005 + 1),
}

_MARKDOWN = _kinds(
    _plain,
    open_front_matter=Pattern("a: b\n", "---\n"),
    nested_front_matter=Pattern("[", "---\na: ", "\n---\nText.\n"),
    keys_of_front_matter=Pattern("a%d: b\n", "---\n", "---\nText.\n"),
    number_of_front_matter=Pattern("9", "---\na: ", "\n---\nText.\n"),
    minutes_of_front_matter=Pattern("59:", "---\na: ", "59\n---\nText.\n"),
    aliases_of_front_matter=Pattern("a%d: &b%d [*b%d]\n", "---\n", "---\nText.\n"),
    dotted_keys_of_TOML=Pattern("a.", "+++\n", "a = 1\n+++\nText.\n"),
    tables_of_TOML=Pattern("[[a.b]]\n", "+++\n", "+++\nText.\n"),
    dashes=Pattern("---\n"),
)
_MARKDOWN |= {
    f"{name} of 64 KB": (lambda kind: lambda size: kind(min(size, 60_000)) + b"x " * (size // 2))(_MARKDOWN[name])
    for name in list(_MARKDOWN)
    if "front" in name or "TOML" in name
}

_HTML = _kinds(
    _plain,
    choices=Pattern("<option>x", "<select>"),
    groups_of_choices=Pattern("<optgroup label=x><option>x", "<select>"),
    labelled_groups=Pattern("<optgroup label=x></optgroup>", "<select>"),
    lists_of_choices=Pattern("<select><option>x</select>"),
    attributes=Pattern("a%d=b ", "<p ", ">x"),
    one_attribute=Pattern("x", "<p title='", "'>x"),
    links_to_notes=Pattern("<a href='#n%d'>x</a>"),
    rows_over_many=Pattern("<tr><td rowspan=60000 colspan=900>x", "<table>"),
    nested_tables=Pattern("<table><tr><td>x"),
    formulas=Pattern("<math><msup><mi>x</mi><mn>2</mn></msup></math>"),
    a_deep_formula=Pattern("<mrow>", "<math>", "x"),
    wrong_ends=Pattern("</b><b>x</p>"),
    open_formatting=Pattern("<b class=a%d>x<p>"),
    ruby=Pattern("<ruby>x<rt>y", closing="</ruby>"),
    texts_of_scripts=Pattern("<script>x</script>"),
    frame_sets=Pattern("<frameset>"),
    metadata=Pattern("<meta name=author content=x>"),
    templates=Pattern("<template>x</template>"),
    scripts_of_formulas=Pattern("<script type='math/tex'>x</script>"),
    terms=Pattern("<dl><dt>x<dd>y</dl>"),
    line_numbers=Pattern("<tr><td class=lineno>1<td>x", "<pre><table>"),
)

_CSV = _kinds(
    _plain,
    one_cell=Pattern("x", "a,b\n"),
    one_row=Pattern("x,"),
    empty_cells=Pattern(","),
    empty_rows=Pattern(",\n", "a,b\n"),
    rows=Pattern("a,b\n"),
    one_quoted_cell=Pattern('""', 'a,b\n"', '",x\n'),
    open_quotes=Pattern('"a\n', "a,b\n"),
    quotes_in_cells=Pattern('x"x,"x"x"\n', "a,b\n"),
    escaped_quotes=Pattern('"\\"x\\"",b\n', "a,b\n"),
    delimiters=Pattern("a;b|c\td,e\n"),
    markup=Pattern("# a,```b\n", "a,b\n"),
    lines_in_cells=Pattern('"\n \n",b\n', "a,b\n"),
    numbers=Pattern("1,2\n"),
    spaces=Pattern(" ", "a,b\nx,", "y\n"),
    signs_in_number=Pattern("1.", "a,b\n1,", "\n"),
)
_CSV["long names of columns"] = lambda size: (
    ",".join(f"n{n}{'x' * 100}" for n in range(max(2, size // 200)))
    + "\n"
    + ("1," * max(2, size // 200) + "\n") * (size // 2 // max(4, size // 100) + 1)
).encode()

_JSON = _kinds(
    _plain,
    nested_arrays=Pattern("[", closing="]"),
    nested_objects=Pattern('{"a":', after="1", closing="}"),
    objects=Pattern("{},", "[", "{}]"),
    empty_arrays=Pattern("[],", "[", "{}]"),
    values=Pattern("1,", '{"a":[', "1]}"),
    same_key=Pattern('"a":1,', "{", '"a":1}'),
    keys=Pattern('"a%d":1,', "{", '"a":1}'),
    one_number=Pattern("9", '{"a":', "}"),
    one_fraction=Pattern("9", '{"a":0.', "}"),
    one_text=Pattern("x", '{"a":"', '"}'),
    escapes=Pattern("\\ud800", '{"a":"', '"}'),
    open_text=Pattern('\\"', '{"a":"'),
    open_comments=Pattern("/*", '{"a":1}'),
    slashes=Pattern("/", '{"a":1,'),
    commas=Pattern(", ", '{"a":1', "x}"),
    quotes=Pattern('"', "{"),
    blanks=Pattern(" ", '{"a":1', "}"),
    broken_in_the_end=Pattern('{"a":1},', "[", "x"),
)
_JSON["long paths"] = lambda size: (
    "".join(f'{{"{"k" * 800}":' for _ in range(300))
    + "{"
    + ",".join(f'"a{n}":1' for n in range(size // 10))
    + "}" * 301
).encode()

_JSONL = _kinds(
    _plain,
    empty_objects=Pattern("{}\n"),
    objects=Pattern('{"a":"x"}\n'),
    numbers=Pattern("1\n"),
    blank_lines=Pattern("\n", "{}\n"),
    one_line=Pattern('{"a":1},', "[", "1]"),
    nested=Pattern("[", after="\n"),
    broken_in_the_end=Pattern("[]\n", after="x"),
)

_CELLS = '{"nbformat":4,"metadata":{},"cells":['
_CODE = '{"cell_type":"code","source":"x","outputs":['
_NOTEBOOK = _kinds(
    _plain,
    cells=Pattern('{"cell_type":"markdown","source":"x"},', _CELLS, '{"cell_type":"raw","source":""}]}'),
    outputs=Pattern('{"output_type":"stream","text":"x"},', _CELLS + _CODE, '{"output_type":"stream"}]}]}'),
    lines=Pattern('"x\\n",', _CELLS + '{"cell_type":"markdown","source":[', '"x"]}]}'),
    terminal_codes=Pattern("\\u001b[", _CELLS + _CODE + '{"output_type":"stream","text":"', '"}]}]}'),
    progress=Pattern("x\\r", _CELLS + _CODE + '{"output_type":"stream","text":"', '"}]}]}'),
    fences=Pattern("```x", _CELLS + '{"cell_type":"code","outputs":[],"source":"', '"}]}'),
    nested=Pattern("[", _CELLS),
    angles=Pattern("<", _CELLS + _CODE + '{"output_type":"x","data":{"text/plain":"', '","a":""}}]}]}'),
    tables=Pattern(
        "<table><tr><td colspan=900>x",
        _CELLS + _CODE + '{"output_type":"x","data":{"text/html":"',
        '"}}]}]}',
    ),
    large_heading=Pattern(" ", _CELLS + '{"cell_type":"heading","level":999999999,"source":"x"}]}'),
)

_HEAD = "From: a@example.com\nSubject: x\n"
_MAIL = _kinds(
    _plain,
    headers=Pattern("X: y\n", _HEAD, "\nx"),
    headers_of_one_name=Pattern("To: a@example.com\n", _HEAD, "\nx"),
    one_header=Pattern("x", _HEAD + "To: ", "\n\nx"),
    folded_lines=Pattern(" x\n", _HEAD + "To:", "\nx"),
    encoded_words=Pattern("=?utf-8?q?x?= ", "From: a@example.com\nSubject: ", "\n\nx"),
    comments_in_addresses=Pattern("(", _HEAD + "To: ", "\n\nx"),
    addresses=Pattern("a@example.com, ", _HEAD + "To: ", "\n\nx"),
    parameters=Pattern(" name*%d*=x;\n", _HEAD + "Content-Type: text/plain;\n", "\nx"),
    multiparts=Pattern("--b\nContent-Type: multipart/mixed; boundary=b\n\n", _HEAD),
    nested_multiparts=Pattern(
        "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", _HEAD + "MIME-Version: 1.0\n", "\nx"
    ),
    nested_messages=Pattern("Content-Type: message/rfc822\n\nSubject: x\n", _HEAD, "\nx"),
    parts=Pattern("--b\n\nx\n", _HEAD + "Content-Type: multipart/mixed; boundary=b\n\n", "--b--\n"),
    alternatives=Pattern(
        "--b\nContent-Type: text/html\n\n \n", _HEAD + "Content-Type: multipart/alternative; boundary=b\n\n", "--b--\n"
    ),
    attachments=Pattern(
        "--b\nContent-Type: a/b; name=x%d\n\n\n", _HEAD + "Content-Type: multipart/mixed; boundary=b\n\n", "--b--\n"
    ),
    open_boundaries=Pattern("--bb\n", _HEAD + "Content-Type: multipart/mixed; boundary=b\n\n"),
    quoted_printable=Pattern("=\n", _HEAD + "Content-Transfer-Encoding: quoted-printable\n\n", "x"),
    uuencode=Pattern("M\n", _HEAD + "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n", "x"),
    digests=Pattern("--b\n\nSubject: x\n\nx\n", _HEAD + "Content-Type: multipart/digest; boundary=b\n\n", "--b--\n"),
    long_boundary=Pattern("b", _HEAD + "Content-Type: multipart/mixed; boundary=", "\n\n--b\n\nx\n"),
)
_MAIL["nested base64"] = lambda size: (
    f"{_HEAD}Content-Transfer-Encoding: base64\n\n".encode() + base64.encodebytes(b"<p>x" * (size // 6))
)

_MAILBOX = _kinds(
    _plain,
    messages=Pattern("From a@b Mon Jan 1 00:00:00 2024\nSubject: x\n\nx\n\n"),
    empty_messages=Pattern("From a 1:1\n\n"),
    starts=Pattern("From ", "From a 1:1\nSubject: x\n\nx\n\n"),
    quoted_starts=Pattern(">From x\n", "From a 1:1\nSubject: x\n\nx\n\n"),
    marks=Pattern(">", "From a 1:1\nSubject: x\n\n>From x\n"),
    same_ids=Pattern("From a 1:1\nMessage-ID: <x>\nSubject: x\n\nx\n\n"),
    starts_without_end=Pattern("\n\nFrom a 1:", "From a 1:1\nSubject: x\n\nx\n\n"),
)

_RTF = _kinds(
    rtf,
    groups=Pattern("{x}"),
    nested_groups=Pattern("{", after="x", closing="}"),
    paragraphs=Pattern("x\\par "),
    control_words=Pattern("\\b\\b0 "),
    unknown_words=Pattern("\\abcdef123 ", after="x"),
    characters=Pattern("\\u8364?"),
    bytes=Pattern("\\'e4"),
    one_word=Pattern("a", "\\", " x"),
    one_number=Pattern("9", "\\u", " x"),
    fallbacks=Pattern("\\uc9999\\u8364 ", after="x"),
    cells=Pattern("\\trowd\\cellx%d\\intbl x\\cell\\row "),
    cells_of_one_row=Pattern("\\intbl x\\cell "),
    edges=Pattern("\\cellx%d00", "\\trowd", "\\intbl x\\cell\\row"),
    layouts=Pattern("\\trowd\\cellx1\\cellx%d00\\intbl x\\cell y\\cell\\row"),
    merged_cells=Pattern("\\trowd\\clvmrg\\cellx100\\clmrg\\cellx200\\intbl x\\cell\\row "),
    footnotes=Pattern("x{\\footnote y}"),
    nested_footnotes=Pattern("{\\footnote x", after="x", closing="}"),
    fonts=Pattern("{\\fonttbl{\\f%d A;}}", after="x"),
    styles=Pattern("{\\stylesheet{\\s%d heading 1;}}", after="x"),
    pictures=Pattern("{\\pict 00}", after="x"),
    one_picture=Pattern("0f", "{\\pict ", "}x"),
    binary=Pattern("\\bin9999999999 ", after="x"),
    destinations=Pattern("{\\*\\x%d y}", after="x"),
    labels=Pattern("{\\pntext %d.}x\\par "),
    headers=Pattern("{\\header x%d}", after="x"),
    text_boxes=Pattern("{\\shp{\\shptxt x\\par}}", after="x"),
    nested_text_boxes=Pattern("{\\shp{\\shptxt x", after="x", closing="}}"),
    scripts=Pattern("x{\\super 2}"),
    comments=Pattern("{\\*\\atnauthor a}{\\annotation x}", after="x"),
    fields=Pattern("{\\field{\\*\\fldinst A}{\\fldrslt x}}"),
    backslashes=Pattern("\\", after=" x"),
    formats=Pattern("\\b x\\b0 y"),
)

_RUN = "<w:r><w:t>x</w:t></w:r>"
_WORD = _kinds(
    docx,
    paragraphs=Pattern(f"<w:p>{_RUN}</w:p>"),
    runs=Pattern(_RUN, "<w:p>", "</w:p>"),
    formats=Pattern("<w:r><w:rPr><w:b/></w:rPr><w:t>x</w:t></w:r>" + _RUN, "<w:p>", "</w:p>"),
    scripts=Pattern(
        '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>2</w:t></w:r>' + _RUN, "<w:p>", "</w:p>"
    ),
    one_text=Pattern("x", "<w:p><w:r><w:t>", "</w:t></w:r></w:p>"),
    nested_tables=Pattern("<w:tbl><w:tr><w:tc>", after=f"<w:p>{_RUN}</w:p>", closing="</w:tc></w:tr></w:tbl>"),
    wide_cells=Pattern(
        f'<w:tr><w:tc><w:tcPr><w:gridSpan w:val="9999"/></w:tcPr><w:p>{_RUN}</w:p></w:tc></w:tr>',
        "<w:tbl>",
        "</w:tbl>",
    ),
    merged_cells=Pattern(
        f"<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p>{_RUN}</w:p></w:tc></w:tr>", "<w:tbl>", "</w:tbl>"
    ),
    cells=Pattern(f"<w:tc><w:p>{_RUN}</w:p></w:tc>", "<w:tbl><w:tr>", "</w:tr></w:tbl>"),
    rows=Pattern(f"<w:tr><w:tc><w:p>{_RUN}</w:p></w:tc></w:tr>", "<w:tbl>", "</w:tbl>"),
    nested_controls=Pattern("<w:sdt><w:sdtContent>", after=f"<w:p>{_RUN}</w:p>", closing="</w:sdtContent></w:sdt>"),
    alternatives=Pattern(
        "<mc:AlternateContent><mc:Choice><w:drawing/></mc:Choice><mc:Fallback><w:pict/></mc:Fallback>"
        "</mc:AlternateContent>",
        f"<w:p>{_RUN}<w:r>",
        "</w:r></w:p>",
    ),
    nested_alternatives=Pattern(
        "<mc:AlternateContent><mc:Choice>",
        f"<w:p>{_RUN}<w:r>",
        "</w:r></w:p>",
        closing="</mc:Choice></mc:AlternateContent>",
    ),
    open_fields=Pattern('<w:r><w:fldChar w:fldCharType="begin"/></w:r>', f"<w:p>{_RUN}", "</w:p>"),
    instructions=Pattern("<w:r><w:instrText>A</w:instrText></w:r>", f"<w:p>{_RUN}", "</w:p>"),
    equations=Pattern("<m:oMath><m:r><m:t>x</m:t></m:r></m:oMath>", "<w:p>", "</w:p>"),
    nested_fractions=Pattern("<m:f><m:den>", "<w:p><m:oMath>", "</m:oMath></w:p>", closing="</m:den></m:f>"),
    a_wide_equation=Pattern("<m:r><m:t>(</m:t></m:r>", "<w:p><m:oMath><m:f><m:num>", "</m:num></m:f></m:oMath></w:p>"),
    headers=Pattern(
        '<w:p><w:pPr><w:sectPr><w:headerReference r:id="r%d"/></w:sectPr></w:pPr></w:p>', f"<w:p>{_RUN}</w:p>"
    ),
    attributes=Pattern(' a%d="b"', "<w:p", f">{_RUN}</w:p>"),
    one_attribute=Pattern("b", '<w:p a="', f'">{_RUN}</w:p>'),
    namespaces=Pattern(' xmlns:n%d="b"', "<w:p", f">{_RUN}</w:p>"),
    elements=Pattern("<w:x/>", f"<w:p>{_RUN}</w:p>"),
    comments=Pattern("<!-- -->", f"<w:p>{_RUN}", "</w:p>"),
    instructions_of_XML=Pattern("<?x?>", f"<w:p>{_RUN}", "</w:p>"),
    text_boxes=Pattern(
        f"<w:r><w:pict><w:txbxContent><w:p>{_RUN}</w:p></w:txbxContent></w:pict></w:r>", "<w:p>", "</w:p>"
    ),
    deleted=Pattern("<w:del><w:r><w:delText>x</w:delText></w:r></w:del>", f"<w:p>{_RUN}", "</w:p>"),
    list_items=Pattern(f'<w:p><w:pPr><w:numPr><w:ilvl w:val="%d"/><w:numId w:val="1"/></w:numPr></w:pPr>{_RUN}</w:p>'),
    check_boxes=Pattern(
        '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox/></w:ffData></w:fldChar></w:r>', "<w:p>", "</w:p>"
    ),
    breaks=Pattern("<w:r><w:br/></w:r>", f"<w:p>{_RUN}", "</w:p>"),
    spaces=Pattern(" ", f"<w:p>{_RUN}<w:r><w:t>", "y</w:t></w:r></w:p>"),
)


def _word_with(part: str, pattern: Pattern, body: str) -> Kind:
    return lambda size: docx(body, **{part: pattern.of(size)})


_WORD |= {
    "styles in a chain": _word_with(
        "styles",
        Pattern('<w:style w:type="paragraph" w:styleId="s%d"><w:basedOn w:val="s%d0"/></w:style>'),
        f'<w:p><w:pPr><w:pStyle w:val="s1"/></w:pPr>{_RUN}</w:p>' * 100,
    ),
    "styles based on the one before": lambda size: docx(
        f'<w:p><w:pPr><w:pStyle w:val="s{size // 100 - 1}"/></w:pPr>{_RUN}</w:p>' * 100,
        styles="".join(
            f'<w:style w:type="paragraph" w:styleId="s{n}"><w:basedOn w:val="s{n - 1}"/></w:style>'
            for n in range(size // 100)
        ),
    ),
    "definitions of lists": _word_with(
        "numbering",
        Pattern(
            '<w:abstractNum w:abstractNumId="%d"><w:lvl w:ilvl="0"/></w:abstractNum>'
            '<w:num w:numId="%d"><w:abstractNumId w:val="%d"/></w:num>'
        ),
        f'<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>{_RUN}</w:p>' * 100,
    ),
    "lists of one definition": _word_with(
        "numbering",
        Pattern(
            '<w:num w:numId="%d"><w:abstractNumId w:val="0"/></w:num>',
            '<w:abstractNum w:abstractNumId="0">'
            + "".join(f'<w:lvl w:ilvl="{n}"><w:lvlText w:val="%1.%2"/></w:lvl>' for n in range(9))
            + "</w:abstractNum>",
        ),
        f'<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>{_RUN}</w:p>' * 100,
    ),
    "footnotes": lambda size: docx(
        "<w:p>" + "".join(f'<w:r><w:footnoteReference w:id="{n}"/></w:r>' for n in range(size // 100)) + "</w:p>",
        footnotes="".join(f'<w:footnote w:id="{n}"><w:p>{_RUN}</w:p></w:footnote>' for n in range(size // 100)),
    ),
    "references to one footnote": lambda size: docx(
        f"<w:p>{_RUN}" + '<w:r><w:footnoteReference w:id="1"/></w:r>' * (size // 50) + "</w:p>",
        footnotes=f'<w:footnote w:id="1"><w:p>{_RUN}</w:p></w:footnote>',
    ),
    "footnotes that refer to others": lambda size: docx(
        f'<w:p>{_RUN}<w:r><w:footnoteReference w:id="0"/></w:r></w:p>',
        footnotes="".join(
            f'<w:footnote w:id="{n}"><w:p>{_RUN}<w:r><w:footnoteReference w:id="{n + 1}"/></w:r></w:p></w:footnote>'
            for n in range(size // 120)
        ),
    ),
    "comments on nothing": lambda size: docx(
        f"<w:p>{_RUN}</w:p>",
        comments="".join(f'<w:comment w:id="{n}"><w:p>{_RUN}</w:p></w:comment>' for n in range(size // 60)),
    ),
    "billion laughs": lambda size: with_part(
        docx(""),
        "word/document.xml",
        f"{laughs(size)}<w:document {W}><w:body><w:p><w:r><w:t>&z;</w:t></w:r></w:p></w:body></w:document>",
    ),
}


_TEXT_BODY = "<p:sp><p:txBody>"
_SHAPE = "<p:sp><p:txBody><a:p><a:r><a:t>x</a:t></a:r></a:p></p:txBody></p:sp>"
_PLACED = (
    '<p:sp><p:spPr><a:xfrm><a:off x="%d00" y="0"/><a:ext cx="90" cy="90"/></a:xfrm></p:spPr><p:txBody><a:p><a:r><a:t>x'
    "</a:t></a:r></a:p></p:txBody></p:sp>"
)
_GRID = "<p:graphicFrame><a:graphic><a:graphicData><a:tbl>", "</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
_SLIDES = _kinds(
    pptx,
    shapes=Pattern(_SHAPE),
    placed_shapes=Pattern(_PLACED),
    nested_groups=Pattern("<p:grpSp>", after=_SHAPE, closing="</p:grpSp>"),
    groups=Pattern(f"<p:grpSp>{_SHAPE}</p:grpSp>"),
    paragraphs=Pattern("<a:p><a:r><a:t>x</a:t></a:r></a:p>", _TEXT_BODY, "</p:txBody></p:sp>"),
    numbered=Pattern(
        '<a:p><a:pPr lvl="8"><a:buAutoNum type="romanLcPeriod" startAt="3999"/></a:pPr><a:r><a:t>x</a:t></a:r></a:p>',
        _TEXT_BODY,
        "</p:txBody></p:sp>",
    ),
    runs=Pattern("<a:r><a:t>x</a:t></a:r>", f"{_TEXT_BODY}<a:p>", "</a:p></p:txBody></p:sp>"),
    scripts=Pattern(
        '<a:r><a:rPr baseline="30000"/><a:t>2</a:t></a:r><a:r><a:t>x</a:t></a:r>',
        f"{_TEXT_BODY}<a:p>",
        "</a:p></p:txBody></p:sp>",
    ),
    breaks=Pattern("<a:br/>", f"{_TEXT_BODY}<a:p><a:r><a:t>x</a:t></a:r>", "</a:p></p:txBody></p:sp>"),
    one_text=Pattern("x", f"{_TEXT_BODY}<a:p><a:r><a:t>", "</a:t></a:r></a:p></p:txBody></p:sp>"),
    wide_cells=Pattern(
        '<a:tr><a:tc gridSpan="9999"><a:txBody><a:p><a:r><a:t>x</a:t></a:r></a:p></a:txBody></a:tc></a:tr>', *_GRID
    ),
    merged_cells=Pattern('<a:tr><a:tc vMerge="1"/><a:tc hMerge="1"/></a:tr>', *_GRID),
    cells=Pattern(
        "<a:tc><a:txBody><a:p><a:r><a:t>x</a:t></a:r></a:p></a:txBody></a:tc>",
        f"{_GRID[0]}<a:tr>",
        f"</a:tr>{_GRID[1]}",
    ),
    nested_alternatives=Pattern(
        "<mc:AlternateContent><mc:Choice>", after=_SHAPE, closing="</mc:Choice></mc:AlternateContent>"
    ),
    attributes=Pattern(' a%d="b"', "<p:sp", "/>" + _SHAPE),
    elements=Pattern("<p:x/>", after=_SHAPE),
    pictures=Pattern('<p:pic><p:nvPicPr><p:cNvPr id="1" name="x" descr="x"/></p:nvPicPr></p:pic>'),
    namespaces=Pattern(' xmlns:n%d="b"', "<p:sp", "/>" + _SHAPE),
)
_SLIDES |= {
    "slides": lambda size: pptx(_SHAPE, max(1, size // 500)),
    "billion laughs": lambda size: with_part(
        pptx(_SHAPE), "ppt/slides/slide1.xml", f"{laughs(size)}<p:sld {P}><p:cSld>&z;</p:cSld></p:sld>"
    ),
    "large coordinates": lambda size: pptx(_PLACED.replace("%d", "9" * (size // 300)) * 300),
}

_TEXT_DOCUMENT = _kinds(
    odt,
    paragraphs=Pattern("<text:p>x</text:p>"),
    spans=Pattern("<text:span>x</text:span>", "<text:p>", "</text:p>"),
    nested_spans=Pattern("<text:span>", "<text:p>", "x</text:p>", closing="</text:span>"),
    one_text=Pattern("x", "<text:p>", "</text:p>"),
    spaces=Pattern('<text:s text:c="999999999"/>', "<text:p>x", "</text:p>"),
    one_space=Pattern(" ", '<text:p>x<text:s text:c="999999999"/>', "y</text:p>"),
    tabs=Pattern("<text:tab/>", "<text:p>x", "</text:p>"),
    nested_lists=Pattern("<text:list><text:list-item>", after="x", closing="</text:list-item></text:list>"),
    list_items=Pattern("<text:list-item><text:p>x</text:p></text:list-item>", "<text:list>", "</text:list>"),
    nested_tables=Pattern(
        "<table:table><table:table-row><table:table-cell>",
        after="<text:p>x</text:p>",
        closing="</table:table-cell></table:table-row></table:table>",
    ),
    repeated_cells=Pattern(
        '<table:table-row table:number-rows-repeated="999999"><table:table-cell table:number-columns-repeated="999999">'
        "<text:p>x</text:p></table:table-cell></table:table-row>",
        "<table:table>",
        "</table:table>",
    ),
    wide_cells=Pattern(
        '<table:table-row><table:table-cell table:number-columns-spanned="9999" table:number-rows-spanned="9999">'
        "<text:p>x</text:p></table:table-cell></table:table-row>",
        "<table:table>",
        "</table:table>",
    ),
    notes=Pattern(
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>x</text:p></text:note-body>"
        "</text:note>",
        "<text:p>x",
        "</text:p>",
    ),
    nested_notes=Pattern(
        "<text:note><text:note-body><text:p>",
        "<text:p>x",
        "</text:p>",
        closing="</text:p></text:note-body></text:note>",
    ),
    frames=Pattern(
        "<draw:frame><draw:text-box><text:p>x</text:p></draw:text-box></draw:frame>", "<text:p>x", "</text:p>"
    ),
    headings=Pattern('<text:h text:outline-level="%d">x</text:h>'),
    sections=Pattern("<text:section><text:p>x</text:p></text:section>"),
    attributes=Pattern(' a%d="b"', "<text:p", ">x</text:p>"),
    changes=Pattern(
        '<text:changed-region text:id="c%d"><text:deletion><text:p>x</text:p></text:deletion></text:changed-region>',
        "<text:tracked-changes>",
        "</text:tracked-changes><text:p>x</text:p>",
    ),
)
_TEXT_DOCUMENT |= {
    "styles based on the one before": lambda size: odt(
        f'<text:p text:style-name="s{size // 100 - 1}">x</text:p>' * 100,
        "".join(
            f'<style:style style:name="s{n}" style:family="paragraph" style:parent-style-name="s{n - 1}"/>'
            for n in range(size // 100)
        ),
    ),
    "styles based on themselves": lambda size: odt(
        '<text:p text:style-name="s">x</text:p>' * (size // 50),
        '<style:style style:name="s" style:family="paragraph" style:parent-style-name="s"/>',
    ),
    "billion laughs": lambda size: with_part(odt(""), "content.xml", f"{laughs(size)}<a>&z;</a>"),
}

_PAGES = _kinds(
    odp,
    pages=Pattern("<draw:page><draw:frame><draw:text-box><text:p>x</text:p></draw:text-box></draw:frame></draw:page>"),
    frames=Pattern(
        '<draw:frame svg:x="%dcm" svg:y="0cm" svg:width="1cm" svg:height="1cm"><draw:text-box><text:p>x</text:p>'
        "</draw:text-box></draw:frame>",
        "<draw:page>",
        "</draw:page>",
    ),
    nested_groups=Pattern("<draw:g>", "<draw:page>", "</draw:page>", closing="</draw:g>"),
    notes=Pattern(
        "<draw:page><presentation:notes><draw:frame><draw:text-box><text:p>x</text:p></draw:text-box></draw:frame>"
        "</presentation:notes></draw:page>"
    ),
)

_ROW, _ROW_END = "<table:table-row>", "</table:table-row>"
_CELL = '<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell>'
_SHEET = _kinds(
    ods,
    rows=Pattern(f"{_ROW}{_CELL}{_ROW_END}"),
    cells=Pattern(_CELL, _ROW, _ROW_END),
    repeated_rows=Pattern(f'<table:table-row table:number-rows-repeated="1000000">{_CELL}{_ROW_END}'),
    repeated_cells=Pattern(_ROW + _CELL.replace("cell ", 'cell table:number-columns-repeated="16000" ', 1) + _ROW_END),
    repeated_empty_cells=Pattern(
        '<table:table-row table:number-rows-repeated="1000000"><table:table-cell '
        'table:number-columns-repeated="16000"/></table:table-row>',
        after=_ROW + _CELL + _ROW_END,
    ),
    wide_cells=Pattern(
        _ROW
        + _CELL.replace("cell ", 'cell table:number-rows-spanned="9999" table:number-columns-spanned="9999" ', 1)
        + _ROW_END
    ),
    paragraphs=Pattern(
        "<text:p>x</text:p>", f'{_ROW}<table:table-cell office:value-type="string">', f"</table:table-cell>{_ROW_END}"
    ),
    one_text=Pattern(
        "x", f'{_ROW}<table:table-cell office:value-type="string"><text:p>', f"</text:p></table:table-cell>{_ROW_END}"
    ),
    elements=Pattern("<a/>", after=_ROW + _CELL + _ROW_END),
)

_INLINE = '<c t="inlineStr"><is><t>x</t></is></c>'
_WORKBOOK = _kinds(
    xlsx,
    rows=Pattern(f"<row>{_INLINE}</row>"),
    cells=Pattern(_INLINE, "<row>", "</row>"),
    numbers=Pattern('<row r="%d"><c><v>%d</v></c></row>'),
    far_apart=Pattern('<row r="%d000"><c r="XFD%d000" t="inlineStr"><is><t>x</t></is></c></row>'),
    one_text=Pattern("x", '<row><c t="inlineStr"><is><t>', "</t></is></c></row>"),
    runs=Pattern("<r><t>x</t></r>", '<row><c t="inlineStr"><is>', "</is></c></row>"),
    raised_runs=Pattern(
        '<r><rPr><vertAlign val="superscript"/></rPr><t>2</t></r><r><t>x</t></r>',
        '<row><c r="A1" t="inlineStr"><is>',
        "</is></c></row>",
    ),
    errors=Pattern('<row r="%d"><c r="A%d" t="e"><v>#N/A</v></c></row>'),
    formulas=Pattern('<row r="%d"><c r="A%d"><f>A1</f></c></row>', after=f"<row>{_INLINE}</row>"),
    shared_formulas=Pattern(
        '<row r="%d"><c r="A%d"><f t="shared" si="0"/><v>1</v></c></row>',
        '<row><c r="A1"><f t="shared" ref="A1:A999999" si="0">A1+A2</f></c></row>',
    ),
    elements=Pattern("<x/>", after=f"<row>{_INLINE}</row>"),
    two_columns=Pattern('<row r="%d"><c r="A%d"><v>1</v></c><c r="Z%d" t="s"><v>0</v></c></row>'),
    alternating_columns=Pattern("<c><v>1</v></c><c/>", "<row>", f"</row><row>{_INLINE}</row>"),
    headers_below_each_other=Pattern(
        '<row r="%d0"><c r="A%d0" t="inlineStr"><is><t>a</t></is></c><c r="B%d0" t="inlineStr"><is><t>b</t></is></c>'
        "</row>"
        '<row r="%d1"><c r="A%d1"><v>1</v></c><c r="B%d1"><v>1</v></c></row>'
    ),
)


def _merged(count: int, ranges: Callable[[int], str]) -> str:
    return "<mergeCells>" + "".join(f'<mergeCell ref="{ranges(n)}"/>' for n in range(1, count + 1)) + "</mergeCells>"


_WORKBOOK |= {
    "merged cells": lambda size: xlsx(
        f"<row>{_INLINE}</row>" * 1000, after=_merged(size // 40, lambda n: f"A{n}:B{n}")
    ),
    "merged over all": lambda size: xlsx(
        f"<row>{_INLINE}<c/><c><v>1</v></c></row>" * (size // 100), after=_merged(size // 60, lambda n: "A1:XFD1048576")
    ),
    "shared text": lambda size: xlsx(
        '<row><c t="s"><v>0</v></c></row>' * (size // 80), strings=f"<si><t>{'x' * (size // 2)}</t></si>"
    ),
    "shared texts": lambda size: xlsx(
        '<row><c t="s"><v>0</v></c></row>', strings=Pattern("<si><t>x</t></si>").of(size)
    ),
    "number formats": lambda size: xlsx(
        '<row><c r="A1" s="1"><v>1</v></c></row>',
        styles="<numFmts>"
        + "".join(f'<numFmt numFmtId="{n}" formatCode="0%"/>' for n in range(200, 200 + size // 70))
        + "</numFmts><cellXfs>"
        + '<xf numFmtId="200"/>' * (size // 70)
        + "</cellXfs>",
    ),
    "one number format": lambda size: xlsx(
        '<row><c r="A1" s="0"><v>1</v></c></row>' * 100,
        styles=f'<numFmts><numFmt numFmtId="200" formatCode="{"$ " * (size // 2)}x"/></numFmts>'
        '<cellXfs><xf numFmtId="200"/></cellXfs>',
    ),
    "decimals of a number format": lambda size: xlsx(
        '<row><c r="A1" s="0"><v>1</v></c></row>' * 100,
        styles=f'<numFmts><numFmt numFmtId="200" formatCode="$0.{"0" * size}"/></numFmts>'
        '<cellXfs><xf numFmtId="200"/></cellXfs>',
    ),
    "comments": lambda size: xlsx(
        f"<row>{_INLINE}</row>", comments=Pattern('<comment ref="A%d"><text><t>x</t></text></comment>').of(size)
    ),
    "comments on one cell": lambda size: xlsx(
        f"<row>{_INLINE}</row>", comments=Pattern('<comment ref="A1"><text><t>x</t></text></comment>').of(size)
    ),
    "sheets": lambda size: xlsx(f"<row>{_INLINE}</row>", sheets=max(1, size // 400)),
    "billion laughs": lambda size: with_part(
        xlsx(f"<row>{_INLINE}</row>"), "xl/sharedStrings.xml", f"{laughs(size)}<sst><si><t>&z;</t></si></sst>"
    ),
}

_BINARY_WORKBOOK: dict[str, Kind] = {
    "rows": lambda size: xlsb(b"".join(xlsb_row(n) + xlsb_text(0, "x") for n in range(min(size // 35, 2**20)))),
    "empty rows": lambda size: xlsb(b"".join(map(xlsb_row, range(min(size // 27, 2**20)))) + xlsb_text(0, "x")),
    "cells": lambda size: xlsb(xlsb_row(0) + xlsb_text(0, "x") * (size // 16)),
    "far apart": lambda size: xlsb(
        b"".join(xlsb_row(n) + xlsb_text(16383, "x") for n in range(0, 2**20, max(1, 2**20 // (size // 35 + 1))))
    ),
    "one text": lambda size: xlsb(xlsb_row(0) + xlsb_text(0, "x" * (size // 2))),
    "text that is shorter than it says": lambda size: xlsb(
        (xlsb_row(0) + b"\x06\x0c" + struct.pack("<III", 0, 0, 2**31 - 1)) * (size // 40)
    ),
    "empty records": lambda size: xlsb(b"\x7f\x00" * (size // 2) + xlsb_row(0) + xlsb_text(0, "x")),
}

_PAGE = "<html><body><p>x</p></body></html>"
_BOOK = _kinds(
    lambda page: epub({"a.html": page}),
    paragraphs=Pattern("<p>x</p>"),
    one_text=Pattern("x", "<p>", "</p>"),
    nested=Pattern("<div>"),
    headings=Pattern("<h1>x%d</h1>"),
    cells=Pattern("<td rowspan=60000 colspan=900>x", "<table>"),
    scripts=Pattern("x<sup>1</sup>"),
)
_BOOK |= {
    "pages": lambda size: epub({f"{n}.html": _PAGE for n in range(max(1, size // 300))}),
    "one page again and again": lambda size: epub(
        {"a.html": f"<p>{'x' * (size // 2)}</p>"}, spine='<itemref idref="a.html"/>' * (size // 60)
    ),
    "chapters of one page": lambda size: epub(
        {"a.html": "<h1>x</h1>" * (size // 40)},
        nav="".join(f'<a href="a.html#{n}">x</a>' for n in range(size // 40)),
    ),
    "authors": lambda size: epub({"a.html": _PAGE}, metadata="<dc:creator>x</dc:creator>" * (size // 26)),
    "a bomb": lambda size: epub({"a.html": "<p>" + " " * (size * 30) + "</p>"}),
    "billion laughs": lambda size: with_part(epub({"a.html": _PAGE}), "b.opf", f"{laughs(size)}<a>&z;</a>"),
}

_XML = _kinds(
    _plain,
    tiny_elements=Pattern("<b/>", "<a>x", "</a>"),
    records=Pattern("<b><c>x</c></b>", "<a>", "</a>"),
    nested=Pattern("<a>", after="x", closing="</a>"),
    nested_to_the_limit=Pattern("<p><b>x</b></p>", "<a>" * 250, "</a>" * 250),
    paragraphs=Pattern("<p>x</p>", "<a>", "</a>"),
    marked_words=Pattern("x<b>y</b>", "<p>", "</p>"),
    one_text=Pattern("x", "<a>", "</a>"),
    one_name=Pattern("x", "<", "/>"),
    one_attribute=Pattern("x", '<a b="', '"/>'),
    attributes=Pattern(' a%d="b"', "<a", "/>"),
    namespaces=Pattern(' xmlns:n%d="b"', "<a", ">x</a>"),
    nested_namespaces=Pattern('<a xmlns="u%d">x', "<b>", "</b>", closing="</a>"),
    entities=Pattern('<!ENTITY e%d "x">', "<!DOCTYPE a [", "]><a>&e1;</a>"),
    used_entity=Pattern("&e;", '<!DOCTYPE a [<!ENTITY e "xxxxxxxxxxxxxxxxxxxx">]><a>', "</a>"),
    entity_of_HTML=Pattern("&nbsp;", "<a>", "</a>"),
    unknown_entities=Pattern("&u;", "<!DOCTYPE a [<!ENTITY e 'x'>]><a>", "x</a>"),
    default_attributes=Pattern("<b/>", f"<!DOCTYPE a [<!ATTLIST b c CDATA '{'x' * 1000}'>]><a>", "</a>"),
    declared_attributes=Pattern("<!ATTLIST a b%d CDATA 'x'>", "<!DOCTYPE a [", "]><a>x</a>"),
    declared_elements=Pattern("<!ELEMENT e%d ANY>", "<!DOCTYPE a [", "]><a>x</a>"),
    model=Pattern("(", "<!DOCTYPE a [<!ELEMENT a ", "]><a>x</a>"),
    comments=Pattern("<!---->", "<a>x", "</a>"),
    open_comments=Pattern("<!--", "<a>x"),
    instructions=Pattern("<?x?>", "<a>x", "</a>"),
    sections=Pattern("<![CDATA[x]]>", "<a>", "</a>"),
    wrong_ends=Pattern("</b>", "<a>"),
    feed=Pattern("<item><title>x</title><description>y</description></item>", "<rss><channel>", "</channel></rss>"),
    titles=Pattern("<title>x</title>", "<article>", "</article>"),
    sections_with_titles=Pattern("<section><title>x</title><p>y</p></section>", "<article>", "</article>"),
    notes=Pattern("x<footnote><p>y</p></footnote>", "<p>", "</p>"),
    entries=Pattern('<row><entry morerows="9999" namest="c1" nameend="c9999">x</entry></row>', "<table>", "</table>"),
    column_names=Pattern(
        '<colspec colname="c%d"/>', "<table>", '<row><entry namest="c1" nameend="c9">x</entry></row></table>'
    ),
    formulas=Pattern("<math><mi>x</mi></math>", "<p>", "</p>"),
    items=Pattern("<listitem>x</listitem>", "<itemizedlist>", "</itemizedlist>"),
    ampersands=Pattern("&", "<a>"),
)
_XML |= {
    "billion laughs": lambda size: f"{laughs(size)}<a>&z;</a>".encode(),
    "long values": lambda size: ("<a>" + f"<b>{'x ' * 1000}</b>" * (size // 2007) + "</a>").encode(),
    "quadratic entity": lambda size: (
        f'<!DOCTYPE a [<!ENTITY e "{"x" * (size // 2)}">]><a>{"&e;" * (size // 6)}</a>'.encode()
    ),
}

_RST = _kinds(
    _plain,
    paragraphs=Pattern("x\n\n"),
    one_line=Pattern("x"),
    headings=Pattern("x\n=\n\n"),
    kinds_of_headings=Pattern("x\n=\n\ny\n-\n\nz\n~\n\n"),
    lines_over_headings=Pattern("=\n"),
    items=Pattern("- x\n"),
    nested_items=Pattern("- "),
    directives=Pattern(".. note:: x\n\n"),
    nested_directives=Pattern(".. note:: "),
    grids=Pattern("+-+-+\n|x|y|\n"),
    wide_grid=Pattern("+-", after="+\n"),
    borders=Pattern("== ==\nx  y\n"),
    wide_border=Pattern("= ", after="=\nx y\n"),
    substitutions=Pattern("|a| ", f".. |a| replace:: {'x' * 1000}\n\n"),
    definitions=Pattern(".. |a%d| replace:: x\n", after="\n|a1|\n"),
    targets=Pattern(".. _a%d: b\n", after="\na1_\n"),
    references=Pattern("a_ ", ".. _a: b\n\n"),
    backticks=Pattern("`"),
    literals=Pattern("``x"),
    roles=Pattern(":a:`x` "),
    open_roles=Pattern(":a:`"),
    colons=Pattern(":a"),
    brackets=Pattern("["),
    angles=Pattern("`<"),
    backslashes=Pattern("\\"),
    indented=Pattern(" x\n"),
    spaces=Pattern(" "),
    block_quotes=Pattern("  x\n\n y\n\n"),
    fields=Pattern(":a: b\n"),
    options=Pattern("-a  b\n"),
    terms=Pattern("x\n  y\n"),
    comments=Pattern("..\n"),
    footnotes=Pattern(".. [#] x\n"),
    literal_blocks=Pattern("::\n\n x\n\n"),
    cells_of_lists=Pattern("   * - x\n", ".. list-table::\n\n"),
    rows_of_csv=Pattern("   a,b\n", ".. csv-table::\n\n"),
)
_RST["ever deeper"] = lambda size: "".join(f"{' ' * n}x\n" for n in range(int((2 * size) ** 0.5))).encode()
_RST["ever deeper items"] = lambda size: "".join(f"{' ' * 2 * n}- x\n\n" for n in range(int(size**0.5))).encode()


def _pdf(*objects: bytes, catalog: bytes = b"", page: bytes = b"") -> bytes:
    """Return a PDF of one page that says "x", and these objects, from 6 on."""
    head = (
        b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<</Font<</F 4 0 R>>/XObject<</X 6 0 R>>>>"
        b"/Contents 5 0 R%s>>" % page,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    content = b"BT /F 9 Tf 9 99 Td (x) Tj ET /X Do"
    return pdf_of_objects([*head, b"<</Length %d>>stream\n%s\nendstream" % (len(content), content), *objects])


def _instructions(unit: bytes) -> Kind:
    return lambda size: pdf_of_streams(
        [zlib.compress(b"BT /F 9 Tf " + unit * (size // len(unit)))], filters="/FlateDecode"
    )


def _forms_within_forms(size: int) -> bytes:
    """Return a PDF whose forms draw the next one ten times each."""
    form = b"<</Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>>>/Length %d>>stream\n%s\nendstream"
    drawn = b"/X Do " * 10
    return _pdf(*(form % (number + 1, len(drawn), drawn) for number in range(6, 6 + max(9, size // 200))))


def _pages_within_pages(size: int) -> bytes:
    """Return a PDF whose lists of pages hold the next one twice each."""
    count = max(30, size // 80)
    lists = [b"<</Type/Pages/Kids[%d 0 R %d 0 R]/Count 9>>" % (n + 1, n + 1) for n in range(3, 3 + count)]
    return pdf_of_objects([b"<</Type/Catalog/Pages 3 0 R>>", b"null", *lists, b"<</Type/Page/MediaBox[0 0 9 9]>>"])


def _numbered(unit: bytes, size: int, first: int = 7) -> list[bytes]:
    """Return objects in which "%d" becomes the number of the next one."""
    return [unit.replace(b"%d", b"%d" % (n + 1)) for n in range(first, first + max(1, size // (len(unit) + 30)))]


def _listed(objects: list[bytes], first: int = 7) -> bytes:
    return b" ".join(b"%d 0 R" % n for n in range(first, first + len(objects)))


def _fields(unit: bytes) -> Kind:
    def kind(size: int) -> bytes:
        fields = _numbered(unit, size)
        named = _listed(fields)
        return _pdf(b"null", *fields, catalog=b"/AcroForm<</Fields[%s]>>" % named, page=b"/Annots[%s]" % named)

    return kind


def _annotated(unit: bytes) -> Kind:
    def kind(size: int) -> bytes:
        annotations = _numbered(unit, size)
        return _pdf(b"null", *annotations, page=b"/Annots[%s]" % _listed(annotations))

    return kind


def _chained(unit: bytes, catalog: bytes) -> Kind:
    return lambda size: _pdf(b"null", *_numbered(unit, size), catalog=catalog)


def _nested_fields(entries: bytes) -> Kind:
    """Return files in which each field is a part of the one before, and all are shown."""

    def kind(size: int) -> bytes:
        fields = [
            b"<</Subtype/Widget/Rect[9 9 99 99]%s/Kids[%d 0 R]/Parent %d 0 R>>" % (entries, n + 1, n - 1)
            for n in range(7, 7 + size // 110)
        ]
        return _pdf(
            b"null",
            b"<</FT/Tx/T(a)/V(x)" + fields[0][2:],
            *fields[1:],
            catalog=b"/AcroForm<</Fields[7 0 R]>>",
            page=b"/Annots[%s]" % _listed(fields),
        )

    return kind


_PDF: dict[str, Kind] = {
    "pages": lambda size: pdf_of_streams([b"BT /F 9 Tf (x) Tj ET"] * (size // 250 + 1), filters=""),
    "letters": _instructions(b"(x) Tj "),
    "one text": lambda size: pdf_of_streams([b"BT /F 9 Tf (" + b"x" * size + b") Tj ET"], filters=""),
    "lines": _instructions(b"1 0 0 1 9 9 Tm (x) Tj "),
    "raised numbers": _instructions(b"(x) Tj 3 Ts (2) Tj 0 Ts "),
    "curves": _instructions(b"0 0 m 9 9 l S "),
    "saved states": _instructions(b"q "),
    "nested arrays": _instructions(b"["),
    "nested dictionaries": _instructions(b"<<"),
    "inline images": _instructions(b"BI /W 1 /H 1 /BPC 8 /CS /G ID x EI "),
    "forms within forms": _forms_within_forms,
    "pages within pages": _pages_within_pages,
    "fields": _fields(b"<</Type/Annot/Subtype/Widget/Rect[9 9 99 99]/FT/Tx/T(%d)/V(x)>>"),
    "fields of one name": _fields(b"<</Type/Annot/Subtype/Widget/Rect[9 9 99 99]/FT/Tx/T(a)/V(x)>>"),
    "fields without a kind": _fields(b"<</Type/Annot/Subtype/Widget/Rect[9 9 99 99]/T(%d)/V(x)>>"),
    "nested fields": _nested_fields(b""),
    "nested fields with names": _nested_fields(b"/T(a)"),
    "nested fields with kinds": _nested_fields(b"/FT/Tx"),
    "choices": lambda size: _fields(
        b"<</Type/Annot/Subtype/Widget/Rect[9 9 99 99]/FT/Ch/T(%d)/V(x)/Opt[" + b"(x)" * (size // 5000) + b"]>>"
    )(size),
    "notes": _annotated(b"<</Type/Annot/Subtype/Text/Rect[9 9 99 99]/Contents(x)>>"),
    "outline": _chained(b"<</Title(x)/Next %d 0 R/Dest[3 0 R/Fit]>>", b"/Outlines<</First 7 0 R>>"),
    "nested outline": _chained(b"<</Title(x)/First %d 0 R/Dest[3 0 R/Fit]>>", b"/Outlines<</First 7 0 R>>"),
    "labels of pages": lambda size: _pdf(
        b"null", catalog=b"/PageLabels<</Nums[%s]>>" % b" ".join(b"%d <</P(x)>>" % n for n in range(size // 16))
    ),
    "nested objects": lambda size: _pdf(b"[" * (size // 2) + b"]" * (size // 2)),
    "packed twice": lambda size: pdf_of_streams(
        [zlib.compress(zlib.compress(b"BT /F 9 Tf (x) Tj ET " * size))], filters="/FlateDecode/FlateDecode"
    ),
    "filters": lambda size: pdf_of_streams([b"x>" * 9], filters="/AHx" * (size // 4)),
    "objects": lambda size: _pdf(*[b"null"] * (size // 50)),
    "no objects": lambda size: b"%PDF-1.4\n" + b"obj\n" * (size // 4),
    "broken table": lambda size: b"%PDF-1.4\n" + b"1 0 obj <<>> endobj\n" * (size // 20) + b"trailer<</Root 1 0 R>>",
    "tables in a chain": lambda size: (
        b"%PDF-1.4\n" + b"xref\n0 0\ntrailer<</Size 1/Prev 9>>\n" * (size // 36) + b"startxref\n9\n%%EOF"
    ),
    "attached files": lambda size: _pdf(
        b"null", catalog=b"/Names<</EmbeddedFiles<</Names[%s]>>>>" % (b"(x) <</Type/Filespec/F(x)>> " * (size // 30))
    ),
    "fonts": lambda size: _pdf(
        b"null",
        page=b"/Resources<</Font<<%s>>>>"
        % b"".join(b"/F%d<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>" % n for n in range(size // 60)),
    ),
    "a map of characters": lambda size: _with_map(b"<%04x> <0041>\n", size),
    "signatures": _fields(
        b"<</Type/Annot/Subtype/Widget/Rect[0 0 0 0]/FT/Sig/T(%d)/V<</Type/Sig/ByteRange[0 1 2 3]/Contents<00>>>>>"
    ),
}


def _with_map(line: bytes, size: int) -> bytes:
    mapped = b"".join(line % (number & 0xFFFF) for number in range(size // 14))
    stream = b"1 beginbfchar\n" + mapped + b"endbfchar"
    return pdf_of_objects(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<</Font<</F 4 0 R>>>>/Contents 5 0 R>>",
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>",
            b"<</Length 22>>stream\nBT /F 9 Tf (x) Tj ET  \nendstream",
            b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        ]
    )


KINDS: dict[str, Mapping[str, Kind]] = {
    "txt": _TEXT,
    "md": _MARKDOWN,
    "html": _HTML,
    "csv": _CSV,
    "json": _JSON,
    "jsonl": _JSONL,
    "ipynb": _NOTEBOOK,
    "eml": _MAIL,
    "mbox": _MAILBOX,
    "rtf": _RTF,
    "docx": _WORD,
    "pptx": _SLIDES,
    "odt": _TEXT_DOCUMENT,
    "odp": _PAGES,
    "ods": _SHEET,
    "xlsx": _WORKBOOK,
    "xlsb": _BINARY_WORKBOOK,
    "epub": _BOOK,
    "xml": _XML,
    "rst": _RST,
    "pdf": _PDF,
}
"""The kinds of each parser, under the suffix of its format."""
