from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reportlab.lib.pdfencrypt import StandardEncryption

from embedpipe.chunking import MarkdownChunker, RecursiveChunker
from embedpipe.errors import InputError
from embedpipe.files import document_of, found_files, page_at, read_document
from embedpipe.text import pages_at
from office import part, pdf, with_part, word

WORD = "word/document.xml"

PAGE = """<!DOCTYPE html>
<?php echo 1 ?>
<html><head><title>Tea \n &amp; Time</title><style>p { color: red }</style></head>
<body><nav><a href="/">home</a></nav>
<h1>All about <em>tea</em></h1>
<!-- a remark --><script>alert("no")</script>
<p>Green tea is steeped<br>at 80&nbsp;°C, says <a href="https://example.org/x">the house</a>. 2 * 3 = snake_case</p>
<h2>Times</h2>
<table><tr><td>black</td><td>4 min</td></tr><tr><td>green</td><td>2 min</td></tr></table>
<ul><li>leaves<ul><li>whole</li></ul></li></ul>
<pre><code>def steep():
    return 80</code></pre>
<img src="leaf.png" alt="a leaf"><button>Buy</button></body></html>"""


def test_html_becomes_markdown() -> None:
    document = document_of(PAGE.encode(), name="a/tea.HTML")
    assert document.id == "a/tea.HTML"
    assert document.metadata == {"name": "tea.HTML", "suffix": ".html", "title": "Tea & Time"}
    assert document.text == (
        "# All about *tea*\n\nGreen tea is steeped  \nat 80\xa0°C, says the house. 2 * 3 = snake_case\n\n## Times\n\n"
        "| black | 4 min |\n| --- | --- |\n| green | 2 min |\n\n- leaves\n  - whole\n\n"
        "```\ndef steep():\n    return 80\n```\n\na leaf\n"
    )
    paths = [chunk.metadata["heading_path"] for chunk in MarkdownChunker().chunk(document.text)]
    assert paths == [["All about *tea*"], ["All about *tea*", "Times"]]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('<meta charset="iso-8859-1"><p>Käse'.encode("latin-1"), "Käse\n"),
        ("<p>Käse".encode("utf-16"), "Käse\n"),
        (b"<?xml version='1.0'?><note>well</note>", "well\n"),
        (b"no tags, 1 < 2 & 3", "no tags, 1 < 2 & 3\n"),
        (b"<p>never closed <b>bold", "never closed **bold**\n"),
        (b"<p>a<![if IE]>b<![endif]>c<![CDATA[d]]>e<![broken f<p>g", "abceg\n"),
        (b"&#0;&#xD800;&#x110000;x", "\ufffd\ufffd\ufffdx\n"),
    ],
)
def test_html_as_it_is_found(data: bytes, text: str) -> None:
    assert document_of(data, name="page.htm").text == text


