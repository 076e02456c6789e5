"""Front matter of Markdown becomes metadata, and the text is what stands behind it."""

from __future__ import annotations

import sys

import pytest

from embedpipe.files import ReadOptions, document_of
from embedpipe.files.markdown import parse

YAML = """---
# of a generator
title: "Tea: a guide"
date: 2024-05-01
updated: 2024-05-01 10:30:00
tags: [green, black]
authors:
  - name: Ann
    mail: ann@example.com
draft: false
weight: 1.5
name: guide
empty:
---

# Green tea

Steep it.
"""
TOML = '+++\ntitle = "Tea"\ndate = 2024-05-01T10:30:00Z\ntags = ["green"]\n[extra]\nweight = 3\n+++\nText.\n'
BODY = "\n# Green tea\n\nSteep it.\n"


def test_yaml_becomes_metadata() -> None:
    document = document_of(YAML.encode(), name="tea.md")
    assert document.text == BODY
    assert document.metadata == {
        "name": "tea.md",
        "suffix": ".md",
        "title": "Tea: a guide",
        "date": "2024-05-01",
        "updated": "2024-05-01T10:30:00",
        "tags": ["green", "black"],
        "authors": [{"name": "Ann", "mail": "ann@example.com"}],
        "draft": False,
        "weight": 1.5,
        "front_matter_name": "guide",
        "empty": None,
    }


def test_toml_becomes_metadata() -> None:
    document = document_of(TOML.encode(), name="tea.markdown")
    assert document.text == "Text.\n"
    assert document.metadata["date"] == "2024-05-01T10:30:00+00:00"
    assert (document.metadata["title"], document.metadata["extra"]) == ("Tea", {"weight": 3})


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nA rule above.\n\n---\n\nText.\n",  # rules
        "---\nSome text\n---\nMore.\n",  # a heading below a rule
        "---\ntitle: never closed\n\nText.\n",
        "---\ntitle: no text\n---\n",
        "Text.\n\n---\ntitle: later\n---\n",
        "---\na: " + "x" * 70_000 + "\n---\nText.\n",
    ],
)
def test_what_is_no_front_matter_stays_text(text: str) -> None:
    document = document_of(text.encode(), name="tea.md")
    assert document.text == text
    assert set(document.metadata) == {"name", "suffix"}


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: [broken\n---\nText.\n",
        "---\ntitle: Tea: green\n---\nText.\n",
        "---\na: &a [1]\nb: [*a, *a]\n---\nText.\n",
        "+++\ntitle = broken\n+++\nText.\n",
    ],
)
def test_front_matter_that_cannot_be_read_stays_text_and_is_told(text: str) -> None:
    document = document_of(text.encode(), name="tea.md")
    assert document.text == text
    assert document.metadata["left_out"] == ["fields of the front matter: it cannot be read, and stands in the text"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_line_ends_and_encodings(ends: str, encoding: str) -> None:
    document = document_of(YAML.replace("\n", ends).encode(encoding), name="tea.md")
    assert document.text == BODY
    assert document.metadata["title"] == "Tea: a guide"


def test_values_that_no_database_takes_are_replaced() -> None:
    document = document_of(b'---\ntitle: "a\\0b"\nrate: .nan\n---\nText.\n', name="tea.md")
    assert (document.metadata["title"], document.metadata["rate"]) == ("a\ufffdb", "nan")


@pytest.mark.parametrize(
    "value", ["[" * 5000, "- " * 5000, "{a: " * 5000, "[" * 200 + "]" * 200, "59:" * 5000 + "59", "9" * 1000]
)
def test_what_metadata_cannot_hold_stays_text(value: str) -> None:
    text = f"---\na: {value}\n---\nText.\n"
    assert document_of(text.encode(), name="tea.md").text == text


@pytest.mark.parametrize("field", [f"{'a.' * 20_000}a = 1", f"{'a . ' * 200}a = 1", f"x = {{{'a.' * 200}a = 1}}"])
def test_long_dotted_keys_stay_text(field: str) -> None:
    text = f"+++\n{field}\n+++\nText.\n"
    assert document_of(text.encode(), name="tea.md").text == text


def test_without_pyyaml_the_front_matter_is_named_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    parsed = parse(YAML.encode(), "tea.md", ReadOptions())
    assert parsed.text == BODY
    assert parsed.left_out == ["front matter, which needs PyYAML (pip install 'embedpipe[files]')"]
