"""File formats of other packages, found by their entry points. Their parsers run in the parsing process, as ours do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.files import _parsing, document_of, found_files, known_suffixes, read_document
from packages import install

ENTRY_POINTS = """[embedpipe.file_formats]
acme = acme_format:parse
boom = acme_format:crash
odd = acme_format:no_text
gone = acme_format:not_there
txt = acme_format:parse
html = acme_format:parse
"""
MODULE = """
import os
from embedpipe.errors import InputError
from embedpipe.files import Parsed

def parse(data, name, options):
    if b"refuse" in data:
        raise InputError(f"{name} is refused. Write another.")
    return Parsed(data.decode().upper(), {"process": os.getpid()})

def crash(data, name, options):
    os._exit(3)

def no_text(data, name, options):
    return Parsed(data)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))
    install(site, "acme_format", entry_points=ENTRY_POINTS, module=MODULE)
    yield site
    _parsing._end()


def test_a_package_adds_a_format(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes" / "tea.ACME"
    file.parent.mkdir()
    file.write_text("green tea")
    document = read_document(file)
    assert document.text == "GREEN TEA"
    assert document.metadata["suffix"] == ".acme"
    assert document.metadata["process"] != os.getpid()
    assert "acme_format" not in sys.modules
    assert ".acme" in known_suffixes()
    assert list(found_files([file.parent])) == [file]


def test_no_package_replaces_what_embedpipe_reads_itself(site: Path) -> None:
    assert document_of(b"green tea", name="tea.txt").text == "green tea"
    assert document_of(b"<p>green tea</p>", name="tea.html").text == "green tea\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.acme", b"refuse", "a.acme is refused. Write another."),
        ("a.acme", b"\xff", "a.acme is broken"),
        ("a.boom", b"x", "a.boom is broken, or needs more memory"),
        ("a.odd", b"x", "a.odd is broken"),
    ],
)
def test_a_parser_that_fails_costs_one_file(site: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(content, name=name)
    assert document_of(b"green tea", name="tea.acme").text == "GREEN TEA"


def test_a_package_that_cannot_be_imported_is_named(site: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"acme_format:not_there, which offers 'gone'"):
        document_of(b"x", name="a.gone")


def test_a_file_of_no_known_format_is_told_which_there_are(site: Path) -> None:
    with pytest.raises(InputError, match=r"a\.unknown begins as utf-16-le text and is broken.*\.pdf, \.docx, .*\.acme"):
        document_of(b"\xff\xfe\x00", name="a.unknown")
