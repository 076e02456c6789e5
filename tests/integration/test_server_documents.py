"""What a person needs to look around in a collection: its documents in pages, its metadata, uploads of files."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator

import httpx
import pytest

from embedpipe.server import ApiKeys, ServerSettings, create_app
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Database
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Document
from serving import check_error, serving

WRITES, READS = "a-key-that-may-write", "a-key-that-may-only-read"


@pytest.fixture
def client(database_url: str) -> Iterator[httpx.Client]:
    keys = ApiKeys.of([WRITES], reading=[READS])
    settings = ServerSettings(max_texts=20, max_metadata_characters=2000)
    app = create_app(FakeEmbeddingModel(16), database=database_url, keys=keys, settings=settings)
    headers = {"Authorization": f"Bearer {WRITES}"}
    with serving(app) as url, httpx.Client(base_url=url, timeout=60, headers=headers) as opened:
        yield opened


def upload(client: httpx.Client, name: str, content: bytes, **fields: str) -> httpx.Response:
    return client.post("/files", json={"name": name, "content": b64encode(content).decode(), **fields})


def test_documents_are_listed_in_pages(client: httpx.Client) -> None:
    names = [f"folder/{number:02} ä%_.md" for number in range(20)]
    documents = [{"id": name, "text": f"Tea of {name}.", "metadata": {"name": name[7:]}} for name in names]
    documents[3]["metadata"] = {"title": "The Leaf "}
    documents[4]["metadata"] = {"title": {"a": "b"}, "name": "  "}
    client.post("/documents", json={"documents": documents}).raise_for_status()
    seen, after = [], None
    while True:
        found = client.get("/documents", params={"limit": 6, **({} if after is None else {"after": after})}).json()
        seen += found["documents"]
        after = found["next"]
        if after is None:
            break
    assert [each["id"] for each in seen] == names
    assert [each["title"] for each in seen[2:5]] == ["02 ä%_.md", "The Leaf", "04 ä%_.md"]
    assert {each["chunks"] for each in seen} == {1}
    assert client.get("/documents", params={"limit": 20}).json()["next"] is None
    for text, count in {"LEAF": 1, "%_": 20, "_%": 0, "Ä": 20, "1": 11}.items():
        assert len(client.get("/documents", params={"contains": text, "limit": 200}).json()["documents"]) == count
    for wrong in ({"limit": 0}, {"limit": 201}, {"contains": "x" * 201}, {"after": "\0"}):
        assert client.get("/documents", params=wrong).status_code == 400
    check_error(client.get("/documents", params={"collection": "none"}), 404)


def test_metadata_has_its_keys_and_frequent_values(client: httpx.Client) -> None:
    documents = [
        {
            "id": str(n),
            "text": f"Number {n}.",
            "metadata": {"year": 2000 + n % 2, "n": n, "odd": n % 2 == 1, "tags": []},
        }
        for n in range(20)
    ]
    documents[0]["metadata"] = {"year": "unknown", "long": "x" * 500, "none": None}
    client.post("/documents", json={"documents": documents}).raise_for_status()
    keys = {key["name"]: key for key in client.get("/metadata").json()["keys"]}
    assert keys["year"] == {"name": "year", "values": [[2001, 10], [2000, 9], ["unknown", 1]], "complete": True}
    assert keys["odd"]["values"] == [[True, 10], [False, 9]]
    assert len(keys["n"]["values"]) == 19
    assert keys.keys().isdisjoint({"long", "none", "a"})
    value = keys["odd"]["values"][0][0]
    assert (
        len(client.post("/search", json={"query": "number", "k": 20, "filter": {"odd": value}}).json()["results"]) == 10
    )
    check_error(client.get("/metadata", params={"collection": "none"}), 404)


def test_no_more_keys_and_values_are_listed_than_a_person_looks_at(database: Database) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(2), database=database)
    wide = {f"key {number:03}": number for number in range(300)}
    documents = [Document(id=str(n), text=f"Number {n}.", metadata={"0": n, "1": n % 50}) for n in range(120)]
    service.ingest([*documents, Document(id="wide", text="Wide.", metadata=wide)])
    keys = {key.name: key for key in service.store.metadata_keys()}
    assert len(keys) == 100
    assert (len(keys["0"].values), keys["0"].is_complete) == (50, False)
    assert (len(keys["1"].values), keys["1"].is_complete) == (50, True)


def test_a_file_is_stored(client: httpx.Client) -> None:
    page = b"<html><title>Oolong</title><body><h1>Leaves</h1><p>They are rolled.</p></body></html>"
    stored = upload(client, "teas/oolong.html", page, collection="uploads").json()
    assert (stored["added"], stored["documents"], stored["failures"]) == (1, ["teas/oolong.html"], {})
    assert stored["collection"] == "uploads"
    assert upload(client, "teas/oolong.html", page, collection="uploads").json()["kept"] == 1
    found = client.get("/documents/teas/oolong.html", params={"collection": "uploads"}).json()
    assert "They are rolled." in found["text"]
    assert found["metadata"]["title"] == "Oolong"
    [listed] = client.get("/documents", params={"collection": "uploads"}).json()["documents"]
    assert listed == {"id": "teas/oolong.html", "title": "Oolong", "chunks": 1}
    records = "\n".join(json.dumps({"text": f"Tea {n}."}) for n in range(3)).encode()
    assert len(upload(client, "teas.jsonl", records).json()["documents"]) == 3


def test_a_file_that_cannot_be_stored_is_refused(client: httpx.Client) -> None:
    check_error(client.post("/files", json={"name": "a.md", "content": "no base 64!"}), 400)
    check_error(upload(client, "a.pdf", b"%PDF-1.4 broken"), 400)
    check_error(upload(client, "a.exe", bytes(range(256)) * 20), 400)
    many = "\n".join(json.dumps({"text": f"Tea {n}."}) for n in range(21)).encode()
    check_error(upload(client, "many.jsonl", many), 400, "too_many")
    heavy = f"---\nabstract: {'x' * 3000}\n---\nTea.\n".encode()
    check_error(upload(client, "heavy.md", heavy), 400, "metadata_too_long")
    check_error(client.post("/files", json={"name": "a\0.md", "content": "YQ=="}), 400)
    assert client.get("/documents").json()["documents"] == []


def test_a_key_says_whether_it_may_write(client: httpx.Client) -> None:
    upload(client, "a.md", b"Tea.")
    [found] = client.get("/collections").json()["collections"]
    assert found["words"] is True
    assert client.get("/collections").json()["may_write"] is True
    reading = {"Authorization": f"Bearer {READS}"}
    answer = client.get("/collections", headers=reading).json()
    assert (answer["may_write"], answer["default"]) == (False, "default")
    check_error(client.post("/files", json={"name": "a.md", "content": "YQ=="}, headers=reading), 403, "read_only_key")
    for path in ("/documents", "/metadata"):
        assert client.get(path, headers=reading).status_code == 200
        check_error(client.get(path, headers={"Authorization": "Bearer none"}), 401)
