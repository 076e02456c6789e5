from __future__ import annotations

import asyncio
import copy
import json
import pickle
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.core.vector_stores.types import VectorStoreQueryMode

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import CollectionNotFoundError, ConfigurationError, InputError, ModelMismatchError
from embedpipe.llama_index import EmbedPipeEmbedding, EmbedPipeVectorStore, RecursiveNodeParser
from embedpipe.storage import Database, Field, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import ModelSpec

SPEC = ModelSpec(name="plane", dimensions=2)
YEAR_2020 = MetadataFilters(filters=[MetadataFilter(key="year", value=2020)])


def node(name: str, text: str, vector: list[float], *, document: str = "d", year: int = 2020) -> TextNode:
    made = TextNode(id_=name, text=text, metadata={"year": year}, embedding=vector)
    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


def fruit() -> list[BaseNode]:
    return [
        node("orange", "Oranges are sweet and round", [1.0, 0.0]),
        node("tangerine", "Tangerines are sweet", [0.99, 0.14], year=2021),
        node("lemon", "Lemons are sour", [0.6, 0.8], document="e"),
        node("sky", "The sky is blue", [-1.0, 0.0], document="e", year=2022),
    ]


@pytest.fixture
def empty(database: Database) -> EmbedPipeVectorStore:
    store = PgVectorStore(database, model=SPEC)
    store.create()
    return EmbedPipeVectorStore(store)


@pytest.fixture
def filled(empty: EmbedPipeVectorStore) -> EmbedPipeVectorStore:
    assert empty.add(fruit()) == ["orange", "tangerine", "lemon", "sky"]
    return empty


def ask(store: EmbedPipeVectorStore, k: int = 10, **settings: Any) -> list[str]:
    mode = VectorStoreQueryMode(settings.pop("mode", "default"))
    settings = {"query_embedding": [1.0, 0.0], "similarity_top_k": k, **settings}
    return store.query(VectorStoreQuery(mode=mode, **settings)).ids or []


class TestNodes:
    @pytest.mark.parametrize(
        "made",
        [
            TextNode(text=""),
            TextNode(
                text="offsets and templates",
                start_char_idx=3,
                end_char_idx=24,
                metadata={"a": [1, None, 1.5], "id": "x", "text": "y"},
                excluded_embed_metadata_keys=["a"],
                excluded_llm_metadata_keys=["id"],
                metadata_template="{key}={value}",
                relationships={
                    NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc", metadata={"k": 1}, hash="h"),
                    NodeRelationship.CHILD: [RelatedNodeInfo(node_id="c1"), RelatedNodeInfo(node_id="c2")],
                },
            ),
            IndexNode(text="index", index_id="other"),
            ImageNode(text="caption", image_url="https://example.org/x.png"),
            IndexNode(text="index", index_id="node", obj=TextNode(id_="t", text="inner", metadata={"zz": 1, "a": [2]})),
            IndexNode(text="index", index_id="document", obj=Document(id_="d", text="inner")),
            IndexNode(text="index", index_id="object", obj={"zz": 1, "a": [None, 1.5, "x"]}),
            IndexNode(text="index", index_id="text", obj="a text"),
            IndexNode(text="index", index_id="number", obj=7),
            Node(
                text_resource=MediaResource(text="a"),
                image_resource=MediaResource(data=b"\x89PNG", mimetype="image/png"),
            ),
            Document(text="a document", metadata={"title": "t"}),
            Node(text_resource=MediaResource(text="a node", mimetype="text/markdown"), extra_info={"n": 1}),
            TextNode(id_="%s :name $1 'q' 🙂", text="hostile id"),
        ],
        ids=lambda made: type(made).__name__,
    )
    def test_a_node_comes_back_as_it_was(self, empty: EmbedPipeVectorStore, made: BaseNode) -> None:
        given = copy.deepcopy(made)
        given.embedding = [1.0, 0.0]
        assert empty.add([given]) == [made.node_id]
        for found in (empty.get_nodes([made.node_id])[0], (empty.query(_dense()).nodes or [])[0]):
            assert type(found) is type(made)
            assert found == made
            assert found.get_content(MetadataMode.EMBED) == made.get_content(MetadataMode.EMBED)

    def test_generators_and_repeated_ids(self, empty: EmbedPipeVectorStore) -> None:
        nodes = fruit()
        assert len(empty.add(each for each in nodes)) == 4  # type: ignore[arg-type]  # what users do all the same
        empty.add([node("sky", "The sky is grey", [-1.0, 0.0])])
        assert empty.get_nodes(["sky"])[0].get_content() == "The sky is grey"
        assert len(empty.get_nodes()) == 4
        assert empty.add([]) == []

    def test_a_node_without_a_vector_is_refused_and_nothing_written(self, empty: EmbedPipeVectorStore) -> None:
        with pytest.raises(InputError, match="'bare'"):
            empty.add([*fruit(), TextNode(id_="bare", text="no vector")])
        with pytest.raises(InputError, match="when"):
            empty.add([TextNode(text="x", metadata={"when": object()}, embedding=[1.0, 0.0])])
        relation = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d", metadata={"when": object()})}
        with pytest.raises(InputError, match="without a JSON form"):
            empty.add([TextNode(text="x", relationships=relation, embedding=[1.0, 0.0])])
        assert empty.get_nodes() == []


