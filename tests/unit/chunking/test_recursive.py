"""The recursive chunker gives the texts that LangChain's splitter gives where that one defines them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

from chunking_samples import texts
from embedpipe.chunking import RecursiveChunker, Separator
from embedpipe.chunking._fast_split import FastSplit
from embedpipe.chunking._measure import CharacterMeasure, Unit
from embedpipe.chunking._recursive_split import RecursiveSplit
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
    general = RecursiveSplit(text, separators, CharacterMeasure(size, 0), overlap=False).run()
    assert list(FastSplit(text, separators, size).run()) == general


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
    with pytest.raises(ConfigurationError, match=r"\. (Pass|Put|Lower) "):
        RecursiveChunker(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, b"bytes", 3, ["a"]])
def test_what_is_not_a_text_is_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"The text to chunk is a .* to a str"):
        RecursiveChunker().chunk(text)  # type: ignore[arg-type]


def test_repr_names_every_setting() -> None:
    chunker = RecursiveChunker(chunk_size=7, separators=("x",))
    for setting in ("chunk_size=7", "chunk_overlap=0", "language='prose'", "Separator(text='x', cut=0)"):
        assert setting in repr(chunker)


LANGUAGES = [language for language in Language if language is not Language.PERL]  # for which LangChain has no list
MARKS = ["\n", "\n\n", " ", "word", "Ü日本", "\n## a", "\n***\n", "\n----\n", "\n===\n", "$", "$$", "\\chapter{"]
MARKS += ["\n\\section{A}", "End Sub", "\nPublic  Sub Foo", "\nEnd If\n", "\nIf x Then", "\nElse \n", "\n\n..  \n\n"]
MARKS += ["\nlibrary(x)", "\nDATA DIVISION!", "\n| a", "\n= {", "\t", "\r\n"]
PATTERNS = [(r"\d", ""), (r"(?<=\. )", " ", ""), (r"\b", ""), (r"x*", ""), (r"$", r"-+", ""), (r"\n+", r"a|b", "")]


@pytest.mark.parametrize("language", LANGUAGES)
@settings(deadline=None)
@given(data=st.data(), size=st.integers(2, 40))
def test_same_texts_as_langchain_for_a_language(language: Language, data: st.DataObject, size: int) -> None:
    separators = RecursiveCharacterTextSplitter.get_separators_for_language(language)
    own = [separator.replace("\\n", "\n").replace("\\", "") for separator in separators]
    text = "".join(data.draw(st.lists(st.sampled_from([*MARKS, *own]), max_size=40)))
    theirs = RecursiveCharacterTextSplitter.from_language(language, chunk_size=size, chunk_overlap=0).split_text(text)
    expected = [piece.strip() for piece in theirs if piece.strip()]
    for chunker in (
        RecursiveChunker(chunk_size=size, separators=separators),
        RecursiveChunker(chunk_size=size, separators=[Separator(each, regex=True) for each in separators]),
    ):
        chunks = chunker.chunk(text)
        assert [chunk.text for chunk in chunks] == expected
        assert all(text[chunk.start_index : chunk.end_index] == chunk.text for chunk in chunks)


@given(
    text=st.text(alphabet="ab1. \n-", max_size=80),
    size=st.integers(2, 20),
    patterns=st.sampled_from(
        [(r"\d", ""), (r"(?<=\. )", " ", ""), (r"\b", ""), (r"x*", ""), (r"$", r"-+", ""), (r"\n+", r"a|b")]
    ),
)
def test_same_texts_as_langchain_for_patterns(text: str, size: int, patterns: tuple[str, ...]) -> None:
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=size, chunk_overlap=0, separators=list(patterns), is_separator_regex=True
    )
    if patterns[-1]:
        return  # behind the last one, LangChain cuts no more
    chunks = RecursiveChunker(chunk_size=size, separators=[Separator(each, regex=True) for each in patterns]).chunk(
        text
    )
    assert [chunk.text for chunk in chunks] == [piece.strip() for piece in splitter.split_text(text) if piece.strip()]


@settings(deadline=None)
@given(text=texts, overlap=st.integers(0, 9), unit=st.sampled_from(["characters", "tokens"]))
def test_patterns_lose_nothing_with_overlap_and_in_tokens(text: str, overlap: int, unit: Unit) -> None:
    patterns = [Separator(each, regex=True) for each in (r"\n\s*\n", r"(?<=[.!?])\s", r"\s+")]
    chunks = RecursiveChunker(chunk_size=12, chunk_overlap=overlap, separators=patterns, unit=unit).chunk(text)
    covered: set[int] = set()
    for chunk in chunks:
        assert text[chunk.start_index : chunk.end_index] == chunk.text
        covered.update(range(chunk.start_index, chunk.end_index))
    assert all(character.isspace() for place, character in enumerate(text) if place not in covered)


def test_plain_strings_stay_plain_beside_lists_of_langchain() -> None:
    assert RecursiveChunker(separators=("\n| ", ". ", "$", "(", "")).separators == tuple(
        Separator(each) for each in ("\n| ", ". ", "$", "(", "")
    )
    listed = RecursiveCharacterTextSplitter.get_separators_for_language(Language.HASKELL)
    assert Separator("\n| ", regex=True) in (RecursiveChunker(separators=listed).separators or ())
    assert Separator("\n\n") in (RecursiveChunker(separators=listed).separators or ())
    assert repr(Separator("a", 1)) == "Separator(text='a', cut=1)"
    assert "regex=True" in repr(RecursiveChunker(separators=[Separator("a+", regex=True)]))


def test_patterns_that_cannot_be_served_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'\(' is no regular expression"):
        RecursiveChunker(separators=[Separator("(", regex=True)])
    with pytest.raises(ConfigurationError, match="lookbehind"):
        RecursiveChunker(separators=[Separator("a+", 1, regex=True)])
