"""The lexical leg against BM25 in plain Python over the lexemes that PostgreSQL makes, whatever is written by whom."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import Connection, bindparam, func, select, text, true

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage import BM25, Database, Field, Filter, Fusion, PgVectorStore
from embedpipe.storage.lexical import Refreshed, index_chunks, refresh_weights
from embedpipe.storage.lexical import index as index_module
from embedpipe.storage.tables import Collection, lexical_tables
from embedpipe.types import Chunk, ModelSpec

SPEC = ModelSpec(name="unit-test", dimensions=2)
Scores = dict[str, float]


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    return PgVectorStore(database, model=SPEC)


def write(store: PgVectorStore, texts: Mapping[str, str]) -> None:
    chunks = [
        Chunk.whole(text, id=name, metadata={"even": len(text) % 2 == 0, "most": len(text) % 5 != 0})
        for name, text in texts.items()
    ]
    store.upsert(chunks, np.ones((len(chunks), 2), np.float32))


def search(store: PgVectorStore, query: str, k: int = 10, filter: Filter | None = None) -> Scores:
    found = store.search(text=query, mode="lexical", k=k, filter=filter)
    assert [result.lexical_rank for result in found] == list(range(1, len(found) + 1))
    return {result.id: result.score for result in found}


def counted(store: PgVectorStore, texts: Iterable[str]) -> list[Counter[str]]:
    """The lexemes of each text, with how often they occur."""
    lexemes = text(
        "SELECT array(SELECT lexeme FROM unnest(v)), array(SELECT cardinality(positions) FROM unnest(v)) FROM "
        "(SELECT to_tsvector(CAST(:language AS regconfig), t) AS v FROM unnest(CAST(:texts AS text[])) "
        "WITH ORDINALITY AS s(t, n) ORDER BY n) AS vectors"
    )
    with store.database.engine.connect() as connection:
        rows = connection.execute(lexemes, {"language": store.collection.language, "texts": list(texts)})
        return [Counter(dict(zip(names, counts, strict=True))) for names, counts in rows]


def pieces(store: PgVectorStore, texts: Iterable[str]) -> list[tuple[set[str], set[str]]]:
    """The lexemes of the names that each text's compounds add, and of their parts."""
    lexemes = text(
        "SELECT tsvector_to_array(to_tsvector(CAST(:language AS regconfig), split_part(pieces, E'\\n', 1))), "
        "tsvector_to_array(to_tsvector(CAST(:language AS regconfig), split_part(pieces, E'\\n', 2))) FROM "
        "(SELECT embedpipe.word_pieces(t) AS pieces FROM unnest(CAST(:texts AS text[])) "
        "WITH ORDINALITY AS s(t, n) ORDER BY n) AS texts"
    )
    with store.database.engine.connect() as connection:
        rows = connection.execute(lexemes, {"language": store.collection.language, "texts": list(texts)})
        return [(set(names), set(parts)) for names, parts in rows]


def ngrams_of(words: Iterable[str]) -> set[str]:
    """The sequences of four characters of each word between spaces, with another space before each."""
    spaced = [f" {word} " for word in words if 3 <= len(word) <= 40]
    return {f" {word[at : at + 4]}" for word in spaced for at in range(len(word) - 3)}


def bm25(
    store: PgVectorStore, texts: Mapping[str, str], query: str, keep: Callable[[str], bool] = lambda _: True
) -> Scores:
    """Every chunk with a word of the query that `keep` lets pass, by Robertson and Zaragoza with Lucene's idf.

    A piece of compounds counts once in a chunk, and adds nothing to its length. In a query a part counts a quarter.
    Neither does a character n-gram add to the length, and in a query it counts .15.
    """
    weighing = store.collection.lexical or BM25()
    chunks = dict(zip(texts, counted(store, texts.values()), strict=True))
    lengths = {name: chunk.total() for name, chunk in chunks.items()}
    ngrams = ngrams_of if weighing.character_ngrams else lambda _: set()
    of_chunks = [ngrams(chunk) for chunk in chunks.values()]
    for chunk, found in zip(chunks.values(), of_chunks, strict=True):
        chunk.update(found)
    for chunk, added in zip(chunks.values(), pieces(store, texts.values()), strict=True):
        chunk.update((added[0] | added[1]) - chunk.keys())
    [own], [(names, parts)] = counted(store, [query]), pieces(store, [query])
    asked = (
        dict.fromkeys(ngrams(own), 0.15)
        | dict.fromkeys(parts, 0.25)
        | dict.fromkeys(names, 1.0)
        | {word: float(n) for word, n in own.items()}
    )
    holding = Counter(word for chunk in chunks.values() for word in chunk)
    average = sum(lengths.values()) / len(chunks)
    k1, b = weighing.k1, weighing.b
    scores: Scores = {}
    for name, chunk in chunks.items():
        if not keep(texts[name]) or not asked.keys() & chunk.keys():
            continue
        k = k1 * (1 - b + b * lengths[name] / average)
        scores[name] = 0.0
        for word in asked.keys() & chunk.keys():
            idf = math.log(1 + (len(chunks) - holding[word] + 0.5) / (holding[word] + 0.5))
            scores[name] += asked[word] * idf * chunk[word] * (k1 + 1) / (chunk[word] + k)
    return scores


