"""reStructuredText, also with the directives and roles of Sphinx, as Markdown."""

from __future__ import annotations

import pytest

from embedpipe.chunking import MarkdownChunker
from embedpipe.files import document_of


def read(content: str) -> str:
    return document_of(content.encode(), name="a.rst").text


def test_headings_are_known_to_chunkers() -> None:
    content = "===\n Tea\n===\n\nSteep.\n\nGreen\n-----\n\n80 °C\n\nBlack\n-----\n\nTime\n~~~~\n\n4\n\nEnd\n---\nx\n"
    document = document_of(content.encode(), name="a.rst")
    assert document.metadata["title"] == "Tea"
    assert [line for line in document.text.split("\n") if line.startswith("#")] == [
        "# Tea",
        "## Green",
        "## Black",
        "### Time",
        "## End",
    ]
    chunks = MarkdownChunker(chunk_size=10).chunk(document.text)
    assert chunks[-1].metadata["heading_path"] == ["Tea", "End"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (":func:`~a.b.c` and :py:class:`C`", "`c` and `C`"),
        (":ref:`see here <x>` :doc:`/page` :term:`tea`", "see here /page tea"),
        (":pep:`8` :issue:`12` :rfc:`the standard <2119>`", "PEP 8 #12 the standard"),
        ("`link <https://x.org>`_ `other`_ `more`__", "link other more"),
        ("intro_ snake_case_ a_b\n\n.. _intro:", "intro snake_case_ a_b"),
        ("10\\ :sup:`6` H\\ :sub:`2`\\ O :math:`x^2`", "10^6 H_2O $x^2$"),
        ("``lit`eral`` ``a_`` \\*x\\*", "`` lit`eral `` `a_` *x*"),
        ("note [1]_ [#a]_\n\n.. [1] The note\n   goes on.", "note [1] [#a]\n\n[1] The note\ngoes on."),
        ("|v| |unknown|\n\n.. |v| replace:: version 2", "version 2 |unknown|"),
    ],
)
def test_markup_within_lines(content: str, text: str) -> None:
    assert read(content) == f"{text}\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Like so::\n\n    a\n      b\n\n    c\n\nEnd", "Like so:\n\n```\na\n  b\n\nc\n```\n\nEnd"),
        ("Like so ::\n\n  a\n", "Like so\n\n```\na\n```"),
        ("::\n\n  a\n", "```\na\n```"),
        (".. code-block:: python\n   :linenos:\n\n   x = 1\n", "```python\nx = 1\n```"),
        (".. code-block:: c\n   :caption: a.c\n\n   x;\n", "a.c\n\n```c\nx;\n```"),
        (".. code::\n\n   ```\n", "````\n```\n````"),
        (">>> 1 + 1\n2", "```python\n>>> 1 + 1\n2\n```"),
        (".. note:: Careful\n   with it.\n\n   More.", "**Note:** Careful with it.\n\nMore."),
        ("* one\n\n  .. tip:: x\n\n* two", "* one\n\n  **Tip:** x\n\n* two"),
        (".. versionadded:: 3.1\n   It is new.", "**Added in 3.1:** It is new."),
        (".. function:: f(a)\n              g(b)\n   :noindex:\n\n   Does it.", "`f(a)`\n`g(b)`\n\nDoes it."),
        (".. math::\n\n   x^2", "$$\nx^2\n$$"),
        (".. topic:: Tea\n\n   words", "**Tea**\n\nwords"),
        (".. only:: html\n\n   words", "words"),
        (".. unheard-of:: argument\n\n   words", "`argument`\n\nwords"),
        ("a\n\n.. a comment\n   goes on\n\n   and on\n\nb", "a\n\nb"),
        ("a\n\n.. toctree::\n\n   page\n\nb", "a\n\nb"),
        ("| one\n| two", "one\ntwo"),
        ("#. one\n#. two", "1. one\n1. two"),
        ("term\n    what it means", "term\n    what it means"),
        ("a\n\n----\n\nb", "a\n\n---\n\nb"),
    ],
)
def test_blocks(content: str, text: str) -> None:
    assert read(content) == f"{text}\n"


TABLE = "| a | b |\n| --- | --- |\n| 1 | two more |\n| 3 | x\\|y |\n"


@pytest.mark.parametrize(
    "content",
    [
        "+---+-----+\n| a | b   |\n+===+=====+\n| 1 | two |\n|   | more|\n+---+-----+\n| 3 | x|y |\n+---+-----+",
        "===  ====\na    b\n===  ====\n1    two\n     more\n\n3    x|y\n===  ====",
        ".. list-table::\n  :header-rows: 1\n\n  * - a\n    - b\n  * - 1\n    - two\n      more\n  * - 3\n    - x|y",
        '.. csv-table::\n   :header: "a", "b"\n\n   1, "two more"\n   3, x|y',
    ],
)
def test_tables(content: str) -> None:
    assert read(content) == TABLE


def test_a_table_with_merged_cells_stays_as_it_is_drawn() -> None:
    drawn = "+---+---+\n| a | b |\n+---+---+\n| both  |\n+-------+"
    assert read(drawn) == f"```\n{drawn}\n```\n"


def test_what_is_left_out_is_said() -> None:
    content = (
        "a\n\n.. image:: cup.png\n   :alt: A cup\n\n.. image:: x.png\n\n.. include:: b.rst\n\n.. automodule:: tea\n"
    )
    document = document_of(content.encode(), name="a.rst")
    assert document.text == "a\n\nA cup\n\nb.rst\n\ntea\n"
    assert document.metadata["left_out"] == ["1 picture without a description", "2 parts of another file"]


@pytest.mark.parametrize(
    "content",
    [
        "`" * 200_000,
        "``a " * 50_000,
        ":a:`" * 50_000,
        "`a <" * 50_000,
        "|a " * 70_000,
        "a_" * 100_000,
        "\\" * 200_001,
        ".. note::\n" * 20_000,
        "\n".join(" " * depth + ".. note:: x" for depth in range(600)),
        "=\n" * 100_000,
        "== ==\n" * 30_000,
        "+-+\n" * 50_000,
        "a::\n" * 50_000,
        "| " * 100_000,
        "+-+\n" + "|a|\n" * 50_000 + "+-+",
        "== ==\na  b\n== ==\n1  x\n" + "   y\n" * 50_000 + "== ==",
        ".. list-table::\n\n   * - a\n" + "       b\n" * 50_000,
    ],
)
def test_input_that_is_meant_to_be_slow_ends(content: str) -> None:
    assert len(read(f"x\n\n{content}")) < 4 * len(content) + 100


def test_substitutions_are_bounded() -> None:
    text = document_of(f".. |a| replace:: {'x' * 1000}\n\n{'|a| ' * 1001}the end\n".encode(), name="a.rst").text
    assert (text.count("x"), text.count("|a|")) == (1_000_000, 1)
