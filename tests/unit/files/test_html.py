"""HTML as Markdown: no words are lost, characters keep their meaning, and tables their columns."""

from __future__ import annotations

import pytest

from embedpipe.errors import InputError
from embedpipe.files import ReadOptions, document_of
from embedpipe.files.html._limits import within_limits


def text_of(page: str | bytes, options: ReadOptions | None = None) -> str:
    data = page.encode() if isinstance(page, str) else page
    return document_of(data, name="page.html", options=options or ReadOptions()).text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<html><head><title>K</title><body><h1>Descaling</h1><p>Citric acid.", "# Descaling\n\nCitric acid.\n"),
        ("<head><meta charset=utf-8><title>K</title><h1>Descaling</h1><p>Acid.", "# Descaling\n\nAcid.\n"),
        ("<html><head><title>K</title></strong><body><p>Citric acid.</body>", "Citric acid.\n"),
        ("<title>K</title><p>One<p>Two", "One\n\nTwo\n"),
        ("<ul><li>One<li>Two</ul>", "- One\n- Two\n"),
        ("<dl><dt>Sencha<dd>green<dt>Assam<dd>black</dl>", "Sencha\n: green\n\nAssam\n: black\n"),
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "| a | b |\n| --- | --- |\n| c | d |\n"),
        ("<select><option>S<option>M</select>", "S, M\n"),
        ("<h1>Title<p>The end tag is missing", "# Title\n\nThe end tag is missing\n"),
        ("<p>a<div>b</p>c</div>", "a\n\nb\n\nc\n"),
        ("<table>before<tr><td>in</table>", "before\n\nin\n"),
        ("<noscript><style>p {}</style></noscript><p>x", "x\n"),
        ("<script>if (a</script><p>x", "x\n"),
        ("<p>x<!-- never closed", "x\n"),
    ],
)
def test_pages_are_read_as_browsers_do(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("10<sup>6</sup> cells", "10^6 cells"),
        ("10<sup>-3</sup> m<sup>2</sup>", "10^-3 m^2"),
        ("a<sup>n+1</sup>", "a^(n+1)"),
        ("(a+b)<sup>2</sup>", "(a+b)^2"),
        ("2<sup>2<sup>n</sup></sup>", "2^(2^n)"),
        ("<b>10<sup>6</sup></b>", "**10^6**"),
        ("10<sup><i>n</i></sup>", "10^n"),
        ("H<sub>2</sub>O", "H_2O"),
        ("E = mc<sup>2</sup>3", "E = mc^(2)3"),
        ('<span class="MathJax">x2</span><script type="math/tex">x^2</script> is', "$x^2$ is"),
        ("SO<sub>4</sub><sup>2−</sup>", "SO_4^2−"),
        ("x<sub>i</sub><sup>2</sup>", "x_i^2"),
        ("<sup>14</sup>C", "^14C"),
        ("<sup>235</sup><sub>92</sub>U", "^235_92U"),
        ("1<sup>1</sup>/<sub>2</sub> cups", "1 1/2 cups"),
        ("sin<sup>2</sup> x", "sin^2 x"),
        ("10 feet<sup>2</sup> and 3 miles<sup>2</sup>", "10 feet^2 and 3 miles^2"),
        ("5 centimetres<sup>3</sup>, 2 Meter<sup>2</sup>", "5 centimetres^3, 2 Meter^2"),
        ("kg/meter<sup>3</sup>, metres per second<sup>2</sup>", "kg/meter^3, metres per second^2"),
        ("Area in inches<sup>2</sup> (feet<sup>2</sup>)", "Area in inches^2 (feet^2)"),
        ("10 feet<sup>4</sup>, on my feet<sup>2</sup>", "10 feet[4], on my feet[2]"),
        ("10 square feet<sup>2</sup>", "10 square feet[2]"),
        ('<a href="/x">10<sup>6</sup></a>', "10^6"),
        ("the 1<sup>st</sup>, 2<sup>nd</sup> and n<sup>th</sup>", "the 1st, 2nd and nth"),
        ("au XVIII<sup>e</sup> siècle, 1<sup>er</sup> mai", "au XVIIIe siècle, 1er mai"),
        ("Acme<sup>TM</sup> tea<sup>®</sup>", "AcmeTM tea®"),
        ('tea<sup><a href="#n1">1</a></sup> is', "tea[1] is"),
        ('10<sup><a href="#n1">1</a></sup>', "10[1]"),
        ('tea<a href="#n1"><sup>1</sup></a>', "tea[1]"),
        ('tea<a class="footnote-ref" href="#n1">1</a>', "tea[1]"),
        ('tea<sup class="reference"><a href="#n1">[1]</a></sup>', "tea[1]"),
        ("steeped.<sup>2</sup> Then", "steeped.[2] Then"),
        ("value<sup>a</sup> x<sup>a</sup>", "value[a] x^a"),
        ("leaves<sup>1,2</sup> and tea<sup>*</sup>", "leaves[1,2] and tea*"),
        ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>の本", "漢字の本 〔漢字（かんじ）〕"),
        ("<ruby>東<rt>とう</rt>京<rt>きょう</rt></ruby>に", "東京に 〔東京（とうきょう）〕"),
        ("<ruby>漢<rt>かん</rt></ruby><ruby>字<rt>じ</rt></ruby>を", "漢字を 〔漢字（かんじ）〕"),
        ("<ruby><rb>汉</rb><rt>hàn</rt>字<rt>zì</rt></ruby>", "汉字 〔汉字（hàn zì）〕"),
        ("<ruby>本<rt>ほん</rt></ruby>と<ruby>本<rt>ほん</rt></ruby>", "本と本 〔本（ほん）〕"),
        ("<b><ruby>読<rt>よ</rt></ruby>む</b>", "**読む** 〔読（よ）〕"),
        ("Ther&shy;mo&shy;meter 80&nbsp;°C", "Thermometer 80\xa0°C"),
        ("H<b>e</b>llo <b> bold </b>x <b><i>both</i></b>", "Hello **bold** x ***both***"),
        ("<code>a | b</code> <kbd>`</kbd>", "`a | b` `` ` ``"),
        ("a<br>b<br><br>c", "a  \nb\n\nc"),
        ('<a href="/a">Facebook</a><a href="/b">Twitter</a>', "Facebook Twitter"),
        (
            "<span>Evening</span><span>Tea</span> <span>Was</span><span>ser</span> <span>D</span>rop",
            "Evening Tea Wasser Drop",
        ),
        ("<q>quoted</q> <del>old</del> <ins>new</ins>", '"quoted" ~~old~~ new'),
        ("Steep <del>3</del><ins>5</ins> minutes, <b>b</b>old", "Steep ~~3~~5 minutes, bold"),
        ("# no heading", "\\# no heading"),
        ("&lt;pre> is an element", "\\<pre> is an element"),
        ("<math><mi>x</mi><mo>=</mo><mfrac><mi>a</mi><msup><mi>c</mi><mn>2</mn></msup></mfrac></math>", "x=a/(c^2)"),
        ('<math alttext="E=mc^2"><mi>E</mi></math>', "$E=mc^2$"),
    ],
)
def test_characters_keep_their_meaning(markup: str, text: str) -> None:
    assert text_of(f"<p>{markup}</p>") == f"{text}\n"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<h2><button aria-expanded=false>How?</button></h2><div>So.</div>", "## How?\n\nSo.\n"),
        ('<button class="accordion">Delivery</button><div>In a week.</div>', "Delivery\n\nIn a week.\n"),
        ("<div><button>How do I return a lamp?</button></div>", "How do I return a lamp?\n"),
        ("<div><button>Delivery</button></div><div>In a week.</div>", "Delivery\n\nIn a week.\n"),
        ("<div><h3>Lamp</h3><div><button>Buy</button></div></div><p>x", "### Lamp\n\nx\n"),
        ("<div class=faq><button>Delivery</button></div><p>In a week.", "Delivery\n\nIn a week.\n"),
        ("<video>No film</video><canvas>Sales: 5</canvas>", "No film Sales: 5\n"),
        ("<select><optgroup label=Tea><option>Sencha<option label=Assam></select>", "Tea, Sencha, Assam\n"),
        ("<img title='A leaf'>", "A leaf\n"),
        ("<ol type=I start=3><li>a<li>b</ol>", "III. a\nIV. b\n"),
        ("<p>Press <button>Save</button> now.", "Press Save now.\n"),
        ("<div><button>Delivery</button><!-- x --> <p>In a week.</div>", "Delivery\n\nIn a week.\n"),
        ("<p>x</p><form><button>Send</button></form>", "x\n"),
        ("<details><summary>Returns</summary>Within thirty days.</details>", "Returns\n\nWithin thirty days.\n"),
        ("<noscript><p>Open from 8 to 5</noscript>", "Open from 8 to 5\n"),
        ("<noscript>Please enable JavaScript.</noscript>x", "x\n"),
        ("<label>Size <select><option>S<option selected>M</select></label>", "Size S, M\n"),
        ("<textarea>Some words</textarea> <input value=typed> <input type=hidden value=x>", "Some words typed\n"),
        ("<textarea>a\n  b</textarea>", "```\na\n  b\n```\n"),
        ("<ul><li><input type=checkbox checked> done<li><input type=checkbox> open</ul>", "- [x] done\n- [ ] open\n"),
        ("<figure><img alt='A leaf'><figcaption>Leaf</figcaption></figure>", "A leaf\n\nLeaf\n"),
        ("<svg><title>icon</title><text>Boiler</text><text>Pump</text></svg>", "Boiler Pump\n"),
        ("<h2>Title<a class=headerlink href=#t>¶</a></h2>x", "## Title\n\nx\n"),
        ("<h2>Title<span><a class=mark href=#t>#</a></span></h2><a href=#x>C#</a>", "## Title\n\nC#\n"),
        ("<ol start=3><li>a<li>b<ol type=a><li>c</ol></ol>", "3. a\n4. b\n   a. c\n"),
        ("<ul><li><h3>Card</h3><p>text</ul>", "### Card\n\ntext\n"),
        ("<blockquote><p>a<p>b</blockquote>c", "> a\n>\n> b\n\nc\n"),
        ("<ul><li>a<pre>x\n y</pre></ul>", "- a\n\n  ```\n  x\n   y\n  ```\n"),
        ("<pre><code class=language-python>def f():\n\treturn</code></pre>", "```python\ndef f():\n\treturn\n```\n"),
        ("<pre>2<sup>10</sup></pre>", "```\n2^10\n```\n"),
        ("<h2>10<sup>6</sup></h2><ul><li>10<sup>6</sup></ul>", "## 10^6\n\n- 10^6\n"),
        ("<pre>```\nx</pre>", "````\n```\nx\n````\n"),
    ],
)
def test_words_stay_where_they_are_content(markup: str, text: str) -> None:
    assert text_of(f"<body>{markup}") == text