class _Colour(Enum):
    RED = "red"


VALUES: list[tuple[Any, Any]] = [
    (date(2024, 5, 1), "2024-05-01"),
    (datetime(2024, 5, 1, 12, tzinfo=UTC), "2024-05-01T12:00:00Z"),
    (time(3), "03:00:00"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Decimal("1.50"), "1.50"),
    (PurePosixPath("/a"), "/a"),
    (_Colour.RED, "red"),
    ((1, "a", (2,)), [1, "a", [2]]),
    ({1}, [1]),
    (frozenset(["a"]), ["a"]),
    (np.int64(3), 3),
    (np.float32(0.5), 0.5),
    (np.float64(0.5), 0.5),
    (np.bool_(True), True),
    (np.array([[1, 2]]), [[1, 2]]),
    ({"zz": date(2024, 5, 1), "a": {1: None}}, {"zz": "2024-05-01", "a": {"1": None}}),
]


class TestMetadata:
    """Values that JSON does not have are kept as LlamaIndex's own stores keep them, and else refused by name."""

    @pytest.mark.parametrize(("value", "stored"), VALUES, ids=lambda value: type(value).__name__)
    async def test_what_has_a_form_in_json_is_kept(
        self, empty: EmbedPipeVectorStore, database: Database, value: Any, stored: Any
    ) -> None:
        metadata = {"value": value, "a": 1}
        parent = RelatedNodeInfo(node_id="d", metadata=metadata)
        made = TextNode(
            id_="n", text="x", metadata=metadata, embedding=[1.0, 0.0], relationships={NodeRelationship.SOURCE: parent}
        )
        for add in (empty.add, None):
            assert (add([made]) if add else await empty.async_add([made])) == ["n"]
            [found] = empty.get_nodes(["n"])
            assert json.dumps(found.metadata) == json.dumps({"value": stored, "a": 1})
            assert found.source_node is not None
            assert found.source_node.metadata == {"value": stored, "a": 1}
        assert made.metadata["value"] is value
        if type(stored) in (str, int, float):
            only = MetadataFilters(filters=[MetadataFilter(key="value", value=stored)])
            assert ask(empty, filters=only) == ["n"]
        await database.aclose()

    @pytest.mark.parametrize(
        "value", [object(), float("nan"), {"a": float("inf")}, "\x00", b"\xff", {1: "a", "1": "b"}]
    )
    def test_the_document_of_any_other_is_named(self, empty: EmbedPipeVectorStore, value: Any) -> None:
        made = node("n", "x", [1.0, 0.0], document="teas.txt")
        made.metadata["value"] = value
        with pytest.raises(InputError, match=r"Node 'n' of document 'teas\.txt'"):
            empty.add([*fruit(), made])
        assert empty.get_nodes() == []

    def test_an_object_that_cannot_be_restored_is_refused(self, empty: EmbedPipeVectorStore) -> None:
        for unfit in (MockLLM(), object(), (1, 2), {"a": date(2024, 5, 1)}, {1: 2}):
            made = IndexNode(id_="n", text="x", index_id="i", obj=unfit, embedding=[1.0, 0.0])
            with pytest.raises(InputError, match=rf"its obj is a {type(unfit).__name__}.*objects="):
                empty.add([made])

    def test_two_nodes_of_one_id_are_refused_where_they_differ(self, empty: EmbedPipeVectorStore) -> None:
        one, other = node("n", "one", [1.0, 0.0]), node("n", "other", [1.0, 0.0])
        with pytest.raises(InputError, match="Two nodes have the id 'n' and differ"):
            empty.add([one, other])
        assert empty.add([one, one]) == ["n", "n"]

    def test_nodes_stand_in_their_document_in_the_order_they_came(self, empty: EmbedPipeVectorStore) -> None:
        empty.add([node(f"{name}", f"text {name}", [1.0, 0.0], document="d") for name in "zyx"])
        assert [found.node_id for found in empty.get_nodes()] == ["z", "y", "x"]
        around = empty.client.neighbors(["z"], window=1)
        assert [chunk.id for chunk in around["z"]] == ["y"]


