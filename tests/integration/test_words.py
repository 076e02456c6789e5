"""Whatever a person calls a word, an identifier or a part of one is found by itself, and a compound comes first."""

from __future__ import annotations

import itertools
import random
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, literal, select

from embedpipe import Document, SemanticSearchService
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.lexical.terms import lexemes, occurrences, query_occurrences, tsvector
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec

SPEC = ModelSpec(name="unit-test", dimensions=2)
DOCS = Path(__file__).parents[2] / "docs"
MIGRATIONS = resources.files("embedpipe.storage.tables") / "migrations"
COMPARED = r"""
SELECT t FROM unnest(CAST(%(texts)s AS text[])) AS t
CROSS JOIN LATERAL (SELECT first.word_pieces(t) AS before, embedpipe.word_pieces(t) AS now OFFSET 0) AS pieces
CROSS JOIN LATERAL (
    SELECT tsvector_to_array(to_tsvector('simple', t)) AS own,
        tsvector_to_array(to_tsvector('simple', split_part(before, E'\n', 1))) AS names_before,
        tsvector_to_array(to_tsvector('simple', split_part(before, E'\n', 2))) AS parts_before,
        tsvector_to_array(to_tsvector('simple', split_part(now, E'\n', 1))) AS names_now,
        tsvector_to_array(to_tsvector('simple', split_part(now, E'\n', 2))) AS parts_now
    OFFSET 0
) AS words
WHERE NOT (names_before <@ (own || names_now) AND names_now <@ (own || names_before)
    AND parts_before <@ (own || names_now || parts_now) AND parts_now <@ (own || names_before || parts_before)
    AND first.word_pieces(t, true) = embedpipe.word_pieces(t, true))
"""
"""The texts of which both functions add different words: as names or as parts, apart from the text's own."""

