"""Collections that keep what was rewritten and deleted: searches of any moment give what a fresh ingest gives."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from conftest import as_superuser, opened_as_ordinary
from embedpipe import Document, EmbeddingGenerator, RAGPipeline, SemanticSearchService
from embedpipe.chunking import SentenceChunker
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.server import create_app
from embedpipe.storage import BM25, Database, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import ModelSpec, SearchMode, SearchResult
from serving import serving

QUERIES = ["green tea", "how long is black coffee brewed", "white"]
MODES: list[SearchMode] = ["dense", "lexical", "hybrid"]


def service_of(database: Database, collection: str, **settings: Any) -> SemanticSearchService:
    chunker = SentenceChunker(chunk_size=60)
    model = FakeEmbeddingModel()
    return SemanticSearchService(model, database=database, collection=collection, chunker=chunker, **settings)


def now(database: Database) -> datetime:
    """The time by the clock of the database."""
    moment: datetime = database.run(lambda connection: connection.scalar(text("SELECT clock_timestamp()")))
    return moment


def told(result: SearchResult) -> tuple[Any, ...]:
    """All that a search says of a chunk."""
    scores = result.score, result.similarity, result.lexical_score
    chunk = result.chunk
    place = chunk.start_index, chunk.end_index, chunk.chunk_index, result.dense_rank, result.lexical_rank
    rounded = [None if score is None else round(score, 5) for score in scores]
    return (result.id, result.text, dict(result.metadata), *place, *rounded)


def found(service: SemanticSearchService, as_of: datetime | None = None) -> list[list[Any]]:
    """What a few searches find in each mode, with every score."""
    return [
        [told(result) for result in service.search(query, 4, mode=mode, as_of=as_of)]
        for query in QUERIES
        for mode in MODES
    ]


def bring(service: SemanticSearchService, texts: Mapping[str, str]) -> None:
    report = service.ingest([Document(id=name, text=text, metadata={"n": name}) for name, text in texts.items()])
    assert not report.failures


GREEN = "Green tea is steeped at 80 degrees. It takes two minutes only."
BLACK = "Black tea takes boiling water. Milk is added last of all."


def test_a_moment_gives_what_a_fresh_ingest_gives(database: Database) -> None:
    kept = service_of(database, "kept", history=True)
    moments = []
    steps: list[dict[str, str]] = [
        {"green": GREEN, "black": BLACK},
        {"green": "A new beginning was written. " + GREEN, "black": BLACK},
        {"green": "A new beginning was written. " + GREEN.replace("80", "75"), "white": "White tea is rare."},
        {"white": "White coffee is brewed for long."},
    ]
    for step in steps:
        gone = [name for name in ("green", "black", "white") if name not in step]
        bring(kept, step)
        kept.store.delete(document_ids=gone)
        moments.append(now(database))
    for number, (step, moment) in enumerate(zip(steps, moments, strict=True)):
        fresh = service_of(database, f"fresh {number}")
        bring(fresh, step)
        assert found(kept, moment) == found(fresh), number
    assert found(kept, moments[-1]) == found(kept)
    assert found(kept, moments[0] - timedelta(hours=1)) == [[]] * 9
    texts = [each.text for each in kept.store.versions("green")]
    assert texts == [step["green"] for step in steps[:3]]
    assert [each.until is None for each in kept.store.versions("white")] == [False, True]


WORDS = """
amber birch cedar dune ember fern gorge heath iris jade kelp larch maple north ochre pine
quartz reed slate thorn umber vale wren yarrow zinc alder basalt clover delta elm flint grove
hazel islet juniper knoll lagoon moss nettle
""".split()  # noqa: SIM905 - shorter


def edited(chance: random.Random, text: str) -> str:
    """A document of which a sentence is gone or another one came, or a new one. No word comes twice in it."""
    sentences = [sentence for sentence in text.split("\n") if sentence]
    change = chance.random()
    if sentences and change < 0.3:
        sentences.pop(chance.randrange(len(sentences)))
    elif sentences and change < 0.6:
        chance.shuffle(sentences)
    else:
        rest = [word for word in WORDS if word not in text.lower()]
        new = " ".join(chance.sample(rest, 3)).capitalize() if len(rest) > 2 else "Nothing"
        sentences.insert(chance.randint(0, len(sentences)), f"{new}.")
    return "\n".join(sentences) or "Empty."


def changed(chance: random.Random, service: SemanticSearchService, held: dict[str, str]) -> dict[str, str]:
    """Write, delete, prune or clear, and return the documents that there are then."""
    step = chance.choice(["edit"] * 6 + ["delete", "prune", "clear"]) if held else "edit"
    if step == "edit":
        held = held | {name: edited(chance, held.get(name, "")) for name in chance.sample("abcd", 2)}
        bring(service, held)
    elif step == "delete":
        name = chance.choice(sorted(held))
        held = {each: body for each, body in held.items() if each != name}
        service.store.delete(document_ids=[name])
    elif step == "prune":
        held = dict(sorted(held.items())[1:])
        service.store.prune_documents(sorted(held))
    else:
        held = {}
        service.store.clear()
    return held


@pytest.mark.parametrize("seed", range(3))
def test_after_any_sequence_each_moment_gives_what_a_fresh_ingest_gives(database: Database, seed: int) -> None:
    """A word comes once in a document: how much a repeated one weighs depends on when it was written, see `search`."""
    chance = random.Random(seed)
    kept = service_of(database, "kept", history=True)
    moments: list[tuple[datetime, dict[str, str]]] = []
    held: dict[str, str] = {}
    for _ in range(9):
        held = changed(chance, kept, held)
        moments.append((now(database), held))
    queries = [" ".join(chance.sample(WORDS, 8)) for _ in range(2)]
    for number, (moment, texts) in enumerate(moments):
        fresh = service_of(database, f"fresh {number}")
        fresh.store.create()
        bring(fresh, texts)
        for query in queries:
            for mode in MODES:
                then = [told(result) for result in kept.search(query, 10, mode=mode, as_of=moment)]
                assert then == [told(result) for result in fresh.search(query, 10, mode=mode)], (number, mode)
        for name in "abcd":
            versions = [each for each in kept.store.versions(name) if each.since <= moment]
            of_then = [each.text for each in versions if each.until is None or moment < each.until]
            assert of_then == ([texts[name]] if name in texts else [])


async def test_options_of_a_search_hold_for_the_past(database: Database) -> None:
    kept = service_of(database, "kept", history=True)
    bring(kept, {"green": GREEN, "black": BLACK})
    before = now(database)
    bring(kept, {"green": "It is gone."})
    filtered = kept.search("tea", filter={"n": "green"}, as_of=before)
    assert {result.document_id for result in filtered} == {"green"}
    assert [told(result) for result in await kept.asearch("tea", as_of=before)] == [
        told(result) for result in kept.search("tea", as_of=before)
    ]
    phrase = kept.search('"steeped at 80"', mode="lexical", as_of=before)
    assert [result.document_id for result in phrase] == ["green"]
    assert kept.search('"steeped at 80"', mode="lexical") == []
    answer = RAGPipeline(kept).query("At how many degrees is green tea steeped?", as_of=before)
    assert "80 degrees" in answer.answer
    await kept.aclose()


def test_a_collection_without_history_has_nothing_of_it(database: Database) -> None:
    plain = service_of(database, "plain")
    bring(plain, {"green": GREEN})
    with database.engine.connect() as connection:
        triggers = connection.scalar(text("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"))
        names = connection.scalars(text("SELECT table_name FROM information_schema.tables WHERE table_name ~ '^c1_'"))
        of_chunks = "SELECT column_name FROM information_schema.columns WHERE table_name = 'c1_chunks'"
        assert triggers == 0
        assert len(names.all()) == 6
        assert "since" not in connection.scalars(text(of_chunks)).all()
    for call in (lambda: plain.search("tea", as_of=now(database)), lambda: plain.store.versions("green")):
        with pytest.raises(ConfigurationError, match="history=True"):
            call()


def test_what_history_cannot_do_is_refused(database: Database) -> None:
    kept = service_of(database, "kept", history=True)
    bring(kept, {"green": GREEN})
    with pytest.raises(InputError, match="no time zone"):
        kept.search("tea", as_of=datetime(2026, 5, 1))  # noqa: DTZ001 - that is refused
    with pytest.raises(InputError, match="out of range"):
        kept.search("tea", as_of=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9))))
    assert kept.search("tea", as_of=datetime.max.replace(tzinfo=UTC))
    assert kept.search("tea", as_of=datetime.min.replace(tzinfo=UTC)) == []
    with pytest.raises(ConfigurationError, match="with history"):
        PgVectorStore(database, collection="kept", history=False).count()
    service_of(database, "plain").store.create()
    with pytest.raises(ConfigurationError, match="without history"):
        PgVectorStore(database, collection="plain", history=True).count()
    with pytest.raises(ConfigurationError, match="keeps history"):
        kept.store.reembed(lambda texts: pytest.fail(str(texts)), model=ModelSpec(name="b", dimensions=8))
    with pytest.raises(ConfigurationError, match="keeps history"):
        kept.store.upgrade(lexical=BM25(k1=1.5))
    with (
        database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(ConfigurationError, match="autocommit"),
    ):
        kept.store.search(text="tea", mode="lexical", as_of=now(database), connection=connection)
    with pytest.raises(InputError, match="No answer with the id 'none'"):
        kept.verify("none")


def test_a_dropped_collection_leaves_nothing(database: Database) -> None:
    kept = service_of(database, "kept", history=True)
    bring(kept, {"green": GREEN})
    kept.keep_answer(RAGPipeline(kept).query("How long does green tea take?"))
    bring(kept, {"green": BLACK})
    kept.store.drop()
    with database.engine.connect() as connection:
        left = connection.scalars(text("SELECT relname FROM pg_class WHERE relname ~ '^c1_'")).all()
        assert left == []
        assert connection.scalar(text("SELECT count(*) FROM embedpipe.answers")) == 0


@pytest.fixture
def ordinary(database_url: str) -> Iterator[Database]:
    """The test's own database, for an ordinary role."""
    with opened_as_ordinary(database_url) as opened:
        yield opened