def _dense(**settings: Any) -> VectorStoreQuery:
    return VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=3, **settings)


class TestQueries:
    def test_dense_scores_are_similarities(self, filled: EmbedPipeVectorStore) -> None:
        found = filled.query(_dense())
        assert found.ids == ["orange", "tangerine", "lemon"]
        assert found.similarities == pytest.approx([1.0, 0.99, 0.6], abs=1e-3)

    @pytest.mark.parametrize("mode", ["sparse", "text_search"])
    def test_lexical_modes_need_no_vector(self, filled: EmbedPipeVectorStore, mode: str) -> None:
        assert ask(filled, mode=mode, query_embedding=None, query_str="what is sour?") == ["lemon"]
        assert len(ask(filled, mode=mode, query_str="sweet", sparse_top_k=1)) == 1

    @pytest.mark.parametrize("mode", ["hybrid", "semantic_hybrid"])
    def test_hybrid_fuses_and_alpha_weighs(self, filled: EmbedPipeVectorStore, mode: str) -> None:
        assert ask(filled, mode=mode, query_str="what is sour?", alpha=1.0)[0] == "orange"
        assert ask(filled, mode=mode, query_str="what is sour?", alpha=0.0)[0] == "lemon"
        assert len(ask(filled, mode=mode, query_str="sweet", hybrid_top_k=2)) == 2
        scores = filled.query(_dense(mode=VectorStoreQueryMode(mode), query_str="sweet", sparse_top_k=2)).similarities
        assert scores is not None
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)

    def test_marginal_relevance(self, filled: EmbedPipeVectorStore) -> None:
        assert ask(filled, 2, mode="mmr", mmr_threshold=1.0) == ["orange", "tangerine"]
        assert ask(filled, 2, mode="mmr", mmr_threshold=0.4) == ["orange", "sky"]

    async def test_marginal_relevance_by_a_retrievers_options(self, filled: EmbedPipeVectorStore) -> None:
        query = _dense(mode=VectorStoreQueryMode.MMR)
        query.similarity_top_k = 2
        assert filled.query(query, mmr_threshold=1.0).ids == ["orange", "tangerine"]
        assert filled.query(query, mmr_threshold=0.4).ids == ["orange", "sky"]
        for options in ({"mmr_prefetch_k": 3}, {"mmr_prefetch_factor": 1.5}):
            assert (await filled.aquery(query, mmr_threshold=0.4, **options)).ids == ["orange", "lemon"]
        with pytest.raises(InputError, match="exclude each other"):
            filled.query(query, mmr_prefetch_k=3, mmr_prefetch_factor=2)
        with pytest.raises(InputError, match="mmr_treshold"):
            filled.query(query, mmr_treshold=0.4)
        with pytest.raises(InputError, match="Mode mmr takes"):
            filled.query(_dense(), mmr_threshold=0.4)

    def test_restrictions(self, filled: EmbedPipeVectorStore) -> None:
        assert ask(filled, filters=YEAR_2020) == ["orange", "lemon"]
        assert ask(filled, doc_ids=["e"]) == ["lemon", "sky"]
        assert ask(filled, node_ids=["sky", "orange", "none"]) == ["orange", "sky"]
        assert ask(filled, node_ids=["sky", "orange"], doc_ids=["e"], filters=YEAR_2020) == []
        assert len(ask(filled, node_ids=[], doc_ids=[])) == 4
        assert ask(filled, mode="sparse", query_str="sweet sky", doc_ids=["e"]) == ["sky"]

    @pytest.mark.parametrize("mode", ["svm", "logistic_regression", "linear_regression"])
    def test_other_modes_are_refused(self, filled: EmbedPipeVectorStore, mode: str) -> None:
        with pytest.raises(InputError, match=f"'{mode}'.*default.*hybrid"):
            ask(filled, mode=mode)

    def test_what_is_missing_or_unknown_is_refused(self, filled: EmbedPipeVectorStore) -> None:
        with pytest.raises(InputError, match="text"):
            ask(filled, mode="hybrid")
        with pytest.raises(InputError, match="vector"):
            ask(filled, query_embedding=None)
        with pytest.raises(InputError, match="hnsw"):
            filled.query(_dense(), hnsw_ef_search=3)
        with pytest.raises(ModelMismatchError, match="2"):
            ask(filled, query_embedding=[1.0, 0.0, 0.0])

    @pytest.mark.parametrize("mode", ["mmr", "sparse", "hybrid", "text_search", "semantic_hybrid", "default"])
    def test_a_mode_by_its_name_is_that_mode(self, filled: EmbedPipeVectorStore, mode: str) -> None:
        settings: dict[str, Any] = {"query_embedding": [1.0, 0.0], "query_str": "sour", "similarity_top_k": 2}
        named = filled.query(VectorStoreQuery(mode=mode, **settings))  # type: ignore[arg-type]  # what is tested
        assert named == filled.query(VectorStoreQuery(mode=VectorStoreQueryMode(mode), **settings))

    @pytest.mark.parametrize(
        ("settings", "options", "says"),
        [
            ({"mode": "dense"}, {}, "query mode 'dense' is not known"),
            ({"mode": None}, {}, "query mode None is not known"),
            ({"similarity_top_k": "2"}, {}, "similarity_top_k=.*Pass a whole number"),
            ({"similarity_top_k": 0}, {}, "similarity_top_k=.*Pass a whole number"),
            ({"mode": "sparse", "sparse_top_k": 0}, {}, "sparse_top_k=.*Pass a whole number"),
            ({"mode": "hybrid", "hybrid_top_k": 2.0}, {}, "hybrid_top_k=.*Pass a whole number"),
            ({"mode": "hybrid", "alpha": "0.5"}, {}, "dense_weight='0.5' is out of range"),
            ({"mode": "hybrid", "alpha": 7}, {}, "dense_weight=7 is out of range"),
            ({"doc_ids": "e"}, {}, "doc_ids is one str"),
            ({"node_ids": "sky"}, {}, "node_ids is one str"),
            ({"filters": "year"}, {}, "The filter is a str"),
            ({"mode": "mmr"}, {"mmr_prefetch_factor": "2"}, "Pass a positive number"),
            ({"mode": "mmr"}, {"mmr_prefetch_k": "2"}, "mmr_prefetch_k=.*Pass a whole number"),
            ({"mode": "mmr"}, {"mmr_threshold": "0.5"}, "lambda_mult"),
        ],
    )
    async def test_an_option_of_another_type_is_refused(
        self, filled: EmbedPipeVectorStore, database: Database, settings: Any, options: Any, says: str
    ) -> None:
        given = {"query_embedding": [1.0, 0.0], "query_str": "sour", "similarity_top_k": 2, **settings}
        query = VectorStoreQuery(**given)
        with pytest.raises((InputError, ConfigurationError), match=says):
            filled.query(query, **options)
        with pytest.raises((InputError, ConfigurationError), match=says):
            await filled.aquery(query, **options)
        await database.aclose()

    def test_filters_of_other_kinds(self, filled: EmbedPipeVectorStore) -> None:
        for filters in ({"year": 2020}, Field("year") == 2020, YEAR_2020):
            assert ask(filled, filters=filters) == ["orange", "lemon"]
            assert {each.node_id for each in filled.get_nodes(filters=filters)} == {"orange", "lemon"}  # type: ignore[arg-type]  # what is tested
        assigned = MetadataFilters(filters=[MetadataFilter(key="year", value=2020)])
        assigned.filters[0].operator = "!="  # type: ignore[union-attr]  # which pydantic takes
        assigned.condition = "not"  # type: ignore[assignment]  # which pydantic takes
        assert ask(filled, filters=assigned) == ["orange", "lemon"]
        assigned.condition = "xor"  # type: ignore[assignment]  # which pydantic takes
        with pytest.raises(InputError, match="no FilterCondition 'xor'"):
            ask(filled, filters=assigned)
        with pytest.raises(InputError, match="node_ids is one str"):
            filled.get_nodes("sky")  # type: ignore[arg-type]  # what is tested


