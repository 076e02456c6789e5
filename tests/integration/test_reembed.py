"""A change of model: others read and write meanwhile, nobody ever compares vectors of two models."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from embedpipe import Document, EmbeddingGenerator, SemanticSearchService
from embedpipe.errors import (
    CollectionNotFoundError,
    ConfigurationError,
    InputError,
    ModelMismatchError,
    ProviderError,
    SchemaError,
    StorageError,
)
from embedpipe.storage import Database, PgVectorStore, ReembedProgress, VectorIndex
from embedpipe.storage.admin.setup import run, setup_statements
from embedpipe.storage.database.retrying import InUseError
from embedpipe.storage.indexes import has_index
from embedpipe.storage.reembed import embedding_versions as versions_module
from embedpipe.storage.reembed import run as run_module
from embedpipe.storage.tables.catalogue import embedding_versions
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Vectors
from stores import awaitable

OLD, NEW, THIRD = [FakeEmbeddingModel(16, name=name) for name in ("old", "new", "third")]


class Embed:
    """A model's `embed` that remembers the texts, and calls `before` with the number of the batch."""

    def __init__(self, model: FakeEmbeddingModel, before: Callable[[int], None] = lambda number: None) -> None:
        self.model, self.before = model, before
        self.batches: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.before(len(self.batches))
        self.batches.append(list(texts))
        return self.model.embed(texts, "document")

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


def chunks(*numbers: int, wrote: str = "") -> list[Chunk]:
    return [Chunk.whole(f"text {number} {wrote}".strip(), id=f"{number:05}") for number in numbers]


def write(store: PgVectorStore, written: list[Chunk], model: FakeEmbeddingModel = OLD) -> None:
    store.upsert(written, model.embed([chunk.embedded_text for chunk in written], "document"))


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    made = PgVectorStore(database, model=OLD.spec)
    write(made, chunks(*range(1200)))
    return made


def check(store: PgVectorStore, model: FakeEmbeddingModel) -> dict[str, str]:
    """The chunks' texts by id, after it was seen that each has the vector of its own text by that model."""
    hits = store.search(np.ones(model.spec.dimensions), k=10_000, with_vectors=True)
    assert len(hits) == store.count()
    expected = model.embed([hit.chunk.embedded_text for hit in hits], "document")
    np.testing.assert_allclose(np.stack([np.asarray(hit.vector) for hit in hits]), expected, atol=1e-6)
    return {hit.id: hit.text for hit in hits}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_vectors_change_and_stores_of_the_old_model_are_refused(
    kind: str, store: PgVectorStore, database: Database
) -> None:
    other = awaitable(kind, database, model=OLD.spec)
    unbound = awaitable(kind, database)
    [query] = OLD.embed(["text 7"], "query")
    for _ in range(12):  # so often that the driver has prepared the statement on the server
        for reader in (other, unbound):
            assert (await reader.search(query, k=1))[0].id == "00007"
    again = awaitable(kind, database)
    reported: list[tuple[int, int]] = []
    renewed = await again.reembed(
        Embed(NEW), model=NEW.spec, on_progress=lambda progress: reported.append((progress.done, progress.total))
    )
    assert reported == [(0, 1200), (512, 1200), (1024, 1200), (1200, 1200)]
    for reader in (other, unbound):
        for _ in range(2):
            with pytest.raises(ModelMismatchError, match=r"new \(16.*old \(16"):
                await reader.search(query, k=1)
            with pytest.raises(ModelMismatchError, match=r"new \(16.*old \(16"):
                await reader.upsert(chunks(7, wrote="too late"), OLD.embed(["x"], "document"))
        assert [chunk.text for chunk in await reader.get(["00007"])] == ["text 7"]
        assert (await reader.search(text="7", mode="lexical", k=1))[0].id == "00007"
    with pytest.raises(ModelMismatchError, match=r"new \(16.*old \(16"):
        PgVectorStore(database, model=OLD.spec).count()
    synchronous = PgVectorStore(database, model=NEW.spec)
    assert check(synchronous, NEW) == {chunk.id: chunk.text for chunk in chunks(*range(1200))}
    assert renewed.settings.model == NEW.spec
    await database.aclose()


