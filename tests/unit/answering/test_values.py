from __future__ import annotations

import sys
from types import FrameType

import pytest

from embedpipe.answering.citations import checked_statements
from embedpipe.answering.values import ValuesOfText, unsupported_values
from embedpipe.retrieval.context import ContextSettings, build_context
from embedpipe.types import Chunk, SearchResult

TEA = (
    "Black tea is steeped in boiling water for four minutes. Green tea takes 2 minutes at 80 °C. "
    "John Smith of Paris founded the firm on 4 March 2021, with 1,234 workers and $3.5 million. It isn't uncommon. "
    "The drug was effective in 50% of cases. The road is 5 miles long. The results are not clear. "
    "Anna Miller leads the firm without a deputy, and the Panthers beat the Broncos 31–0. A study in France "
    "counted 80,790 birds."
)


def marked(statement: str, source: str = TEA, also: str = "") -> list[tuple[str, str, str | None]]:
    found = unsupported_values(ValuesOfText(statement), ValuesOfText(source, also=also))
    return [(value.kind, value.text, value.nearest) for value in found]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("Black tea is steeped for 9 minutes.", ("number", "9 minutes", "four minutes")),
        ("Black tea is steeped in boiling water for two minutes.", ("number", "two minutes", "four minutes")),
        ("The firm has 1,243 workers.", ("number", "1,243", "1,234")),
        ("It began with $3.5 billion.", ("number", "$3.5 billion", "$3.5 million")),
        ("A study counted about 80,950 birds.", ("number", "80,950", "80,790")),
        ("Black tea is steeped for four hours.", ("unit", "four hours", "four minutes")),
        ("It had €3.5 million.", ("unit", "€3.5 million", "$3.5 million")),
        ("Green tea takes 2 minutes at 80 °F.", ("unit", "80 °F", "80 °C")),
        ("Smith founded the firm on 2021-04-05.", ("date", "2021-04-05", "4 March 2021")),
        ("Smith founded the firm in May 2021.", ("date", "May 2021", "4 March 2021")),
        ("Smith founded the firm in 2012.", ("date", "2012", "4 March 2021")),
        ("John Brown founded the firm.", ("name", "John Brown", "John Smith of Paris")),
        ("The Panthers beat the Anna Miller 31–0.", ("name", "Anna Miller", "Broncos")),
        ("A study in Italy counted birds.", ("name", "Italy", "France")),
        ("The drug was not effective in 50% of cases.", ("negation", "not", "effective")),
        ("The results are clear.", ("negation", "clear", "not")),
        ("Black tea isn't steeped in boiling water.", ("negation", "isn't", "steeped")),
        ("Anna Miller leads the firm with a deputy.", ("negation", "deputy", "without")),
    ],
)
def test_a_changed_value_is_marked_with_the_nearest_of_the_source(
    statement: str, expected: tuple[str, str, str]
) -> None:
    assert marked(statement) == [expected]


@pytest.mark.parametrize(
    "statement",
    [
        *TEA.replace(". ", ".\n").split("\n"),
        "Black tea needs 4 min in boiling water.",
        "For four minutes, black tea is steeped.",
        "It takes 240 seconds to steep black tea.",
        "Green tea takes two minutes at 80°C.",
        "Green tea takes ٢ minutes at ८० °C.",
        "The firm has 1234 workers and 3,500,000 dollars.",
        "The firm has 1 234 workers.",
        "The firm has about 1,200 workers.",
        "The drug was effective in half of the cases.",
        "The drug was effective in 50 percent of cases.",
        "The road is 8 km long.",
        "Smith founded the firm on March 4th, 2021.",
        "J. Smith founded the firm on 2021-03-04.",
        "In March 2021, Smith founded the firm in Paris.",
        "It is not uncommon.",
        "It's common.",
        "The results are unclear.",
        "The results aren't clear.",
        "Miller leads the firm.",
        "A French study counted 80,790 birds.",
        "The Broncos were beaten by the Panthers.",
    ],
)
def test_the_same_in_another_form_is_not_marked(statement: str) -> None:
    assert marked(statement) == []