OBJECTS: list[list[BaseNode]] = [
    [IndexNode(id_="object", text="A table of prices", index_id="prices")],
    [ImageNode(id_="object", text="A picture of tea", image_url="https://example.org/x.png")],
    [IndexNode(id_="object", text="A table", index_id="a"), ImageNode(id_="image", text="A picture of tea")],
]


class TestObjects:
    """A `VectorStoreIndex` lists its Index- and ImageNodes, and sends the list with every query."""

    @pytest.mark.parametrize("objects", OBJECTS, ids=["IndexNode", "ImageNode", "both"])
    @pytest.mark.parametrize("mode", ["default", "hybrid", "sparse", "mmr"])
    async def test_they_hide_no_text(self, database: Database, objects: list[BaseNode], mode: str) -> None:
        texts = [TextNode(id_=f"text{n}", text=f"Paragraph {n} about tea and a picture") for n in range(3)]
        context = StorageContext.from_defaults(vector_store=EmbedPipeVectorStore(PgVectorStore(database)))
        given = [each.model_copy() for each in (*texts, *objects)]
        index = VectorStoreIndex(given, storage_context=context, embed_model=MockEmbedding(embed_dim=8))
        settings = {"vector_store_query_mode": mode, "similarity_top_k": 10}
        wanted = {"text0", "text1", "text2"}
        retriever = index.as_retriever(**settings)
        assert wanted <= {found.node_id for found in retriever.retrieve("tea picture")}
        assert wanted <= {found.node_id for found in await retriever.aretrieve("tea picture")}
        # Loaded in another process, and with an object that was removed meanwhile.
        index._vector_store = EmbedPipeVectorStore(PgVectorStore(database))
        assert wanted <= {found.node_id for found in index.as_retriever(**settings).retrieve("tea picture")}
        index._vector_store = context.vector_store
        index.delete_nodes([each.node_id for each in objects])
        assert wanted == {found.node_id for found in index.as_retriever(**settings).retrieve("tea picture")}
        await database.aclose()

    def test_named_text_restricts_all_the_same(self, empty: EmbedPipeVectorStore) -> None:
        nodes = [*fruit(), *(each.model_copy(update={"embedding": [0.0, 1.0]}) for each in OBJECTS[2])]
        empty.add(nodes)
        assert ask(empty, node_ids=["sky", "object"]) == ["object", "sky"]
        assert ask(empty, node_ids=["none"]) == []
        assert len(ask(empty, node_ids=["object", "image"])) == len(nodes)
        empty.add([node("object", "now a text", [0.0, 1.0]), node("image", "now a text", [0.0, 1.0])])
        assert sorted(ask(empty, node_ids=["object", "image"])) == ["image", "object"]


