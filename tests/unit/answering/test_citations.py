from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from embedpipe.answering.citations import checked_statements, find_quote
from embedpipe.answering.extractive import ExtractiveAnswerer, answer_text
from embedpipe.answering.questions import asked_for
from embedpipe.errors import ConfigurationError
from embedpipe.retrieval.context import ContextSettings, Passage, build_context
from searching import DOCUMENT, paragraphs, result

SOURCES, _ = build_context(paragraphs(), ContextSettings(max_tokens=None, merge=False))


def numbers(answer: str) -> list[tuple[str, list[int]]]:
    return [(s.text, [c.source for c in s.citations]) for s in checked_statements(answer, SOURCES)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("One [1]. Two [2][3].", [("One.", [1]), ("Two.", [2, 3])]),
        ("One. [1] Two.", [("One.", [1]), ("Two.", [])]),
        ("One [1, 3] and [2].", [("One and.", [1, 3, 2])]),
        ("One [1-3].", [("One.", [1, 2, 3])]),
        ("One [Source 2].", [("One.", [2])]),
        ("One [sources 1 and 2].", [("One.", [1, 2])]),
        ("- [2] says so.\n- Not [3].", [("- says so.", [2]), ("- Not.", [3])]),
        ("Use `a[1]` here [2].", [("Use `a[1]` here.", [2])]),
        ("See [1](there).", [("See.", [1])]),
        ("[1]", []),
        ("", []),
    ],
)
def test_marks_go_to_their_statements(answer: str, expected: list[tuple[str, list[int]]]) -> None:
    assert numbers(answer) == expected


def test_statement_offsets_are_those_of_the_answer() -> None:
    answer = "First thing [1]. Second thing. [2]\n\nThird."
    spans = [answer[s.start : s.end] for s in checked_statements(answer, SOURCES)]
    assert spans == ["First thing [1].", "Second thing. [2]", "Third."]


@pytest.mark.parametrize(
    "answer",
    [
        'It is "used to wrap the execution of a block with methods" [1].',
        "It is “used to wrap the execution of a block with methods.” [1]",
        "THE WITH STATEMENT is used to wrap the execution of a block with methods [1].",
        'It is "used to wrap ... with methods" [1].',
    ],
)
def test_a_true_quotation_is_found_in_the_document(answer: str) -> None:
    (citation,) = checked_statements(answer, SOURCES)[0].citations
    assert citation.status == "quoted"
    assert citation.document_id == "with"
    assert citation.quote == DOCUMENT[citation.start_index : citation.end_index]
    assert citation.quote is not None
    assert citation.quote.endswith("of a block with\nmethods")


def test_a_quotation_with_quotes_inside() -> None:
    answer = 'A context manager\'s "__exit__()" method is always called [2].'
    (citation,) = checked_statements(answer, SOURCES)[0].citations
    assert citation.status == "quoted"
    assert citation.quote == 'A context manager’s "__exit__()" method is always called'


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ('It is "used to wrap the execution of a function" [1].', "misquoted"),
        ('It is "always called" [1].', "misquoted"),
        ('"always called" and "never left out" [2].', "misquoted"),
        ("A block is wrapped in methods of a context manager, used to wrap the execution [1].", "paraphrased"),
        ("Bananas ripen faster beside apples [1].", "unsupported"),
        ("It is so [4].", "unknown_source"),
        ("It is so [0].", "unknown_source"),
    ],
)
def test_every_citation_gets_its_status(answer: str, status: str) -> None:
    (citation,) = checked_statements(answer, SOURCES)[0].citations
    assert citation.status == status
    assert citation.valid == (status == "paraphrased")


def test_a_paraphrase_points_at_the_nearest_sentence() -> None:
    answer = "Common patterns are encapsulated for convenient reuse by this [1]."
    (citation,) = checked_statements(answer, SOURCES)[0].citations
    assert citation.status == "paraphrased"
    assert citation.support > 0.5
    assert citation.quote == DOCUMENT[citation.start_index : citation.end_index]
    assert citation.quote == "This allows common patterns\nto be encapsulated for convenient reuse."


@pytest.mark.parametrize(
    ("quote", "text", "expected"),
    [
        ("art", "a party of art", "art"),
        ("语言", "这是语言学", "语言"),
        ("a (b) [c] \\d", "so: a (b) [c] \\d!", "a (b) [c] \\d"),
        ("...", "anything", None),
        ("", "anything", None),
    ],
)
def test_find_quote(quote: str, text: str, expected: str | None) -> None:
    span = find_quote(quote, text)
    assert (text[span[0] : span[1]] if span else None) == expected