CODE = "```\nif a:\n    b()\n```\n"


@pytest.mark.parametrize(
    "markup",
    [
        "<table><tr><td class=linenos><pre>1\n2</pre><td class=code><pre>if a:\n    b()</pre></table>",
        "<table><tr><td><pre>9\n10</pre><td><pre>if a:\n    b()</pre></table>",
        "<table><tr><td class=blob-num></td><td>if a:</td></tr><tr><td class=blob-num>2<td>    b()</table>",
        "<pre><span class=lineno>1 </span>if a:\n<span class=lineno>2 </span>    b()</pre>",
        "<pre><div>if a:</div><div>    b()</div></pre>",
        "<pre><code>if a:</code><code>    b()</code></pre>",
        "<pre><input type=checkbox>if a:\n    b()</pre>",
        "<pre>if&nbsp;a:<br>&nbsp;&nbsp;&nbsp;&nbsp;b()</pre>",
    ],
)
def test_code_keeps_its_lines_and_loses_their_numbers(markup: str) -> None:
    assert text_of(markup) == CODE


@pytest.mark.parametrize(
    ("markup", "rows"),
    [
        (
            "<thead><tr><th rowspan=2>Tea<th colspan=2>Price<tr><th>net<th>gross<tr><td rowspan=2>L<td>1<td>2<tr><td>3",
            ["Tea | Price net | Price gross", "L | 1 | 2", "L | 3"],
        ),
        ("<tr><th>a<th>b<th>c<tr><td colspan=2>x<td>y", ["a | b | c", "x | x | y"]),
        ("<tr><th>a<th>b<tr><td colspan=2>Part 1<tr><td>x<td>y", ["a | b", "Part 1 | ", "x | y"]),
        ("<tr><th>a<th>b<tr><td colspan=100>all<tr><td>x<td>y", ["a | b", "all | ", "x | y"]),
        ("<tr><th>a<th>b<tr><td rowspan=0>x<td>1<tr><td>2", ["a | b", "x | 1", "x | 2"]),
        ("<tr><th>a|b<th>c<tr><td>1<td><code>x|y</code>", ["a\\|b | c", "1 | `x\\|y`"]),
        ("<tr><th>a<td>1<tr><th>b<td>2", ["a | 1", "b | 2"]),
        ("<tr><th>a<th>b<tr><td><p>x<p>y<td>p<br>q", ["a | b", "x y | p q"]),
        ("<tr><th>a<th>b<tr><td><ul><li>x<li>y</ul><td># z", ["a | b", "x; y | # z"]),
        ("<tr><th>a<th>b<tr><td>x<td><table><tr><td>1<td>2<tr><td>3<td>4</table>", ["a | b", "x | 1, 2; 3, 4"]),
        ("<tfoot><tr><td>sum<td>3</tfoot><tr><th>a<th>b<tr><td>x<td>1", ["a | b", "x | 1", "sum | 3"]),
    ],
)
def test_each_cell_stands_in_its_column(markup: str, rows: list[str]) -> None:
    lines = text_of(f"<table><caption>Of *tea*</caption>{markup}</table>").splitlines()
    assert lines[:2] == ["Of *tea*", ""]
    columns = rows[0].replace("\\|", "").count("|") + 1
    assert lines[2:] == [f"| {rows[0]} |", "|" + " --- |" * columns, *(f"| {row} |" for row in rows[1:])]


