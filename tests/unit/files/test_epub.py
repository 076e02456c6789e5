"""EPUB books as Markdown, in reading order and by chapter."""

from __future__ import annotations

import io
import zipfile

import pytest

from embedpipe.errors import InputError
from embedpipe.files import document_of

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata
xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Of Tea</dc:title><dc:creator>Ann Lee</dc:creator>
<dc:creator>Bo Ray</dc:creator><dc:language>en</dc:language></metadata><manifest>
<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>
<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
<item id="b" href="text/b%20lack.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/a.xhtml" media-type="application/xhtml+xml"/>
<item id="c" href="text/c.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/></spine></package>"""
NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="toc"><ol><li><a href="text/a.xhtml">Green</a></li><li><a href="text/a.xhtml#s">White tea</a></li>
<li><a href="text/b%20lack.xhtml">Black</a></li></ol></nav></body></html>"""
NCX = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Green</text></navLabel>
<content src="text/a.xhtml"/></navPoint><navPoint><navLabel><text>White tea</text></navLabel>
<content src="text/a.xhtml#s"/></navPoint><navPoint><navLabel><text>Black</text></navLabel>
<content src="text/b%20lack.xhtml"/></navPoint></navMap></ncx>"""
PAGES = {
    "OPS/text/a.xhtml": "<title/><p><a id='p1'/>80 °C, 10<sup>6</sup> leaves.</p><h2 id='s'>White tea</h2><p>Hot.</p>",
    "OPS/text/b lack.xhtml": "<p>Boiling <![CDATA[<water>]]>.</p>",
    "OPS/text/c.xhtml": "<p>Its end.</p>",
}


def book(**changed: str | None) -> bytes:
    parts: dict[str, str | None] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": PACKAGE,
        "OPS/nav.xhtml": NAV,
        "OPS/toc.ncx": NCX,
        **{
            name: f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">{page}</html>'
            for name, page in PAGES.items()
        },
        **changed,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            if content is not None:
                archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("contents", ["OPS/toc.ncx", "OPS/nav.xhtml"])
def test_a_book_is_read_in_its_order_by_chapter(contents: str) -> None:
    """Either kind of the table of contents will do."""
    document = document_of(book(**{contents: None}), name="tea.epub")
    assert document.text == ("80 °C, 10^6 leaves.\n\n## White tea\n\nHot.\n\nBoiling <water>.\n\nIts end.\n")
    assert document.metadata == {
        "name": "tea.epub",
        "suffix": ".epub",
        "title": "Of Tea",
        "author": "Ann Lee, Bo Ray",
        "language": "en",
    }
    assert [(document.text[start : start + 4], metadata["chapter"]) for start, metadata in document.locations] == [
        ("80 °", "Green"),
        ("## W", "White tea"),
        ("Boil", "Black"),
        ("Its ", "Black"),
    ]


def test_what_is_missing_is_said() -> None:
    document = document_of(book(**{"OPS/text/c.xhtml": None}), name="tea.epub")
    assert document.metadata["left_out"] == ["OPS/text/c.xhtml, which is not in the file"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"META-INF/container.xml": None}, "is a ZIP archive, but no EPUB book"),
        ({"META-INF/container.xml": "<container"}, "is broken, or no EPUB book"),
        (
            {"META-INF/encryption.xml": '<e xmlns:x="x"><x:CipherReference URI="OPS/text/a.xhtml"/></e>'},
            r"is encrypted \(DRM\)",
        ),
        ({"OPS/text/a.xhtml": " " * (33 << 20)}, "unpacks to 33 MB of XML, and at most 32 MB"),
    ],
)
def test_a_book_that_cannot_be_read_is_named(changed: dict[str, str | None], message: str) -> None:
    with pytest.raises(InputError, match=rf"tea\.epub {message}"):
        document_of(book(**changed), name="tea.epub")


def test_fonts_may_be_encrypted() -> None:
    encryption = '<e xmlns:x="x"><x:CipherReference URI="OPS/fonts/a.otf"/></e>'
    assert "Boiling" in document_of(book(**{"META-INF/encryption.xml": encryption}), name="tea.epub").text
