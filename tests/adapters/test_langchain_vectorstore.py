from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.load import dumps
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from langchain_tests.integration_tests.vectorstores import EMBEDDING_SIZE

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import (
    CollectionNotFoundError,
    ConfigurationError,
    InputError,
    ModelMismatchError,
    StorageError,
)
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeVectorStore, RecursiveTextSplitter
from embedpipe.storage import Database, Field, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Document as OwnDocument
from embedpipe.types import ModelSpec

SPEC = ModelSpec(name="random", dimensions=EMBEDDING_SIZE, normalized=False)
TEXTS = ["Oranges are sweet", "Bananas are yellow", "Lemons are sour", "The sky is blue"]
YEARS: list[dict[str, Any]] = [{"year": 2019}, {"year": 2020}, {"year": 2021}, {"year": 2022, "tags": ["sky"]}]
IDS = ["orange", "banana", "lemon", "sky"]


class TestStandard(VectorStoreIntegrationTests):
    @pytest.fixture
    async def vectorstore(self, database: Database) -> AsyncIterator[VectorStore]:
        store = PgVectorStore(database, model=SPEC)
        store.create()
        yield EmbedPipeVectorStore(store=store, embedding=self.get_embeddings())
        await database.aclose()


@pytest.fixture
def empty(database: Database) -> EmbedPipeVectorStore:
    store = PgVectorStore(database, model=SPEC)
    store.create()
    return EmbedPipeVectorStore(store=store, embedding=DeterministicFakeEmbedding(size=EMBEDDING_SIZE))


@pytest.fixture
def fruit(empty: EmbedPipeVectorStore) -> EmbedPipeVectorStore:
    assert empty.add_texts(TEXTS, YEARS, ids=IDS) == IDS
    return empty


