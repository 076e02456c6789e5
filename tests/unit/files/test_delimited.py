"""CSV and TSV: rows as records under their header, with nothing dropped."""

from __future__ import annotations

import pytest

from embedpipe.files import document_of

NAMED = "name: Green\nprice: 1.5\n\nname: Black\nprice: 2\n"


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", "name,price\nGreen,1.5\nBlack,2\n", NAMED),
        ("a.csv", "name;price\r\nGreen;1.5\r\nBlack;2", NAMED),
        ("a.csv", "name|price\nGreen|1.5\n\n\nBlack|2\n", NAMED),
        ("a.tsv", "name\tprice\nGreen\t1.5\nBlack\t2\n", NAMED),
        ("a.csv", '"sep=;"\nname;price\nGreen;1.5\nBlack;2\n', NAMED),
        ("a.csv", "sep=|\rname|price\rGreen|1.5\rBlack|2\r", NAMED),
        ("a.csv", " name , price \n Green , 1.5 \n Black , 2 \n", NAMED),
        (
            "a.csv",
            "Preis;Tee\n1,50;grün, lose\n2,00;schwarz\n",
            "Preis: 1,50\nTee: grün, lose\n\nPreis: 2,00\nTee: schwarz\n",
        ),
        ("a.csv", "1,5;2,5\n3,5;4,5\n", "1,5 | 2,5\n\n3,5 | 4,5\n"),
    ],
)
def test_the_dialect_is_found(name: str, content: str, text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert document_of(content.encode(encoding), name=name).text == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('a,b\n"one\ntwo",2\n', "a: one\ntwo\nb: 2\n"),
        ('a,b\n"one\n\n\n two",2\n', "a: one\n two\nb: 2\n"),
        ('a,b\n"say ""hi""",2\n', 'a: say "hi"\nb: 2\n'),
        ('a,b\n"say \\"hi\\" in C:\\new",2\n', 'a: say "hi" in C:\\new\nb: 2\n'),
        ('a,b\n7",2\n"3,4\n5,6\n', 'a: 7"\nb: 2\n\na: "3\nb: 4\n\na: 5\nb: 6\n'),
        ("a,b\n1\n2,3,4,,5\n", "a: 1\n\na: 2\nb: 3\ncolumn 3: 4\ncolumn 5: 5\n"),
        ("# no,b\n1,2\n", "\\# no: 1\nb: 2\n"),
        ('a,b\n"x\n# y\n---\n```",2\n', "a: x\n\\# y\n\\---\n\\```\nb: 2\n"),
    ],
)
def test_nothing_is_dropped(content: str, text: str) -> None:
    assert document_of(content.encode(), name="a.csv").text == text


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("name,price\nGreen,1\n", ["name", "price"]),
        ("name,name\nGreen,Black\n", ["name", "name"]),
        (",a,b\n0,1,2\n", ["column 1", "a", "b"]),
        ("Prices of 2024\n\nname,price\nGreen,1\n", ["name", "price"]),
        ("country,2019,2020\nFrance,1.5,2.5\n", ["country", "2019", "2020"]),
        ("alice,2020\nbob,2021\n", None),
        ("Green,1\nBlack,2\n", None),
        ("Green,1.5 €\nBlack,2 €\n", None),
        ("Green,2024-01-02\nBlack,2024-01-03\n", None),
        ("Green,true\nBlack,false\n", None),
        ("2019,2020\n1,2\n", None),
        ("one\ntwo\n", None),
        ("only,one\n", None),
        ("a,,,,\n1,2,3,4,5\n", None),
    ],
)
def test_when_the_first_row_is_a_header(content: str, columns: list[str] | None) -> None:
    document = document_of(content.encode(), name="a.csv")
    assert document.metadata.get("columns") == columns
    cells = [cell for line in content.splitlines() for cell in line.split(",") if cell]
    assert all(cell in document.text for cell in cells[len(columns or []) :])


def test_a_row_knows_its_number() -> None:
    document = document_of(b'sep=,\nname,price\n"Green\ntea",1\n\nBlack,2\n', name="a.csv")
    starts = [document.text.index("name: Green"), document.text.index("name: Black")]
    assert [tuple(location) for location in document.locations] == [(starts[0], {"row": 3}), (starts[1], {"row": 5})]


def test_one_large_cell_and_many_quotes_are_read() -> None:
    large = "x" * 300_000
    assert document_of(f'a,b\n"{large}",1\n'.encode(), name="a.csv").text == f"a: {large}\nb: 1\n"
    quotes = document_of(('a,b\n"' + '""' * 200_000 + "\n1,2\n").encode(), name="a.csv")
    assert quotes.text.count('"') >= 200_000
