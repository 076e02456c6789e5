"""A collection whose chunks are stemmed by their own languages answers as one collection for each language does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from conftest import opened_as_ordinary
from embedpipe import Document, SemanticSearchService
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage import BM25, AsyncPgVectorStore, Database, Fusion, PgVectorStore, UpgradeProgress
from embedpipe.types import Chunk, ModelSpec

SPEC = ModelSpec(name="unit-test", dimensions=2)
BY_LANGUAGE = BM25(by_language=True)
ENGLISH = ["The houses of the old city", "A house was built", "Rivers and cities", "Nobody lives in the forest"]
GERMAN = ["Die Häuser der alten Stadt", "Er hat ein Haus gebaut", "Flüsse und Städte", "Niemand wohnt im Wald"]
SPANISH = ["Las casas de la ciudad vieja", "Construyó una casa", "Ríos y ciudades", "Nadie vive en el bosque"]
TEXTS = {"en": ENGLISH, "de": GERMAN, "es": SPANISH}
CONFIGURATIONS = {"en": "english", "de": "german", "es": "spanish"}
QUERIES = {
    "en": ["who built the houses?", "what is a city of rivers", '"house was built"', "houses -city"],
    "de": ["wer baute das Haus?", "die Städte und der Fluss", '"ein Haus gebaut"', "Häuser -Stadt der Leute"],
    "es": ["¿quién vive en las casas?", "los ríos de la ciudad", '"una casa"', "las ciudades -casas"],
}


def write(store: PgVectorStore, texts: Mapping[str, list[str]] = TEXTS, **metadata: Any) -> None:
    chunks = [
        Chunk.whole(content, id=f"{language}{n}", metadata={"language": language} | metadata)
        for language, contents in texts.items()
        for n, content in enumerate(contents)
    ]
    store.upsert(chunks, np.ones((len(chunks), 2), np.float32))


def found(store: PgVectorStore, query: str, **options: Any) -> list[str]:
    return [str(hit.id) for hit in store.search(text=query, mode="lexical", k=20, **options)]


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    made = PgVectorStore(database, model=SPEC, lexical=BY_LANGUAGE)
    write(made)
    return made


def test_a_question_ranks_its_language_as_a_collection_of_that_language_does(
    store: PgVectorStore, database: Database
) -> None:
    for language, queries in QUERIES.items():
        alone = PgVectorStore(database, collection=language, model=SPEC, language=CONFIGURATIONS[language])
        write(alone, {language: TEXTS[language]})
        for query in queries:
            expected = found(alone, query)
            assert expected, query
            assert [name for name in found(store, query) if name.startswith(language)] == expected, query
            assert found(store, query)[0].startswith(language), query


@pytest.mark.parametrize(
    ("language", "matches"),
    [
        *[("de", True), ("DE", True), ("de-AT", True), ("de_DE", True), ("deu", True), ("ger", True)],
        *[("german", True), ("German", True)],
        *[("en", False), ("vi", False), ("xx", False), (None, False), ("python", False), ("", False), (5, False)],
        *[(["de"], False), ("de at", False)],
    ],
)
def test_a_language_is_named_by_a_code_or_a_configuration(database: Database, language: Any, matches: bool) -> None:
    store = PgVectorStore(database, model=SPEC, lexical=BY_LANGUAGE)
    metadata = {} if language is None else {"language": language}
    store.upsert([Chunk.whole("Häuser", id="a", metadata=metadata)], np.ones((1, 2), np.float32))
    assert (found(store, "Hauses") == ["a"]) is matches
    assert found(store, "Häuser") == ["a"]


def test_languages_that_postgresql_cannot_stem_are_found_as_they_stand(store: PgVectorStore) -> None:
    write(store, {"vi": ["Các thành phố lớn"], "zh": ["北京的天气很好"], "xx": ["running of houses"]})
    assert found(store, "thành phố") == ["vi0"]
    assert found(store, "天气") == ["zh0"]
    assert "xx0" in found(store, "running")
    assert "xx0" not in found(store, "run")


def test_a_word_is_found_in_every_language_unless_it_is_a_stop_word_of_the_question(store: PgVectorStore) -> None:
    write(store, {"de": [*GERMAN, "Die Band The Who spielt in Berlin"], "en": [*ENGLISH, "They die in Berlin"]})
    assert set(found(store, "Berlin")) == {"de4", "en4"}
    assert found(store, "die") == ["en4"]
    assert "de4" not in found(store, "who lives in the house?")
    assert found(store, "what is in Berlin?") == ["en4", "de4"]


def test_chunks_of_no_language_are_stemmed_by_the_collections(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC, language="german", lexical=BY_LANGUAGE)
    store.upsert([Chunk.whole("Häuser", id="a")], np.ones((1, 2), np.float32))
    write(store, {"en": ENGLISH})
    assert found(store, "Haus") == ["a"]
    assert found(store, "house") == ["en1", "en0"]


def test_phrases_add_to_the_score_in_each_language(store: PgVectorStore) -> None:
    fusion = Fusion(phrase_boost=0.5)
    for query, best in (('who "house was built"', "en1"), ('wer "ein Haus gebaut"', "de1")):
        hits = store.search([1, 1], query, mode="hybrid", k=20, fusion=fusion)
        assert hits[0].id == best
        assert [hit.id for hit in hits if hit.phrase_boost] == [best]


def statistics_are_right(database: Database) -> bool:
    return [finding.message for finding in database.diagnose().findings if finding.wrong] == []


def test_a_chunk_whose_language_changes_is_stemmed_anew(database: Database) -> None:
    service = SemanticSearchService("all-MiniLM-L6-v2", database=database, collection="moved")
    PgVectorStore(database, collection="moved", model=service.generator.spec, lexical=BY_LANGUAGE).create()
    document = Document(id="a", text="Häuser in der Stadt", metadata={"language": "en"})
    service.ingest([document])
    assert found(service.store, "Haus") == []
    stats = service.ingest([replace(document, metadata={"language": "de"})])
    assert stats.chunks_embedded == 0
    assert len(found(service.store, "Haus")) == 1
    assert statistics_are_right(database)


def test_a_language_that_is_gone_is_not_asked_for(store: PgVectorStore, database: Database) -> None:
    assert found(store, "Häuser")
    store.delete([f"de{n}" for n in range(4)])
    assert found(store, "Haus") == []
    assert statistics_are_right(database)
    store.clear()
    assert found(store, "house") == []
    write(store)
    assert "de0" in found(store, "Haus")


def test_a_tenant_has_languages_of_its_own(database_url: str) -> None:
    with opened_as_ordinary(database_url) as ordinary:
        first = PgVectorStore(ordinary, model=SPEC, lexical=BY_LANGUAGE, tenant="first")
        second = PgVectorStore(ordinary, model=SPEC, lexical=BY_LANGUAGE, tenant="second")
        write(first)
        write(second, {"de": ["Häuser"]})
        assert found(second, "Hauses") == ["de0"]
        assert found(second, "house") == []
        assert found(first, "Hauses") == ["de1", "de0"]
        first.clear()
        assert found(second, "Hauses") == ["de0"]


@pytest.fixture
def plain(database: Database) -> PgVectorStore:
    made = PgVectorStore(database, model=SPEC)
    chunks = [Chunk.whole(f"Häuser {n}", id=f"{n:04}", metadata={"language": "de"}) for n in range(700)]
    made.upsert(chunks, np.ones((700, 2), np.float32))
    return made


def test_a_collection_gets_languages_while_others_write(plain: PgVectorStore, database: Database) -> None:
    other = PgVectorStore(database, model=SPEC)
    assert found(plain, "Haus") == []

    def interfere(progress: UpgradeProgress) -> None:
        if progress.done == 500:
            assert found(other, "Häuser 3")
            assert not found(other, "Haus")  # as it was built
            other.upsert([Chunk.whole("Haus", id="new", metadata={"language": "de"})], np.ones((1, 2), np.float32))
            other.delete(["0001"])

    assert plain.upgrade(lexical=BY_LANGUAGE, on_progress=interfere)
    assert plain.collection.lexical == BY_LANGUAGE
    assert len(found(plain, "Haus")) == 20 == len(found(other, "Hauses"))
    assert plain.count() == 700
    assert not plain.upgrade(lexical=BY_LANGUAGE)
    assert not plain.upgrade()
    assert statistics_are_right(database)
    with pytest.raises(ConfigurationError, match="was created with lexical=BM25"):
        _ = PgVectorStore(database, lexical=BM25()).collection


class KilledError(Exception):
    pass


def kill(progress: UpgradeProgress) -> None:
    raise KilledError


def test_a_killed_upgrade_goes_on_with_its_parameters_and_gives_way_to_others(
    plain: PgVectorStore, database: Database
) -> None:
    with pytest.raises(KilledError):
        plain.upgrade(lexical=BY_LANGUAGE, on_progress=kill)
    assert plain.collection.lexical == BM25()
    progress: list[int] = []
    assert plain.upgrade(on_progress=lambda state: progress.append(state.done))
    assert progress == [700]
    assert PgVectorStore(database).collection.lexical == BY_LANGUAGE

    other = BM25(k1=2)
    with pytest.raises(KilledError):
        plain.upgrade(lexical=other, on_progress=kill)
    assert not plain.upgrade(lexical=BY_LANGUAGE)  # as it is: what was begun is given up
    assert not plain.upgrade()
    with pytest.raises(KilledError):
        plain.upgrade(lexical=BM25(), on_progress=kill)
    progress.clear()
    assert plain.upgrade(lexical=other, on_progress=lambda state: progress.append(state.done))
    assert progress == [500, 700]
    assert plain.collection.lexical == other
    assert statistics_are_right(database)
    with database.engine.connect() as connection:
        names = "SELECT count(*) FROM pg_tables WHERE schemaname = 'embedpipe' AND tablename LIKE '%lexical%'"
        assert connection.scalar(text(names)) == 3
    PgVectorStore(database).drop()


def test_an_upgrade_needs_words(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC, lexical=False)
    store.create()
    with pytest.raises(ConfigurationError, match="created without an index of words"):
        store.upgrade(lexical=BY_LANGUAGE)
    assert not store.upgrade()
    with pytest.raises(InputError, match="lexical is a bool"):
        store.upgrade(lexical=True)  # type: ignore[arg-type]


async def test_the_same_from_an_event_loop(plain: PgVectorStore) -> None:
    store: AsyncPgVectorStore = plain.to_async()
    assert await store.upgrade(lexical=BY_LANGUAGE)
    assert len(await store.search(text="Haus", mode="lexical", k=5)) == 5