def assert_best(found: Scores, expected: Scores, k: int = 10) -> None:
    """The k best of the expected, by score; which of several with one score is left open."""
    best = sorted(expected.values(), reverse=True)[:k]
    assert list(found.values()) == pytest.approx(best, rel=1e-4)
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-4)


def zipf_texts(n: int, seed: int = 0, words: int = 400) -> dict[str, str]:
    """Texts of 4 to 40 words, the frequent ones far more frequent than the rare, as in any language."""
    draw = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(words)]
    weights = [1 / (i + 1) for i in range(words)]
    return {f"{seed}-{i}": " ".join(draw.choices(vocabulary, weights, k=draw.randint(4, 40))) for i in range(n)}


def test_scores_are_exact_bm25_also_where_common_words_alone_decide(store: PgVectorStore) -> None:
    texts = zipf_texts(4000)
    write(store, texts)
    refresh(store)
    for query in ("w399 w398 w3", "w0 w1", "w0 w1 w2 w3 w4 w5", "w200 w0", "w390 w0 w1 w2", "w7 w7 w8", "w0"):
        expected = bm25(store, texts, query)
        for k in (1, 10, 200):
            assert_best(search(store, query, k), expected, k)
    of_most = bm25(store, texts, "w0 w1 w200", lambda text: len(text) % 5 != 0)
    assert 2000 < len(of_most) < 4000
    assert_best(search(store, "w0 w1 w200", 10, Field("most") == True), of_most)  # noqa: E712 - it makes a filter


@pytest.mark.parametrize("weighing", [BM25(k1=0.4, b=1.0), BM25(k1=2.5, b=0.0)])
def test_a_collection_weighs_words_as_it_was_made_to(database: Database, weighing: BM25) -> None:
    store = PgVectorStore(database, model=SPEC, lexical=weighing)
    texts = zipf_texts(500)
    write(store, texts)
    refresh(store)
    for query in ("w0 w1", "w7 w7 w8", "w300 w3 w120"):
        assert_best(search(store, query, 20), bm25(store, texts, query), 20)
    assert PgVectorStore(database, lexical=True).collection.lexical == weighing
    for other in (BM25(), False):
        with pytest.raises(ConfigurationError, match="was created with lexical=BM25"):
            _ = PgVectorStore(database, lexical=other).collection


def test_character_ngrams_count_beside_words(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC, language="german", lexical=BM25(character_ngrams=True))
    drawn = ["Dampfschiff", "Donaudampfschiffe", "Donau", "fahren", "Schiffer", "TCP/IP", "ab", "x" * 41]
    texts = {str(i): " ".join(random.Random(i).choices(drawn, k=6)) for i in range(300)}
    write(store, texts)
    refresh(store)
    for query in ("Dampfschiff", "Schifffahrt auf der Donau", "dampfshiff", "TCP"):
        expected = bm25(store, texts, query)
        assert expected
        assert_best(search(store, query, 20), expected, 20)
    store.delete(["1", "2", "3"])
    for name in ("1", "2", "3"):
        del texts[name]
    assert_best(search(store, "dampfshiff", 20), bm25(store, texts, "dampfshiff"), 20)


