"""One collection of several languages, stemmed by language, beside one collection for each language.

    python benchmarks/languages.py [en+de+es en+zh ...] [--queries 100]

nDCG@10 of the lexical and the hybrid search, over the paragraphs and questions of XQuAD, each language with its own
texts. The same vectors on all sides (all-MiniLM-L6-v2). A paragraph in another language than the question's does not
count as right, though it says the same.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.evaluation import EvaluationSet, load_beir, measure
from embedpipe.storage import BM25, Database, PgVectorStore
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.types import Chunk, SearchMode, Vectors
from storage import fresh

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
CONFIGURATIONS = {"en": "english", "de": "german", "es": "spanish", "ar": "arabic", "vi": "simple", "zh": "simple"}
MIXTURES = ("en+de", "en+de+es", "en+es+de+ar+vi+zh", "de+ar", "es+vi+zh")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", nargs="*", default=MIXTURES)
    parser.add_argument("--queries", type=int, default=100, help="of each language")
    arguments = parser.parse_args()
    mixtures = [mixture.split("+") for mixture in arguments.mixtures]
    languages = sorted({language for mixture in mixtures for language in mixture})
    sets = {language: _chosen(load_beir(DATA / f"xquad_{language}"), arguments.queries) for language in languages}
    generator = EmbeddingGenerator("all-MiniLM-L6-v2")
    texts = {
        name: generator.generate_batch([document.text for document in each.documents]).vectors
        for name, each in sets.items()
    }
    questions = {
        name: generator.generate_batch(list(each.queries.values()), "query").vectors for name, each in sets.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        server = embedded_url(Path(folder) / "server").replace("embedpipe@", "postgres@")
        for mixture in mixtures:
            print("+".join(mixture), flush=True)
            for name, lexical, alone in (
                ("one collection each", BM25(), True),
                ("one, english", BM25(), False),
                ("one, by language", BM25(by_language=True), False),
            ):
                figures: dict[SearchMode, list[float]] = {"lexical": [], "hybrid": []}
                groups = [[language] for language in mixture] if alone else [mixture]
                for group in groups:
                    database = Database(fresh(server, "languages"))
                    configuration = CONFIGURATIONS[group[0]] if alone else "english"
                    store = PgVectorStore(database, model=generator.spec, language=configuration, lexical=lexical)
                    for language in group:
                        _write(store, language, sets[language], texts[language])
                    store.refresh_statistics(exact=True)
                    for language in group:
                        for mode, values in figures.items():
                            values.append(_ndcg(store, language, sets[language], questions[language], mode))
                    database.close()
                for mode, values in figures.items():
                    each = "  ".join(f"{lang} {value:.4f}" for lang, value in zip(mixture, values, strict=True))
                    print(f"  {name:20} {mode:8} mean {np.mean(values):.4f}  {each}", flush=True)


def _chosen(every: EvaluationSet, queries: int) -> EvaluationSet:
    ids = sorted(every.queries)[:: max(1, len(every.queries) // queries)]
    return replace(every, queries={id_: every.queries[id_] for id_ in ids})


def _write(store: PgVectorStore, language: str, of: EvaluationSet, vectors: Vectors) -> None:
    chunks = [
        Chunk.whole(document.text, id=f"{language}:{document.id}", metadata={"language": language})
        for document in of.documents
    ]
    store.upsert(chunks, vectors)


def _ndcg(store: PgVectorStore, language: str, of: EvaluationSet, vectors: Vectors, mode: SearchMode) -> float:
    run: dict[str, list[str]] = {}
    relevant: Mapping[str, Mapping[str, int]] = {
        id_: {f"{language}:{document}": grade for document, grade in of.relevant[id_].items()} for id_ in of.queries
    }
    for (id_, question), vector in zip(of.queries.items(), vectors, strict=True):
        run[id_] = [str(hit.id) for hit in store.search(vector, question, mode=mode, k=10)]
    return float(np.mean(list(measure(relevant, run, ["nDCG@10"])["nDCG@10"].values())))


if __name__ == "__main__":
    main()
