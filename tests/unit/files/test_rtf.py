"""RTF: what a program shows is what is read."""

from __future__ import annotations

import pytest

from embedpipe.errors import InputError
from embedpipe.files import document_of

HEADER = (
    r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Times New Roman;}"
    r"{\f2\fcharset128 MS Mincho;}{\f3\fcharset2 Symbol;}}"
    r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2\outlinelevel1 My head;}{\s3 Title;}}"
)


def rtf(body: str) -> bytes:
    return (HEADER + body + "}").encode("latin-1")


def read(body: str) -> str:
    return document_of(rtf(body), name="x.rtf").text.rstrip("\n")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"caf\'e9", "café"),
        ("caf\u00e9", "café"),
        (r"\u228?\u8364\'80x", "ä€x"),
        (r"\uc2\u8364 ??x\uc0\u228 y", "€xäy"),
        (r"\u-10179?\u-8704?", "😀"),
        (r"{\f1 \'cf\'f0\'e8}\'e9", "Приé"),
        (r"{\f2 \'93\'fa\'83A}", "日ア"),
        (r"{\f3 m}", "μ"),
        (r"a\~b\_c\-d", "a\u00a0b-cd"),
        (r"a\tab b\line c\emdash d \{\\\}", "a\tb  \nc—d {\\}"),
        ("one\\par\ntwo\\\nthree", "one\n\ntwo\n\nthree"),
        (r"10{\super 6} H{\sub 2}O", "10^6 H_2O"),
        (r"a {\b b} c{\i d}e", "a **b** cde"),
        (r"a{\deleted gone}b", "ab"),
        (r"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "link"),
        (r"{\upr{ansi}{\*\ud{\u8364?}}}", "€"),
        (r"{\*\unknown lost}kept", "kept"),
        (r"\bin5 }}}}}kept", "kept"),
        (r"kept}lost", "kept"),
    ],
)
def test_characters(body: str, text: str) -> None:
    assert read(body) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"\pard\s1 Tea\par\pard text\par\pard\s2 Green\par", "# Tea\n\ntext\n\n## Green"),
        (r"\pard\s3 Manual\par\pard\outlinelevel2 Deep\par", "# Manual\n\n### Deep"),
        (r"\pard\s1{\listtext 2.1\tab}Limits\par", "# 2.1 Limits"),
        (r"\pard\ls1{\listtext 1.\tab}a\par{\listtext 2.\tab}b\par", "1. a\n2. b"),
        (r"\pard\ls1{\listtext 1.\tab}a\par\pard\ls1\ilvl1{\listtext a)\tab}b\par", "1. a\n   a) b"),
        (r"\pard\ls1{\listtext\'b7\tab}a\par\pard\ls1{\listtext o\tab}b\par", "- a\n- b"),
        (r"{\pntext 3.\tab}c\par", "3. c"),
    ],
)
def test_headings_and_lists(body: str, text: str) -> None:
    assert read(body) == text


TWO = r"\trowd\cellx1000\cellx2000\intbl "
THREE = r"\trowd\cellx1000\cellx2000\cellx3000\intbl "


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (
            [TWO + r"a\cell b\cell\row", TWO + r"1\cell 2\cell\row", r"\pard after"],
            "| a | b |\n| --- | --- |\n| 1 | 2 |\n\nafter",
        ),
        (
            [r"\trowd\cellx2010\cellx3000\intbl wide\cell c\cell\row", THREE + r"1\cell 2\cell 3\cell\row"],
            "| wide | wide | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |",
        ),
        (
            [
                TWO + r"h\cell i\cell\row",
                TWO.replace(r"\cellx1000", r"\clvmgf\cellx1000") + r"tall\cell x\cell\row",
                TWO.replace(r"\cellx1000", r"\clvmrg\cellx1000") + r"\cell y\cell\row",
            ],
            "| h | i |\n| --- | --- |\n| tall | x |\n| tall | y |",
        ),
        ([r"\trowd\cellx1000\intbl a\par b\cell\row"], "| a b |\n| --- |"),
        (
            [TWO + r"x\cell{\itap2 a\nestcell b\nestcell{\nonesttables\par}\nestrow}\cell\row"],
            "| x | a, b; |\n| --- | --- |",
        ),
    ],
)
def test_tables_keep_their_columns(rows: list[str], text: str) -> None:
    assert read("".join(rows)) == text


def test_notes_comments_and_margins() -> None:
    body = (
        r"{\header ACME\par}{\footer Secret\par}{\headerf ACME\par}Tea{\super\chftn{\footnote\pard\plain Green}}\par "
        r"Milk{\*\atnauthor Ana}{\*\annotation Oat?}\par End"
    )
    assert read(body) == "ACME\n\nTea[^1]\n\n[^1]: Green\n\nMilk\n\n[Comment by Ana: Oat?]\n\nEnd\n\nSecret"


def test_form_fields_and_text_boxes() -> None:
    box = r"{\field{\*\fldinst FORMCHECKBOX{\*\formfield{\fftype1\ffres%d}}}{\fldrslt }} "
    shape = r"{\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt Max 250 kg\par}}{\shprslt Max 250 kg}}"
    assert read(box % 1 + r"Smoker\par " + box % 0 + r"Diabetic\par") == "[x] Smoker\n\n[ ] Diabetic"
    assert read(rf"Before{shape}\par After") == "Before\n\nMax 250 kg\n\nAfter"


def test_what_cannot_be_read_is_told() -> None:
    described = r"{\*\shppict{\pict{\*\picprop{\sp{\sn wzDescription}{\sv a leaf}}}ffd8}}{\nonshppict{\pict ffd8}}"
    document = document_of(rtf(rf"x{{\pict ffd8}}{described}{{\object{{\*\objdata 00}}}}{{\v hidden}}"), name="x.rtf")
    assert document.text == "xa leaf\n"
    assert document.metadata["left_out"] == [
        "1 picture without a description",
        "1 embedded object",
        "1 run of hidden text",
    ]


@pytest.mark.parametrize(
    ("behind", "left_out"),
    [
        ("", None),
        ("\r\n\0\0", None),
        (r"} and more\par}", ["8 characters behind the end of the document"]),
        (r"{\rtf1 \'e4b c}", ["4 characters behind the end of the document"]),
    ],
)
def test_what_follows_the_last_brace_is_told(behind: str, left_out: list[str] | None) -> None:
    document = document_of(rtf("Tea") + behind.encode(), name="x.rtf")
    assert document.text == "Tea\n"
    assert document.metadata.get("left_out") == left_out


def test_metadata() -> None:
    info = r"{\info{\title Tea}{\author Ana}{\creatim\yr2024\mo2\dy3}{\revtim\yr2025\mo0\dy3}{\company X}}text"
    document = document_of(rtf(info), name="x.rtf")
    assert document.text == "text\n"
    assert document.metadata == {
        "name": "x.rtf",
        "suffix": ".rtf",
        "title": "Tea",
        "author": "Ana",
        "created": "2024-02-03",
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"text", "x.rtf is no RTF. Check its suffix"), (rtf("{" * 2000), "x.rtf nests its elements too deep")],
)
def test_a_file_that_cannot_be_read_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(data, name="x.rtf")


def test_a_table_of_many_widths_is_bounded() -> None:
    rows = "".join(rf"\trowd\cellx{50 * n}\intbl x\cell\row" for n in range(5000))
    assert len(read(rows)) < 100_000