@pytest.mark.parametrize(
    ("language", "query", "expected"),
    [("german", "Dampfschiff", "ship"), ("english", "boilng watr", "tea"), ("english", "refrigerater", "fridge")],
)
def test_character_ngrams_find_compounds_and_misspelt_words(
    database: Database, language: str, query: str, expected: str
) -> None:
    texts = {
        "ship": "Die Donaudampfschiffe fahren im Sommer täglich.",
        "tea": "Black tea takes boiling water.",
        "fridge": "Keep it in the refrigerator.",
        "rest": "Nothing of this kind stands here.",
    }
    found = []
    for ngrams in (False, True):
        weighing = BM25(character_ngrams=ngrams)
        store = PgVectorStore(database, collection=str(ngrams), model=SPEC, language=language, lexical=weighing)
        write(store, texts)
        found.append(next(iter(search(store, query)), None))
    assert found == [None, expected]


@pytest.mark.parametrize("settings", [{"k1": 0}, {"k1": -1}, {"b": 1.5}, {"b": -0.1}])
def test_words_cannot_be_weighed_that_way(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"(k1|b)=.* is out of range\. Pass a number"):
        BM25(**settings)


def test_a_filter_restricts_the_chunks_and_not_their_statistics(store: PgVectorStore) -> None:
    texts = zipf_texts(300)
    write(store, texts)
    found = search(store, "w3 w50 w120", 20, Field("even") == True)  # noqa: E712 - it makes a filter
    expected = bm25(store, texts, "w3 w50 w120", lambda text: len(text) % 2 == 0)
    assert 0 < len(expected) < 300
    assert_best(found, expected, 20)


@pytest.mark.parametrize("seed", range(3))
def test_scores_stay_exact_through_inserts_updates_and_deletes(store: PgVectorStore, seed: int) -> None:
    draw = random.Random(seed)
    texts: dict[str, str] = {}
    for step in range(50):
        new = {str(draw.randrange(60)): text for text in zipf_texts(draw.randint(1, 6), 1000 * seed + step).values()}
        write(store, new)
        texts |= new
        gone = draw.sample(sorted(texts), min(len(texts) - 1, draw.randint(0, 3)))
        assert store.delete(gone) == len(gone)
        texts = {name: text for name, text in texts.items() if name not in gone}
    assert_statistics(store, texts)
    refresh(store)
    for query in ("w0 w1 w30", "w5", "w11 w100 w2"):
        assert_best(search(store, query), bm25(store, texts, query))
    store.clear()
    assert_statistics(store, {})
    assert search(store, "w0") == {}


