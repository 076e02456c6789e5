"""What a model is told about questions and documents: the bodies that servers get, and what a vector stands for."""

from __future__ import annotations

import json
import logging
import pickle
from typing import Any

import numpy as np
import pytest

from bad_provider import Handler, serving
from embedpipe.embedding import EmbeddingGenerator, Limits, OpenAIModel, Retry, catalogue
from embedpipe.embedding.cache import KeyMaker
from embedpipe.embedding.embedpipe_server import EmbedPipeServerModel
from embedpipe.errors import ConfigurationError
from embedpipe.types import Kind

KINDS: tuple[Kind, Kind] = ("query", "document")


def eight(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
    size = body.get("dimensions") or 8
    handler.send_json({"data": [{"index": n, "embedding": [1.0] * size} for n in range(len(texts))]})


def sent(name: str, **settings: Any) -> dict[Kind, dict[str, Any]]:
    """Return the body that a server gets for "hot water" as each kind."""
    published = catalogue.find(name.partition(":")[2])
    size = published.dimensions if published else 8

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json({"data": [{"index": n, "embedding": [1.0] * size} for n in range(len(texts))]})

    bodies: dict[Kind, dict[str, Any]] = {}
    with serving(reply) as provider:
        generator = EmbeddingGenerator(name, base_url=f"{provider.origin}/v1", api_key="sk-local", **settings)
        for kind in KINDS:
            generator.generate("hot water", kind)
            bodies[kind] = provider.requests[-1]
    return bodies


PROMPTED = [model.name for model in catalogue.CATALOGUE if model.provider != "cohere"]


@pytest.mark.parametrize("name", PROMPTED)
def test_a_server_gets_the_prompts_of_the_catalogue(name: str) -> None:
    published = catalogue.find(name)
    assert published is not None
    bodies = sent(f"openai:{name}")
    assert bodies["query"]["input"] == [f"{published.query_prompt}hot water"]
    assert bodies["document"]["input"] == [f"{published.document_prompt}hot water"]


def test_a_server_gets_the_prompts_and_fields_that_the_user_gives() -> None:
    extra: dict[Kind, dict[str, Any]] = {"query": {"input_type": "query"}, "document": {"input_type": "passage"}}
    bodies = sent("openai:intfloat/e5-small-v2", query_prompt="ask: ", document_prompt="", extra_body=extra)
    assert [(bodies[kind]["input"], bodies[kind]["input_type"]) for kind in KINDS] == [
        (["ask: hot water"], "query"),
        (["hot water"], "passage"),
    ]


def test_a_server_of_embedpipe_gets_the_kind_and_no_prompt() -> None:
    bodies = sent("embedpipe:multilingual-e5-small")
    assert [(bodies[kind]["input"], bodies[kind]["input_type"]) for kind in KINDS] == [
        (["hot water"], "query"),
        (["hot water"], "document"),
    ]
    model = EmbedPipeServerModel("multilingual-e5-small", base_url="http://127.0.0.1:1/v1")
    assert model.spec.fingerprint == OpenAIModel("multilingual-e5-small").spec.fingerprint
    assert repr(pickle.loads(pickle.dumps(model))) == repr(model)  # noqa: S301 - made here


def test_prompts_and_fields_are_part_of_the_fingerprint_and_of_the_cache_key() -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"query_prompt": "ask: "},
        {"document_prompt": "text: "},
        {"extra_body": {"query": {"task": "search"}}},
        {"extra_body": {"query": {"task": "code"}}},
        {"extra_body": {"document": {"task": "search"}}},
    ]
    specs = [OpenAIModel("some-model", dimensions=8, **each).spec for each in settings]
    assert len({spec.fingerprint for spec in specs}) == len(specs)
    keys = {KeyMaker(spec, kind, "float32").keys(["hot water"])[0] for spec in specs for kind in KINDS}
    assert len(keys) == 2 * len(specs)


