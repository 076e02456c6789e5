"""The lexical leg beside PostgreSQL's own ranking and bm25s: speed, what it adds to an upsert, and quality.

    python benchmarks/lexical.py speed [chunks]     p50 of a search beside ts_rank and ts_rank_cd over OR of the words
    python benchmarks/lexical.py upsert [chunks]    what it adds to an upsert, beside a stored tsvector with GIN index
    python benchmarks/lexical.py quality            agreement with bm25s on the same lexemes, nDCG@10 beside bm25s

Needs bm25s, PyStemmer and ir-measures. Both sides run in one process on the embedded server, in turns.
"""

from __future__ import annotations

import gzip
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import bm25s
import numpy as np
import Stemmer
from sqlalchemy import ARRAY, Connection, Text, bindparam, func, select, text, true

from embedpipe.evaluation.datasets import EvaluationSet, load_beir
from embedpipe.evaluation.measures import measure
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.lexical import Refreshed, refresh_weights
from embedpipe.storage.lexical.query_parser import parse_query
from embedpipe.storage.lexical.terms import by_parser
from embedpipe.types import Chunk, ModelSpec

DATA = Path(__file__).parents[2] / "shared" / "data"
SPEC = ModelSpec(name="benchmark", dimensions=2)
LANGUAGES = {
    "scifact_train": "english",
    "cranfield": "english",
    "squad_v11_dev": "english",
    "xquad_en": "english",
    "xquad_de": "german",
    "xquad_es": "spanish",
    "xquad_ar": "arabic",
    "xquad_zh": "simple",
}
QUERIES = 1200
OR_QUERY = """
SELECT id, {rank}(lexemes, query) AS score FROM lexical_benchmark,
  (SELECT to_tsquery('english', string_agg(quote_literal(lexeme), ' | ')) AS query
   FROM unnest(tsvector_to_array(to_tsvector('english', :words))) AS lexeme) AS asked
WHERE lexemes @@ query ORDER BY score DESC LIMIT 10
"""


def passages(count: int) -> list[str]:
    """Consecutive pieces of about 290 characters; where the books end, anew from another place."""
    with gzip.open(DATA / "text" / "english_books_20mb.txt.gz", "rt", encoding="utf-8") as file:
        books = file.read()
    draw = random.Random(1)
    found: list[str] = []
    start = 0
    while len(found) < count:
        end = books.rfind(" ", start, start + min(500, max(80, int(draw.gauss(290, 60)))))
        end = end if end > start else start + 290
        if len(books[start:end].strip()) > 40:
            found.append(books[start:end].strip())
        start = end if end < len(books) else draw.randrange(1000)
    draw.shuffle(found)
    return found


def questions(texts: Sequence[str], count: int) -> list[str]:
    """Runs of 14 words out of the passages: about seven lexemes each."""
    draw = random.Random(5)
    words = [draw.choice(texts).replace('"', " ").replace("-", " ").split() for _ in range(count)]
    starts = [draw.randrange(max(1, len(each) - 14)) for each in words]
    return [" ".join(each[start : start + 14]) for each, start in zip(words, starts, strict=True)]


def fresh(database: Database, name: str, language: str = "english") -> PgVectorStore:
    store = PgVectorStore(database, collection=name, model=SPEC, language=language)
    if store.count():
        store.drop()
        store = PgVectorStore(database, collection=name, model=SPEC, language=language)
    return store


def chunks_of(texts: Sequence[str], start: int = 0) -> list[Chunk]:
    return [Chunk.whole(each, id=f"p{start + i}", metadata={"n": i % 100}) for i, each in enumerate(texts)]


