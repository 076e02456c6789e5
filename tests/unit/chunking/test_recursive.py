"""The recursive chunker gives the texts that LangChain's splitter gives where that one defines them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_text_splitters import RecursiveCharacterTextSplitter

from chunking_samples import texts
from embedpipe.chunking import RecursiveChunker, Separator
from embedpipe.chunking._descent import Descent
from embedpipe.chunking._measure import CharacterMeasure
from embedpipe.chunking._plain import PlainDescent
from embedpipe.chunking.separators import separators_for
from embedpipe.errors import ConfigurationError, InputError

DEFAULT = ("\n\n", "\n", " ", "")


def peer_texts(text: str, *, size: int, separators: tuple[str, ...]) -> list[str]:
    splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=0, separators=list(separators))
    return [piece.strip() for piece in splitter.split_text(text) if piece.strip()]


@given(
    text=st.text(alphabet="ab.-\n\n\n \t\r\x1c\u3000é😀", max_size=120),
    size=st.integers(1, 20),
    separators=st.sampled_from(
        [DEFAULT, ("\n\n\n", "\n", ""), ("--", "-", ""), ("a", "b", ""), ("aba", "ab", " ", ""), (".", "\n\n", "")]
    ),
)
def test_same_texts_as_langchain(text: str, size: int, separators: tuple[str, ...]) -> None:
    chunks = RecursiveChunker(chunk_size=size, separators=separators).chunk(text)
    assert [chunk.text for chunk in chunks] == peer_texts(text, size=size, separators=separators)


@pytest.mark.parametrize("size", [17, 100, 1000])
def test_same_texts_as_langchain_on_prose(size: int) -> None:
    text = "".join(f"Para {i}. {'word ' * (i % 60)}\n{'x' * (i % 90)}\n\n{' ' * (i % 5)}" for i in range(400))
    chunks = RecursiveChunker(chunk_size=size, separators=DEFAULT).chunk(text)
    assert [chunk.text for chunk in chunks] == peer_texts(text, size=size, separators=DEFAULT)


@given(text=texts, size=st.integers(1, 30), language=st.sampled_from(["prose", "markdown", "html", "python"]))
def test_both_descents_agree(text: str, size: int, language: str) -> None:
    separators = separators_for(language)
    general = Descent(text, separators, CharacterMeasure(size, 0), overlap=False).run()
    assert list(PlainDescent(text, separators, size).run()) == general


def test_a_separator_may_stay_with_the_chunk_before() -> None:
    chunks = RecursiveChunker(chunk_size=6, separators=(Separator("。", 1),)).chunk("你好世界。再见世界。")
    assert [chunk.text for chunk in chunks] == ["你好世界。", "再见世界。"]


def test_overlap_begins_at_a_word_where_one_is_near() -> None:
    text = "alpha beta gamma delta epsilon zeta eta theta iota kappa"
    chunks = RecursiveChunker(chunk_size=24, chunk_overlap=12).chunk(text)
    assert [chunk.text for chunk in chunks] == [
        "alpha beta gamma delta",
        "gamma delta epsilon",
        "epsilon zeta eta theta",
        "eta theta iota kappa",
    ]


def test_text_without_a_separator_is_cut_between_clusters() -> None:
    family = "👨‍👩‍👧‍👦"
    chunks = RecursiveChunker(chunk_size=11).chunk(family * 2 + "e\u0301" * 6)
    assert [chunk.text for chunk in chunks] == [family, family + "e\u0301" * 2, "e\u0301" * 4]


@pytest.mark.parametrize(
    "settings",
    [
        {"chunk_size": 0},
        {"chunk_size": -5},
        {"chunk_size": 2.5},
        {"chunk_size": True},
        {"chunk_size": 10, "chunk_overlap": 10},
        {"chunk_overlap": -1},
        {"language": "klingon"},
        {"separators": "\n"},
        {"separators": (3,)},
        {"separators": (Separator("a", 2),)},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"Expected .*got"):
        RecursiveChunker(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, b"bytes", 3, ["a"]])
def test_what_is_not_a_text_is_refused(text: object) -> None:
    with pytest.raises(InputError, match="Expected the text to chunk as str"):
        RecursiveChunker().chunk(text)  # type: ignore[arg-type]


def test_repr_names_every_setting() -> None:
    chunker = RecursiveChunker(chunk_size=7, separators=("x",))
    for setting in ("chunk_size=7", "chunk_overlap=0", "language='prose'", "Separator(text='x', cut=0)"):
        assert setting in repr(chunker)