def fill(document: Any) -> None:
    document.add_heading("Tea", 0)
    document.add_heading("Green tea", 1)
    document.add_paragraph("Steep at 80 °C.")
    document.add_paragraph("sencha", style="List Bullet")
    document.add_heading("Times", 2)
    table = document.add_table(2, 2)
    for place, cell in enumerate(["kind", "time", "black", "4 min"]):
        table.cell(place // 2, place % 2).text = cell
    document.add_picture(picture(), width=100_000)
    document.add_paragraph("The end.")


def picture() -> Any:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    return file


def test_word_becomes_markdown() -> None:
    data = word(fill, title="A manual")
    document = document_of(data, name="tea.docx")
    assert {key: document.metadata[key] for key in ("name", "suffix", "title", "author", "created")} == {
        "name": "tea.docx",
        "suffix": ".docx",
        "title": "A manual",
        "author": "python-docx",
        "created": "2013-12-23T23:15:00Z",
    }
    assert document.text == (
        "# Tea\n\n# Green tea\n\nSteep at 80 °C.\n\n- sencha\n\n## Times\n\n"
        "| kind | time |\n| --- | --- |\n| black | 4 min |\n\nThe end.\n"
    )


def test_word_text_that_others_lose_is_there() -> None:
    data = word(fill)
    added = (
        '<w:p><w:ins w:id="1" w:author="a"><w:r><w:t>inserted</w:t></w:r></w:ins>'
        '<w:del w:id="2" w:author="a"><w:r><w:delText>deleted</w:delText></w:r></w:del></w:p>'
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    xml = part(data, WORD).replace("<w:body>", f"<w:body>{added}")
    text = document_of(with_part(data, WORD, xml), name="tea.docx").text
    assert text.startswith("inserted\n\nin a control\n\n# Tea")


def test_a_pdf_knows_its_pages() -> None:
    document = document_of(pdf(["Green tea.\nTwo minutes.", "", "Black tea."], title="Tea"), name="tea.pdf")
    assert document.metadata == {
        "name": "tea.pdf",
        "suffix": ".pdf",
        "pages": 3,
        "title": "Tea",
        "created": "2000-01-01T00:00:00+00:00",
        "modified": "2000-01-01T00:00:00+00:00",
    }
    assert document.text.split("\f") == ["Green tea.\nTwo minutes.\n", "\n", "Black tea."]
    assert [page_at(document.text, document.text.index(word)) for word in ("Green", "Two", "Black")] == [1, 1, 3]
    chunks = RecursiveChunker(chunk_size=15).chunk(document.text)
    pages = pages_at(document.text, [chunk.start_index for chunk in chunks])
    assert list(zip([chunk.text for chunk in chunks], pages, strict=True)) == [
        ("Green tea.", 1),
        ("Two minutes.", 1),
        ("Black tea.", 3),
    ]
    places = range(len(document.text))
    assert pages_at(document.text, places) == [page_at(document.text, place) for place in places]


def test_a_word_over_two_lines_is_one() -> None:
    assert "oxidation of" in document_of(pdf(["Steeping needs oxi-\ndation of leaves"]), name="tea.pdf").text


def test_a_pdf_that_may_be_read_without_its_password_is() -> None:
    protected = pdf(["Green tea."], encrypt=StandardEncryption("", ownerPassword="owner", strength=128))
    assert document_of(protected, name="tea.pdf").text == "Green tea."


def test_pages_without_text_are_told_of() -> None:
    document = document_of(pdf([None, "text", "", *[None] * 12]), name="scan.pdf")
    assert document.metadata["pages"] == 15
    assert document.metadata["pages_without_text"] == [1, *range(4, 16)]
    assert document.metadata["left_out"] == ["pages 1, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more have no text layer"]


def test_pdfs_are_read_from_several_threads() -> None:
    files = {f"{n}.pdf": pdf([f"Tea number {n}"] * 20) for n in range(8)}
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda name: document_of(files[name], name=name), files))
    assert all(document.text.count(f"Tea number {n}") == 20 for n, document in enumerate(read))


INTACT = {
    "a.pdf": pdf(["Green tea.", "Black tea."]),
    "a.docx": word(fill),
    "a.html": PAGE.encode() + b"<![CDATA[x]]><![if x]><!ELEMENT x><a b='c\" d>",
}


def bomb() -> bytes:
    return with_part(word(fill), WORD, b" " * (300 << 20))


def laughs() -> bytes:
    data = word(fill)
    entities = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 100}">' for n in range(6))
    xml = part(data, WORD).partition("?>")[2].replace("Steep", "&g;")
    return with_part(data, WORD, f'<!DOCTYPE l [<!ENTITY a "{"x" * 1000}">{entities}]>{xml}')