def test_weights_are_refreshed_by_steps_that_hold_few_chunks_each(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_STEP_CHUNKS", 40)
    steps: list[tuple[Any, int]] = []

    def index(connection: Connection, collection: Collection, ids: Sequence[str]) -> None:
        steps.append((connection.scalar(text("SELECT pg_current_xact_id()::text")), len(ids)))
        index_chunks(connection, collection, ids)

    store = PgVectorStore(database, model=SPEC)
    texts = {f"{n:03}": "word " * (n % 7 + 2) for n in range(130)}
    write(store, texts)
    longer = {f"{n:03}": "word " * (n + 2) for n in range(130, 140)}
    write(store, longer)
    monkeypatch.setattr(index_module, "index_chunks", index)
    assert store.refresh_statistics(exact=True) == 130
    assert [size for _, size in steps] == [40, 40, 40, 10]
    assert len({transaction for transaction, _ in steps}) == 4
    assert store.refresh_statistics(exact=True) == 0
    assert_best(search(store, "word"), bm25(store, texts | longer, "word"))


def refresh(store: PgVectorStore) -> int:
    chunks, step = 0, Refreshed(0, after=0)
    with store.database.engine.begin() as connection:
        while step.after is not None:
            step = refresh_weights(connection, store.collection, 1e-6, step.after)
            chunks += step.chunks
    return chunks


def assert_statistics(store: PgVectorStore, texts: Mapping[str, str]) -> None:
    """What is folded and what came since add up to what the rows hold, and the rows to the texts."""
    of = lexical_tables(store.collection)
    with store.database.engine.connect() as connection:
        entry = func.unnest(of.deltas.c.terms, of.deltas.c.chunks).table_valued("term", "chunks").render_derived()
        counts = Counter[int]()
        folded = select(of.terms.c.term, of.terms.c.chunks)
        since = select(entry.c.term, entry.c.chunks).select_from(of.deltas.join(entry, true()))
        for rows in (folded, since):
            for term, chunks in connection.execute(rows):
                counts[term] += chunks
        stored = list(connection.execute(select(of.index.c.length, of.index.c.terms)))
    expected = Counter(term for row in stored for term in row.terms)
    expected[0], expected[-1] = len(stored), sum(row.length for row in stored)
    assert +counts == +expected
    lengths = [chunk.total() for chunk in counted(store, texts.values())] if texts else []
    assert sorted(row.length for row in stored) == sorted(lengths)


def test_many_writers_of_the_same_chunks_end_with_statistics_that_add_up(store: PgVectorStore) -> None:
    write(store, zipf_texts(1))
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        try:
            for step in range(25):
                texts = zipf_texts(20, 100 * seed + step).values()
                write(store, {str(draw.randrange(80)): text for text in texts})
                store.delete([str(draw.randrange(80)) for _ in range(3)])
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    def keep_fresh() -> None:
        try:
            for _ in range(15):
                refresh(store)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    threads.append(threading.Thread(target=keep_fresh))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    texts = {str(chunk.id): chunk.text for chunk in store.find()}
    assert_statistics(store, texts)
    refresh(store)
    for query in ("w0 w1 w30", "w5 w200"):
        assert_best(search(store, query), bm25(store, texts, query))


def test_no_writer_waits_for_another_that_writes_other_chunks_of_the_same_words(store: PgVectorStore) -> None:
    for i in range(40):  # more than are folded at once
        write(store, {f"old {i}": "the same words"})
    with store.database.engine.connect() as first, store.database.engine.connect() as second:
        ones = np.ones((1, 2), np.float32)
        second.execute(text("SELECT set_config('lock_timeout', '1s', false)"))
        store.upsert([Chunk.whole("the same words", id="a")], ones, connection=first)
        store.delete(["old 1"], connection=first)
        store.upsert([Chunk.whole("the same words", id="b")], ones, connection=second)
        store.delete(["old 2"], connection=second)
        second.commit()
        first.commit()
    assert_statistics(store, {str(chunk.id): chunk.text for chunk in store.find()})


def test_what_is_rolled_back_leaves_no_trace(store: PgVectorStore) -> None:
    write(store, {"a": "alpha beta", "b": "alpha"})
    before = search(store, "alpha beta")
    with store.database.engine.connect() as connection:
        chunk = Chunk.whole("alpha alpha beta", id="c")
        store.upsert([chunk], np.ones((1, 2), np.float32), connection=connection)
        assert store.search(text="beta", mode="lexical", connection=connection)[0].id in ("a", "c")
        connection.rollback()
    assert search(store, "alpha beta") == before


def test_refresh_makes_the_weights_of_repeated_words_those_of_todays_average(store: PgVectorStore) -> None:
    short = {f"short {i}": f"alpha alpha beta{i}" for i in range(5)}
    long = {f"long {i}": f"gamma{i} " * 40 for i in range(20)}
    write(store, short)
    write(store, long)
    expected = bm25(store, short | long, "alpha")
    assert search(store, "alpha") == pytest.approx(expected, rel=0.41)
    assert search(store, "alpha") != pytest.approx(expected, rel=1e-4)
    assert refresh(store) == len(short)
    assert_best(search(store, "alpha"), expected)
    assert refresh(store) == 0


DOGS = {
    "1": "The quick brown fox jumps over the lazy dog",
    "2": "A brown dog and a quick cat",
    "3": "Quick, the fox! Brown it is",
    "4": "Nothing of that sort",
    "5": "A state-of-the-art kennel",
}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("quick", "123"),
        ("quick fox", "123"),
        ('"quick brown"', "1"),
        ('"quick brown" dog', "1"),
        ("quick -fox", "2"),
        ("quick -foxes", "2"),
        ('dog -"brown dog"', "1"),
        ('"quick brown" or "brown dog"', "12"),
        ('"lazy dog" or nothing', "14"),
        ('"brown dog" or -dog quick', "23"),
        ('"quick" "cat"', "2"),
        ('"dog quick"', ""),
        ("-quick", ""),
        ('"the"', ""),
        ('"the" dog', "12"),
        ("dog -the", "12"),
        ('"state of the art"', "5"),
        ("state-of-the-art", "5"),
        ("dog or kennel", "125"),
    ],
)
def test_phrases_are_required_and_exclusions_kept_out(store: PgVectorStore, query: str, ids: str) -> None:
    write(store, DOGS)
    assert sorted(search(store, query)) == list(ids)