def ones(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.ones((count, 2), np.float32)


def vacuum(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def speed(database: Database, count: int) -> None:
    texts = passages(count)
    store = fresh(database, "lexical benchmark")
    for start in range(0, count, 5000):
        part = texts[start : start + 5000]
        store.upsert(chunks_of(part, start), ones(len(part)))
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS lexical_benchmark"))
        connection.execute(text("CREATE TABLE lexical_benchmark (id text PRIMARY KEY, lexemes tsvector)"))
        source = store.collection.chunks.fullname
        words = f"INSERT INTO lexical_benchmark SELECT id, to_tsvector('english', content) FROM {source}"
        connection.execute(text(words))
        connection.execute(text("CREATE INDEX ON lexical_benchmark USING gin (lexemes)"))
    vacuum(database)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        ways = {
            "embedpipe": lambda words: store.search(text=words, mode="lexical", k=10, connection=connection),
            "embedpipe, 1 % filter": lambda words: store.search(
                text=words, mode="lexical", k=10, filter={"n": 7}, connection=connection
            ),
            "embedpipe, k = 100": lambda words: store.search(text=words, mode="lexical", k=100, connection=connection),
            "ts_rank OR": by_rank(connection, "ts_rank"),
            "ts_rank_cd OR": by_rank(connection, "ts_rank_cd"),
        }
        timings = timed(ways, questions(texts, 60))
    base = statistics.median(timings["embedpipe"])
    for name, values in timings.items():
        p50, p90 = statistics.median(values), sorted(values)[int(len(values) * 0.9)]
        print(f"{name:24s} p50 {p50:8.2f} ms  p90 {p90:8.2f} ms  {p50 / base:6.1f} times embedpipe")


def by_rank(connection: Connection, rank: str) -> Callable[[str], object]:
    statement = text(OR_QUERY.format(rank=rank))
    return lambda words: connection.execute(statement, {"words": words}).all()


def timed(ways: dict[str, Callable[[str], object]], asked: Sequence[str]) -> dict[str, list[float]]:
    """Milliseconds of each way for each question, the ways in turns; the first ten questions only warm up."""
    timings: dict[str, list[float]] = {name: [] for name in ways}
    for question in [*asked[:10], *asked]:
        for name, search in ways.items():
            started = time.perf_counter()
            search(question)
            timings[name].append((time.perf_counter() - started) * 1000)
    return {name: values[10:] for name, values in timings.items()}


def upsert(database: Database, count: int) -> None:
    """Three collections in turns: chunks and vectors alone, with a stored tsvector and GIN, with the lexical index."""
    texts = passages(count)
    stores = {name: fresh(database, f"upsert {name}") for name in ("alone", "tsvector", "lexical")}
    table = stores["tsvector"].collection.chunks.fullname
    with database.engine.begin() as connection:
        column = "lexemes tsvector GENERATED ALWAYS AS (to_tsvector('english', content)) STORED"
        connection.execute(text(f"ALTER TABLE {table} ADD {column}"))
        connection.execute(text(f"CREATE INDEX ON {table} USING gin (lexemes)"))
    for batch in (5000, 1000):
        seconds: dict[str, list[float]] = {name: [] for name in stores}
        for start in range(0, count, batch):
            part = chunks_of(texts[start : start + batch], start)
            for name, store in stores.items():
                seconds[name].append(write(store, part, indexed=name == "lexical"))
        later = {name: values[len(values) // 3 :] for name, values in seconds.items()}
        per_chunk = {name: 1e6 * statistics.mean(values) / batch for name, values in later.items()}
        added = {name: value - per_chunk["alone"] for name, value in per_chunk.items()}
        print(f"batches of {batch}: ", {name: f"{value:.1f} us/chunk" for name, value in per_chunk.items()})
        print(f"  the lexical leg adds {added['lexical'] / added['tsvector']:.2f} of what tsvector with GIN adds")
        for store in stores.values():
            store.clear()
        vacuum(database)


def write(store: PgVectorStore, part: Sequence[Chunk], *, indexed: bool) -> float:
    vectors = ones(len(part))
    if indexed:
        started = time.perf_counter()
        store.upsert(part, vectors)
        return time.perf_counter() - started
    with patch("embedpipe.storage.write.chunks.index_chunks"):
        started = time.perf_counter()
        store.upsert(part, vectors)
        return time.perf_counter() - started


def quality(database: Database) -> None:
    print(f"{'set':16s} agreement  refreshed  nDCG@10: embedpipe  bm25s on our lexemes  bm25s with its own tokenizer")
    for name, language in LANGUAGES.items():
        dataset = sampled(load_beir(DATA / "retrieval" / name))
        store = fresh(database, f"quality {name}", language)
        for start in range(0, len(dataset.documents), 1000):
            part = dataset.documents[start : start + 1000]
            store.upsert([Chunk.whole(each.text, id=each.id) for each in part], ones(len(part)))
        found = [answers(store, dataset)]
        agreement, same = on_our_lexemes(store, dataset, found[0])
        with database.engine.begin() as connection:
            step = Refreshed(0, after=0)
            while step.after is not None:
                step = refresh_weights(connection, store.collection, tolerance=0.001, after=step.after)
        found.append(answers(store, dataset))
        refreshed, _ = on_our_lexemes(store, dataset, found[1])
        own = with_its_tokenizer(dataset, stemmed=language == "english")
        values = [mean_ndcg(dataset, each) for each in (found[0], same, own)]
        print(f"{name:16s} {agreement:9.4f}  {refreshed:9.4f}  {values[0]:18.4f}  {values[1]:20.4f}  {values[2]:12.4f}")


def answers(store: PgVectorStore, dataset: EvaluationSet) -> dict[str, list[str]]:
    return {
        query_id: [result.id for result in store.search(text=words, mode="lexical", k=10)]
        for query_id, words in dataset.queries.items()
    }


def sampled(dataset: EvaluationSet) -> EvaluationSet:
    chosen = sorted(dataset.queries)
    if len(chosen) > QUERIES:
        chosen = random.Random(0).sample(chosen, QUERIES)
    return EvaluationSet(
        name=dataset.name,
        queries={key: dataset.queries[key] for key in chosen},
        relevant={key: dataset.relevant[key] for key in chosen},
        documents=dataset.documents,
    )


def mean_ndcg(dataset: EvaluationSet, rankings: dict[str, list[str]]) -> float:
    return statistics.mean(measure(dataset.relevant, rankings, ["nDCG@10"])["nDCG@10"].values())


def lexemes_of(store: PgVectorStore, texts: Sequence[str]) -> Iterator[list[str]]:
    """Each text's lexemes as the configuration makes them, pairs of characters included, repeated as they occur."""
    given = func.unnest(bindparam("texts", type_=ARRAY(Text))).table_valued("text", with_ordinality="n")
    given = given.render_derived(name="given")
    vector = by_parser(store.collection, given.c.text)
    lexemes = func.unnest(vector).table_valued("lexeme", "positions", "weights", name="lexemes").lateral("lexemes")
    names = func.array_agg(lexemes.c.lexeme)
    counts = func.array_agg(func.cardinality(lexemes.c.positions))
    joined = given.outerjoin(lexemes, true())
    statement = select(names, counts).select_from(joined).group_by(given.c.n).order_by(given.c.n)
    with store.database.engine.connect() as connection:
        for start in range(0, len(texts), 1000):
            for words, numbers in connection.execute(statement, {"texts": list(texts[start : start + 1000])}):
                yield [name for name, n in zip(words, numbers, strict=True) for _ in range(n or 0)]


def on_our_lexemes(
    store: PgVectorStore, dataset: EvaluationSet, ours: dict[str, list[str]]
) -> tuple[float, dict[str, list[str]]]:
    ids = [each.id for each in dataset.documents]
    retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    retriever.index(list(lexemes_of(store, [each.text for each in dataset.documents])), show_progress=False)
    agreements, rankings = [], {}
    asked = lexemes_of(store, list(dataset.queries.values()))
    for query_id, words in zip(dataset.queries, asked, strict=True):
        known = [word for word in words if word in retriever.vocab_dict]
        scores = retriever.get_scores(known) if known else np.zeros(len(ids), np.float32)
        best = [int(i) for i in np.argsort(-scores, kind="stable")[:10] if scores[i] > 0]
        rankings[query_id] = [ids[i] for i in best]
        if best and parse_query(dataset.queries[query_id]).constraint is None:  # bm25s knows no phrases
            position = {each: i for i, each in enumerate(ids)}
            least = scores[best[-1]] * (1 - 1e-5)  # of several with one score any is right
            agreements.append(sum(scores[position[each]] >= least for each in ours[query_id]) / len(best))
    return statistics.mean(agreements), rankings


def with_its_tokenizer(dataset: EvaluationSet, *, stemmed: bool) -> dict[str, list[str]]:
    stemmer = Stemmer.Stemmer("english") if stemmed else None
    ids = [each.id for each in dataset.documents]
    retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    retriever.index(
        bm25s.tokenize([each.text for each in dataset.documents], stemmer=stemmer, show_progress=False),
        show_progress=False,
    )
    asked = bm25s.tokenize(list(dataset.queries.values()), stemmer=stemmer, show_progress=False)
    found, scores = retriever.retrieve(asked, k=10, show_progress=False)
    return {
        query_id: [ids[i] for i, score in zip(row, values, strict=True) if score > 0]
        for query_id, row, values in zip(dataset.queries, found, scores, strict=True)
    }


def main() -> None:
    what, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    database = Database(schema="embedpipe_benchmark")
    if what == "speed":
        speed(database, count)
    elif what == "upsert":
        upsert(database, count)
    else:
        quality(database)
    database.close()


if __name__ == "__main__":
    main()
