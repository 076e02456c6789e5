from __future__ import annotations

import sys

import pytest

from embedpipe.errors import InputError, MissingExtraError
from embedpipe.ingest import with_languages
from embedpipe.text import detect_language, languages
from embedpipe.types import Document

TEXTS = {
    "en": "How many people live in this city?",
    "de": "Wie viele Menschen leben in dieser Stadt?",
    "es": "¿Cuántas personas viven en esta ciudad?",
    "ar": "كم عدد الأشخاص الذين يعيشون في هذه المدينة؟",
    "ja": "この街には何人の人が住んでいますか。",
}


def test_the_language_of_a_text_is_found_where_it_is_clear() -> None:
    assert {name: detect_language(content) for name, content in TEXTS.items()} == {name: name for name in TEXTS}
    for content in ("", " ", "12345", "TCP/IP"):
        assert detect_language(content) is None
    with pytest.raises(InputError, match="Pass a str"):
        detect_language(b"text")  # type: ignore[arg-type]


def test_documents_keep_the_language_that_they_have() -> None:
    given = [
        Document(id="found", text=TEXTS["de"], metadata={"year": 1}),
        Document(id="given", text=TEXTS["de"], metadata={"language": "en"}),
        Document(id="none", text="12345"),
    ]
    found = list(with_languages(given))
    assert [document.metadata for document in found] == [{"year": 1, "language": "de"}, {"language": "en"}, {}]
    assert [document.metadata for document in given] == [{"year": 1}, {"language": "en"}, {}]
    with pytest.raises(InputError, match="Pass a Document"):
        list(with_languages(["text"]))  # type: ignore[list-item]


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    languages._identifier.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'embedpipe\[languages\]'"):
        detect_language("text")