class TestDeleting:
    def test_by_document_node_filter_and_all(self, filled: EmbedPipeVectorStore) -> None:
        filled.delete_nodes([])
        filled.delete_nodes(["orange", "not there"])
        filled.delete_nodes(["tangerine"], filters=YEAR_2020)
        assert sorted(each.node_id for each in filled.get_nodes()) == ["lemon", "sky", "tangerine"]
        filled.delete_nodes(filters=YEAR_2020)
        filled.delete("e")
        assert [each.node_id for each in filled.get_nodes()] == ["tangerine"]
        with pytest.raises(InputError, match="clear"):
            filled.delete_nodes()
        filled.clear()
        assert filled.get_nodes() == []


async def test_the_async_twins_agree(filled: EmbedPipeVectorStore, database: Database) -> None:
    assert await filled.aquery(_dense()) == filled.query(_dense())
    marginal = _dense(mode=VectorStoreQueryMode.MMR)
    assert (await filled.aquery(marginal)).ids == filled.query(marginal).ids
    assert await filled.aget_nodes(filters=YEAR_2020) == filled.get_nodes(filters=YEAR_2020)
    queries = [VectorStoreQuery(query_embedding=each.embedding, similarity_top_k=1) for each in fruit()]
    found = await asyncio.gather(*(filled.aquery(query) for query in queries))
    assert [each.ids for each in found] == [["orange"], ["tangerine"], ["lemon"], ["sky"]]
    assert await filled.async_add([node("new", "new", [0.0, 1.0])]) == ["new"]
    await filled.adelete_nodes(["new"])
    await filled.adelete("e")
    assert len(filled.get_nodes()) == 2
    await filled.aclear()
    assert filled.get_nodes() == []
    await database.aclose()