def test_a_prompt_counts_in_the_token_limit() -> None:
    with serving(eight) as provider:
        generator = EmbeddingGenerator(
            OpenAIModel("e5-small-v2", base_url=f"{provider.origin}/v1", query_prompt="word " * 500),
            on_too_long="error",
            retry=Retry(attempts=1),
        )
        with pytest.raises(Exception, match="tokens"):
            generator.generate("hot water " * 30, "query")
        assert not provider.requests


def test_a_local_model_sees_the_prompts_that_the_user_gives() -> None:
    bare = EmbeddingGenerator("all-MiniLM-L6-v2")
    prompted = EmbeddingGenerator("all-MiniLM-L6-v2", query_prompt="ask: ", document_prompt="text: ")
    assert prompted.spec.fingerprint != bare.spec.fingerprint
    for kind, prompt in (("query", "ask: "), ("document", "text: ")):
        expected = bare.generate(f"{prompt}hot water").embedding
        np.testing.assert_allclose(prompted.generate("hot water", kind).embedding, expected, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"query_prompt": 7}, "query_prompt=7"),
        ({"extra_body": {"input_type": "query"}}, "by kind"),
        ({"extra_body": {"query": {"model": "other"}}}, "model"),
        ({"extra_body": {"query": {"time": object()}}}, "JSON"),
        ({"extra_body": ["query"]}, "by kind"),
    ],
)
def test_wrong_roles_are_refused_before_anything_is_sent(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OpenAIModel("some-model", **settings)


def test_roles_of_a_model_object_are_set_in_the_object() -> None:
    with pytest.raises(ConfigurationError, match="query_prompt needs a model that is given by name"):
        EmbeddingGenerator(OpenAIModel("some-model", dimensions=8), query_prompt="ask: ")


@pytest.mark.parametrize(
    ("name", "settings", "is_said"),
    [
        ("acme/e5-tiny", {}, True),
        ("acme-bge-tiny-en", {}, True),
        ("nomic-embed-code", {}, True),
        ("acme/bge-m3", {}, False),
        ("acme/e5-tiny", {"query_prompt": ""}, False),
        ("acme/e5-tiny", {"extra_body": {"query": {"input_type": "query"}}}, False),
        ("text-embedding-3-small", {}, False),
        ("e5-small-v2", {}, False),
        ("gpt-oss", {}, False),
    ],
)
def test_a_name_that_looks_like_one_with_prompts_is_said_once(
    name: str, settings: dict[str, Any], is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    from embedpipe.embedding.roles import _say_unprompted

    _say_unprompted.cache_clear()
    with caplog.at_level(logging.WARNING, logger="embedpipe"):
        for _ in range(2):
            OpenAIModel(name, dimensions=8 if catalogue.find(name) is None else None, **settings).spec.record()
    assert len([record for record in caplog.records if "query_prompt=" in record.getMessage()]) == is_said


REFUSALS: dict[str, tuple[int, object]] = {
    "vLLM": (400, {"object": "error", "message": "base64 encoding is not supported", "code": 400}),
    "FastAPI": (422, {"detail": [{"loc": ["body", "encoding_format"], "msg": "unexpected value"}]}),
    "a crash": (500, {"detail": "Internal Server Error"}),
    "null vectors": (200, {"data": [{"index": 0, "embedding": None}, {"index": 1, "embedding": None}]}),
}


@pytest.mark.parametrize("habit", REFUSALS)
async def test_a_server_that_refuses_base64_is_asked_for_numbers_and_this_is_remembered(habit: str) -> None:
    status, refusal = REFUSALS[habit]

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if body["encoding_format"] == "base64":
            handler.send_json(refusal, status=status)
        else:
            eight(handler, body, texts)

    with serving(reply) as provider:
        generator = EmbeddingGenerator(
            "openai:m", base_url=f"{provider.origin}/v1", api_key="sk-local", retry=Retry(attempts=2, initial_s=0.01)
        )
        assert generator.generate_batch(["one", "two"]).vectors.shape == (2, 8)
        assert (await generator.agenerate_batch(["one", "two"])).vectors.shape == (2, 8)
        assert [body["encoding_format"] for body in provider.requests] == ["base64", "float", "float", "float"]


FORMS: dict[str, Any] = {
    "in the text's order": lambda vectors: [{"index": n, "embedding": each} for n, each in enumerate(vectors)],
    "counted from one": lambda vectors: [{"index": n, "embedding": each} for n, each in enumerate(vectors, 1)],
    "backwards from one": lambda vectors: [{"index": n, "embedding": each} for n, each in enumerate(vectors, 1)][::-1],
    "no index": lambda vectors: [{"embedding": each} for each in vectors],
    "null": lambda vectors: [{"index": None, "embedding": each} for each in vectors],
    "numbers as text": lambda vectors: [{"index": n, "embedding": [*map(str, v)]} for n, v in enumerate(vectors)],
    "vectors as JSON": lambda vectors: [{"index": n, "embedding": json.dumps(v)} for n, v in enumerate(vectors)],
}


@pytest.mark.parametrize("form", FORMS)
def test_vectors_come_back_in_order_whatever_their_form(form: str) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json({"data": FORMS[form]([[1.0, float(len(text))] for text in texts])})

    with serving(reply) as provider:
        generator = EmbeddingGenerator("openai:m", base_url=f"{provider.origin}/v1", api_key="sk-local")
        vectors = generator.generate_batch(["a", "bb", "ccc"]).vectors
    np.testing.assert_array_equal(vectors, [[1, 1], [1, 2], [1, 3]])


def test_vectors_of_another_dimension_are_asked_for_once_more_and_no_other_text_is_sent() -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json({"data": [{"index": n, "embedding": [1.0] * 7} for n in range(len(texts))]})

    with serving(reply) as provider:
        model = OpenAIModel("m", base_url=f"{provider.origin}/v1", api_key="sk-local", dimensions=8)
        generator = EmbeddingGenerator(model, retry=Retry(attempts=8, initial_s=0.01))
        with pytest.raises(Exception, match=r"shape \(2, 7\) for 2 texts and 8 dimensions"):
            generator.generate_batch(["one", "two"])
        assert len(provider.requests) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_number_of_texts_that_a_server_takes_is_found_and_remembered(status: int) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if len(texts) > 16:
            handler.send_json({"detail": [{"loc": ["body", "input"], "msg": "at most 16 items"}]}, status=status)
        else:
            handler.send_json({"data": [{"index": n, "embedding": [1.0, float(text)]} for n, text in enumerate(texts)]})

    texts = [f"{number}" for number in range(300)]
    with serving(reply) as provider:
        model = OpenAIModel("m", base_url=f"{provider.origin}/v1", api_key="sk-local", dimensions=2)
        generator = EmbeddingGenerator(model, retry=Retry(attempts=1), limits=Limits(batch_items=128, concurrency=1))
        np.testing.assert_array_equal(generator.generate_batch(texts).vectors[:, 1], range(300))
        provider.requests.clear()
        np.testing.assert_array_equal(generator.generate_batch(texts).vectors[:, 1], range(300))
        assert all(len(body["input"]) <= 16 for body in provider.requests)
        assert len(provider.requests) < 300 / 8 + 3


def test_two_bad_texts_do_not_pass_for_a_limit_of_the_server() -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if any(text.startswith("bad") for text in texts):
            handler.send_json({"error": "a bad text"}, status=400)
        else:
            eight(handler, body, texts)

    texts = [f"bad {number}" if number % 64 == 3 else f"{number}" for number in range(256)]
    with serving(reply) as provider:
        model = OpenAIModel("m", base_url=f"{provider.origin}/v1", api_key="sk-local", dimensions=8)
        generator = EmbeddingGenerator(model, retry=Retry(attempts=1), limits=Limits(batch_items=64, concurrency=1))
        assert len(generator.attempt(texts).errors) == 4
        provider.requests.clear()
        generator.generate_batch(list(filter(str.isdecimal, texts)))
        assert max(len(body["input"]) for body in provider.requests) == 64
