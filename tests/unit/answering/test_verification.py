"""What becomes of cited places when their documents change."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.answering import CitedPlace, RAGResponse, texts_of_chunks, verified
from embedpipe.errors import ConfigurationError
from embedpipe.types import Chunk

TEXT = (
    "Green tea is steeped at 80 °C. Hotter water makes it bitter. "
    "Black tea is steeped for four minutes. Milk is added last. White tea is rare."
)
QUOTE = "Black tea is steeped for four minutes."


def cited(text: str = TEXT, quote: str = QUOTE, *, at: int = 0) -> CitedPlace:
    start = text.index(quote, at)
    return CitedPlace(
        source=1,
        document_id="tea",
        quote=quote,
        start_index=start,
        end_index=start + len(quote),
        passage=text,
        passage_start=0,
    )


@pytest.mark.parametrize(
    ("now", "state", "stands"),
    [
        (TEXT, "unchanged", QUOTE),
        (TEXT + " More.", "unchanged", QUOTE),
        ("New. " + TEXT, "moved", QUOTE),
        (TEXT.replace("four", "five"), "altered", "Black tea is steeped for five minutes."),
        ("New. " + TEXT.replace("four", "five"), "altered", "Black tea is steeped for five minutes."),
        (TEXT.replace(QUOTE, "Nobody drinks it. It is sold."), "altered", "Nobody drinks it. It is sold."),
        (TEXT.replace(QUOTE + " ", ""), "altered", None),
        ("Something else.", "altered", None),
        ("", "altered", None),
        ("A word. Black tea is then steeped for some four minutes. A word.", "altered",
         "Black tea is then steeped for some four minutes."),
        (TEXT.replace("steeped for four", "steeped\nfor  four"), "moved", "Black tea is steeped\nfor  four minutes."),
    ],
)  # fmt: skip
def test_states(now: str, state: str, stands: str | None) -> None:
    [found] = verified([cited()], {"tea": now})
    assert (found.state, found.text) == (state, stands)
    assert stands is None or now[found.start_index : found.end_index] == stands
    assert found.holds == (state in ("unchanged", "moved"))


def test_a_document_that_is_gone_is_deleted() -> None:
    [found] = verified([cited()], {"other": TEXT})
    assert (found.state, found.text, found.start_index, found.holds) == ("deleted", None, None, False)


def test_of_two_places_that_with_the_same_text_around_it_is_meant() -> None:
    text = "Of tea: It takes two minutes. Drink it. Of coffee: It takes two minutes. Grind it."
    place = cited(text, "It takes two minutes.", at=40)
    [found] = verified([place], {"tea": "A new and long beginning of everything. " + text})
    assert found.state == "moved"
    assert found.start_index == 40 + place.start_index


def test_a_quotation_of_cleaned_text_is_unchanged_where_its_chunk_is() -> None:
    raw = "Black  tea\r\nis   steeped. Then drunk."
    place = CitedPlace(
        source=1,
        document_id="tea",
        quote="Black tea\nis steeped.",
        start_index=0,
        end_index=len(raw),
        passage="Black tea\nis steeped. Then drunk.",
        passage_start=0,
    )
    [found] = verified([place], {"tea": raw})
    assert found.state == "unchanged"


def test_chunks_stand_for_a_document_that_was_stored_without_its_text() -> None:
    chunks = [Chunk(TEXT[i : i + 30], i, min(i + 30, len(TEXT)), n, {}, "tea") for n, i in enumerate(range(0, 120, 25))]
    assert texts_of_chunks(chunks[::-1])["tea"] == TEXT[:130]
    assert texts_of_chunks(chunks[2:])["tea"] == " " * 50 + TEXT[50:130]


def test_a_response_without_a_service_says_where_to_check_it() -> None:
    response = RAGResponse(question="?", answer="!")
    with pytest.raises(ConfigurationError, match="verify"):
        response.verify()


def test_a_pickled_response_leaves_its_service_behind() -> None:
    class Service:
        def __reduce__(self) -> str:
            raise AssertionError

    response = RAGResponse(question="?", answer="!", verifier=Service())  # type: ignore[arg-type]  # never asked
    assert pickle.loads(pickle.dumps(response)) == response  # noqa: S301 - our own


SENTENCES = st.lists(
    st.sampled_from(["One is here.", "Two are here.", "Three came.", "It rains.", "Nobody knows."]),
    min_size=1,
    max_size=8,
)


@given(SENTENCES, SENTENCES, st.data())
def test_a_moved_place_is_one_where_the_text_stands(before: list[str], after: list[str], data: st.DataObject) -> None:
    old, new = " ".join(before), " ".join(after)
    quote = data.draw(st.sampled_from(before))
    at = data.draw(st.sampled_from([match.start() for match in re.finditer(re.escape(quote), old)]))
    place = replace(cited(old, quote), start_index=at, end_index=at + len(quote))
    [found] = verified([place], {"tea": new})
    everywhere = [start for start in range(len(new)) if new.startswith(quote, start)]  # by brute force
    if at in everywhere:
        assert (found.state, found.start_index) == ("unchanged", at)
    elif everywhere:
        assert found.state == "moved"
        assert found.start_index in everywhere
        assert found.text == quote
    else:
        assert found.state == "altered"
        assert found.text is None or found.text == new[found.start_index : found.end_index]


@given(SENTENCES, SENTENCES, st.integers(0, 8), st.data())
def test_an_insertion_moves_a_place_by_its_length(
    sentences: list[str], inserted: list[str], at: int, data: st.DataObject
) -> None:
    """Sentences are told apart by a number, so each place has one successor, moved by what was put before it."""
    numbered = [f"{number} {sentence}" for number, sentence in enumerate(sentences)]
    quote = data.draw(st.sampled_from(numbered))
    old = " ".join(numbered)
    cut = min(at, len(numbered))
    new = " ".join([*numbered[:cut], *(f"New: {each}" for each in inserted), *numbered[cut:]])
    [found] = verified([cited(old, quote)], {"tea": new})
    moved = sum(len(f"New: {each} ") for each in inserted) if numbered.index(quote) >= cut else 0
    assert found.start_index == old.index(quote) + moved
    assert found.state == ("moved" if moved else "unchanged")