class TestBinding:
    def test_the_first_nodes_make_the_collection_where_no_model_is_named(self, database: Database) -> None:
        fresh = EmbedPipeVectorStore(PgVectorStore(database))
        with pytest.raises(CollectionNotFoundError):
            fresh.get_nodes()
        fresh.add(fruit())
        assert PgVectorStore(database).collection.model.dimensions == 2
        assert len(EmbedPipeVectorStore(PgVectorStore(database)).get_nodes()) == 4

    def test_another_model_is_refused(self, database: Database) -> None:
        one, two = (EmbedPipeEmbedding(EmbeddingGenerator(FakeEmbeddingModel(2, name=name))) for name in ("one", "two"))
        EmbedPipeVectorStore(PgVectorStore(database), embed_model=one).add(fruit())
        with pytest.raises(ModelMismatchError, match=r"one.*two"):
            ask(EmbedPipeVectorStore(PgVectorStore(database), embed_model=two))

    def test_a_foreign_model_gives_its_name(self, database: Database) -> None:
        store = EmbedPipeVectorStore(PgVectorStore(database), embed_model=MockEmbedding(embed_dim=2, model_name="mock"))
        store.add(fruit())
        assert PgVectorStore(database).collection.model.name == "MockEmbedding:mock"

    def test_serialised_it_names_the_collection_alone(self) -> None:
        secret = "postgresql://user:hunter2@localhost:1/none"
        given = EmbedPipeVectorStore(PgVectorStore(secret, collection="notes"))
        for shown in (repr(given), str(given), given.to_json()):
            assert "hunter2" not in shown
        assert EmbedPipeVectorStore.from_dict(given.to_dict()).collection == "notes"
        with pytest.raises(ConfigurationError, match="EMBEDPIPE_DATABASE_URL"):
            pickle.dumps(given)
        with pytest.raises(ValueError, match="table_name"):
            EmbedPipeVectorStore(table_name="notes")

    def test_one_of_the_default_database_is_pickled(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)
        embedding = EmbedPipeEmbedding(EmbeddingGenerator(FakeEmbeddingModel(2)))
        original = EmbedPipeVectorStore(collection="notes", embed_model=embedding)
        original.add(fruit())
        restored = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own bytes
        assert len(restored.get_nodes()) == 4
        for store in (original, restored):
            store.client.database.close()