def test_tenants_have_each_their_own_past_and_answers(ordinary: Database) -> None:
    services = [service_of(ordinary, "shared", tenant=name, history=True) for name in ("first", "second")]
    for service in services:
        bring(service, {"tea": f"The {service.store.tenant} tea is steeped at 80 degrees."})
    before = now(ordinary)
    ids = [service.keep_answer(RAGPipeline(service).query("How hot is tea steeped?")) for service in services]
    services[0].store.clear()
    bring(services[1], {"tea": "The second tea is boiled."})
    for service in services:
        name = str(service.store.tenant)
        assert [result.text for result in service.search("tea", as_of=before)] == [
            f"The {name} tea is steeped at 80 degrees."
        ]
        assert str(service.store.versions("tea")[0].text).startswith(f"The {name}")
    assert [state.state for state in services[0].verify(ids[0])] == ["deleted"]
    assert [state.text for state in services[1].verify(ids[1])] == ["The second tea is boiled."]
    with pytest.raises(InputError, match="No answer"):
        services[0].verify(ids[1])
    assert [answer.id for answer in services[1].affected(["tea"])] == [ids[1]]
    assert services[0].store.delete_answers([ids[1]]) == 0
    services[0].forget("tea")
    assert len(services[1].store.versions("tea")) == 2
    with ordinary.engine.connect() as connection:
        names = [*connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'tenants'"))]
        names += connection.scalars(text("SELECT viewname FROM pg_views WHERE schemaname = 'tenants'")).all()
        connection.execute(text("SELECT set_config('embedpipe.as_of', now()::text, false)"))
        own = [
            name for name in names if name.startswith(("c1_", "answers")) and not name.endswith("_then_lexical_terms")
        ]
        assert len(own) == 15
        for name in own:
            assert connection.scalar(text(f'SELECT count(*) FROM tenants."{name}"')) == 0, name  # noqa: S608 - our own


SECRET = "Zanzibar orchid"


def holding(url: str, secret: str) -> list[str]:
    """The tables, and the columns of the planner's statistics, that hold a text anywhere."""
    superuser = Database(as_superuser(url))
    with superuser.engine.connect() as connection:
        tables = connection.execute(text("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'embedpipe'"))
        rows = "SELECT count(*) FROM {}.{} AS held WHERE to_jsonb(held)::text ILIKE :secret"
        said = {"secret": f"%{secret}%"}
        names = [
            f"{schema}.{name}" for schema, name in tables if connection.scalar(text(rows.format(schema, name)), said)
        ]
        statistics = text(
            "SELECT tablename || '.' || attname FROM pg_stats WHERE schemaname = 'embedpipe' AND "
            "concat(most_common_vals::text, histogram_bounds::text, most_common_elems::text) ILIKE :secret"
        )
        names += connection.scalars(statistics, said)
    superuser.close()
    return names


def test_what_is_forgotten_is_nowhere_any_more(database: Database, database_url: str, tmp_path: Path) -> None:
    generator = EmbeddingGenerator(FakeEmbeddingModel(), cache=tmp_path / "cache")
    kept = SemanticSearchService(
        generator,
        database=database,
        collection="kept",
        chunker=SentenceChunker(chunk_size=60),
        history=True,
        headers=True,
    )
    others = {f"other {number}": f"Tea number {number} is steeped." for number in range(5)}
    secret = Document(id="secret", text=f"The {SECRET} is steeped.", metadata={"title": SECRET})
    kept.ingest([secret])
    kept.ingest(
        [Document(id="secret", text=f"Now the {SECRET} is boiled. It is {SECRET}.", metadata={"title": SECRET})]
    )
    bring(kept, others)
    leaning = kept.keep_answer(RAGPipeline(kept).query(f"How is the {SECRET} made?", k=1))
    other = kept.keep_answer(RAGPipeline(kept).query("How is tea number 3 made?", k=1, filter={"n": "other 3"}))
    with database.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()
    assert {"embedpipe.c1_documents", "embedpipe.c1_past_documents", "embedpipe.answers"} <= set(
        holding(database_url, SECRET)
    )
    texts = kept.store.embedded_texts("secret")
    assert len(texts) == 2
    gone = kept.forget("secret")
    assert (gone.chunks, gone.versions, gone.answers, gone.cache_entries) == (1, 2, 1, 2)
    assert holding(database_url, SECRET) == []
    assert not any(SECRET.encode() in file.read_bytes() for file in (tmp_path / "cache").iterdir())
    again = generator.generate_batch(texts)
    assert not any(result.cached for result in again)
    with pytest.raises(InputError, match="No answer"):
        kept.verify(leaning)
    assert [state.state for state in kept.verify(other)] == ["unchanged"]
    assert kept.store.count() == 5
    assert tuple(kept.forget("secret"))[:3] == (0, 0, 0)


def test_a_cache_that_cannot_delete_keeps_a_document_from_being_forgotten_in_part(database: Database) -> None:
    class Kept(dict[bytes, bytes]):
        def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
            return [self.get(key) for key in keys]

        def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
            self.update(entries)

    generator = EmbeddingGenerator(FakeEmbeddingModel(), cache=Kept())
    service = SemanticSearchService(generator, database=database)
    bring(service, {"green": GREEN})
    with pytest.raises(ConfigurationError, match="delete_many"):
        service.forget("green")
    assert service.store.count() == 1


async def test_answers_are_checked_later(database: Database) -> None:
    service = service_of(database, "plain")
    bring(service, {"green": GREEN, "black": BLACK})
    response = RAGPipeline(service).query("At how many degrees is green tea steeped?", k=1)
    answer_id = service.keep_answer(response)
    other = await service.akeep_answer(await RAGPipeline(service).aquery("When is milk added to black tea?", k=1))
    assert [state.state for state in response.verify()] == ["unchanged"]
    assert service.affected(["green", "black"]) == []
    bring(service, {"green": "A new beginning. " + GREEN})
    [moved] = await response.averify()
    assert (moved.state, moved.text) == ("moved", moved.quote)
    assert moved.start_index == response.citations[0].start_index + len("A new beginning. ")  # type: ignore[operator]
    assert service.affected(["green", "black"]) == []
    bring(service, {"green": GREEN.replace("80", "75")})
    [altered] = service.verify(answer_id)
    assert (altered.state, altered.text) == ("altered", "Green tea is steeped at 75 degrees.")
    service.store.delete(document_ids=["black"])
    assert [state.state for state in await service.averify(other)] == ["deleted"]
    found = await service.aaffected(["green", "black"])
    assert [(each.id, [state.state for state in each.citations]) for each in found] == [
        (answer_id, ["altered"]),
        (other, ["deleted"]),
    ]
    assert [each.id for each in service.affected(["black"])] == [other]
    await service.aclose()


def test_over_http(database_url: str) -> None:
    database = Database(database_url)
    PgVectorStore(database, model=EmbeddingGenerator(FakeEmbeddingModel()).spec, history=True).create()
    app = create_app(FakeEmbeddingModel(), database=database_url)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:

        def bring_over(body: str) -> None:
            client.post("/documents", json={"documents": [{"id": "tea", "text": body}]}).raise_for_status()

        bring_over("Green tea takes two minutes.")
        before = now(database).isoformat()
        made = client.post("/answers", json={"question": "How long does green tea take?"})
        assert made.status_code == 201, made.text
        answer_id = made.json()["id"]
        bring_over("Green tea takes nine minutes.")
        for route, body in (("/search", {"query": "tea"}), ("/answer", {"question": "How long does green tea take?"})):
            assert "two minutes" in client.post(route, json={**body, "as_of": before}).text
            assert "two minutes" not in client.post(route, json=body).text
            assert client.post(route, json={**body, "as_of": "2026-05-01T00:00:00"}).status_code == 400
        [state] = client.get(f"/answers/{answer_id}/citations").json()["citations"]
        assert (state["state"], state["text"]) == ("altered", "Green tea takes nine minutes.")
        [affected] = client.post("/answers/affected", json={"document_ids": ["tea"]}).json()["answers"]
        assert affected["id"] == answer_id
        assert client.get("/answers/none/citations").status_code == 400
        gone = client.post("/documents/forget", json={"document_id": "tea"}).json()
        assert (gone["chunks"], gone["versions"], gone["answers"]) == (1, 2, 1)
    database.close()
