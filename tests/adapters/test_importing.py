"""Chunks taken over from other libraries' tables, which are made here as those libraries make them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
import pytest
from langchain_core.documents import Document
from llama_index.core.schema import BaseNode, ImageNode, IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from psycopg.types.json import Jsonb

from embedpipe import langchain, llama_index
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import CollectionNotFoundError, ModelMismatchError, SchemaError, StorageError
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.transfer.importers import BATCH_ROWS, ImportReport
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import ModelSpec

D = 8
SPEC = ModelSpec(name="their model", dimensions=D)

LANGCHAIN = """
CREATE TABLE langchain_pg_collection (
    uuid UUID NOT NULL PRIMARY KEY, name VARCHAR NOT NULL UNIQUE, cmetadata JSON
);
CREATE TABLE langchain_pg_embedding (
    id VARCHAR NOT NULL PRIMARY KEY,
    collection_id UUID REFERENCES langchain_pg_collection (uuid) ON DELETE CASCADE,
    embedding VECTOR, document VARCHAR, cmetadata JSONB
);
CREATE INDEX ix_cmetadata_gin ON langchain_pg_embedding USING gin (cmetadata jsonb_path_ops);
"""
LANGCHAIN_TABLE = """
CREATE SCHEMA "Their schema";
CREATE TABLE "Their schema"."My documents" (
    "langchain_id" UUID PRIMARY KEY, "content" TEXT NOT NULL, "embedding" vector(8) NOT NULL,
    "content_tsv" TSVECTOR NOT NULL, "page" INTEGER, "a ""day" DATE, "langchain_metadata" JSON
);
"""
LLAMA_INDEX = """
CREATE TABLE data_nodes (
    id BIGSERIAL PRIMARY KEY, text VARCHAR NOT NULL, metadata_ JSON, node_id VARCHAR, embedding {}(8)
);
CREATE INDEX nodes_idx_1 ON data_nodes ((metadata_ ->> 'ref_doc_id'));
"""


def vectors(n: int) -> list[list[float]]:
    values: list[list[float]] = np.random.default_rng(0).standard_normal((n, D)).astype(np.float32).tolist()
    return values


@pytest.fixture
def connection(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


def fill_collection(connection: Any, rows: Sequence[Any], name: str = "mine") -> None:
    number = uuid.uuid4()
    connection.execute("INSERT INTO langchain_pg_collection VALUES (%s, %s)", (number, name))
    with connection.cursor() as cursor:
        insert = "INSERT INTO langchain_pg_embedding VALUES (%s, %s, %s, %s, %s)"
        cursor.executemany(insert, [(row[0], number, *row[1:]) for row in rows])


def test_a_langchain_collection_is_taken_over_as_it_is(connection: Any, database: Database) -> None:
    connection.execute(LANGCHAIN)
    n = 2 * BATCH_ROWS + 7
    values = vectors(n)
    rows = [(f"{i}", str(values[i]), f"text {i}", Jsonb({"n": i, "zip": "02134"})) for i in range(n)]
    fill_collection(connection, rows)
    fill_collection(connection, [("another", str(values[0]), "of another collection", None)], name="other")
    store = PgVectorStore(database, model=SPEC)
    seen = []
    for _ in range(2):
        report = langchain.import_collection(store, "mine", on_progress=lambda report: seen.append(report.rows))
        assert (report.rows, report.failures) == (n, {})
    assert seen == [1000, 2000, 2007] * 2
    assert store.count() == n
    [hit] = store.search(values[5], k=1, with_vectors=True)
    assert (hit.id, hit.text, hit.metadata) == ("5", "text 5", {"n": 5, "zip": "02134"})
    assert hit.vector is not None
    np.testing.assert_array_equal(hit.vector, np.array(values[5], dtype=np.float32))
    assert store.search(text="text 5", mode="lexical", k=1)[0].id == "5"


def test_rows_that_cannot_be_taken_over_are_named_and_cost_no_other(connection: Any, database: Database) -> None:
    connection.execute(LANGCHAIN)
    [good] = vectors(1)
    fill_collection(
        connection,
        [
            ("good", str(good), "good", None),
            ("no vector", None, "text", None),
            ("no text", str(good), None, None),
            ("zero", str([0.0] * D), "text", None),
            ("x" * 3000, str(good), "text", None),
        ],
    )
    store = PgVectorStore(database, model=SPEC)
    report = langchain.import_collection(store, "mine")
    assert [chunk.id for chunk in store.find()] == ["good"]
    assert report.rows == 1
    assert {name[:9]: str(error) for name, error in report.failures.items()}.keys() == {
        "no vector",
        "no text",
        "zero",
        "x" * 9,
    }


def test_a_langchain_table_is_taken_over_with_its_columns(connection: Any, database: Database) -> None:
    connection.execute(LANGCHAIN_TABLE)
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for i, (name, vector) in enumerate(zip(ids, vectors(3), strict=True)):
        connection.execute(
            """INSERT INTO "Their schema"."My documents" VALUES (%s, %s, %s, to_tsvector(%s), %s, '2026-01-01', %s)""",
            (name, f"text {i}", str(vector), "text", i or None, json.dumps({"start_index": 7, "zip": "02134"})),
        )
    store = PgVectorStore(database, model=SPEC)
    report = langchain.import_table(store, "My documents", schema="Their schema")
    assert (report.rows, report.failures) == (3, {})
    found = {chunk.id: chunk for chunk in store.find()}
    assert found.keys() == set(ids)
    metadata = {"start_index": 7, "zip": "02134", "page": 2, 'a "day': "2026-01-01"}
    assert found[ids[2]].metadata == metadata
    assert found[ids[0]].metadata == metadata | {"page": None}
    assert (found[ids[2]].start_index, found[ids[2]].end_index) == (7, 13)


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("0.1", 0.1),
        ("-12345", -12345),
        ("12345678901234567890.12", "12345678901234567890.12"),
        ("1e400", "1" + "0" * 400),
    ],
)
def test_numbers_keep_all_their_digits(connection: Any, database: Database, number: str, kept: object) -> None:
    connection.execute(
        "CREATE TABLE priced (langchain_id uuid PRIMARY KEY, content text, embedding vector(8), price numeric)"
    )
    row = (str(uuid.uuid4()), "tea", str(vectors(1)[0]), number)
    connection.execute("INSERT INTO priced VALUES (%s, %s, %s, %s)", row)
    store = PgVectorStore(database, model=SPEC)
    assert langchain.import_table(store, "priced").failures == {}
    assert store.find()[0].metadata == {"price": kept}


def nodes_of_all_kinds() -> list[BaseNode]:
    source = RelatedNodeInfo(node_id="the document", metadata={"a": 1})
    first = TextNode(
        id_="first",
        text="Green tea",
        metadata={"page": 7, "zip": "02134"},
        start_char_idx=3,
        end_char_idx=12,
        excluded_embed_metadata_keys=["page"],
        relationships={NodeRelationship.SOURCE: source},
    )
    second = IndexNode(id_="second", text="Black tea", index_id="the index")
    second.metadata = {"page": 8}
    third = ImageNode(id_="third", text="A cup", image_url="http://localhost/cup.png")
    return [first, second, third]


@pytest.mark.parametrize("column", ["vector", "halfvec"])
def test_a_llama_index_table_gives_the_same_nodes_back(connection: Any, database: Database, column: str) -> None:
    connection.execute(LLAMA_INDEX.format(column))
    nodes = nodes_of_all_kinds()
    insert = "INSERT INTO data_nodes (text, metadata_, node_id, embedding) VALUES (%s, %s, %s, %s)"
    for node, vector in zip([nodes[0].model_copy(update={"text": "an earlier text"}), *nodes], vectors(4), strict=True):
        metadata = json.dumps(node_to_metadata_dict(node, remove_text=True, flat_metadata=False))
        connection.execute(insert, (node.get_content(), metadata, node.node_id, str(vector)))
    connection.execute(insert, ("of an early version", '{"k": 1}', "early", str(vectors(5)[4])))
    store = PgVectorStore(database, model=SPEC)
    for _ in range(2):
        report = llama_index.import_table(store, "Nodes")
        assert (report.rows, report.failures) == (5, {})
    vector_store = llama_index.EmbedPipeVectorStore(store=store)
    found = {node.node_id: node for node in vector_store.get_nodes()}
    assert [found[node.node_id] for node in nodes] == nodes
    assert (found["early"].get_content(), found["early"].metadata) == ("of an early version", {"k": 1})
    assert [chunk.id for chunk in store.find(document_ids=["the document"])] == ["first"]


def test_what_is_not_there_or_of_another_model_is_refused(connection: Any, database: Database, server_url: str) -> None:
    wrong = PgVectorStore(database, model=ModelSpec(name="wrong", dimensions=D + 1))
    for take_over in (langchain.import_collection, langchain.import_table, llama_index.import_table):
        with pytest.raises(SchemaError, match="There is no table"):
            take_over(wrong, "mine")
    connection.execute(LANGCHAIN)
    fill_collection(connection, [("a", str(vectors(1)[0]), "text", None)])
    with pytest.raises(CollectionNotFoundError, match="There are: mine"):
        langchain.import_collection(wrong, "other")
    with pytest.raises(SchemaError, match=r"Schema public has one\. Name it"):
        langchain.import_collection(wrong, "mine", schema="elsewhere")
    with pytest.raises(SchemaError, match="no column content, embedding"):
        langchain.import_table(wrong, "langchain_pg_collection")
    with pytest.raises(ModelMismatchError, match="8 dimensions, and wrong makes 9"):
        langchain.import_collection(wrong, "mine")
    assert database.collections() == []
    connection.execute(LANGCHAIN_TABLE)
    row = (str(uuid.uuid4()), "a secret text", str(vectors(1)[0]))
    connection.execute("""INSERT INTO "Their schema"."My documents" VALUES (%s, %s, %s, '')""", row)
    with pytest.raises(StorageError, match=r"syntax for type vector: \(left out here\)") as caught:
        langchain.import_table(wrong, "My documents", schema="Their schema", embedding_column="content")
    assert "secret" not in str(caught.value)
    assert langchain.import_collection(PgVectorStore(database, model=SPEC), "mine").rows == 1


def test_the_table_may_lie_in_another_database(connection: Any, database_url: str, server_url: str) -> None:
    connection.execute(LANGCHAIN)
    fill_collection(connection, [("a", str(vectors(1)[0]), "text", None)])
    store = PgVectorStore(Database(), collection="imported", model=SPEC)
    report = langchain.import_collection(store, "mine", source=database_url)
    assert isinstance(report, ImportReport)
    assert [chunk.id for chunk in store.find()] == ["a"]
    store.drop()
    store.database.close()


def test_langchain_reads_what_was_its_own(connection: Any, database: Database) -> None:
    connection.execute(LANGCHAIN)
    model = EmbeddingGenerator(FakeEmbeddingModel(D))
    texts = ["green tea", "black tea"]
    stored = model.generate_batch(texts).vectors.tolist()
    fill_collection(
        connection, [(text, str(vector), text, Jsonb({"of": text})) for text, vector in zip(texts, stored, strict=True)]
    )
    store = PgVectorStore(database, model=model.spec)
    langchain.import_collection(store, "mine")
    found = langchain.EmbedPipeVectorStore(store=store, embedding=langchain.EmbedPipeEmbeddings(model))
    assert found.similarity_search("black tea", k=1) == [
        Document(id="black tea", page_content="black tea", metadata={"of": "black tea"})
    ]
