"""Jupyter notebooks: cells, code and what it printed, without pictures."""

from __future__ import annotations

import json
from typing import Any

import nbformat.v4
import pytest

from embedpipe.errors import InputError
from embedpipe.files import document_of

nb: Any = nbformat.v4
PICTURE = {"image/png": "iVBOR" * 400, "text/plain": "<Figure size 640x480 with 1 Axes>"}


def read(cells: list[Any], **metadata: Any) -> Any:
    notebook = nb.new_notebook(cells=cells, metadata=metadata)
    return document_of(json.dumps(notebook).encode(), name="lab.ipynb")


def test_cells_and_their_numbers() -> None:
    cells = [
        nb.new_markdown_cell("# Tea\n\nSteep it."),
        nb.new_code_cell("x = 1\nprint(x)", outputs=[nb.new_output("stream", text="1\n")]),
        nb.new_code_cell(""),
        nb.new_raw_cell("raw words"),
    ]
    document = read(cells, kernelspec={"language": "python", "name": "p", "display_name": "P"}, title="All about tea")
    assert document.text == "# Tea\n\nSteep it.\n\n```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\nraw words\n"
    assert document.metadata == {
        "name": "lab.ipynb",
        "suffix": ".ipynb",
        "language": "python",
        "title": "All about tea",
    }
    starts = [document.text.index(word) for word in ("# Tea", "```python", "raw words")]
    assert [tuple(location) for location in document.locations] == [
        (start, {"cell": number}) for start, number in zip(starts, (1, 2, 4), strict=True)
    ]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (nb.new_output("stream", text="\x1b[31mred\x1b[0m\n 1%\r50%\r100%\r\n"), "```text\nred\n100%\n```"),
        (nb.new_output("execute_result", {"text/plain": "42"}), "```text\n42\n```"),
        (nb.new_output("display_data", {"text/markdown": "**m**", "text/plain": "<M>"}), "**m**"),
        (nb.new_output("display_data", {"text/plain": "x**2", "text/latex": "$x^2$"}), "```text\nx**2\n```"),
        (nb.new_output("display_data", {"text/latex": "$x^2$"}), "$x^2$"),
        (
            nb.new_output("execute_result", {"text/plain": "a b", "text/html": "<table><tr><th>a<tr><td>1</table>"}),
            "| a |\n| --- |\n| 1 |",
        ),
        (nb.new_output("display_data", {"text/html": "<p>only HTML</p>"}), "only HTML"),
        (
            nb.new_output("error", ename="E", evalue="v", traceback=["\x1b[0;31mE\x1b[0m: v", "at 1"]),
            "```text\nE: v\nat 1\n```",
        ),
        (nb.new_output("stream", text="```\nfence\n```"), "````text\n```\nfence\n```\n````"),
    ],
)
def test_outputs_as_they_are_shown(output: Any, text: str) -> None:
    assert read([nb.new_code_cell("1", outputs=[output])]).text == f"```\n1\n```\n\n{text}\n"


def test_pictures_are_left_out_and_counted() -> None:
    cells = [
        nb.new_code_cell("plot()", outputs=[nb.new_output("display_data", PICTURE)]),
        nb.new_code_cell("show()", outputs=[nb.new_output("display_data", {"application/vnd.plotly.v1+json": {}})]),
        nb.new_markdown_cell("![a](attachment:a.png)", attachments={"a.png": {"image/png": "iVBOR"}}),
    ]
    document = read(cells)
    assert "iVBOR" not in document.text
    assert "Figure" not in document.text
    assert document.metadata["left_out"] == ["2 pictures", "1 output without text"]


def test_a_cell_of_another_language_says_so() -> None:
    assert read([nb.new_code_cell("%%bash\nls")], language_info={"name": "R"}).text == "```bash\n%%bash\nls\n```\n"
    assert read([nb.new_code_cell("x")], language_info={"name": "R"}).text == "```r\nx\n```\n"


def test_a_notebook_of_version_3_is_read() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Tea"]},
        {
            "cell_type": "code",
            "input": ["x"],
            "language": "python",
            "outputs": [{"output_type": "pyout", "text": ["1"], "png": "iVBOR"}],
        },
    ]
    old = {"nbformat": 3, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    document = document_of(json.dumps(old).encode(), name="old.ipynb")
    assert document.text == "## Tea\n\n```\nx\n```\n\n```text\n1\n```\n"


def test_a_heading_has_at_most_the_sixth_level() -> None:
    cells = [{"cell_type": "heading", "level": 10**9, "source": "Tea"}]
    document = document_of(json.dumps({"metadata": {}, "cells": cells}).encode(), name="old.ipynb")
    assert document.text == "###### Tea\n"


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b"PK\x03\x04 x", b"{", b'{"cells": [1]}', b'{"cells": [{}]}', b'"x"']
)
def test_what_is_no_notebook_is_named(content: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.ipynb is (broken, or no Jupyter notebook|no text)"):
        document_of(content, name="a.ipynb")