def nested() -> bytes:
    data = word(fill)
    deep = "<w:sdt><w:sdtContent>" * 3000 + "<w:p/>" + "</w:sdtContent></w:sdt>" * 3000
    return with_part(data, WORD, part(data, WORD).replace("<w:body>", f"<w:body>{deep}"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.pdf", pdf(["x"], encrypt=StandardEncryption("secret")), "a.pdf is encrypted. Save it without its password"),
        ("a.pdf", pdf(["x"])[:500], "a.pdf is a broken PDF"),
        ("a.pdf", b"%PDF-1.7\n" + b"\x00" * 5000, "a.pdf is a broken PDF"),
        ("a.pdf", b"", r"a.pdf is empty \(0 bytes\)"),
        ("a.pdf", b"text", "a.pdf is no PDF. Check its suffix"),
        ("a.pdf", pdf([None, None]), r"a.pdf holds only images, no text \(2 pages\). Read it with --ocr"),
        ("a.pdf", pdf([""]), "a.pdf holds no text"),
        ("a.pdf", word(fill), "a.pdf is no PDF"),
        ("a.txt", pdf(["x"]), "a.txt is no text, but a PDF. Name it .pdf"),
        (
            "a.md",
            word(fill),
            "but a ZIP archive or an Office file. Give it the suffix of its format",
        ),
        ("a.docx", pdf(["x"]), "a.docx is broken, or no Word document"),
        ("a.docx", b"", r"a.docx is empty \(0 bytes\)"),
        ("a.docx", b"text", "a.docx is broken, or no Word document"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1", "a.docx is encrypted, or of Word before 2007"),
        ("a.docx", word(fill)[:3000], "a.docx is broken, or no Word document"),
        ("a.docx", with_part(word(fill), WORD, "<w:nope"), "a.docx is broken, or no Word document"),
        ("a.docx", with_part(word(lambda document: None), "x", "y"), "a.docx holds no text"),
        ("a.docx", bomb(), "a.docx unpacks to 300 MB of XML, and at most 32 MB are read"),
        ("a.docx", laughs(), "a.docx is broken, or no Word document .*amplification"),
        ("a.docx", nested(), "a.docx nests its elements too deep to be read"),
        ("a.html", b"<div>" * 20_000 + b"x", "a.html nests its elements too deep to be read"),
        ("a.html", b"<html><head><title>only</title></head></html>", "a.html holds no text"),
        ("a.html", b" " * (33 << 20), "a.html is over 32 MB of HTML"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(data, name=name)


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.html"])
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=20), st.integers(0, 60)), min_size=1, max_size=8))
def test_a_damaged_file_is_read_or_named(name: str, edits: list[tuple[float, bytes, int]]) -> None:
    data = INTACT[name]
    for place, written, lost in edits:
        at = int(place * len(data))
        data = data[:at] + written + data[at + lost :]
    try:
        outcome = document_of(data, name=name).metadata["name"]
    except InputError as error:
        outcome = str(error)
    assert outcome.startswith(name)


def test_an_external_entity_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    data = word(fill)
    xml = part(data, WORD).partition("?>")[2].replace("Steep", "&a; Steep")
    document = with_part(data, WORD, f'<!DOCTYPE l [<!ENTITY a SYSTEM "file://{tmp_path}/secret">]>{xml}')
    with pytest.raises(InputError, match=r"a.docx is broken, .*Entity 'a' not defined") as refused:
        document_of(document, name="a.docx")
    assert "password" not in str(refused.value)


def test_files_below_a_folder(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.docx", "sub/c.HTML", "d.md", "e.png", ".hidden.txt", ".git/f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [file.relative_to(tmp_path).as_posix() for file in found_files([tmp_path, tmp_path / "e.png"])]
    assert found == ["a.pdf", "b.docx", "d.md", "sub/c.HTML", "e.png"]
    with pytest.raises(InputError, match="nowhere is not there"):
        list(found_files([tmp_path / "nowhere"]))


def test_a_folder_that_cannot_be_read_is_named_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.md", "closed/b.md", ".git/c.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    readable = os.scandir

    def scandir(folder: str) -> Any:
        if Path(folder).name in ("closed", ".git"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return readable(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"closed cannot be read: Permission denied\. Allow it to be read, or name"):
        list(found_files([tmp_path]))
    (tmp_path / "closed" / "b.md").unlink()
    (tmp_path / "closed").rmdir()
    assert list(found_files([tmp_path])) == [tmp_path / "a.md"]


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.md").write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.md").symlink_to(tmp_path / "elsewhere" / "b.md")
    (folder / "below").symlink_to(tmp_path / "elsewhere")
    (folder / "lost.md").symlink_to(tmp_path / "nowhere")
    (folder / "round.md").symlink_to(folder / "round.md")
    assert list(found_files([folder])) == [folder / "b.md"]


def test_text_is_read_as_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    document = read_document("notes.txt")
    assert document.text == "one\ntwo\nthree\n"
    assert document.id == (tmp_path / "notes.txt").resolve().as_posix()
    with pytest.raises(InputError, match="cannot be read"):
        read_document(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "module"),
    [("a.pdf", pdf(["x"]), "pypdfium2"), ("a.docx", word(fill), "lxml"), ("a.html", b"<p>x", "selectolax")],
)
def test_without_the_extra_the_message_names_it(tmp_path: Path, name: str, data: bytes, module: str) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / f"{module}.py").write_text("raise ImportError('not installed')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from embedpipe.errors import MissingExtraError\n"
        "from embedpipe.files import read_document\n"
        f"try:\n    read_document({str(tmp_path / name)!r})\nexcept MissingExtraError as error:\n    print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'embedpipe[files]'" in ended.stdout