class Counting(Embeddings):
    """Remembers what it was asked to embed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [[1.0] * EMBEDDING_SIZE for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


class TestWriting:
    def test_generators_are_written_whole(self, empty: EmbedPipeVectorStore) -> None:
        assert empty.add_texts((text for text in TEXTS), ({"n": i} for i in range(4)), ids=IDS) == IDS
        written = empty.add_documents(Document(page_content=text) for text in TEXTS)
        assert len(set(written) | set(IDS)) == 8
        assert [d.page_content for d in empty.get_by_ids(written)] == TEXTS

    def test_the_ids_given_beat_the_documents_own_and_none_asks_for_one(self, empty: EmbedPipeVectorStore) -> None:
        documents = [
            Document(page_content=text, id=own) for text, own in zip(TEXTS, ["a", "b", None, None], strict=True)
        ]
        written = empty.add_documents(documents, ids=["x", None, "z", None])
        assert written[:3] == ["x", "b", "z"]
        assert written[3]
        assert [d.page_content for d in empty.get_by_ids(written)] == TEXTS
        assert ids(documents) == ["a", "b", None, None]

    @pytest.mark.parametrize("batch_size", [1, 3, 100])
    def test_batches(self, empty: EmbedPipeVectorStore, batch_size: int) -> None:
        assert empty.add_texts(TEXTS, ids=IDS, batch_size=batch_size) == IDS
        assert empty.store.count() == 4

    def test_metadata_comes_back_equal_whatever_its_keys(self, empty: EmbedPipeVectorStore) -> None:
        metadata = {"id": 7, "text": "x", "a.b\"c'": [1, 1.5, None, {"ü🙂": True}], "score": 0.1, "": ""}
        document = Document(page_content="Ünïcode 🙂", metadata=metadata, id="%s :name $1 'q'")
        empty.add_documents([document])
        assert empty.get_by_ids(["%s :name $1 'q'"]) == [document]
        assert empty.similarity_search("x", k=1) == [document]

    def test_a_splitters_start_index_becomes_the_offset(self, empty: EmbedPipeVectorStore) -> None:
        empty.add_texts(["abc"], [{"start_index": 10}], ids=["a"])
        chunk = empty.store.get(["a"])[0]
        assert (chunk.start_index, chunk.end_index) == (10, 13)

    @pytest.mark.parametrize("start", [1732900000000, 2**31 - 1, -1, "10", 10.0, True, None])
    def test_a_start_index_that_is_no_offset_stays_metadata(self, empty: EmbedPipeVectorStore, start: Any) -> None:
        empty.add_texts(["abc"], [{"start_index": start}], ids=["a"])
        [chunk] = empty.store.get(["a"])
        assert (chunk.start_index, chunk.end_index, chunk.metadata) == (0, 3, {"start_index": start})
        assert type(chunk.metadata["start_index"]) is type(start)

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ((["a", "b"], [{}, {"k": {1}}]), "position 1, metadata: the value under k is a set"),
            ((["a", "b"], [{}, "x"]), "position 1, metadata is a str. Pass a dict"),
            ((["a", "b"], {"x": 1}), "metadatas is one dict"),
            ((["a", "b\x00"],), "position 1: has a NUL"),
            ((["a", 5],), "position 1 is a int. Pass a str"),
            ((["a", None],), "position 1 is a NoneType. Pass a str"),
            ((None,), "texts is a NoneType"),
            ((["a", "b"], None, ["a", ""]), "position 1: the id .. is empty"),
            ((["a", "b"], None, "ab"), "ids is one str"),
        ],
    )
    async def test_what_cannot_be_stored_is_refused_before_anything_is_embedded(
        self, database: Database, given: Any, says: str
    ) -> None:
        embedding = Counting()
        made = EmbedPipeVectorStore(store=PgVectorStore(database, model=SPEC), embedding=embedding)
        texts, metadatas, names = [*given, None, None][:3]
        with pytest.raises(InputError, match=says):
            made.add_texts(texts, metadatas, ids=names, batch_size=1)
        with pytest.raises(InputError, match=says):
            await made.aadd_texts(texts, metadatas, ids=names, batch_size=1)
        assert embedding.texts == []

    @pytest.mark.parametrize(
        ("documents", "says"),
        [
            (["x"], "position 0 is a builtins.str. Pass a langchain_core"),
            ([Document(page_content="x"), OwnDocument(id="a", text="x")], r"position 1.*embedpipe\.types\.Document"),
            (Document(page_content="x"), "documents is one Document. Pass a list"),
            ([Document(page_content="x"), Document(page_content="y", metadata={"k": (1,)})], "position 1, metadata"),
        ],
    )
    async def test_what_is_no_document_is_refused(self, empty: EmbedPipeVectorStore, documents: Any, says: str) -> None:
        with pytest.raises(InputError, match=says):
            empty.add_documents(documents)
        with pytest.raises(InputError, match=says):
            await empty.aadd_documents(documents)

    async def test_a_blank_text_is_named_by_its_place_among_all(self, database: Database) -> None:
        embedding = EmbedPipeEmbeddings(EmbeddingGenerator(FakeEmbeddingModel(8)))
        made = EmbedPipeVectorStore(store=PgVectorStore(database), embedding=embedding)
        with pytest.raises(InputError, match="At position 4"):
            made.add_texts(["a", "b", "c", "d", " "], batch_size=2)
        with pytest.raises(InputError, match="At position 4"):
            await made.aadd_texts(["a", "b", "c", "d", " "], batch_size=2)
        assert database.collections() == []
        await database.aclose()

    def test_what_does_not_fit_together_is_refused_and_nothing_written(self, empty: EmbedPipeVectorStore) -> None:
        with pytest.raises(InputError, match="4 texts and 2 metadatas"):
            empty.add_texts(TEXTS, YEARS[:2])
        with pytest.raises(InputError, match="4 texts and 1 ids"):
            empty.add_documents([Document(page_content=text) for text in TEXTS], ids=["a"])
        with pytest.raises(InputError, match="one str"):
            empty.add_texts("Oranges")
        with pytest.raises(InputError, match=r"'chunk_size'\. Options: metadatas, ids, batch_size"):
            empty.add_texts(TEXTS, chunk_size=3)
        with pytest.raises(InputError, match="when"):
            empty.add_texts(["fine", "not"], [{}, {"when": object()}])
        assert empty.store.count() == 0

    @pytest.mark.parametrize("batch_size", [None, 1])
    async def test_an_id_that_stands_for_two_texts_is_refused(self, database: Database, batch_size: int | None) -> None:
        embedding = Counting()
        made = EmbedPipeVectorStore(store=PgVectorStore(database, model=SPEC), embedding=embedding)
        for texts, metadatas in ((["a", "b", "c"], None), (["a", "b", "b"], [{}, {"k": 1}, {"k": 2}])):
            with pytest.raises(InputError, match="positions 1 and 2 differ and have the same id 'x'"):
                made.add_texts(texts, metadatas, ids=["y", "x", "x"], batch_size=batch_size)
            documents = [
                Document(page_content=text, metadata=(metadatas or [{}] * 3)[i]) for i, text in enumerate(texts)
            ]
            with pytest.raises(InputError, match="positions 1 and 2"):
                await made.aadd_documents(documents, ids=["y", "x", "x"])
        assert embedding.texts == []
        assert made.add_texts(["a", "a"], ids=["x", "x"]) == ["x", "x"]


DOCUMENT_KEYS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({}, {"source": "a.txt"}, "a.txt"),
    ({}, {"source": "a.txt", "document_id": "a"}, "a"),
    ({}, {"source": "a.txt", "document_id": 7}, "a.txt"),
    ({}, {"source": {"name": "a"}}, None),
    ({}, {"source": ""}, None),
    ({}, {"source": "x" * 3000}, None),
    ({}, {}, None),
    ({"document_key": "file"}, {"source": "a.txt", "file": "b"}, "b"),
    ({"document_key": "file"}, {"file": 7}, "7"),
    ({"document_key": "file"}, {"source": "a.txt"}, None),
    ({"document_key": ("file", "source")}, {"source": "a.txt"}, "a.txt"),
    ({"document_key": None}, {"source": "a.txt", "document_id": "a"}, None),
]


class TestDocuments:
    """Of which document a text is, whoever writes, deletes and reads it."""

    @pytest.mark.parametrize(("settings", "metadata", "expected"), DOCUMENT_KEYS)
    async def test_the_metadata_say_it(
        self, database: Database, settings: dict[str, Any], metadata: dict[str, Any], expected: str | None
    ) -> None:
        store = PgVectorStore(database, model=SPEC)
        made = EmbedPipeVectorStore(store=store, embedding=Counting(), **settings)
        made.add_texts(["a", "b"], [metadata, metadata], ids=["a", "b"])
        await made.aadd_documents([Document(id="c", page_content="c", metadata=metadata)])
        chunks = store.get(["a", "b", "c"])
        assert [chunk.document_id for chunk in chunks] == [expected] * 3
        assert [chunk.metadata for chunk in chunks] == [metadata] * 3
        assert [chunk.chunk_index for chunk in chunks[:2]] == ([0, 1] if expected else [0, 0])
        if expected:
            assert made.delete(document_ids=[expected])
            assert store.count() == 0
        await database.aclose()

    def test_a_key_that_the_user_names_holds_an_id(self, database: Database) -> None:
        embedding = Counting()
        made = EmbedPipeVectorStore(store=PgVectorStore(database, model=SPEC), embedding=embedding, document_key="file")
        unfit: Any
        for unfit in ({}, 1.5, "", "x" * 3000, ["a"]):
            with pytest.raises(InputError, match="position 1, the document's id under 'file'"):
                made.add_texts(["a", "b"], [{}, {"file": unfit}])
        assert embedding.texts == []
        for unfit in (5, [1], {"file": 1}):
            with pytest.raises(ConfigurationError, match="document_key"):
                EmbedPipeVectorStore(store=PgVectorStore(model=SPEC), embedding=embedding, document_key=unfit)

    async def test_the_constructors_take_it(self, database: Database) -> None:
        embedding, store = Counting(), PgVectorStore(database, model=SPEC)
        given: dict[str, Any] = {"store": store, "document_key": "file"}
        documents = [Document(id="d", page_content="d", metadata={"file": "f"})]
        EmbedPipeVectorStore.from_texts(["a"], embedding, [{"file": "f"}], ids=["a"], **given)
        await EmbedPipeVectorStore.afrom_texts(["b"], embedding, [{"file": "f"}], ids=["b"], **given)
        EmbedPipeVectorStore.from_documents(documents, embedding, **given)
        await EmbedPipeVectorStore.afrom_documents(documents, embedding, **given)
        assert [chunk.id for chunk in store.find(document_ids=["f"])] == ["a", "b", "d"]
        await database.aclose()

    def test_pieces_lead_back_to_their_document(self, database: Database) -> None:
        text = " ".join(f"sentence {number} of many." for number in range(40))
        store = PgVectorStore(database, model=SPEC)
        made = EmbedPipeVectorStore(store=store, embedding=DeterministicFakeEmbedding(size=EMBEDDING_SIZE))
        pieces = RecursiveTextSplitter(chunk_size=80).split_documents([Document(id="doc", page_content=text)])
        index(pieces, InMemoryRecordManager("test"), made, batch_size=3, key_encoder="sha256")
        chunks = store.find(document_ids=["doc"])
        assert [chunk.text for chunk in chunks] == [piece.page_content for piece in pieces]
        assert all(text[chunk.start_index : chunk.end_index] == chunk.text for chunk in chunks)
        middle = chunks[4]
        assert store.neighbors([str(middle.id)])[str(middle.id)] == [chunks[3], chunks[5]]
        assert made.delete(document_ids=["doc"])
        assert store.count() == 0


class TestMissing:
    """A collection that is not there, perhaps since its name was mistyped."""

    @pytest.mark.parametrize("own", [True, False])
    async def test_reading_and_deleting_say_so_and_make_nothing(self, database: Database, own: bool) -> None:
        counting = Counting()
        embedding = EmbedPipeEmbeddings(EmbeddingGenerator(FakeEmbeddingModel(8))) if own else counting
        made = EmbedPipeVectorStore(store=PgVectorStore(database, collection="typo"), embedding=embedding)
        vector = [1.0] * 8
        uses: list[Callable[[], Any]] = [
            lambda: made.similarity_search("x"),
            lambda: made.similarity_search_with_score("x", mode="hybrid"),
            lambda: made.similarity_search_by_vector(vector),
            lambda: made.max_marginal_relevance_search_by_vector(vector),
            lambda: made.as_retriever().invoke("x"),
            lambda: made.get_by_ids(["x"]),
            lambda: made.delete(["x"]),
            lambda: made.delete(filter={"a": 1}),
            lambda: made.delete(document_ids=["x"]),
            made.delete,
        ]
        for use in uses:
            with pytest.raises(CollectionNotFoundError, match="no collection 'typo'"):
                use()
        for coroutine in (
            made.asimilarity_search("x"),
            made.aget_by_ids(["x"]),
            made.adelete(["x"]),
            made.adelete(),
        ):
            with pytest.raises(CollectionNotFoundError, match="no collection 'typo'"):
                await coroutine
        assert database.collections() == []
        assert set(counting.texts) <= {"x"}
        assert made.add_texts(["a"], ids=["a"]) == ["a"]
        assert ids(made.similarity_search("a")) == ["a"]
        await database.aclose()

    async def test_making_a_store_of_nothing_makes_the_collection(self, database: Database) -> None:
        texts, documents = PgVectorStore(database, collection="texts"), PgVectorStore(database, collection="documents")
        assert EmbedPipeVectorStore.from_texts([], Counting(), store=texts).similarity_search("x") == []
        assert EmbedPipeVectorStore.from_documents([], Counting(), store=documents).similarity_search("x") == []
        amade = await EmbedPipeVectorStore.afrom_texts([], Counting(), store=PgVectorStore(database, collection="a"))
        assert await amade.asimilarity_search("x") == []
        await database.aclose()


class TestDeleting:
    async def test_by_ids_by_filter_and_all(self, fruit: EmbedPipeVectorStore) -> None:
        assert fruit.delete([])
        assert fruit.delete(["orange", "not there"])
        assert fruit.delete(filter={"year": {"$gte": 2022}})
        assert ids(fruit.get_by_ids(IDS)) == ["banana", "lemon"]
        with pytest.raises(InputError, match="'where'"):
            fruit.delete(where={"year": 2020})
        with pytest.raises(InputError, match="leaves nothing out"):
            fruit.delete(filter={"$and": []})
        with pytest.raises(InputError, match="leaves nothing out"):
            await fruit.adelete(filter={})
        assert fruit.store.count() == 2
        assert fruit.delete()
        assert fruit.store.count() == 0


class TestSearching:
    def test_the_score_is_the_cosine_distance(self, fruit: EmbedPipeVectorStore) -> None:
        query = np.array(fruit.embeddings.embed_query("Lemons are sour"))
        scored = fruit.similarity_search_with_score("Lemons are sour", k=4)
        for document, distance in scored:
            vector = np.array(fruit.embeddings.embed_query(document.page_content))
            cosine = query @ vector / np.linalg.norm(query) / np.linalg.norm(vector)
            assert distance == pytest.approx(1 - cosine, abs=1e-5)
        assert [distance for _, distance in scored] == sorted(distance for _, distance in scored)
        assert scored[0][0].id == "lemon"

    def test_relevance_scores_lie_between_0_and_1_and_can_be_cut(self, fruit: EmbedPipeVectorStore) -> None:
        scores = fruit.similarity_search_with_relevance_scores("Lemons are sour", k=4)
        assert all(0 <= score <= 1 for _, score in scores)
        retriever = fruit.as_retriever(
            search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.99}
        )
        assert ids(retriever.invoke("Lemons are sour")) == ["lemon"]

    def test_filters_modes_and_thresholds(self, fruit: EmbedPipeVectorStore) -> None:
        assert ids(fruit.similarity_search("x", filter={"year": 2020})) == ["banana"]
        assert ids(fruit.similarity_search("x", filter=Field("tags").contains("sky"))) == ["sky"]
        assert ids(fruit.similarity_search("how sour is it", mode="lexical")) == ["lemon"]
        assert ids(fruit.similarity_search("The sky is blue", k=1, mode="hybrid")) == ["sky"]
        assert ids(fruit.similarity_search("The sky is blue", threshold=0.99)) == ["sky"]
        assert ids(fruit.similarity_search("The sky is blue", k=1, exact=True)) == ["sky"]
        retriever = fruit.as_retriever(search_kwargs={"k": 1, "mode": "lexical", "filter": {"year": {"$lt": 2021}}})
        assert ids(retriever.invoke("sweet or sour")) == ["orange"]

    def test_an_unknown_option_is_refused(self, fruit: EmbedPipeVectorStore) -> None:
        with pytest.raises(InputError, match=r"'fliter'.*filter, mode, threshold"):
            fruit.similarity_search("x", fliter={"year": 2020})
        with pytest.raises(InputError, match="'fliter'"):
            fruit.as_retriever(search_kwargs={"fliter": {}}).invoke("x")
        with pytest.raises(InputError, match="text"):
            fruit.similarity_search_by_vector([1.0] * EMBEDDING_SIZE, mode="hybrid")

    def test_marginal_relevance_at_its_least_diverse_is_similarity(self, fruit: EmbedPipeVectorStore) -> None:
        plain = fruit.similarity_search("Lemons are sour", k=3)
        assert fruit.max_marginal_relevance_search("Lemons are sour", k=3, lambda_mult=1) == plain
        assert ids(fruit.max_marginal_relevance_search("x", k=5, filter={"year": 2020})) == ["banana"]

    @pytest.mark.parametrize(("name", "value"), [("fetch_k", 0), ("fetch_k", 2.5), ("k", 0), ("k", "3")])
    async def test_marginal_relevance_counts_from_1(self, fruit: EmbedPipeVectorStore, name: str, value: Any) -> None:
        with pytest.raises(InputError, match=f"^{name}={value!r} is out of range. Pass a whole number"):
            fruit.max_marginal_relevance_search("x", **{name: value})
        with pytest.raises(InputError, match=name):
            await fruit.amax_marginal_relevance_search_by_vector([1.0] * EMBEDDING_SIZE, **{name: value})

    def test_marginal_relevance_avoids_what_is_chosen_already(self, empty: EmbedPipeVectorStore) -> None:
        empty.add_texts(["twin", "twin", "other"], ids=["one", "two", "three"])
        diverse = empty.max_marginal_relevance_search("twin", k=2, lambda_mult=0.3)
        assert ids(diverse) == ["one", "three"]

    async def test_the_async_twins_agree(self, fruit: EmbedPipeVectorStore, database: Database) -> None:
        query, vector = "Lemons are sour", fruit.embeddings.embed_query("Lemons are sour")
        assert await fruit.asimilarity_search_with_score(query, k=3) == fruit.similarity_search_with_score(query, k=3)
        assert await fruit.asimilarity_search(query, mode="hybrid") == fruit.similarity_search(query, mode="hybrid")
        assert await fruit.asimilarity_search_by_vector(vector) == fruit.similarity_search_by_vector(vector)
        by_vector = fruit.similarity_search_with_score_by_vector(vector)
        assert await fruit.asimilarity_search_with_score_by_vector(vector) == by_vector
        marginal = fruit.max_marginal_relevance_search(query, k=2)
        assert await fruit.amax_marginal_relevance_search(query, k=2) == marginal
        by_vector_marginal = fruit.max_marginal_relevance_search_by_vector(vector, k=2)
        assert await fruit.amax_marginal_relevance_search_by_vector(vector, k=2) == by_vector_marginal
        assert ids(await fruit.aget_by_ids(["sky"])) == ["sky"]
        together = await asyncio.gather(*(fruit.asimilarity_search(text, k=1) for text in TEXTS))
        assert [ids(found) for found in together] == [[name] for name in IDS]
        assert await fruit.adelete(filter={"year": 2020})
        assert await fruit.adelete()
        assert fruit.store.count() == 0
        await database.aclose()


class TestMaking:
    def test_from_texts_and_documents_into_a_store(self, database: Database) -> None:
        embedding = EmbedPipeEmbeddings(EmbeddingGenerator(FakeEmbeddingModel(8)))
        made = EmbedPipeVectorStore.from_texts(TEXTS, embedding, YEARS, ids=IDS, store=PgVectorStore(database))
        assert made.store.collection.model == embedding.generator.spec
        documents = [Document(page_content=text, id=name) for text, name in zip(TEXTS, IDS, strict=True)]
        again = EmbedPipeVectorStore.from_documents(documents, embedding, store=PgVectorStore(database))
        assert again.store.count() == 4
        assert again.get_by_ids(["sky"]) == [documents[3]]

    async def test_without_a_store_the_default_database_holds_them(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)
        embedding = DeterministicFakeEmbedding(size=EMBEDDING_SIZE)
        made = await EmbedPipeVectorStore.afrom_texts(TEXTS, embedding, ids=IDS)
        assert ids(await made.asimilarity_search("The sky is blue", k=1)) == ["sky"]
        await made.store.database.aclose()
        documents = [Document(page_content="Grass is green", id="grass")]
        again = await EmbedPipeVectorStore.afrom_documents(documents, embedding)
        assert await again.aget_by_ids(["sky", "grass"])
        await again.store.database.aclose()
        third = EmbedPipeVectorStore.from_documents(documents, embedding)
        assert third.store.count() == 5
        third.store.database.close()

    async def test_what_is_no_store_or_embedding_is_refused_at_once(self) -> None:
        store, embedding = PgVectorStore(model=SPEC), DeterministicFakeEmbedding(size=EMBEDDING_SIZE)
        for wrong in ("rag", store.to_async()):
            with pytest.raises(ConfigurationError, match=r"PgVectorStore\(collection="):
                EmbedPipeVectorStore(store=wrong, embedding=embedding)  # type: ignore[arg-type]  # what is tested
        for given in ("all", EmbeddingGenerator(FakeEmbeddingModel(8)), DeterministicFakeEmbedding):
            unfit: Any = given
            with pytest.raises(ConfigurationError, match=r"EmbedPipeEmbeddings\(EmbeddingGenerator"):
                EmbedPipeVectorStore(store=store, embedding=unfit)
            with pytest.raises(ConfigurationError, match=r"EmbedPipeEmbeddings\(EmbeddingGenerator"):
                EmbedPipeVectorStore.from_texts(TEXTS, unfit)

    async def test_an_option_that_does_not_exist_is_refused_with_those_that_do(self) -> None:
        embedding, documents = DeterministicFakeEmbedding(size=EMBEDDING_SIZE), [Document(page_content="x")]
        for_texts, for_documents = "'collection'.*: metadatas, store, ids", "'collection'.*: store, ids, batch_size"
        with pytest.raises(InputError, match=for_texts):
            EmbedPipeVectorStore.from_texts(TEXTS, embedding, collection="rag")
        with pytest.raises(InputError, match=for_texts):
            await EmbedPipeVectorStore.afrom_texts(TEXTS, embedding, collection="rag")
        with pytest.raises(InputError, match=for_documents):
            EmbedPipeVectorStore.from_documents(documents, embedding, collection="rag")
        with pytest.raises(InputError, match=for_documents):
            await EmbedPipeVectorStore.afrom_documents(documents, embedding, collection="rag")

    def test_another_model_is_refused(self, database: Database) -> None:
        one = EmbedPipeEmbeddings(EmbeddingGenerator(FakeEmbeddingModel(8, name="one")))
        two = EmbedPipeEmbeddings(EmbeddingGenerator(FakeEmbeddingModel(8, name="two")))
        EmbedPipeVectorStore.from_texts(TEXTS, one, ids=IDS, store=PgVectorStore(database))
        other = EmbedPipeVectorStore(store=PgVectorStore(database), embedding=two)
        for attempt in (lambda: other.similarity_search("x"), lambda: other.add_texts(["x"])):
            with pytest.raises(ModelMismatchError, match=r"one.*two"):
                attempt()
        bound = EmbedPipeVectorStore(store=PgVectorStore(database, model=one.generator.spec), embedding=two)
        with pytest.raises(ModelMismatchError, match=r"one.*two"):
            bound.similarity_search("x")

    async def test_another_packages_embedding_makes_a_collection_under_its_name(self, database: Database) -> None:
        embedding = DeterministicFakeEmbedding(size=EMBEDDING_SIZE)
        made = EmbedPipeVectorStore(store=PgVectorStore(database), embedding=embedding)
        await made.aadd_texts(["a"], ids=["a"])
        assert await made.aget_by_ids(["none"]) == []
        assert made.store.collection.model.name == "DeterministicFakeEmbedding"
        await database.aclose()

    def test_no_url_in_what_is_shown_or_serialised(self) -> None:
        secret = "postgresql://user:hunter2@localhost:1/none"
        embedding = DeterministicFakeEmbedding(size=EMBEDDING_SIZE)
        made = EmbedPipeVectorStore(store=PgVectorStore(secret, model=SPEC), embedding=embedding)
        retriever = made.as_retriever()
        for shown in (repr(made), repr(retriever), dumps(retriever)):
            assert "hunter2" not in shown
        with pytest.raises(StorageError) as caught:
            made.similarity_search("x")
        assert "hunter2" not in str(caught.value)


class TestIndexing:
    def test_the_indexing_api(self, empty: EmbedPipeVectorStore) -> None:
        records = InMemoryRecordManager("test")
        records.create_schema()
        documents = [Document(page_content=text, metadata={"source": text[0]}) for text in TEXTS]

        def run(given: list[Document]) -> dict[str, Any]:
            settings: dict[str, Any] = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
            return {**index(given, records, empty, batch_size=3, **settings)}

        assert run(documents) == {"num_added": 4, "num_updated": 0, "num_skipped": 0, "num_deleted": 0}
        assert run(documents) == {"num_added": 0, "num_updated": 0, "num_skipped": 4, "num_deleted": 0}
        changed = [*documents[:2], Document(page_content="new", metadata={"source": "n"})]
        assert run(changed) == {"num_added": 1, "num_updated": 0, "num_skipped": 2, "num_deleted": 2}
        assert sorted(d.page_content for d in empty.similarity_search("x", k=10)) == sorted([*TEXTS[:2], "new"])

    async def test_the_indexing_api_in_an_event_loop(self, empty: EmbedPipeVectorStore, database: Database) -> None:
        records = InMemoryRecordManager("test")
        await records.acreate_schema()
        documents = [Document(page_content=text) for text in TEXTS]
        done = await aindex(documents, records, empty, cleanup="full", key_encoder="sha256")
        assert done["num_added"] == 4
        assert (await aindex(documents[:1], records, empty, cleanup="full", key_encoder="sha256"))["num_deleted"] == 3
        assert empty.store.count() == 1
        await database.aclose()