@pytest.mark.parametrize(
    ("statement", "source", "expected"),
    [
        ("Der Tee zieht 3,5 Minuten.", "Der Tee zieht 3.5 Minuten bei 80 Grad.", []),
        ("Der Tee zieht vier Minuten.", "Der Tee zieht 4 Minuten.", []),
        ("Der Tee zieht neun Minuten.", "Der Tee zieht 4 Minuten.", [("number", "neun Minuten", "4 Minuten")]),
        ("Der Tee zieht nicht.", "Der Tee zieht vier Minuten.", [("negation", "nicht", "zieht")]),
        ("Das Haus wurde am 4. März 2021 gebaut.", "Das Haus wurde am 04.03.2021 gebaut.", []),
        ("Le thé infuse quatre minutes.", "Le thé infuse 4 minutes dans l'eau.", []),
        ("El té reposa 1.234,5 segundos.", "El té reposa 1234,5 segundos.", []),
        ("该塔高330米，建于1889年。", "该塔高324米，建于1889年3月31日。", [("number", "330米", "324米")]),
        ("ارتفاع البرج 330 متر.", "ارتفاع البرج ٣٢٤ متر.", [("number", "330 متر", "٣٢٤ متر")]),
        ("ارتفاع البرج 324 متر.", "ارتفاع البرج ٣٢٤ متر.", []),
    ],
)
def test_other_languages(statement: str, source: str, expected: list[tuple[str, str, str]]) -> None:
    assert marked(statement, source) == expected


@pytest.mark.parametrize(
    ("statement", "source", "expected"),
    [
        # Both values are in the source, each in another place.
        ("Lions have 30 teeth.", "Lions have 28 teeth. Tigers have 30 teeth.", [("number", "30", "28")]),
        ("Lyon has a river.", "Paris has a river. In Paris and Lyon people fish.", [("name", "Lyon", "Paris")]),
        ("They came from C, B and A.", "They came from A, B and C.", []),
        ("Scientists found that it works.", "Researchers found that it works.", []),
        ("SOX5 is a factor.", "SOX2 is one of 5 factors.", [("number", "5", "2")]),
        ("The World Health Organization warned.", "The WHO warned of it.", []),
        ("The WHO warned.", "The World Health Organization warned of it.", []),
        ("It happened in World War 2.", "It happened in World War II.", []),
        ("It takes 28 km per gallon.", "It takes 17.4 miles per gallon.", []),
        ("It is no longer than 5 m.", "It is at most 5 m long.", []),
        ("Not only cats came.", "Cats came, and dogs.", []),
    ],
)
def test_what_stands_around_a_value_decides(statement: str, source: str, expected: list[tuple[str, str, str]]) -> None:
    assert marked(statement, source) == expected


def test_names_may_come_from_the_title() -> None:
    assert marked("In 1856, Nikola Tesla was born.", "He was born in 1856.") == [("name", "Nikola Tesla", None)]
    assert marked("In 1856, Nikola Tesla was born.", "He was born in 1856.", also="Nikola Tesla") == []


def test_a_citation_tells_the_value_and_its_place_in_the_document() -> None:
    document = "Intro. " + TEA
    chunk = Chunk(TEA, 7, len(document), 0, {}, document_id="tea", id="tea#0")
    sources, _ = build_context([SearchResult(chunk=chunk, score=1.0)], ContextSettings(max_tokens=None))
    (statement,) = checked_statements("Black tea is steeped for 9 minutes [1].", sources)
    (citation,) = statement.citations
    assert (citation.status, citation.valid) == ("unsupported_value", False)
    (value,) = citation.values
    assert statement.text[value.start : value.end] == value.text == "9 minutes"
    assert document[value.nearest_start : value.nearest_end] == value.nearest == "four minutes"


def test_a_value_may_be_in_any_source_of_the_statement() -> None:
    texts = ("Black tea is steeped for four minutes.", "Green tea is steeped for two minutes.")
    results = [
        SearchResult(chunk=Chunk.whole(text, id=str(n), document_id=str(n)), score=1 - n / 10)
        for n, text in enumerate(texts)
    ]
    sources, _ = build_context(results, ContextSettings(max_tokens=None))
    good, bad = checked_statements(
        "Black tea is steeped for four minutes and green tea for two [1][2].\n\n"
        "Black tea is steeped for nine minutes, green tea for two [1][2].",
        sources,
    )
    assert [citation.status for citation in good.citations] == ["paraphrased"] * 2
    assert [citation.status for citation in bad.citations] == ["unsupported_value"] * 2
    assert [value.text for citation in bad.citations for value in citation.values] == ["nine minutes"] * 2


def calls(statement: str, source: str) -> int:
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        unsupported_values(ValuesOfText(statement), ValuesOfText(source))
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "piece",
    [
        "1 ",
        "1.",
        "1,1",
        "not ",
        "un",
        "A ",
        "A B. ",
        "A-",
        "4 March ",
        "12 345 ",
        "one hundred and ",
        "$",
        "It's 5 km. ",
        "'",
        "三",
        "1/2/",
    ],
)
def test_the_work_grows_with_the_length(piece: str) -> None:
    once, twice = calls(piece * 400, piece * 400), calls(piece * 800, piece * 800)
    assert twice < 2.6 * once + 2000