def test_what_failed_goes_on_where_it_was(store: PgVectorStore) -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise ProviderError("the model refuses this", inputs=[3])

    first = Embed(NEW, fail)
    with pytest.raises(ProviderError):
        store.reembed(first, model=NEW.spec)
    assert check(store, OLD)
    second = Embed(NEW)
    check(store.reembed(second, model=NEW.spec), NEW)
    assert len(first.texts) == 512
    assert sorted(first.texts + second.texts) == sorted(chunk.text for chunk in chunks(*range(1200)))
    third = Embed(NEW)
    check(store.reembed(third, model=NEW.spec), NEW)
    assert third.batches == []


def test_what_is_written_meanwhile_gets_its_own_vectors(store: PgVectorStore) -> None:
    def interfere(number: int) -> None:
        if number == 0:  # of the batch that is just being embedded
            write(store, chunks(*range(3), wrote="before its vector was stored"))
            write(store, [Chunk.whole("text 8", id="00008")._replace(header="Header")])
            store.delete(["00003"])
        if number == 1:  # of a batch that was stored, of this one, and of one to come
            write(store, chunks(4, 600, 1100, 2000, wrote="again"))
            store.delete(["00005", "00601", "01101"])
            store.upsert([Chunk("text 6", 0, 6, 9, {"new": "metadata"}, None, "00006")], OLD.embed(["text 6"], "query"))
            write(store, [Chunk.whole("text 9", id="00009")._replace(header="Header")])

    embed = Embed(NEW, interfere)
    texts = check(store.reembed(embed, model=NEW.spec), NEW)
    assert len(texts) == 1200 - 4 + 1
    assert [texts[f"{number:05}"] for number in (0, 4, 600, 2000)] == [
        "text 0 before its vector was stored",
        "text 4 again",
        "text 600 again",
        "text 2000 again",
    ]
    assert embed.texts.count("text 6") == 1
    assert {"Header\ntext 8", "Header\ntext 9"} <= set(embed.texts)


def test_writers_and_readers_at_full_speed_see_no_mixture(store: PgVectorStore, database: Database) -> None:
    stop, failures, refused = threading.Event(), list[BaseException](), list[int]()

    def work(worker: int) -> None:
        own, rng = PgVectorStore(database, model=OLD.spec), np.random.default_rng(worker)
        try:
            while not stop.is_set():
                numbers = [int(number) for number in rng.choice(1500, 20, replace=False)]
                write(own, chunks(*numbers, wrote=str(worker)))
                own.delete([f"{rng.integers(1500):05}"])
                [hit] = own.search(OLD.embed(["text 1"], "query")[0], k=1, with_vectors=True)
                np.testing.assert_allclose(np.asarray(hit.vector), OLD.embed([hit.text], "document")[0], atol=1e-6)
        except ModelMismatchError:
            refused.append(worker)
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    renewed = store.reembed(Embed(NEW), model=NEW.spec)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(refused) == [0, 1, 2, 3]
    check(renewed, NEW)


