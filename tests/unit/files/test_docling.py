"""Docling as the reader, by a double of the interface that is used.

The double was compared with docling-slim 2.143: what it converts, returns and raises, and the arguments of its export.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedpipe.errors import ConfigurationError, EmbedPipeError, InputError, MissingExtraError
from embedpipe.files import ReadOptions, _parsing, document_of, found_files
from embedpipe.types import Location

DOCLING = ReadOptions(reader="docling")
CONVERTER = """
from types import SimpleNamespace

class Document:
    def __init__(self, text):
        self.parts = text.split("|")
        self.pages = {number: None for number in range(1, len(self.parts) + 1)} if len(self.parts) > 1 else {}
        self.pictures = [None] * text.count("image")

    def iterate_items(self):
        return [(SimpleNamespace(prov=[1]), 0) for part in self.parts]

    def export_to_markdown(self, *, page_no=None, escape_html, escape_underscores, image_placeholder):
        assert not (escape_html or escape_underscores or image_placeholder)
        return "# " + (" ".join(self.parts) if page_no is None else self.parts[page_no - 1])

class DocumentConverter:
    def convert(self, source, raises_on_error=True):
        assert not raises_on_error
        text = source.stream.read().decode()
        if "extra" in text:
            raise ImportError("Install it with `pip install 'docling-slim[format-pdf]'`.")
        if "broken" in text:
            return SimpleNamespace(status="failure", errors=[SimpleNamespace(error_message="no header")], document=None)
        errors = [SimpleNamespace(error_message="page 2 timed out")] if "partly" in text else []
        status = "partial_success" if errors else "success"
        return SimpleNamespace(status=status, errors=errors, document=Document(text))
"""
TYPES = """
from dataclasses import dataclass
from typing import Any

@dataclass(kw_only=True)
class DocumentStream:
    name: str
    stream: Any
"""


@pytest.fixture
def docling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "packages" / "docling"
    (package / "datamodel").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "datamodel" / "__init__.py").touch()
    (package / "datamodel" / "base_models.py").write_text(TYPES)
    (package / "document_converter.py").write_text(CONVERTER)
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])
    yield
    _parsing._end()


@pytest.mark.usefixtures("docling")
@pytest.mark.parametrize(
    ("name", "text", "locations"),
    [
        ("a.html", "# tea_time", []),
        ("a.PDF", "# tea_time\n\f# two", [Location(0, {"page": 1}), Location(12, {"page": 2})]),
        ("a.pptx", "# tea_time\n\n# two", [Location(0, {"slide": 1}), Location(12, {"slide": 2})]),
        ("a.xls", "# tea_time\n\n# two", [Location(0, {"sheet": 1}), Location(12, {"sheet": 2})]),
    ],
)
def test_what_docling_knows_is_read_by_docling(name: str, text: str, locations: list[Location]) -> None:
    document = document_of(b"tea_time|two" if locations else b"tea_time", name=name, options=DOCLING)
    assert (document.text, list(document.locations)) == (text, locations)
    assert [value for key, value in document.metadata.items() if key in ("pages", "slides", "sheets")] == (
        [2] if locations else []
    )


@pytest.mark.usefixtures("docling")
def test_other_formats_are_read_by_embedpipe_beside_it() -> None:
    assert document_of(b"<p>tea</p>", name="a.html", options=DOCLING).text == "# <p>tea</p>"
    assert document_of(b"<p>tea</p>", name="a.html").text == "tea\n"
    assert document_of(b"tea_time", name="a.txt", options=DOCLING).text == "tea_time"


@pytest.mark.usefixtures("docling")
def test_what_docling_leaves_out_is_said() -> None:
    assert document_of(b"tea image", name="a.pdf", options=DOCLING).metadata["left_out"] == ["1 picture"]
    partly = document_of(b"tea partly", name="a.pdf", options=DOCLING)
    assert partly.metadata["left_out"] == ["what docling could not read: page 2 timed out"]


@pytest.mark.usefixtures("docling")
@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"broken", InputError, r"a.pdf was not read by docling: no header\. Read it without this reader"),
        (b"extra", MissingExtraError, r"a.pdf: .*docling-slim\[format-pdf\]"),
    ],
)
def test_what_docling_cannot_read_is_an_error_of_ours(text: bytes, error: type[EmbedPipeError], message: str) -> None:
    with pytest.raises(error, match=message):
        document_of(text, name="a.pdf", options=DOCLING)


def test_without_docling_the_message_says_how_to_install_it() -> None:
    with pytest.raises(MissingExtraError, match="pip install docling"):
        document_of(b"x", name="a.pdf", options=DOCLING)


def test_an_unknown_reader_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"There is no reader 'magic'\. Pass 'docling'"):
        document_of(b"x", name="a.txt", options=ReadOptions(reader="magic"))


def test_a_folder_is_searched_for_what_docling_reads(tmp_path: Path) -> None:
    for name in ("a.png", "b.doc", "c.md", "d.xyz"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in found_files([tmp_path], reader="docling")] == ["a.png", "b.doc", "c.md"]
    assert [file.name for file in found_files([tmp_path])] == ["c.md"]
