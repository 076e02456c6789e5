"""What a notebook shows of results and chunks."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from embedpipe.chunking import RecursiveChunker
from embedpipe.display import show_chunks, show_results
from embedpipe.errors import InputError
from embedpipe.ingest import ProcessingStats
from embedpipe.types import Chunk, SearchResult

CHUNK = Chunk("Cats <sleep>\nall day.", 10, 30, 2, {}, "pets", "c1")


class _Text(HTMLParser):
    """The text of a piece of HTML, and which tags it has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.open, self.tags = "", list[str](), set[str]()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_result_explains_each_of_its_scores() -> None:
    result = SearchResult(
        chunk=CHUNK, score=0.75, similarity=0.5, lexical_score=3.25, dense_rank=4, lexical_rank=None, rerank_score=1.5
    )
    assert result.explain() == (
        "0.7500  pets [10:30]\n"
        "  “Cats <sleep> all day.”\n"
        "  by meaning: similarity 0.5000, rank 4\n"
        "  by words: BM25 3.2500, not among its candidates\n"
        "  by the reranker: 1.5000"
    )


def test_a_table_shows_the_scores_that_there_are_and_escapes_the_text() -> None:
    view = show_results([SearchResult(chunk=CHUNK, score=0.5, similarity=0.5, dense_rank=1)])
    shown = _Text(view._repr_html_())
    assert "similarity" in shown.text
    assert "BM25" not in shown.text
    assert "Cats <sleep>" in shown.text
    assert "sleep" not in shown.tags
    assert repr(view) == "0.5000  pets [10:30]\n  “Cats <sleep> all day.”\n  by meaning: similarity 0.5000, rank 1"


def test_a_table_marks_the_words_that_match() -> None:
    shown = show_results([SearchResult(chunk=CHUNK, score=0.5, query="sleeping <cats>")])._repr_html_()
    assert "<mark>Cats</mark> &lt;<mark>sleep</mark>&gt; all day." in shown


def test_no_results_are_said_to_be_none() -> None:
    assert repr(show_results([])) == "no results"


def test_the_report_of_an_ingest_is_a_table_that_names_what_failed() -> None:
    report = ProcessingStats(added=1_200, chunks_embedded=3_400, failures={"<a>": InputError("Document '<a>': empty")})
    shown = _Text(report._repr_html_())
    assert "1,200" in shown.text
    assert "3,400" in shown.text
    assert "Document '<a>': empty" in shown.text
    assert "a" not in shown.tags
    assert "li" in shown.tags
    assert "li" not in _Text(ProcessingStats()._repr_html_()).tags


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")), st.integers(1, 9))
def test_chunks_are_shown_over_the_whole_text(text: str, size: int) -> None:
    overlap = size // 3
    chunks = RecursiveChunker(chunk_size=size, chunk_overlap=overlap).chunk(text)
    assert _Text(show_chunks(text, chunks).html).text == text


def test_what_two_chunks_hold_has_a_colour_of_its_own() -> None:
    chunks = [Chunk("abcd", 0, 4, 0, {}), Chunk("cdef", 2, 6, 1, {})]
    spans = re.findall(r'background: (#\w+)" title="chunk (\d)">(\w+)<', show_chunks("abcdef", chunks).html)
    assert [(place, text) for _, place, text in spans] == [("0", "ab"), ("0", "cd"), ("1", "ef")]
    assert len({colour for colour, _, _ in spans}) == 3