def test_a_table_that_lays_out_the_page_is_none() -> None:
    markup = "<table><tr><td><h1>Tea</h1><p>Steep it.<td><table><tr><th>a<th>b<tr><td>1<td>2</table></table>"
    assert text_of(markup) == "# Tea\n\nSteep it.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<meta charset=iso-8859-1><p>\x93It\x92s 5 \x80\x94", "“It’s 5 €”"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=us-ascii'><p>\x96", "–"),
        ("<meta charset=gb2312><p>茶€".encode("gb18030"), "茶€"),
        ("<meta charset=shift_jis><p>①茶".encode("cp932"), "①茶"),
        ("<meta charset=utf-16><p>Käse".encode(), "Käse"),
        ("<!-- <meta charset=latin1> --><meta charset=utf-8><p>Käse".encode(), "Käse"),
        ("<meta charset=latin1><p>Käse".encode("utf-8-sig"), "Käse"),
        ("<p>Käse".encode("utf-16"), "Käse"),
        ("<p>Käse".encode("utf-16-le"), "Käse"),
        ('<?xml version="1.0" encoding="iso-8859-2"?><p>Łódź'.encode("iso-8859-2"), "Łódź"),
        (
            "<p>Grüner Tee, frisch aufgegossen, für Gäste.".encode("cp1252"),
            "Grüner Tee, frisch aufgegossen, für Gäste.",
        ),
        ("<meta charset=utf-8><p>Grüner Tee für Gäste, schön.".encode("cp1252"), "Grüner Tee für Gäste, schön."),
        ("<meta charset=utf-8><p>Grüner Tee ".encode() + b"\xff.", "Grüner Tee \ufffd."),
        ("<meta charset=nonsense><p>Käse".encode(), "Käse"),
        ("<meta charset=nonsense><meta charset=iso-8859-2><p>Łódź".encode("iso-8859-2"), "Łódź"),
    ],
)
def test_encodings_mean_what_they_mean_on_the_web(data: bytes, text: str) -> None:
    assert text_of(data) == f"{text}\n"