def test_extractive_answer_quotes_the_sentence_that_was_asked_for() -> None:
    alike, _ = build_context(paragraphs(scores=(0.5, 0.5, 0.5)), ContextSettings(max_tokens=None, merge=False))
    statements = ExtractiveAnswerer(max_sentences=1).statements("When is the exit method called?", alike)
    (citation,) = statements[0].citations
    assert citation.status == "quoted"
    assert DOCUMENT[citation.start_index : citation.end_index] == citation.quote
    assert statements[0].text.startswith("A context manager’s")
    assert answer_text(statements) == f"{statements[0].text} [3]"


def test_extractive_statements_lie_where_they_say() -> None:
    statements = ExtractiveAnswerer(margin=10).statements("context manager", SOURCES)
    answer = answer_text(statements)
    assert len(statements) == 3
    assert all(answer[s.start : s.end] == answer_text([s]) for s in statements)


def test_no_sentence_reaches_over_a_gap_and_none_comes_twice() -> None:
    document = "A sentence goes on here.\tand ends here now."
    hits = [result(0, 24, document=document), result(25, 43, document=document, index=1)]
    (passage,), _ = build_context(hits, ContextSettings(max_tokens=None))
    twice: list[Passage] = [
        passage,
        *build_context([result(0, 24, document=document, id="b")], ContextSettings(max_tokens=None))[0],
    ]
    statements = ExtractiveAnswerer(max_sentences=9, margin=10).statements("sentence", twice)
    assert sorted(s.text for s in statements) == ["A sentence goes on here.", "and ends here now."]


def test_headings_and_code_are_quoted_only_where_there_is_nothing_else() -> None:
    document = "The pass statement here\n\nThe pass statement does nothing at all.\n\npass  # the pass statement here"
    (passage,), _ = build_context([result(0, len(document), document=document)], ContextSettings(max_tokens=None))
    texts = [s.text for s in ExtractiveAnswerer().statements("the pass statement here", [passage])]
    assert texts == ["The pass statement does nothing at all."]
    (heading,), _ = build_context([result(0, 23, document=document)], ContextSettings(max_tokens=None))
    texts = [s.text for s in ExtractiveAnswerer().statements("the pass statement here", [heading])]
    assert texts == ["The pass statement here"]


def source(text: str, *, score: float = 0.5, id: str = "notes") -> Passage:
    (passage,), _ = build_context(
        [result(0, len(text), document=text, score=score, id=id)], ContextSettings(max_tokens=None)
    )
    return passage


def quoted(question: str, *sources: Passage, **settings: float) -> list[str]:
    return [statement.text for statement in ExtractiveAnswerer(**settings).statements(question, sources)]  # type: ignore[arg-type]


TEAS = source("Black tea is steeped for four minutes. Green tea is steeped for two minutes. Milk is added to it last.")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long is black tea steeped?", "Black tea is steeped for four minutes."),
        ("How long is green tea steeped?", "Green tea is steeped for two minutes."),
        ("When is milk added?", "Milk is added to it last."),
    ],
)
def test_one_sentence_is_quoted_where_one_answers(question: str, answer: str) -> None:
    assert quoted(question, TEAS) == [answer]
    assert len(quoted(question, TEAS, margin=10)) == 3


def test_sentences_that_answer_equally_well_are_all_quoted() -> None:
    both = source("Oolong tea is steeped in hot water. Oolong tea is steeped in clay pots. Nobody drinks coffee here.")
    assert len(quoted("What is oolong tea steeped in?", both)) == 2


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        (
            "How many people work at Acme?",
            "Many people work at Acme. 300 people work at Acme.",
            "300 people work at Acme.",
        ),
        (
            "When did the plant open?",
            "The plant did open late. The plant did open in 1980.",
            "The plant did open in 1980.",
        ),
        ("Who runs the plant?", "A committee runs the plant. Mary Jones runs the plant.", "Mary Jones runs the plant."),
        ("Wie viele Leute hat das Werk?", "Das Werk hat viele Leute. Das Werk hat 300.", "Das Werk hat 300."),
        ("¿Cuándo abrió la fábrica?", "La fábrica ya abrió. La fábrica es de 1980.", "La fábrica es de 1980."),
    ],
)
def test_a_value_of_the_kind_that_was_asked_for_counts(question: str, text: str, answer: str) -> None:
    assert quoted(question, source(text), margin=0) == [answer]


def test_the_sentence_before_names_what_a_pronoun_stands_for() -> None:
    text = "A shop was opened by a baker. It is old. The bridge is old. It was opened by a queen."
    assert quoted("By what was the bridge opened?", source(text), margin=0) == ["It was opened by a queen."]


def test_a_better_rank_decides_between_equal_sentences_without_similarities() -> None:
    sources = [
        source(f"The valve is {color}.", score=score, id=color) for color, score in (("red", 1.0), ("blue", 2.0))
    ]
    by_words = [replace(s, results=tuple(replace(r, similarity=None) for r in s.results)) for s in sources]
    assert quoted("What is the valve?", *by_words, margin=0) == ["The valve is blue."]