TEXTS = {
    "fruit": "Oranges are sweet and round. Lemons are sour.",
    "sky": "The sky is blue by day. At night the sky is black.",
}


def documents() -> list[Document]:
    return [Document(id_=name, text=text, metadata={"topic": name}) for name, text in TEXTS.items()]


class TestFramework:
    @pytest.fixture
    def embedding(self, minilm: EmbeddingGenerator) -> EmbedPipeEmbedding:
        return EmbedPipeEmbedding(minilm)

    @pytest.fixture
    def index(self, database: Database, embedding: EmbedPipeEmbedding) -> VectorStoreIndex:
        store = EmbedPipeVectorStore(PgVectorStore(database), embed_model=embedding)
        context = StorageContext.from_defaults(vector_store=store)
        parser = RecursiveNodeParser(chunk_size=60)
        return VectorStoreIndex.from_documents(
            documents(), storage_context=context, embed_model=embedding, transformations=[parser]
        )

    def test_a_query_engine_answers_from_the_right_document(self, index: VectorStoreIndex) -> None:
        for mode in ("default", "hybrid", "mmr", "sparse"):
            engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=1, vector_store_query_mode=mode)
            response = engine.query("Which colour does the sky have?")
            assert [source.metadata["topic"] for source in response.source_nodes] == ["sky"]
            assert "The sky is blue" in str(response)

    async def test_an_async_query_with_filters_and_postprocessors(
        self, index: VectorStoreIndex, database: Database
    ) -> None:
        filters = MetadataFilters(filters=[MetadataFilter(key="topic", operator=FilterOperator.IN, value=["fruit"])])
        engine = index.as_query_engine(
            llm=MockLLM(), filters=filters, node_postprocessors=[SimilarityPostprocessor(similarity_cutoff=-1)]
        )
        response = await engine.aquery("What is blue?")
        assert {source.metadata["topic"] for source in response.source_nodes} == {"fruit"}
        await database.aclose()

    def test_citations(self, index: VectorStoreIndex) -> None:
        splitter = RecursiveNodeParser(chunk_size=30)
        engine = CitationQueryEngine.from_args(index, llm=MockLLM(), text_splitter=splitter, similarity_top_k=2)
        response = engine.query("What is sour?")
        assert len(response.source_nodes) > 2
        assert response.source_nodes[0].get_content().startswith("Source 1:")

    def test_a_document_is_deleted_and_updated(self, index: VectorStoreIndex) -> None:
        index.delete_ref_doc("sky")
        index.insert(Document(id_="sea", text="The sea is green", metadata={"topic": "sea"}))
        found = index.as_retriever(similarity_top_k=5).retrieve("colour")
        assert {each.metadata["topic"] for each in found} == {"fruit", "sea"}

    def test_an_ingestion_pipeline_with_a_docstore(self, database: Database, embedding: EmbedPipeEmbedding) -> None:
        store = EmbedPipeVectorStore(PgVectorStore(database), embed_model=embedding)
        pipeline = IngestionPipeline(
            transformations=[RecursiveNodeParser(chunk_size=60), embedding],
            vector_store=store,
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        )
        first = pipeline.run(documents=documents())
        assert {each.node_id for each in store.get_nodes()} == {each.node_id for each in first}
        assert pipeline.run(documents=documents()) == []
        changed = [documents()[0], Document(id_="sky", text="The sky is grey.")]
        pipeline.run(documents=changed)
        texts = [each.get_content() for each in store.get_nodes()]
        assert "The sky is grey." in texts
        assert not any("black" in text for text in texts)
        pipeline.run(documents=changed[:1])
        assert {each.ref_doc_id for each in store.get_nodes()} == {"fruit"}
