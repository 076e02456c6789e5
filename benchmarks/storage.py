"""Writing and searching: embedpipe beside langchain-postgres, the LlamaIndex Postgres store and hand-written psycopg.

    python benchmarks/storage.py [--rows 20000] [--dimensions 384] [--repeats 5] [--database URL]

All sides use one server, the same texts, vectors, metadata and ids, and what each library's own API takes. Vectors are
clustered (uniform random ones have no neighbors that an index could find). Writes are measured without a vector index,
queries with HNSW (m 16, ef_construction 64, ef_search 64 here, 40 there, as each has it by default); recall says what
the difference bought. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from pgvector.psycopg import register_vector

from embedpipe.storage import Database, Field, PgVectorStore
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.storage.types.pg_types import vector_array
from embedpipe.storage.write.chunks import checked_rows
from embedpipe.types import Chunk, ModelSpec

WORDS = Path(__file__).parents[2] / "shared" / "data" / "text" / "english_books_20mb.txt.gz"


@dataclass
class Data:
    ids: list[str]
    texts: list[str]
    metadata: list[dict[str, Any]]
    vectors: np.ndarray
    queries: np.ndarray

    def exact(self, query: np.ndarray, rows: np.ndarray | None = None, k: int = 10) -> set[str]:
        """The ids of the k nearest among the rows."""
        rows = np.arange(len(self.ids)) if rows is None else rows
        unit = self.vectors[rows] / np.linalg.norm(self.vectors[rows], axis=1, keepdims=True)
        order = np.argsort(-(unit @ (query / np.linalg.norm(query))), kind="stable")[:k]
        return {self.ids[rows[i]] for i in order}


def make_data(rows: int, dimensions: int) -> Data:
    import gzip

    with gzip.open(WORDS, "rt", encoding="utf-8") as file:
        book = file.read(rows * 500)
    texts = [book[i * 500 % (len(book) - 500) :][:500].strip() or "blank" for i in range(rows)]
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, dimensions))
    spread = 0.6
    vectors = centres[rng.integers(0, 200, rows)] + spread * rng.standard_normal((rows, dimensions))
    queries = centres[rng.integers(0, 200, 200)] + spread * rng.standard_normal((200, dimensions))
    metadata = [{"source": f"book {i % 7}", "page": i % 300, "rare": i % 100 == 0} for i in range(rows)]
    return Data([f"chunk-{i}" for i in range(rows)], texts, metadata, vectors.astype("f4"), queries.astype("f4"))


class Embedpipe:
    name = "embedpipe"

    def __init__(self, url: str, data: Data, *, lexical: bool = True) -> None:
        self.data = data
        spec = ModelSpec(name="benchmark", dimensions=data.vectors.shape[1])
        self.store = PgVectorStore(Database(url), collection="benchmark", model=spec, lexical=lexical)
        self.store.create()

    def write(self) -> None:
        data = self.data
        pairs = zip(data.texts, data.ids, data.metadata, strict=True)
        chunks = [Chunk.whole(text, id=chunk_id, metadata=metadata) for text, chunk_id, metadata in pairs]
        self.store.upsert(chunks, data.vectors)

    def index(self) -> None:
        self.store.create_index()

    def search(self, query: np.ndarray) -> list[str]:
        return [hit.id for hit in self.store.search(query, k=10)]

    def search_rare(self, query: np.ndarray) -> list[str]:
        return [hit.id for hit in self.store.search(query, k=10, filter=Field("rare") == True)]  # noqa: E712

    def clear(self) -> None:
        self.store.drop()


class WithoutWords:
    """As `Embedpipe`, without the index of words, which the others have none of."""

    name = "embedpipe, no words"

    def __init__(self, url: str, data: Data) -> None:
        ours = Embedpipe(url, data, lexical=False)
        self.write, self.clear = ours.write, ours.clear


class Raw:
    """Hand-packed binary COPY into embedpipe's own tables, and a prepared statement of the same columns."""

    name = "psycopg by hand"

    def __init__(self, url: str, data: Data) -> None:
        self.ours = Embedpipe(url, data)
        self.data = data
        self.connection = psycopg.connect(url, autocommit=True)
        register_vector(self.connection)
        collection = self.ours.store.collection
        self.chunks, self.vectors = collection.chunks.fullname, collection.vectors.fullname
        self.connection.execute("SET hnsw.ef_search = 64")  # as embedpipe sets it

    def write(self) -> None:
        rows = checked_rows(
            [
                Chunk.whole(t, id=i, metadata=m)
                for t, i, m in zip(self.data.texts, self.data.ids, self.data.metadata, strict=True)
            ]
        )
        columns = ("id", "document_id", "chunk_index", "content", "start_index", "end_index", "metadata", "payload")
        with self.connection.transaction():
            first = self.connection.execute(f"SELECT coalesce(max(key), 0) + 1 FROM {self.chunks}").fetchone()[0]
            for start in range(0, len(rows.chunks), 1000):
                arrays = rows.arrays(start, min(start + 1000, len(rows.chunks)))
                fields = [fields_of(arrays[f"staged_{name}"].data, arrays["staged_id"].length) for name in columns]
                self._copy(f"COPY {self.chunks} ({', '.join(columns)}) FROM STDIN BINARY", fields)
            keys = [struct.pack(">iq", 8, key) for key in range(first, first + len(rows.chunks))]
            for start in range(0, len(keys), 1000):
                packed = vector_array(self.data.vectors[start : start + 1000], "float32")
                fields = [keys[start : start + 1000], fields_of(packed.data, packed.length)]
                self._copy(f"COPY {self.vectors} (key, embedding) FROM STDIN BINARY", fields)

    def _copy(self, statement: str, columns: list[list[bytes]]) -> None:
        head = struct.pack(">h", len(columns))
        body = b"".join([head + b"".join(fields) for fields in zip(*columns, strict=True)])
        with self.connection.cursor().copy(statement) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0) + body + struct.pack(">h", -1))

    def search(self, query: np.ndarray) -> list[str]:
        sql = f"""SELECT id, document_id, chunk_index, content, start_index, end_index, metadata, payload, distance
                  FROM (SELECT key, embedding <=> %s AS distance FROM {self.vectors} ORDER BY 2 LIMIT 10) hits
                  JOIN {self.chunks} USING (key) ORDER BY distance, id"""
        return [row[0] for row in self.connection.execute(sql, (query,), prepare=True)]

    def clear(self) -> None:
        self.connection.close()
        self.ours.clear()