@pytest.mark.parametrize(
    "question",
    ["Who invented the steam locomotive?", "How many moons does Jupiter have?", "Wann wurde die Brücke eröffnet?"],
)
def test_nothing_is_quoted_where_the_sources_hold_nothing_on_the_question(question: str) -> None:
    german = source("Der Tee zieht vier Minuten. Die Milch kommt zuletzt dazu.")
    sources = [german] if question.startswith("Wann") else [TEAS]
    assert quoted(question, *sources) == []
    assert quoted(question, *sources, least_share=0)


@pytest.mark.parametrize(
    ("text", "answered"),
    [
        ("# Tea\n\n## Green\n\nSteep it at 80 degrees. It takes two minutes.", True),
        ("# Tea\n\n## Green\n\nA bush.\n\nIt grows.\n\nSteep it at 80 degrees. It takes two minutes.", True),
        ("# Tea\n\n## Green\n\nA bush.\n\n# Coffee\n\nIt is dark.\n\nSteep it at 80 degrees for long.", False),
        ("Steep it at 80 degrees. It takes two minutes.", False),
    ],
)
def test_the_headings_above_a_sentence_say_what_it_is_about(text: str, answered: bool) -> None:
    assert bool(quoted("How hot is it for green tea?", source(text))) == answered


@pytest.mark.parametrize(
    ("question", "similarity", "cosines", "answered"),
    [
        ("Which liquid goes into black tea?", 0.8, (0.1, 0.1), True),
        ("Which liquid goes into black tea?", 0.8, None, False),
        ("Which liquid goes into black tea?", 0.8, (0.7, 0.1), False),  # as similar as any two chunks
        ("Is black silk dyed?", 0.8, None, True),
        ("Is black silk dyed?", 0.2, (0.1, 0.1), False),
        ("Is black tea steeped?", 0.0, (0.1, 0.1), True),  # the words are all there, for a model without the language
    ],
)
def test_a_similarity_that_stands_out_needs_fewer_of_the_words(
    question: str, similarity: float, cosines: tuple[float, float] | None, answered: bool
) -> None:
    tea = source("Black tea is steeped for four minutes. Milk is added to it last.", score=similarity)
    known = None if cosines is None else SimpleNamespace(mean=cosines[0], spread=cosines[1])
    assert bool(ExtractiveAnswerer().statements(question, [tea], known)) == answered


def test_questions_in_scripts_without_spaces_are_judged_by_their_characters() -> None:
    bees = source("工蜂在夏天只活六周。蜂王能活五年。")
    assert quoted("工蜂活多久？", bees, margin=0) == ["工蜂在夏天只活六周。"]
    assert quoted("木星有几颗卫星？", bees) == []


def test_words_do_not_judge_a_question_in_another_language() -> None:
    assert quoted("Wie lange zieht der schwarze Tee?", TEAS)


def test_sources_without_sentences_give_no_statement() -> None:
    assert ExtractiveAnswerer().statements("what?", []) == []
    with pytest.raises(ConfigurationError):
        ExtractiveAnswerer(max_sentences=0)


def test_a_citation_has_the_page_of_the_chunk_in_which_its_quotation_begins() -> None:
    text = "Green tea takes two minutes.\nBlack tea takes four minutes.\nWhite tea takes five."
    hits, start = [], 0
    for number, page in enumerate(text.split("\n"), 1):
        hit = result(start, start + len(page), score=1 / number, index=number, document=text)
        hits.append(replace(hit, chunk=hit.chunk._replace(metadata={"page": number})))
        start += len(page) + 1
    [source], _ = build_context(hits, ContextSettings(max_tokens=None))
    assert len(source.results) == 3
    answer = 'It is "four minutes" [1]. Green tea takes two minutes [1]. Nothing of this is said at all [1].'
    cited = [citation for statement in checked_statements(answer, [source]) for citation in statement.citations]
    assert [citation.metadata["page"] for citation in cited] == [2, 1, 1]
    [statement] = ExtractiveAnswerer(max_sentences=1).statements("How long does white tea take?", [source])
    assert statement.citations[0].metadata["page"] == 3


@pytest.mark.parametrize(
    ("question", "kind", "topic"),
    [
        ("How many people live there?", "number", "people live there?"),
        ("In what year did it open?", "date", "In did it open?"),
        ("WIE GROẞ ist der Bus?", "number", "ist der Bus?"),
        ("What did they do when it broke?", None, "did they do when it broke?"),
        ("tea steeping time", None, "tea steeping time"),
    ],
)
def test_the_first_words_that_ask_tell_the_kind_of_value(question: str, kind: str | None, topic: str) -> None:
    asked = asked_for(question)
    assert (asked.kind, " ".join(asked.topic.split())) == (kind, topic)