def test_a_given_encoding_counts_more_than_the_declared_one() -> None:
    data = "<meta charset=utf-8><p>Привет".encode("cp1251")
    assert text_of(data, ReadOptions(encoding="cp1251")) == "Привет\n"
    with pytest.raises(InputError, match=r"page\.html is no text: it holds NUL bytes"):
        text_of(b"<p>a\0\0\0b\0" + b"\x01\x02" * 9)


def test_what_a_page_says_of_itself_becomes_metadata() -> None:
    page = (
        "<html lang=en><head><meta name=author content='Ann  Lee'><meta name=description content=Steeping>"
        "<meta property=article:published_time content=2024-05-01><title>Tea</title></head><svg><title>x</title></svg>y"
    )
    metadata = document_of(page.encode(), name="a.html").metadata
    assert {key: metadata[key] for key in ("title", "author", "description", "date", "language")} == {
        "title": "Tea",
        "author": "Ann Lee",
        "description": "Steeping",
        "date": "2024-05-01",
        "language": "en",
    }


def test_what_is_left_out_is_said() -> None:
    many = "".join(f"<option{' selected' if n == 7 else ''}>{n}" for n in range(40))
    document = document_of(f"<select>{many}</select><iframe src=x></iframe>".encode(), name="a.html")
    assert document.text == "7\n"
    assert document.metadata["left_out"] == ["most choices of long lists (1 <select>)", "embedded pages (1 <iframe>)"]