def fields_of(data: bytes, length: int) -> list[bytes]:
    """The elements of a packed array, each with its length."""
    fields, position = [], 0
    for _ in range(length):
        size = max(struct.unpack_from(">i", data, position)[0], 0)
        fields.append(data[position : position + 4 + size])
        position += 4 + size
    return fields


class LangChain:
    name = "langchain-postgres"

    def __init__(self, url: str, data: Data) -> None:
        from langchain_core.embeddings import Embeddings
        from langchain_postgres import Column, PGEngine, PGVectorStore

        class Precomputed(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [[0.0]] * len(texts)

            def embed_query(self, text: str) -> list[float]:
                return [0.0]

        self.data = data
        engine = PGEngine.from_connection_string(url.replace("postgresql://", "postgresql+psycopg://"))
        engine.init_vectorstore_table(
            "langchain_chunks",
            data.vectors.shape[1],
            id_column=Column("langchain_id", "TEXT"),
            metadata_columns=[Column("rare", "BOOLEAN")],
            overwrite_existing=True,
        )
        self.store = PGVectorStore.create_sync(engine, Precomputed(), "langchain_chunks", metadata_columns=["rare"])

    def write(self) -> None:
        data = self.data
        self.store.add_embeddings(data.texts, data.vectors.tolist(), [dict(m) for m in data.metadata], data.ids)

    def index(self) -> None:
        from langchain_postgres.v2.indexes import HNSWIndex

        self.store.apply_vector_index(HNSWIndex(name="langchain_hnsw"))

    def search(self, query: np.ndarray) -> list[str]:
        return [d.id for d in self.store.similarity_search_by_vector(query.tolist(), k=10)]

    def search_rare(self, query: np.ndarray) -> list[str]:
        return [d.id for d in self.store.similarity_search_by_vector(query.tolist(), k=10, filter={"rare": True})]


def socket_address(url: str) -> str:
    """The embedded server's URL as psycopg2 reads it."""
    plain, _, query = url.partition("?")
    host = query.split("host=")[1].split("&")[0]
    return f"postgresql+psycopg2://postgres@/{plain.rsplit('/', 1)[1]}?host={host}&port=5432"


class LlamaIndex:
    name = "llama-index postgres"

    def __init__(self, url: str, data: Data) -> None:
        from llama_index.vector_stores.postgres import PGVectorStore

        self.data = data
        address = socket_address(url)
        self.store = PGVectorStore.from_params(
            connection_string=address,
            async_connection_string=address.replace("psycopg2", "asyncpg"),
            table_name="llama",
            embed_dim=data.vectors.shape[1],
            hnsw_kwargs=None,
            use_jsonb=True,
        )

    def write(self) -> None:
        from llama_index.core.schema import TextNode

        data = self.data
        vectors = data.vectors.tolist()
        nodes = [
            TextNode(id_=i, text=t, metadata=m, embedding=v)
            for i, t, m, v in zip(data.ids, data.texts, data.metadata, vectors, strict=True)
        ]
        self.store.add(nodes)

    def index(self) -> None:
        with psycopg.connect(self.url_for_index, autocommit=True) as connection:
            connection.execute("SET maintenance_work_mem = '1GB'")
            connection.execute("CREATE INDEX ON public.data_llama USING hnsw (embedding vector_cosine_ops)")

    url_for_index = ""

    def search(self, query: np.ndarray) -> list[str]:
        return self._query(query, None)

    def search_rare(self, query: np.ndarray) -> list[str]:
        from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

        return self._query(query, MetadataFilters(filters=[MetadataFilter(key="rare", value="true")]))

    def _query(self, query: np.ndarray, filters: Any) -> list[str]:
        from llama_index.core.vector_stores import VectorStoreQuery

        wanted = VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=10, filters=filters)
        return list(self.store.query(wanted).ids or [])


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def fresh(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    url = server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    return url


def report(
    title: str, figures: dict[str, list[float]], *, unit: str, higher_is_better: bool, of: str = Embedpipe.name
) -> None:
    ours = statistics.median(figures[of])
    print(f"\n{title} (n = {len(figures[of])})")
    for name, values in figures.items():
        median = statistics.median(values)
        ratio = ours / median if higher_is_better else median / ours
        print(f"  {name:22} {median:12,.2f} {unit:8} {of} is {ratio:6.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=1, help="writes of the slow peers")
    parser.add_argument("--database", help="a postgresql:// URL of a server whose databases may be made and dropped")
    options = parser.parse_args()
    data = make_data(options.rows, options.dimensions)
    with tempfile.TemporaryDirectory() as folder:
        server = options.database or embedded_url(Path(folder) / "server").replace("embedpipe@", "postgres@")
        run(server, data, options)


def run(server: str, data: Data, options: argparse.Namespace) -> None:
    rows, dimensions = data.vectors.shape
    print(f"{rows} rows, {dimensions} dimensions, Python {sys.version.split()[0]}, psycopg {psycopg.__version__}")
    kinds: list[type[Any]] = [Embedpipe, WithoutWords, Raw, LangChain, LlamaIndex]
    writes: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    sides: dict[str, Any] = {}
    for repeat in range(options.repeats):
        for kind in kinds:
            if kind in (LangChain, LlamaIndex) and repeat >= options.peer_repeats:
                continue
            name = f"bench_{kind.__name__.lower()}"
            if hasattr(sides.get(kind.name), "clear"):
                sides[kind.name].clear()
            url = fresh(server, name)
            side = sides[kind.name] = kind(url, data)
            side.url_for_index = url
            writes[kind.name].append(rows / timed(side.write))
    for name in (Embedpipe.name, WithoutWords.name):
        report("Writing, rows a second", writes, unit="rows/s", higher_is_better=True, of=name)
    builds = {name: [timed(side.index)] for name, side in sides.items() if hasattr(side, "index")}
    report("Building the vector index after the load", builds, unit="s", higher_is_better=False)
    raw = sides[Raw.name]
    raw.ours.store.create_index()
    for name in ("search", "search_rare"):
        measure_queries(name, sides, data, options.repeats)


def measure_queries(method: str, sides: dict[str, Any], data: Data, repeats: int) -> None:
    able = {name: getattr(side, method) for name, side in sides.items() if hasattr(side, method)}
    times: dict[str, list[float]] = {name: [] for name in able}
    rates: dict[str, list[float]] = {name: [] for name in able}
    rare = np.arange(0, len(data.ids), 100) if method == "search_rare" else None
    for name, search in able.items():
        found = [set(search(query)) for query in data.queries[:100]]
        hits = [len(f & data.exact(q, rare)) for f, q in zip(found, data.queries[:100], strict=True)]
        print(f"{name} {method}: recall@10 {sum(hits) / 1000:.3f}, {sum(map(len, found)) / 100:.1f} of 10 rows")
    for _ in range(repeats):
        for name, search in able.items():
            times[name].append(statistics.median(timed(lambda q=query, s=search: s(q)) for query in data.queries) * 1e3)
            if name != Raw.name:
                with ThreadPoolExecutor(8) as pool:
                    rates[name].append(200 / timed(lambda s=search, p=pool: list(p.map(s, data.queries))))
    rates = {name: values for name, values in rates.items() if values}
    report(f"{method}, p50 of one client", times, unit="ms", higher_is_better=False)
    report(f"{method}, 8 threads", rates, unit="queries/s", higher_is_better=True)


if __name__ == "__main__":
    main()
