"""Files that make a parser run for hours, take gigabytes or crash: each ends in text or in an error of ours."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.files import _formats, _parsing, document_of, read_document
from hostile_files import KINDS
from minimal_files import INTACT, archive
from office import part, pdf, pdf_of_streams, with_part, word
from soaking import SOAK, scaled

WORD = "word/document.xml"
MEMORY_MB = 256
"""What a parser may take here: bombs end sooner."""

SIZES = scaled([20_000], [1_000_000, 10_000_000])
AT_MOST_WHOLE = 1_000_000
"""Of larger files, two kinds of each format are drawn: all of them take hours."""


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set limits that honest files keep by far, and that quadratic time does not."""
    monkeypatch.setenv("EMBEDPIPE_PARSER_MEMORY_MB", str(MEMORY_MB))
    monkeypatch.setenv("EMBEDPIPE_PARSER_SECONDS", str(scaled(60, 120)))
    _parsing._end()
    yield
    _parsing._end()


PIECES = [
    "<a ",
    "<!--",
    "</",
    "<![x",
    "<?",
    "&#9",
    "<img alt=x>",
    "<b>x</b> ",
    "<svg></svg>x",
    "<button>x</button><!-- --> ",
    "<ol><li>x",
    "<li>x",
    "<p>",
    "<td>x",
    "<thead><tr><td>x",
    "<tbody><tr><td>x</tbody>",
    "     <!-- -->",
    "<pre>\n \n</pre>",
    " \n",
    " ",
    "\t\r",
    "x<br>",
    "<font size=1><p>",
    "<select><option>x",
    "<h1>x</h1>",
    "<ul></ul> ",
    "<dd>x",
    "<blockquote></blockquote>x",
    "x<sup>1</sup>",
    "<tr><td colspan=1000>x",
    "<tr><td rowspan=65534>x",
    "<a href=x>x</a>",
    "<math><mi>x</mi></math>",
    "<textarea>x\n</textarea>",
    "<span class=lineno>1</span>",
    "<code>`</code>",
    "<dt>x<dd>y",
]


