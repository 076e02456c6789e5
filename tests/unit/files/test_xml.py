"""XML as Markdown: prose in its order, feeds by entry, data by record."""

from __future__ import annotations

import pytest

from embedpipe.errors import InputError
from embedpipe.files import ReadOptions, document_of

DOCBOOK = """<article xmlns="http://docbook.org/ns/docbook" xml:lang="en"><title>Kettle</title>
<para>Use <emphasis>citric</emphasis> acid<footnote><para>See x.</para></footnote>, 10<superscript>6</superscript> of
it.</para><section><title>How</title><itemizedlist><listitem><para>One</para></listitem><listitem><para>Two</para>
</listitem></itemizedlist><table><title>Times</title><tgroup cols="2"><colspec colname="a"/><colspec colname="b"/>
<thead><row><entry>A</entry><entry>B</entry></row></thead><tbody><row><entry morerows="1">1</entry><entry>2</entry>
</row><row><entry>3</entry></row></tbody></tgroup></table><programlisting>x = 1
  y</programlisting></section></article>"""
JATS = """<article xmlns:mml="http://www.w3.org/1998/Math/MathML"><front><article-meta><article-id>7</article-id>
<title-group><article-title>On tea</article-title></title-group><contrib-group><contrib contrib-type="author"><name>
<surname>Lee</surname><given-names>Ann</given-names></name></contrib></contrib-group></article-meta></front><body><sec>
<title>Aims</title><p>As shown<xref ref-type="bibr">1</xref> <italic>in vivo</italic>,
<mml:math><mml:msup><mml:mi>x</mml:mi><mml:mn>2</mml:mn></mml:msup></mml:math>.</p></sec></body></article>"""
TEI = """<TEI><text><body><div><head>Song</head><lg><l>line one</l><l>line two</l></lg><p>Some <hi>words</hi> here.</p>
</div></body></text></TEI>"""
CATALOG = """<catalog xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="x.xsd">
<book id="b1"><author>Lee</author><price currency="EUR">44</price><tags><tag>a</tag><tag>b</tag></tags></book>
<book id="b2"><author>Ray</author><empty/></book></catalog>"""
RSS = """<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title>
<item><title>Green &amp; black</title><link>https://x.org/1</link><pubDate>1 May</pubDate>
<description>short</description>
<content:encoded><![CDATA[<p>Steep it at <b>80</b> °C.</p>]]></content:encoded></item>
<item><title>Two</title><description>&lt;p&gt;Second&lt;/p&gt;</description></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><entry><title>One</title>
<link rel="alternate" href="https://x.org/1"/><author><name>Lee</name></author><updated>2024-05-01</updated>
<content type="xhtml">
<div xmlns="http://www.w3.org/1999/xhtml"><p>Steep <i>it</i>.</p></div></content></entry></feed>"""


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            DOCBOOK,
            (
                "# Kettle\n\nUse *citric* acid (See x.), 10^6 of it.\n\n## How\n\n- One\n- Two\n\nTimes\n\n"
                "| A | B |\n| --- | --- |\n| 1 | 2 |\n| 1 | 3 |\n\n```\nx = 1\n  y\n```\n"
            ),
        ),
        (JATS, "# On tea\n\nLee Ann\n\n## Aims\n\nAs shown[1] *in vivo*, x^2.\n"),
        (TEI, "# Song\n\nline one  \nline two\n\nSome *words* here.\n"),
        (
            CATALOG,
            (
                "catalog / book\nid: b1\nauthor: Lee\nprice: 44 (currency: EUR)\n\n"
                "catalog / book / tags\ntag: a\ntag: b\n\ncatalog / book\nid: b2\nauthor: Ray\n"
            ),
        ),
        (RSS, "# News\n\n## Green & black\n\n1 May\n\nSteep it at **80** °C.\n\n## Two\n\nSecond\n"),
        (ATOM, "# News\n\n## One\n\nLee, 2024-05-01\n\nSteep *it*.\n"),
        ('<html xmlns="http://www.w3.org/1999/xhtml"><body><p>a<br/>b</p></body></html>', "a  \nb\n"),
        ("<t>a&nbsp;&eacute; &lt;b></t>", "t\na é <b>\n"),
        ('<!DOCTYPE t [<!ENTITY v "1.2">]><t>Version &v;</t>', "t\nVersion 1.2\n"),
    ],
)
def test_xml_becomes_markdown(source: str, text: str) -> None:
    assert document_of(source.encode(), name="a.xml").text == text


def test_a_feeds_chunks_know_their_entry() -> None:
    document = document_of(RSS.encode(), name="news.rss")
    assert document.metadata == {"name": "news.rss", "suffix": ".rss", "title": "News"}
    assert [(document.text[start:].split("\n")[0], metadata) for start, metadata in document.locations] == [
        ("## Green & black", {"entry": "Green & black", "date": "1 May", "link": "https://x.org/1"}),
        ("## Two", {"entry": "Two"}),
    ]


def test_xml_says_what_it_is() -> None:
    assert document_of(JATS.encode(), name="a.xml").metadata["author"] == "Ann Lee"
    metadata = document_of(DOCBOOK.encode(), name="a.xml").metadata
    assert (metadata["title"], metadata["language"]) == ("Kettle", "en")


@pytest.mark.parametrize("codec", ["iso-8859-1", "utf-16", "utf-8"])
def test_xml_is_read_in_the_encoding_it_declares(codec: str) -> None:
    data = f'<?xml version="1.0" encoding="{codec}"?>\n<t>Grün</t>'.encode(codec)
    assert document_of(data, name="a.xml").text == "t\nGrün\n"
    undeclared = "<t>Привет</t>".encode("cp1251")
    assert document_of(undeclared, name="a.xml", options=ReadOptions(encoding="cp1251")).text == "t\nПривет\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("<a><b></a>", r"a\.xml is broken XML \(.*line 1.*\)\. Repair it \(xmllint --recover does\)"),
        (
            "<a" + "".join(f' a{n}="x"' for n in range(1001)) + "/>",
            r"a\.xml has an element with more than 1000 attributes\. Write elements within it instead",
        ),
        ("<a>" * 300 + "</a>" * 300, r"a\.xml nests its elements too deep"),
        (
            '<!DOCTYPE l [<!ENTITY a "'
            + "x" * 1000
            + '">'
            + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 100}">' for n in range(6))
            + "]><l>&g;</l>",
            r"a\.xml is broken XML",
        ),
        ("<a>" + " " * (33 << 20) + "</a>", r"a\.xml is over 32 MB of XML"),
    ],
)
def test_xml_that_cannot_be_read_is_named(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(source.encode(), name="a.xml")


def test_no_external_entity_is_read(tmp_path: object) -> None:
    source = '<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><t>a &x; b</t>'
    try:
        text = document_of(source.encode(), name="a.xml").text
    except InputError as error:
        text = str(error)
    assert "root:" not in text


@pytest.mark.parametrize("source", [" " * 1_000_000 + "<a>x</a>", "<a>x" + " " * 1_000_000 + "</a>"])
def test_blanks_take_steps_as_they_grow(source: str) -> None:  # with the square, the parser would be ended
    assert document_of(source.encode(), name="a.xml").text == "a\nx\n"