@pytest.mark.parametrize(
    ("query", "holding", "required"),
    [
        ('a quick "brown dog"', "2", "2"),
        ('what is a "foxes and hounds club"?', "", ""),
        ('a kennel of 5" or 3" planks', "", "12345"),
        ('"quick brown" "lazy dog" "art kennel"', "15", ""),  # two and one of three
        ('"quick brown" or "art kennel"', "15", "15"),
        ('"the" dog', "", "12345"),
        ('dog "brown dog" -kennel', "2", "2"),
        ('"brown dog" -cat', "", ""),
    ],
)
@pytest.mark.parametrize("method", ["scores", "ranks"])
def test_phrases_of_a_hybrid_search_boost_unless_required(
    store: PgVectorStore, query: str, holding: str, required: str, method: Any
) -> None:
    write(store, DOGS)
    vector, plain = np.ones(2, np.float32), query.replace('"', "")
    fusion = Fusion(method=method, phrase_boost=1.0)
    free = store.search(vector, query, k=10, mode="hybrid", fusion=fusion)
    assert {hit.id for hit in free} == {hit.id for hit in store.search(vector, plain, k=10, mode="hybrid")}
    assert {hit.id for hit in free if hit.phrase_boost} == set(holding)
    assert not holding or free[0].id in holding
    found = store.search(vector, query, k=10, mode="hybrid", required_phrases=True, fusion=fusion)
    assert sorted(hit.id for hit in found) == list(required)


def test_the_boost_is_a_share_of_the_range_of_scores(store: PgVectorStore) -> None:
    write(store, DOGS)
    query = '"quick brown" "brown dog" kennel'
    scores: dict[float, dict[str, float]] = {}
    for boost in (0.0, 0.5, 1.0):
        hits = store.search(np.ones(2, np.float32), query, k=10, mode="hybrid", fusion=Fusion(phrase_boost=boost))
        scores[boost] = {hit.id: hit.score for hit in hits}
        added = boost / 2 * (max(scores[0.0].values()) - min(scores[0.0].values()))  # each holds one of two phrases
        for hit in hits:
            gained = added if hit.id in "12" else 0
            assert hit.phrase_boost == pytest.approx(gained)
            assert hit.score == pytest.approx(scores[0.0][hit.id] + gained)
            assert f"by quoted phrases: +{gained:.4f}" in hit.explain()


def test_a_phrase_of_common_words_is_found_among_many_that_have_them(store: PgVectorStore) -> None:
    others = {f"other {i:03}": "error log error log log of an error" for i in range(300)}
    write(store, {**others, "wanted": "the log error that nobody reads, in a text of many words " + "and others " * 30})
    query, vector = '"log error that nobody" error log', np.ones(2, np.float32)
    found = store.search(vector, query, k=3, mode="hybrid", fusion=Fusion(candidates=3))
    assert found[0].id == "wanted"


HOSTILE = [
    "",
    " ",
    "'",
    '"',
    "''''",
    "\\",
    "& | ! ( ) <-> <2> :* :a",
    "'; DROP TABLE chunks; --",
    "%s %(words)s :words $1 {0}",
    "the of and a",
    "?!.,;:—…",
    "🏳️‍🌈 😀",
    "dog 犬 собака كلب สุนัข",
    "-" * 1000,
    '"' * 1001,
    "-a " * 500,
    '"a b" ' * 500,
    "or " * 500,
    "\u202e\u200b\ufeff dog",
    "x" * 100_000,
    " ".join(f"word{i}" for i in range(12_000)),
    "dog " * 25_000,
    "犬" * 30_000,
]


def test_no_query_text_breaks_the_search(store: PgVectorStore) -> None:
    write(store, DOGS)
    for query in HOSTILE:
        found = search(store, query)
        assert set(found) <= set(DOGS), query[:50]
        if "dog" in query:
            assert found, query[:50]
    with pytest.raises(InputError, match="NUL"):
        search(store, "do\x00g")