def test_writers_that_always_write_more_than_a_switch_embeds_do_not_keep_it_off(
    store: PgVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (run_module, versions_module):
        monkeypatch.setattr(module, "BATCH_CHUNKS", 200)
    monkeypatch.setattr(run_module, "_REST", 1000)
    reports = 0

    def outrun(progress: ReembedProgress) -> None:
        nonlocal reports
        reports += 1
        assert reports < 40
        new = 2000 + 200 * reports  # as many as a batch
        write(store, chunks(*range(10), *range(new, new + 200), wrote=f"after {reports}"))

    embed = Embed(NEW)
    texts = check(store.reembed(embed, model=NEW.spec, on_progress=outrun), NEW)
    assert texts["00007"] == f"text 7 after {reports}"
    assert max(len(batch) for batch in embed.batches) == 200


def test_a_switch_that_is_tried_again_embeds_no_text_twice(
    store: PgVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, set_active = 0, versions_module._set_active

    def busy(*args: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise InUseError("others read")
        set_active(*args)

    def add(progress: ReembedProgress) -> None:
        if progress.done == 1200:
            write(store, chunks(*range(30), *range(2000, 2030), wrote="meanwhile"))

    monkeypatch.setattr(versions_module, "_set_active", busy)
    monkeypatch.setattr(versions_module, "BATCH_CHUNKS", 25)
    embed = Embed(NEW)
    check(store.reembed(embed, model=NEW.spec, on_progress=add), NEW)
    assert tries == 4
    assert [len(batch) for batch in embed.batches] == [512, 512, 176, 25, 25, 10]
    assert len(set(embed.texts)) == len(embed.texts)


def test_chunks_that_a_switch_cannot_embed_are_named(store: PgVectorStore, caplog: pytest.LogCaptureFixture) -> None:
    def add(progress: ReembedProgress) -> None:
        if progress.done == 1200:
            write(store, chunks(7, 2000, wrote="meanwhile"))

    def fail(number: int) -> None:
        if number == 3:
            raise ProviderError("the model refuses this", inputs=[1])

    with pytest.raises(ProviderError):
        store.reembed(Embed(NEW, fail), model=NEW.spec, on_progress=add)
    assert "02000" in caplog.text
    check(store.reembed(Embed(NEW), model=NEW.spec), NEW)


def test_going_back_embeds_only_what_was_written_since(store: PgVectorStore, database: Database) -> None:
    renewed = store.reembed(Embed(NEW), model=NEW.spec)
    write(renewed, chunks(1, 3000, wrote="by the new model"), NEW)
    renewed.delete(["00002"])
    embed = Embed(OLD)
    back = renewed.reembed(embed, model=OLD.spec)
    assert sorted(embed.texts) == ["text 1 by the new model", "text 3000 by the new model"]
    check(back, OLD)
    check(store, OLD)  # opened before all this
    with pytest.raises(ModelMismatchError):
        renewed.search(np.ones(16))
    assert back.drop_embedding_versions() == 1
    assert back.drop_embedding_versions() == 0
    write(back, chunks(1, wrote="again"))
    assert check(back, OLD)["00001"] == "text 1 again"
    back.drop()
    with pytest.raises(CollectionNotFoundError):
        PgVectorStore(database).count()


def test_the_new_vectors_have_an_index_where_the_old_ones_had(store: PgVectorStore, database: Database) -> None:
    store.create_index(VectorIndex(kind="half", m=8, ef_construction=32))
    wide = FakeEmbeddingModel(3000, name="wide")
    renewed = store.reembed(Embed(wide), model=wide.spec)
    assert (renewed.collection.precision, renewed.collection.index.kind, renewed.collection.index.m) == (
        "float16",
        "half",
        8,
    )
    assert database.read(has_index, renewed.collection)
    [query] = wide.embed(["text 7"], "document")
    assert renewed.search(query, k=1)[0].text == "text 7"
    small = renewed.reembed(Embed(NEW), model=NEW.spec, precision="float32")
    assert small.collection.precision == "float32"
    with pytest.raises(ConfigurationError, match=r"float16.*float32"):
        small.reembed(Embed(wide), model=wide.spec, precision="float32")
    check(small, NEW)


def test_a_callers_transaction_is_told(store: PgVectorStore, database: Database) -> None:
    with database.engine.connect() as connection:
        assert store.count(connection=connection) == 1200
        store.reembed(Embed(NEW), model=NEW.spec)
        with pytest.raises(ModelMismatchError, match="embedded anew"):
            store.search(np.ones(16), connection=connection)


def test_a_writer_in_an_older_snapshot_is_refused_where_a_vector_could_go_stale(
    store: PgVectorStore, database: Database
) -> None:
    def interfere(number: int) -> None:
        with (
            database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
            pytest.raises(StorageError, match="READ COMMITTED"),
        ):
            store.upsert(chunks(1, wrote="late"), OLD.embed(["x"], "document"), connection=connection)

    check(store.reembed(Embed(NEW, interfere), model=NEW.spec), NEW)


def test_wrong_vectors_are_refused_and_nothing_changes(store: PgVectorStore, database: Database) -> None:
    with pytest.raises(ModelMismatchError, match=r"new.*8 dimensions, not 16"):
        store.reembed(lambda texts: np.ones((len(texts), 8)), model=NEW.spec)
    with pytest.raises(InputError, match="position 0 holds NaN"):
        store.reembed(lambda texts: np.full((len(texts), 16), np.nan), model=NEW.spec)
    with pytest.raises(InputError, match=r"array of \(512, 16\)"):
        store.reembed(lambda texts: np.ones((1, 16)), model=NEW.spec)
    with pytest.raises(InputError, match=r"'00000': the vector at position 0 .*float16"):  # it would be all zero
        PgVectorStore(database).reembed(
            lambda texts: np.full((len(texts), 16), 1e-9), model=THIRD.spec, precision="float16"
        )
    check(store, OLD)
    found = database.read(embedding_versions, database.schema, store.name)
    assert [each.active for each in found] == [True, False, False]
    with pytest.raises(CollectionNotFoundError, match="nowhere"):
        PgVectorStore(database, collection="nowhere").reembed(Embed(NEW), model=NEW.spec)


def test_sets_that_were_dropped_meanwhile_are_made_again_and_whole(store: PgVectorStore) -> None:
    def drop(number: int) -> None:
        if number == 2:
            store.drop_embedding_versions()

    check(store.reembed(Embed(NEW, drop), model=NEW.spec), NEW)


def test_the_number_of_a_dropped_set_is_not_used_again(store: PgVectorStore, database: Database) -> None:
    renewed = store.reembed(Embed(NEW), model=NEW.spec)
    [query] = NEW.embed(["text 7"], "query")
    assert renewed.search(query, k=1)[0].id == "00007"
    back = PgVectorStore(database).reembed(Embed(OLD), model=OLD.spec)
    assert back.drop_embedding_versions() == 1
    last = back.reembed(Embed(THIRD), model=THIRD.spec)
    assert last.drop_embedding_versions() == 1
    for use in (
        lambda: renewed.search(query, k=1),
        lambda: renewed.search(query, "text", mode="hybrid"),
        lambda: renewed.similar("00007"),
        renewed.vectors,
        lambda: write(renewed, chunks(7, 2000, wrote="too late"), NEW),
        renewed.create_index,
    ):
        with pytest.raises(ModelMismatchError, match=r"third \(16.*new \(16.*Open it with the new model"):
            use()
    check(last, THIRD)


def test_a_run_never_fills_the_vectors_of_another_model(store: PgVectorStore, database: Database) -> None:
    other = PgVectorStore(database)

    def stop(number: int) -> None:
        raise ConnectionError

    def replace(number: int) -> None:
        if number == 0:
            other.drop_embedding_versions()
            with pytest.raises(ConnectionError):
                other.reembed(Embed(THIRD, stop), model=THIRD.spec)

    check(store.reembed(Embed(NEW, replace), model=NEW.spec), NEW)
    embed = Embed(THIRD)
    check(other.reembed(embed, model=THIRD.spec), THIRD)
    assert len(embed.texts) == 1200


def test_a_run_does_not_fill_what_a_restored_backup_has_under_its_number(
    store: PgVectorStore, database: Database
) -> None:
    def restore(number: int) -> None:
        model = json.dumps(NEW.spec.record() | {"name": "third"})
        with database.engine.begin() as connection:
            statement = "UPDATE embedpipe.vector_sets SET model = :model WHERE NOT active"
            connection.execute(text(statement), {"model": model})

    with pytest.raises(StorageError, match=r"new.*were replaced by those of third.*Call reembed"):
        store.reembed(Embed(NEW, restore), model=NEW.spec)


def test_a_catalogue_of_the_former_version_counts_on_from_its_sets(store: PgVectorStore, database: Database) -> None:
    renewed = store.reembed(Embed(NEW), model=NEW.spec)
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE embedpipe.collections DROP COLUMN last_version"))
        connection.execute(text("DELETE FROM embedpipe.migrations WHERE number = 8"))
    PgVectorStore(database, collection="another", model=OLD.spec).create()
    last = renewed.reembed(Embed(THIRD), model=THIRD.spec)
    found = database.read(embedding_versions, database.schema, store.name)
    assert [each.embedding_version for each in found] == [1, 2, 3]
    check(last, THIRD)


def test_a_long_transaction_is_waited_for(store: PgVectorStore, database: Database) -> None:
    connection = database.engine.connect()
    store.upsert(chunks(1, wrote="slowly"), OLD.embed(["text 1 slowly"], "document"), connection=connection)

    def commit() -> None:
        connection.commit()
        connection.close()

    timer = threading.Timer(3, commit)
    timer.start()
    texts = check(store.reembed(Embed(NEW), model=NEW.spec), NEW)
    assert texts["00001"] == "text 1 slowly"


def test_a_service_changes_its_model(database: Database) -> None:
    service = SemanticSearchService(OLD, database=database, chunker=None)
    documents = [Document(id=str(number), text=f"Document {number}") for number in range(20)]
    service.ingest(documents)
    renewed = service.reembed(NEW)
    [hit] = renewed.search("Document 3", 1, mode="dense")
    assert (hit.document_id, round(hit.score, 5)) == ("3", 1.0)
    with pytest.raises(ModelMismatchError):
        service.search("Document 3")
    report = renewed.ingest([*documents, Document(id="new", text="Another")])
    assert (report.added, report.chunks_embedded) == (1, 1)


def test_chunks_that_cannot_be_embedded_are_named(store: PgVectorStore, caplog: pytest.LogCaptureFixture) -> None:
    write(store, chunks(3), OLD)
    store.upsert([Chunk.whole(" ", id="blank")], np.ones((1, 16)))
    generator = EmbeddingGenerator(NEW)
    with pytest.raises(InputError):
        store.reembed(lambda texts: generator.generate_batch(texts).vectors, model=NEW.spec)
    assert "01024 to blank" in caplog.text
    store.delete(["blank"])
    check(store.reembed(lambda texts: generator.generate_batch(texts).vectors, model=NEW.spec), NEW)


def test_who_was_granted_the_vectors_may_use_the_new_ones(
    store: PgVectorStore, database: Database, database_url: str
) -> None:
    script = partial(setup_statements, schema="embedpipe", collection="default", role='the "100% app')
    with database.engine.begin() as connection:
        connection.exec_driver_sql('CREATE ROLE "the ""100%% app" LOGIN')
        run(connection, script(connection))
    app = Database(database_url.replace("postgres@", "the%20%22100%25%20app@"))
    user = PgVectorStore(app, model=OLD.spec)

    def interfere(number: int) -> None:
        if number == 1:
            write(user, chunks(1, wrote="by the role"))

    store.reembed(Embed(NEW, interfere), model=NEW.spec)
    user = PgVectorStore(app, model=NEW.spec)
    write(user, chunks(2, wrote="by the role, too"), NEW)
    texts = check(user, NEW)
    assert (texts["00001"], texts["00002"]) == ("text 1 by the role", "text 2 by the role, too")
    app.close()
    with database.engine.begin() as connection:
        connection.exec_driver_sql('DROP OWNED BY "the ""100%% app"')
        connection.exec_driver_sql('DROP ROLE "the ""100%% app"')


@pytest.fixture
def roles(database: Database) -> Iterator[None]:
    """Roles: `owner`, who may make tables in the schema "its own", its `member`, `stranger` and `reader`."""
    names = ("owner", "member", "stranger", "reader")
    with database.engine.begin() as connection:
        for name in names:
            connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
        connection.exec_driver_sql('CREATE SCHEMA "its own" AUTHORIZATION owner')
        connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {connection.engine.url.database} TO owner")
        connection.exec_driver_sql("GRANT owner TO member")
    yield
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {', '.join(names)} CASCADE")
        connection.exec_driver_sql(f"DROP ROLE {', '.join(names)}")


def owners(database: Database) -> set[str]:
    """The owners of the tables and views in the schema of the roles."""
    statement = """SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class
        WHERE relnamespace = '"its own"'::regnamespace AND relkind IN ('r', 'v', 'i')"""
    with database.engine.connect() as connection:
        return set(connection.scalars(text(statement)))


@pytest.mark.parametrize("role", ["postgres", "member"])
def test_the_owner_keeps_its_tables_whoever_embeds_anew(
    roles: None, database: Database, database_url: str, role: str
) -> None:
    def of(name: str) -> Database:
        return Database(database_url.replace("postgres@", f"{name}@"), schema="its own")

    own, other = of("owner"), of(role)
    store = PgVectorStore(own, model=OLD.spec)
    write(store, chunks(*range(20)))

    def interfere(number: int) -> None:
        if number == 0:
            write(store, chunks(7, wrote="meanwhile"))

    PgVectorStore(other).reembed(Embed(NEW, interfere), model=NEW.spec)
    renewed = PgVectorStore(own, model=NEW.spec)
    write(renewed, chunks(8, wrote="after it"), NEW)
    texts = check(renewed, NEW)
    assert (texts["00007"], texts["00008"]) == ("text 7 meanwhile", "text 8 after it")
    assert owners(database) == {"owner"}
    check(renewed.reembed(Embed(OLD), model=OLD.spec), OLD)
    for opened in (own, other):
        opened.close()


def test_who_may_not_replace_the_tables_is_told_before_anything_is_embedded(
    roles: None, database: Database, database_url: str
) -> None:
    def embed_as(name: str, embed: Embed) -> None:
        opened = Database(database_url.replace("postgres@", f"{name}@"), schema="its own")
        try:
            PgVectorStore(opened).reembed(embed, model=NEW.spec)
        finally:
            opened.close()

    own = Database(database_url.replace("postgres@", "owner@"), schema="its own")
    store = PgVectorStore(own, model=OLD.spec)
    write(store, chunks(*range(20)))
    own.close()
    with database.engine.begin() as connection:
        for name in ("stranger", "reader"):
            connection.exec_driver_sql(f'GRANT ALL ON SCHEMA "its own" TO {name}')
            connection.exec_driver_sql(f'GRANT ALL ON ALL TABLES IN SCHEMA "its own" TO {name}')
        connection.exec_driver_sql('REVOKE CREATE ON SCHEMA "its own" FROM owner')
    embed = Embed(NEW)
    with pytest.raises(SchemaError, match=r"owner 'owner' may replace .*Connect as 'owner'.* GRANT owner TO stranger;"):
        embed_as("stranger", embed)
    with pytest.raises(SchemaError, match=r"'owner', .*may not create .*GRANT CREATE ON SCHEMA \"its own\" TO owner;"):
        embed_as("member", embed)
    assert embed.batches == []
    with database.engine.begin() as connection:
        connection.exec_driver_sql('GRANT CREATE ON SCHEMA "its own" TO owner')
    embed_as("member", embed)
    assert len(embed.texts) == 20


def test_rights_on_columns_and_grant_options_go_to_the_new_vectors(
    roles: None, store: PgVectorStore, database: Database
) -> None:
    def rights() -> list[tuple[object, ...]]:
        name = PgVectorStore(database).collection.vectors.name
        statement = text("""SELECT column_name, grantee, privilege_type, is_grantable
            FROM information_schema.column_privileges WHERE table_name = :name AND grantee <> 'postgres'
            UNION ALL SELECT NULL, grantee, privilege_type, is_grantable
            FROM information_schema.table_privileges WHERE table_name = :name AND grantee <> 'postgres'
            ORDER BY 1, 2, 3""")
        with database.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement, {"name": name})]

    def grant(number: int) -> None:
        if number == 1:
            with database.engine.begin() as connection:
                connection.exec_driver_sql(f"GRANT SELECT ON {store.collection.vectors.fullname} TO PUBLIC")

    with database.engine.begin() as connection:
        vectors = store.collection.vectors.fullname
        connection.exec_driver_sql(f"GRANT SELECT (embedding) ON {vectors} TO reader")
        connection.exec_driver_sql(f"GRANT UPDATE, SELECT ON {vectors} TO member WITH GRANT OPTION")
    before = rights()
    assert len(before) == 7
    store.reembed(Embed(NEW, grant), model=NEW.spec)
    after = rights()
    assert [right for right in after if right[1] != "PUBLIC"] == before
    assert (None, "PUBLIC", "SELECT", "NO") in after