AROUND = [("<p>text ", ""), ("<table><tr><td>text ", "</table>"), ("<pre>text ", "</pre>")]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("around", AROUND if SOAK else AROUND[:1])
def test_html_takes_linear_time(piece: str, around: tuple[str, str]) -> None:
    page = around[0] + piece * (scaled(80_000, 400_000) // len(piece)) + "the end" + around[1]
    try:
        outcome = document_of(page.encode(), name="page.html").text
    except InputError as error:
        outcome = str(error)
    assert any(part in outcome for part in ("text", "nests its elements too deep", "memory"))


@pytest.mark.parametrize(
    "markup",
    [
        '<ol start="²"><li>first</li></ol>',
        '<ol start="-1"><li>first</li></ol>',
        f'<ol start="{"9" * 5000}"><li>first</li></ol>',
        '<table><tr><td colspan="²">first</td></tr></table>',
        f'<table><tr><td colspan="{"9" * 5000}">first</td></tr></table>',
        f"<p>first&#{'9' * 6000};</p>",
        f"<h{'9' * 5000}>first</h{'9' * 5000}>",
        "<h²>first</h²>",
        "<h0>first</h0><h7>x</h7>",
        "<li start=1>first",
        "<tr><td>first",
        "<p>first<a:b><c-d e=f>",
    ],
)
def test_numbers_that_are_none_cost_no_text(markup: str) -> None:
    assert "first" in document_of(f"<html><body>{markup}</body></html>".encode(), name="page.html").text


@pytest.mark.timeout(scaled(300, 3600))
@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_what_no_program_writes_ends_in_text_or_in_an_error(suffix: str, size: int, chance: random.Random) -> None:
    """Nothing takes as long as the limit: the child would be killed, and the error would say so."""
    outcomes = {}
    kinds = list(KINDS[suffix]) if size <= AT_MOST_WHOLE else chance.sample(list(KINDS[suffix]), 2)
    for kind in kinds:
        try:
            outcomes[kind] = document_of(KINDS[suffix][kind](size), name=f"a.{suffix}").metadata["name"]
        except InputError as error:
            outcomes[kind] = str(error)
    assert {kind: outcome for kind, outcome in outcomes.items() if not outcome.startswith(f"a.{suffix}")} == {}
    assert {kind: outcome for kind, outcome in outcomes.items() if "was not read within" in outcome} == {}


def test_a_process_that_waits_for_memory_is_ended_for_its_memory() -> None:
    """CPython 3.11 tries without end to make an integer where an error passes a handler and no memory is left."""
    with pytest.raises(InputError, match=f"needs more than {MEMORY_MB} MB of memory"):
        document_of(KINDS["jsonl"]["numbers"](1_000_000), name="a.jsonl")


def test_each_parser_has_its_hostile_files() -> None:
    parsers = {_formats._OWN[suffix] for suffix in KINDS if suffix in _formats._OWN}
    assert parsers == set(_formats._OWN.values())


@pytest.mark.parametrize("suffix", _formats._OWN)
def test_a_damaged_file_is_read_or_named(suffix: str, chance: random.Random) -> None:
    intact = INTACT[suffix]
    assert document_of(intact, name=f"a.{suffix}").text
    for _ in range(scaled(10, 300)):
        try:
            outcome = document_of(damaged(intact, chance), name=f"a.{suffix}").metadata["name"]
        except InputError as error:
            outcome = str(error)
        assert outcome.startswith(f"a.{suffix}")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return the file with damage of some kind. In archives, mostly a part is damaged, and its checksum is right."""
    if not data.startswith(b"PK") or chance.random() < 0.2:
        return _damaged(data, chance)
    with zipfile.ZipFile(BytesIO(data)) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    one, other = chance.choices(list(parts), k=2)
    if chance.random() < 0.2:
        parts[one], parts[other] = parts[other], parts[one]
    else:
        parts[one] = _damaged(parts[one], chance)
    return archive(parts)


def _damaged(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    start, end = sorted(chance.choices(range(len(data) + 1), k=2))
    kind = chance.choice(("bits", "cut", "left out", "repeated", "written over"))
    if kind == "bits":
        for place in chance.choices(range(len(data)), k=chance.randint(1, 20)) if data else ():
            changed[place] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del changed[start:]
    elif kind == "left out":
        del changed[start:end]
    elif kind == "repeated":
        changed[start:start] = data[start:end] * chance.choice((1, 1, 50))
    else:
        changed[start : start + 8] = chance.randbytes(8)
    return bytes(changed) or b"x"


def inflating(unit: bytes, size: int, times: int) -> bytes:
    """Return a stream, packed `times` times, that unpacks to `size` bytes of the unit."""
    packer = zlib.compressobj(9)
    block = unit * 4096
    data = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    for _ in range(times - 1):
        data = zlib.compress(data, 9)
    return data


@pytest.mark.parametrize("unit", [b" ", b"BT /F 9 Tf (a) Tj ET\n", b"0 0 m 1 1 l S\n"])
def test_a_small_pdf_that_unpacks_to_much_is_refused(unit: bytes) -> None:
    data = pdf_of_streams([inflating(unit, 1 << 29, 2)], filters="/FlateDecode/FlateDecode")
    with pytest.raises(InputError, match=r"bomb\.pdf .*memory"):
        document_of(data, name="bomb.pdf")
    assert document_of(pdf(["Green tea."]), name="next.pdf").text == "Green tea."


def moved(data: bytes, name: str) -> bytes:
    """Return the Word document with its text in a part of another name."""
    file = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename in ("_rels/.rels", "[Content_Types].xml"):
                content = content.replace(b"word/document.xml", name.encode())
            new.writestr(name if info.filename == WORD else info.filename, content)
    return file.getvalue()


@pytest.mark.parametrize("name", ["word/text.xml", "word/media/image1.png", "text", "word/document.xml.bin"])
def test_a_word_bomb_is_refused_under_any_name(name: str) -> None:
    text = "<w:p><w:r><w:t>x</w:t></w:r></w:p>" * 1_100_000
    xml = part(word(lambda document: None), WORD).replace("<w:body>", f"<w:body>{text}")
    with pytest.raises(InputError, match=r"a\.docx (unpacks to 3\d MB|is broken, or no Word document)"):
        document_of(moved(with_part(word(lambda document: None), WORD, xml), name), name="a.docx")


def test_a_document_may_lie_under_another_name() -> None:
    data = word(lambda document: document.add_paragraph("Steep at 80 °C."))
    assert document_of(moved(data, "word/document2.xml"), name="a.docx").text == "Steep at 80 °C.\n"


def test_what_takes_too_much_memory_or_time_is_named_and_costs_no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<p>x</p>" * 4_000_000
    monkeypatch.setenv("EMBEDPIPE_PARSER_MEMORY_MB", str(MEMORY_MB))
    with pytest.raises(InputError, match=rf"big\.html needs more than {MEMORY_MB} MB of memory"):
        document_of(page, name="big.html")
    assert document_of(b"<p>tea</p>", name="page.html").text == "tea\n"
    monkeypatch.setenv("EMBEDPIPE_PARSER_SECONDS", "0.5")
    with pytest.raises(InputError, match=r"big\.html was not read within 0\.5 s"):
        document_of(page, name="big.html")
    monkeypatch.setenv("EMBEDPIPE_PARSER_SECONDS", "60")
    assert document_of(b"<p>tea</p>", name="page.html").text == "tea\n"
    monkeypatch.setenv("EMBEDPIPE_PARSER_SECONDS", "soon")
    with pytest.raises(ConfigurationError, match="EMBEDPIPE_PARSER_SECONDS is 'soon'"):
        document_of(b"<p>tea</p>", name="page.html")


def test_a_parser_that_is_killed_costs_its_file_at_most(chance: random.Random) -> None:
    def kill() -> None:
        if (process := _parsing._process) is not None:
            process.kill()

    for number in range(scaled(20, 300)):
        killer = threading.Thread(target=kill)
        killed = chance.random() < 0.3
        if killed:
            killer.start()
        try:
            outcome = document_of(f"<p>tea {number}</p>".encode(), name="a.html").text
        except InputError as error:
            outcome = str(error)
        if killed:
            killer.join()
        assert outcome == f"tea {number}\n" or (killed and "its parser crashed" in outcome)


def test_a_module_in_the_present_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user reads the files of a folder that somebody else has filled."""
    ran = tmp_path / "ran"
    (tmp_path / "json.py").write_text(f"open({str(ran)!r}, 'w')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [Path("no text"), *filter(None, sys.path)])
    assert document_of(b"<p>read</p>", name="a.html").text == "read\n"
    assert not ran.exists()


def test_threads_get_their_own_files() -> None:
    def read(number: int) -> bool:
        return document_of(f"<p>tea {number}</p>".encode(), name="a.html").text == f"tea {number}\n"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_has_no_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", Path("/dev/zero")):
        with pytest.raises(InputError, match="is no regular file"):
            read_document(path)
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(1 << 40)  # a sparse file
    with pytest.raises(InputError, match=r"huge\.txt is over 256 MB"):
        read_document(tmp_path / "huge.txt")


FORKED = """
import os, sys
from embedpipe.files import document_of
def read(number):
    text = document_of(f"<p>tea {number}</p>".encode(), name="a.html").text
    assert text == f"tea {number}\\n", text
read(0)
child = os.fork()
for number in range(50):
    read(number + (1000 if child else 0))
if child:
    assert os.waitpid(child, 0)[1] == 0
    read(1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_processes_get_their_own_files() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