def test_a_chunk_of_too_many_different_words_is_refused_and_nothing_of_the_batch_is_kept(store: PgVectorStore) -> None:
    write(store, {"most": " ".join(f"word{i}" for i in range(16_000))})
    assert list(search(store, "word15999")) == ["most"]
    for text_ in (" ".join(f"word{i}" for i in range(16_001)), " ".join(f"{i:060d}" for i in range(20_000))):
        with pytest.raises(InputError, match="Use a chunker"):
            write(store, {"fine": "a dog", "too many": text_})
    assert store.count() == 1
    assert search(store, "dog") == {}


def test_two_words_of_one_number_count_as_one(store: PgVectorStore, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT array_agg(word) FROM (SELECT 'q' || translate(i::text, '0123456789', 'abcdefghij') || 'q' AS word "
            "FROM generate_series(1, 200000) AS i) AS words "
            "GROUP BY hashtext(word) & 536870911 HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
    assert found is not None
    one, other = found[0]
    write(store, {"both": f"{one} {other}", "one": f"{one} dog", "none": "a cat"})
    found_both = search(store, one)
    assert set(found_both) == {"both", "one"}
    assert search(store, other) == found_both
    assert_statistics(store, {"both": f"{one} {other}", "one": f"{one} dog", "none": "a cat"})


ASIAN = {
    "zh": ("我是北京大学的学生", "他在上海工作", "学生", "我是北京大学的学生"),
    "ja": ("東京タワーへ行きました", "大阪城を見ました", "タワー", "東京タワーへ行きました"),
    "th": ("ฉันรักภาษาไทย", "แมวกินปลา", "ภาษา", "ฉันรักภาษาไทย"),
}


@pytest.mark.parametrize("language", ["simple", "english"])
@pytest.mark.parametrize("script", ASIAN)
def test_scripts_without_spaces_are_searched_by_pairs(database: Database, script: str, language: str) -> None:
    first, second, query, expected = ASIAN[script]
    store = PgVectorStore(database, model=SPEC, language=language)
    texts = {first: first, second: second, "mixed": f"PostgreSQL和{query}"}
    write(store, texts)
    assert set(search(store, query)) == {expected, "mixed"}
    assert set(search(store, f'"{query}"')) == {expected, "mixed"}
    assert set(search(store, f"{query} -postgresql")) == {expected}
    assert set(search(store, "postgresql")) == {"mixed"}


def test_every_configuration_that_postgresql_ships(database: Database) -> None:
    with database.engine.connect() as connection:
        languages = list(connection.scalars(text("SELECT cfgname FROM pg_ts_config ORDER BY 1")))
    assert len(languages) >= 29
    texts = {"1": "London Paris 2026 cafés", "2": "Paris Москва", "3": "Straße αθήνα القاهرة"}
    for language in languages:
        store = PgVectorStore(database, collection=language, model=SPEC, language=language)
        write(store, texts)
        assert_best(search(store, "Москва paris αθήνα"), bm25(store, texts, "Москва paris αθήνα"))


@pytest.mark.parametrize("piece", ["a1", "aB", "a-", "a/", "..", "a.1", "A+", "\u00e9-"])
def test_pieces_grow_with_the_length_of_the_text_and_no_faster(database: Database, piece: str) -> None:
    statement = select(func.char_length(func.embedpipe.word_pieces(bindparam("content"))))
    with database.engine.connect() as connection:
        for joined in (1, 250):  # callers cut words at 500 characters
            texts = [" ".join([piece * joined] * (count // joined)) for count in (10_000, 100_000)]
            fewer, more = (connection.execute(statement, {"content": each}).scalar_one() for each in texts)
            assert more <= 10.1 * fewer + 100
            assert more <= 20 * len(texts[1])


@pytest.mark.parametrize("schema", ["aB", "select", "my schema", "a-b", "süß", "50_percent"])
def test_a_schema_may_have_any_name_that_is_taken(database_url: str, schema: str) -> None:
    with closing(Database(database_url, schema=schema)) as database:
        store = PgVectorStore(database, model=ModelSpec(name="test", dimensions=2))
        store.upsert([Chunk.whole("by TCP/IP", id="a"), Chunk.whole("by hand", id="b")], np.eye(2))
        assert [hit.id for hit in store.search(text="tcp", mode="lexical")] == ["a"]
        assert store.search(np.array([0.5, 0.5]), "tcp", mode="hybrid")[0].id == "a"
        store.upgrade()
        store.delete(["a"])
        assert store.search(text="tcp", mode="lexical") == []
