"""JSON and JSONL: every value is text, or the chosen fields are and the others are metadata."""

from __future__ import annotations

from typing import Any

import pytest

from embedpipe.errors import InputError
from embedpipe.files import ReadOptions, document_of, documents_of


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"a": {"b": 1.10, "c": ["x", 2]}, "d": null, "e": true}', "a.b: 1.10\na.c: x, 2\nd: null\ne: true\n"),
        ('{"a": [{"k": 1}, [2]], "f": [], "g": {}}', "a[0].k: 1\na[1]: 2\nf: []\ng: {}\n"),
        ('{"a": 1, "b": 2, "a": 3}', "a: 1, 3\nb: 2\n"),
        ('{"n": 12345678901234567890.10, "m": 1e999, "o": NaN, "p": -Infinity}', None),
        ('// settings\n{"a": "x // y, ]", /* b */ "c": [1, 2,], // d\n}', "a: x // y, ]\nc: 1, 2\n"),
        ('"one\\ntwo"', "one\ntwo\n"),
        ("[1, 2]", "1\n2\n"),
        ("[1, [2]]", "[0]: 1\n[1]: 2\n"),
        ('{"a": "x\\u0000\\u0007y\\ud800z"}', "a: xy\ufffdz\n"),
    ],
)
def test_all_of_it_is_text(content: str, text: str | None) -> None:
    expected = text or "n: 12345678901234567890.10\nm: 1e999\no: NaN\np: -Infinity\n"
    for encoding in ("utf-8-sig", "utf-16"):
        assert document_of(content.encode(encoding), name="a.json").text == expected


RECORDS = (
    '[{"id": 7, "t": "Green"}, {"id": "x", "t": ["Black", "tea"], "u": {"v": "Steep"}, "w": {"y": 2.5, "z": [1]}}]'
)


def test_chosen_fields_are_text_and_others_metadata() -> None:
    options = ReadOptions(text_fields=["u.v", "t"], id_field="id")
    first, second = documents_of(RECORDS.encode(), name="a.json", options=options)
    assert (first.id, first.text) == ("a.json#7", "Green\n")
    assert (second.id, second.text) == ("a.json#x", "Steep\n\nBlack\ntea\n")
    assert second.metadata == {"name": "a.json", "suffix": ".json", "id": "x", "w.y": 2.5, "w.z": [1]}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
def test_a_record_is_a_document(name: str) -> None:
    content = b'{"t": "Green"}\r\n\n{"t": "Black"}\n'
    documents = documents_of(content, name=name)
    assert [(document.id, document.text) for document in documents] == [
        (f"{name}#1", "t: Green\n"),
        (f"{name}#2", "t: Black\n"),
    ]
    assert [document.metadata["line"] for document in documents] == [1, 3]
    joined = document_of(content, name=name)
    assert joined.text == "t: Green\n\nt: Black\n"
    assert [location.start for location in joined.locations] == [0, 10]


def test_a_record_with_an_id_is_the_same_on_another_line() -> None:
    options = ReadOptions(text_fields=["t"], id_field="id")
    before = documents_of(b'{"id": 1, "t": "Green"}\n', name="a.jsonl", options=options)
    after = documents_of(b'{"id": 2, "t": "Black"}\n\n{"id": 1, "t": "Green"}\n', name="a.jsonl", options=options)
    assert after[1] == before[0]


@pytest.mark.parametrize(
    ("number", "kept"),
    [("1", 1), ("-1", -1), ("1.50", 1.5), ("1e999", "1e999"), ("NaN", "NaN"), ("9" * 9999, "9" * 9999)],
)
def test_numbers_become_metadata_that_json_holds(number: str, kept: Any) -> None:
    content = f'{{"t": "Green", "n": {number}}}'.encode()
    assert document_of(content, name="a.json", options=ReadOptions(text_fields=["t"])).metadata["n"] == kept


def test_a_field_that_is_neither_text_nor_metadata_is_named() -> None:
    content = b'{"t": "Green", "parts": [{"a": 1}]}'
    document = document_of(content, name="a.json", options=ReadOptions(text_fields=["t"]))
    assert document.metadata["left_out"] == ["the field 'parts', which is no single value"]


TEXT = ReadOptions(text_fields=["t"])


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.json", '{"a": 1 2}', TEXT, r"a\.json is no JSON \(.*: line 1, column 9\). Repair it"),
        ("a.json", '{"a": "' + '\\\\"' * 100_000, TEXT, "is no JSON"),
        ("a.json", "/*" * 100_000, TEXT, "is no JSON"),
        ("a.json", '{"a":\n1', TEXT, "is no JSON .*line 2"),
        ("a.jsonl", '{"t": 1}\n\n{"t":\n', TEXT, r"a\.jsonl, line 3, is no JSON .* Repair or remove the line"),
        ("a.json", '[{"t": 1}, {"u": 2}]', TEXT, "record 2, has none of the fields 't'. Check `text_fields`"),
        ("a.jsonl", '{"t": 1}\n{"u": 2}', TEXT, "line 2, has none of the fields 't'"),
        ("a.json", '[{"t": 1}]', ReadOptions(id_field="id"), "record 1, has no id in the field 'id'"),
        ("a.json", '[{"i": 1}, {"i": 1}]', ReadOptions(id_field="i"), "records 1 and 2 have the same id '1'"),
        ("a.json", "[" * 100_000, TEXT, "nests its elements too deep"),
        ("a.json", '{"a":' * 100_000, TEXT, "nests its elements too deep"),
        ("a.json", "PK\x03\x04\xff", TEXT, r"a\.json is no text, but a ZIP archive"),
    ],
)
def test_what_is_broken_is_named(name: str, content: str, options: ReadOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(content.encode(), name=name, options=options)