@pytest.mark.parametrize("end", ["", "</option>"])
def test_of_a_very_long_list_the_selected_option_is_read(end: str) -> None:
    many = "".join(f"<option{' SELECTED' if n == 4000 else ''} value='{n}>'>tea {n}{end}" for n in range(5000))
    page = f"<p>Which <select>{many}</select> tea?<select><option>S<option>M</select>"
    document = document_of(page.encode(), name="a.html")
    assert document.text == "Which tea 4000 tea? S, M\n"
    assert document.metadata["left_out"] == ["most choices of long lists (1 <select>)"]


@pytest.mark.parametrize("piece", ["<option>x", "<option selected>x", "<optgroup label=x><option>x</option>"])
def test_the_parser_gets_at_most_2000_options_of_a_list(piece: str) -> None:
    page = within_limits("<select>" + piece * 20_000 + "</select>" + "<select>" + piece * 10 + "</select>")
    assert page.count("<option") <= 2010


def test_the_main_content_is_read_if_asked_for() -> None:
    words = "Green tea is steeped for two minutes at eighty degrees, and its leaves can be used again. " * 8
    page = (
        "<html><head><title>Tea</title></head><body><div class=menu><a href=/>Home</a><a href=/shop>Shop</a></div>"
        f"<article><h1>Green tea</h1><p>{words}</p><p>Use 10<sup>6</sup> leaves, H<sub>2</sub>O and time, {words}</p>"
        "<ul><li>One</li><li>Two</li></ul></article><footer><p>Imprint and privacy</p></footer></body></html>"
    )
    document = document_of(page.encode(), name="a.html", options=ReadOptions(main_content=True))
    assert "10^6 leaves, H_2O" in document.text
    assert "- One\n- Two" in document.text
    assert "Shop" not in document.text
    assert "Imprint" not in document.text
    assert document.metadata["title"] == "Tea"
    assert document.metadata["left_out"] == ["5 words beside the main content"]
    assert "Imprint" in text_of(page)


def test_empty_elements_of_xhtml_are_closed() -> None:
    page = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><title/><p>a<a id="x"/>b<i/>c</p></html>'
    assert text_of(page) == "abc\n"


@pytest.mark.parametrize("piece", ["<div>", "<ul><li>", "<b></p>", "<b><div></b>", "<font size=1><p>", "<svg><g>"])
def test_deep_nesting_is_refused_before_it_takes_quadratic_time(piece: str) -> None:
    with pytest.raises(InputError, match="nests its elements too deep"):
        text_of("<p>x" + piece * 100_000)


def test_an_element_with_too_many_attributes_is_refused() -> None:
    with pytest.raises(InputError, match="nests its elements too deep"):
        text_of("<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">x")
    assert text_of(f'<img src="data:{"x" * 100_000}" alt="a > b"><p>x') == "a > b\n\nx\n"