# A text with a compound, the compound, parts and other spellings that find it, and a text that is nearly the same.
KINDS = {
    "slash": ("The TCP/IP stack is set up at boot.", "TCP/IP", ["TCP", "IP", "tcp", "tcpip"], "TCP alone, or IP."),
    "client and server": ("A client/server design.", "client/server", ["client", "server"], "The client of a server."),
    "path": (
        "Edit /etc/lamp/lampd.conf first.",
        "/etc/lamp/lampd.conf",
        ["lampd.conf", "lampd", "etc"],
        "lampd etc conf",
    ),
    "url": (
        "See https://docs.lamp-tools.com/install/linux.html?lang=en for steps.",
        "https://docs.lamp-tools.com/install/linux.html?lang=en",
        ["install", "linux.html", "linux", "lamp-tools", "lang", "docs.lamp-tools.com"],
        "See https://docs.lamp-tools.com/remove/mac.html for linux and how to install.",
    ),
    "mail": (
        "Write to desk@lamp-tools.com now.",
        "desk@lamp-tools.com",
        ["desk", "lamp-tools.com"],
        "desk of lamp tools",
    ),
    "missing space": (
        "The pump stopped.Replace the gasket.",
        "stopped.Replace",
        ["stopped", "replace"],
        "stopped. Replace",
    ),
    "host": ("Restart db01.internal today.", "db01.internal", ["internal", "db01", "db"], "db internal 01"),
    "negative": ("It fell to -3094 in May.", "3094", ["3094"], "It fell to 3095 in May."),
    "part number": (
        "Order part 9000-3094 today.",
        "9000-3094",
        ["3094", "9000", "90003094"],
        "Order part 9000-3095, 3094.",
    ),
    "part with a slash": ("Order part AB-1234/5 today.", "AB-1234/5", ["AB-1234", "1234", "AB1234"], "AB-1235/5, 1234"),
    "CVE": (
        "Patches CVE-2024-1234 at last.",
        "CVE-2024-1234",
        ["CVE-2024", "1234", "2024"],
        "CVE-2024-1235 and CVE-2023-1234",
    ),
    "model": ("We asked GPT-4 about it.", "GPT-4", ["GPT4", "GPT", "gpt 4"], "We asked GPT-3 about it, 4 times."),
    "model in one": ("We asked GPT4 about it.", "GPT4", ["GPT-4", "GPT"], "We asked GPT3 about it, 4 times."),
    "joined": ("Turn the Wi-Fi off.", "Wi-Fi", ["wifi", "WiFi", "wi-fi"], "Turn the fi off, and the wi."),
    "camelCase": ("Call getUserName here.", "getUserName", ["user", "name", "getusername"], "get the user a name"),
    "acronym": ("An HTTPServer starts.", "HTTPServer", ["HTTP", "server"], "A server speaks HTTP"),
    "snake_case": (
        "Set max_retry_count here.",
        "max_retry_count",
        ["retry", "count", "maxretrycount"],
        "count max, retry",
    ),
    "dotted": ("Call os.path.join here.", "os.path.join", ["path", "join"], "join the path of os"),
    "C++": ("Written in C++ by us.", "C++", ["c++", "cplusplus"], "Written in C by us: C, not D, C."),
    "C#": ("Written in C# by us.", "C#", ["c#", "csharp"], "Written in C by us: C, not D, C."),
    "F#": ("Written in F# by us.", "F#", ["f#"], "Written in F by us: F, not D, F."),
    ".NET": ("Written for .NET by us.", ".NET", [".net", "dotnet"], "Written for the net, net and net."),
    "node.js": ("Runs on node.js alone.", "node.js", ["node", "nodejs", "Node.js"], "A node of js"),
    "version": ("Since 2.3.1 it works.", "2.3.1", ["v2.3.1", "2.3"], "Since 2.4.1 it works, and 3.2.1."),
    "version with a v": (
        "Since v2.3.1 it works.",
        "v2.3.1",
        ["2.3.1", "2.3", "v2"],
        "Since v2.4.1 it works, and v3.2.1.",
    ),
    "short version": ("Since 2.3 it works.", "2.3", ["2.3", "v2.3"], "Since 2.3.1 it works."),
    "file with a version": (
        "Get lamp-2.3.1.tar.gz first.",
        "lamp-2.3.1.tar.gz",
        ["2.3.1", "lamp", "tar"],
        "lamp-2.3.2.tar.gz",
    ),
    "unit": ("Add 10kg of sand.", "10kg", ["10", "kg"], "Add 11kg of sand, 10 times a kg"),
    "thousands": ("It costs 1,234,567 in all.", "1,234,567", ["1234567"], "It costs 1,234 in all, or 567."),
    "accents": ("The café opens at noon.", "café", ["cafe", "CAFÉ", "cafe\u0301"], "The tea room opens at noon."),
    "letters without accents": ("Meet at the cafe at noon.", "cafe", ["café"], "Meet at the tea room at noon."),
    "letters of their own": (
        "Die Straße nach Łódź.",
        "Straße",
        ["Strasse", "Lodz", "lódź"],
        "Die Gasse nach Warschau.",
    ),
    "ampersand": ("Ask AT&T about it.", "AT&T", ["ATT"], "Ask T about it, at once."),
    "date": ("Since 2024-01-15 it works.", "2024-01-15", ["2024", "15", "20240115"], "Since 2024-01-16 it works, 15."),
    "in Chinese": ("使用TCP/IP协议", "TCP/IP", ["TCP", "IP", "协议"], "使用IP或TCP"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_piece_finds_its_compound_and_the_compound_comes_first(database: Database, kind: str) -> None:
    holding, compound, pieces, near = KINDS[kind]
    model = FakeEmbeddingModel(16)
    service = SemanticSearchService(model, database=database, chunker=None)
    others = ["Nothing of this is asked for.", "A longer text about something else, which has no part in it at all."]
    texts = {"near": near, "holding": holding, **{f"other {n}": text for n, text in enumerate(others)}}
    service.ingest(Document(id=name, text=text) for name, text in texts.items())
    for piece in pieces:
        found = [hit.document_id for hit in service.search(piece, k=4, mode="lexical")]
        assert "holding" in found, piece
        assert not set(found) & {"other 0", "other 1"}, piece
        assert "holding" in [hit.document_id for hit in service.search(piece, k=4, mode="hybrid")], piece
    assert service.search(compound, k=4, mode="lexical")[0].document_id == "holding"
    # The vectors are made up, so that only words can decide.
    same = np.ones(16, np.float32)
    service.store.upsert([Chunk.whole(text, id=name) for name, text in texts.items()], np.ones((4, 16), np.float32))
    assert service.store.search(same, compound, k=4, mode="hybrid")[0].text == holding


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    return PgVectorStore(database, model=SPEC)


def write(store: PgVectorStore, *texts: str) -> None:
    store.upsert([Chunk.whole(text, id=text) for text in texts], np.ones((len(texts), 2), np.float32))


def found(store: PgVectorStore, query: str, k: int = 10) -> list[str]:
    return [str(hit.id) for hit in store.search(text=query, mode="lexical", k=k)]


def test_a_dash_within_a_word_excludes_nothing_and_one_before_a_word_does(store: PgVectorStore) -> None:
    write(store, "part 9000-3094", "part 9000-3095", "lampd.conf and nginx.conf", "Wi-Fi and part")
    assert found(store, "9000-3094")[0] == "part 9000-3094"
    assert set(found(store, "part -3094")) == {"part 9000-3095", "Wi-Fi and part"}
    assert found(store, "lampd -nginx") == []
    assert set(found(store, "part -Wi-Fi")) == {"part 9000-3094", "part 9000-3095"}


def test_phrases_are_found_across_compounds_and_within_them(store: PgVectorStore) -> None:
    texts = [
        "the TCP/IP stack of it",
        "see a.org/linux.html for steps",
        "a client/server design",
        "state-of-the-art pumps",
    ]
    write(store, *texts)
    for phrase, text in [
        ('"TCP/IP stack"', texts[0]),
        ('"IP stack"', texts[0]),
        ('"linux.html for steps"', texts[1]),
        ('"client server design"', texts[2]),
        ('"client/server design"', texts[2]),
        ('"state of the art"', texts[3]),
        ('"state-of-the-art pumps"', texts[3]),
    ]:
        assert found(store, phrase) == [text], phrase
    assert found(store, '"stack TCP"') == []


SIGNS = [
    "/",
    ".",
    "-",
    "_",
    "@",
    "+",
    "#",
    "&",
    ",",
    ":",
    "\\",
    "'",
    "(",
    ")",
    "=",
    "?",
    "!",
    "\u2011",
    "\u2013",
    "  ",
    "\n",
]
WORDS = [
    "tcp",
    "IP",
    "getUser",
    "HTTPServer",
    "v2",
    "3094",
    "2",
    "café",
    "Straße",
    "हिंदी",
    "คน",
    "协议",
    "C++",
    "x" * 600,
    "İ",
]


def random_text(draw: random.Random) -> str:
    parts = [draw.choice(WORDS) + draw.choice(SIGNS) * draw.choice([0, 1, 1, 1, 2]) for _ in range(draw.randint(1, 12))]
    return "".join(parts).replace("\u0000", "")


def test_a_query_has_no_word_that_the_same_text_does_not_have(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    store.create()
    collection, draw = store.collection, random.Random(7)
    with database.engine.connect() as connection:
        for _ in range(150):
            given = random_text(draw)
            bound = literal(given)
            indexed = terms(connection, occurrences(collection, bound))
            assert terms(connection, query_occurrences(collection, bound)) == indexed, given
            assert terms(connection, lexemes(tsvector(collection, bound))) <= indexed, given  # what phrases require


def terms(connection: Connection, rows: Any) -> set[int]:
    return set(connection.scalars(select(rows.subquery().c.term)))


LETTERS = {
    "latin": "a",
    "accents": "é",
    "combining marks": "e\u0301",
    "greek": "ω",
    "cyrillic": "ж",
    "arabic": "ب",
    "hindi": "हि",
    "korean": "한",
    # PostgreSQL keeps 255 places of a word at most, so no pair of letters may come more often.
    "thai": "".join(chr(0x0E01 + place * place % 46) for place in range(2048)),
    "han": "".join(chr(0x4E00 + 17 * place % 9001) for place in range(2048)),
    "kana": "".join(chr(0x30A1 + place * place % 83) for place in range(2048)),
    "digits": "7",
    "letters and digits": "a1",
    "four bytes": "𐐀",
}
AROUND = ["{}", "({})", "«{}»,", "x-{}", "see\u00a0{}", "{}。", "😀{}"]


@pytest.mark.parametrize("script", LETTERS)
def test_long_words_are_found_excluded_and_quoted_at_every_length(store: PgVectorStore, script: str) -> None:
    """Words are cut at 500 characters, and PostgreSQL indexes none of more than 2,047 bytes."""
    letters, lengths = LETTERS[script], [1, 449, 450, 499, 500, 501, 682, 1000, 1001, 2048]
    words = {str(length): (letters * length)[:length] + "q" for length in lengths}
    around = dict(zip(words, itertools.cycle(AROUND)))
    chunks = [Chunk.whole(f"common {around[key].format(word)} end", id=key) for key, word in words.items()]
    store.upsert(chunks, np.ones((len(chunks), 2), np.float32))
    for key, word in words.items():
        others = set(words) - {key}
        assert key in found(store, word), key
        assert key in found(store, f'common "{word}"'), key
        assert key in found(store, f'"common {around[key].format(word)} end"'), key
        assert key not in found(store, f"common -{word}"), key
        assert set(found(store, f'common -"{word}"')) <= others, key


def test_the_faster_function_adds_the_words_of_the_first_one(database: Database) -> None:
    first = (MIGRATIONS / "0006_word_pieces.sql").read_text(encoding="utf-8")
    function = first[first.index("CREATE FUNCTION word_pieces") : first.index("END $function$;") + 15]
    draw = random.Random(11)
    random_texts = [random_text(draw) for _ in range(300)]
    pages = [page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))[:12]]
    real_texts = [page[start : start + 600] for page in pages for start in range(0, 6000, 600)]
    # PostgreSQL's parser took some of the first one's pieces for tags, and skipped what seemed to be in these.
    texts = [given.replace("<", " ") for given in random_texts + real_texts]
    PgVectorStore(database, model=SPEC).create()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA first")
        connection.exec_driver_sql(function.replace("CREATE FUNCTION ", "CREATE FUNCTION first.").replace("%", "%%"))
        assert connection.exec_driver_sql(COMPARED, {"texts": texts}).all() == []
