"""Providers by name: what each is sent for a question and for a document, and what is read from its reply.

Each reply has the form of the provider's published interface.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from bad_provider import Handler, serving
from embedpipe.embedding import EmbeddingGenerator, Retry
from embedpipe.embedding.providers.registry import PROVIDERS
from embedpipe.errors import AuthenticationError, ConfigurationError, EmbeddingError, InvalidVectorsError
from embedpipe.types import Kind
from provider_habits import EMBEDDINGS

KINDS: tuple[Kind, Kind] = ("query", "document")
KEY = "key-0123456789"


def as_openai(body: Mapping[str, Any], size: int) -> object:
    return {"data": [{"index": n, "embedding": [1.0] * size} for n in range(len(body["input"]))]}


def as_gemini(body: Mapping[str, Any], size: int) -> object:
    return {"embeddings": [{"values": [1.0] * size} for _ in body["requests"]]}


def gemini_request(text: str, **fields: object) -> dict[str, object]:
    return {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}, **fields}


NAMES: dict[str, tuple[str, int, Callable[[Mapping[str, Any], int], object], dict[Kind, dict[str, Any]]]] = {
    "voyage": (
        "voyage-3.5",
        1024,
        as_openai,
        {
            "query": {"input": ["water"], "input_type": "query", "truncation": False, "encoding_format": "base64"},
            "document": {"input": ["water"], "input_type": "document", "truncation": False},
        },
    ),
    "mistral": ("mistral-embed", 8, as_openai, {"query": {"input": ["water"]}, "document": {"input": ["water"]}}),
    "jina": (
        "jina-embeddings-v3",
        8,
        as_openai,
        {"query": {"task": "retrieval.query", "embedding_type": "base64"}, "document": {"task": "retrieval.passage"}},
    ),
    "ollama": (
        "nomic-embed-text",
        768,
        as_openai,
        {"query": {"input": ["search_query: water"]}, "document": {"input": ["search_document: water"]}},
    ),
    "gemini": (
        "gemini-embedding-001",
        3072,
        as_gemini,
        {
            "query": {"requests": [gemini_request("water", taskType="RETRIEVAL_QUERY")]},
            "document": {"requests": [gemini_request("water", taskType="RETRIEVAL_DOCUMENT")]},
        },
    ),
    "embedpipe": (
        "multilingual-e5-small",
        384,
        as_openai,
        {
            "query": {"input": ["water"], "input_type": "query"},
            "document": {"input": ["water"], "input_type": "document"},
        },
    ),
}


def test_every_provider_over_http_is_tested_here() -> None:
    assert set(PROVIDERS.own) - {"openai", "cohere", "bedrock", "local"} == set(NAMES)


def test_every_provider_over_http_has_its_habits_on_record() -> None:
    assert set(PROVIDERS.own) - {"local"} <= set(EMBEDDINGS)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("provider", NAMES)
async def test_a_provider_is_told_what_the_text_is(provider: str, mode: str) -> None:
    name, size, reply, bodies = NAMES[provider]
    with serving(lambda handler, body, _: handler.send_json(reply(body, size))) as server:
        generator = EmbeddingGenerator(f"{provider}:{name}", base_url=f"{server.origin}/v1", api_key=KEY)
        assert generator.spec.dimensions == size
        for kind in KINDS:
            if mode == "sync":
                vectors = generator.generate_batch(["water"], kind).vectors
            else:
                vectors = (await generator.agenerate_batch(["water"], kind)).vectors
            np.testing.assert_array_equal(vectors, np.ones((1, size)))
            body = server.requests[-1]
            assert {field: body[field] for field in bodies[kind]} == bodies[kind]
    headers = server.headers[-1]
    if provider == "gemini":
        assert (headers["x-goog-api-key"], headers.get("authorization")) == (KEY, None)
        assert server.paths[-1] == f"/v1/models/{name}:batchEmbedContents"
    else:
        assert headers["authorization"] == f"Bearer {KEY}"
        assert body["model"] == name
        assert server.paths[-1] == "/v1/embeddings"
    assert KEY not in repr(generator.model) + repr(pickle.dumps(generator.model))


FIELDS = {"voyage": "output_dimension", "mistral": "output_dimension", "jina": "dimensions", "ollama": "dimensions"}


@pytest.mark.parametrize("provider", FIELDS)
def test_shorter_vectors_are_asked_for_by_the_provider_s_own_field(provider: str) -> None:
    with serving(lambda handler, body, _: handler.send_json(as_openai(body, 4))) as server:
        generator = EmbeddingGenerator(f"{provider}:new", base_url=server.origin, api_key=KEY, dimensions=4)
        assert generator.generate("water").embedding.shape == (4,)
        assert server.requests[0][FIELDS[provider]] == 4


def test_gemini_s_shorter_vectors_are_not_of_length_one() -> None:
    with serving(lambda handler, body, _: handler.send_json(as_gemini(body, 768))) as server:
        generator = EmbeddingGenerator(
            "gemini:gemini-embedding-001", base_url=server.origin, api_key=KEY, dimensions=768
        )
        assert not generator.spec.normalized
        gemini = EmbeddingGenerator("gemini:gemini-embedding-2", base_url=server.origin, api_key=KEY, dimensions=768)
        gemini.generate("water", "query")
        (request,) = server.requests[-1]["requests"]
        assert request["content"]["parts"] == [{"text": "task: search result | query: water"}]
        assert request["outputDimensionality"] == 768
        assert "taskType" not in request


@pytest.mark.parametrize(
    "reply", [{}, {"embeddings": []}, {"embeddings": [{}]}, {"embeddings": 7}, [], {"embeddings": [None]}]
)
def test_a_reply_of_gemini_in_another_form_is_an_error_of_ours(reply: object) -> None:
    with serving(lambda handler, body, _: handler.send_json(reply)) as server:
        generator = EmbeddingGenerator(
            "gemini:gemini-embedding-001", base_url=server.origin, api_key=KEY, retry=Retry(attempts=1)
        )
        with pytest.raises(InvalidVectorsError, match="embeddings"):
            generator.generate("water")


@pytest.mark.parametrize(
    ("status", "reply", "words"),
    [
        (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}, "not valid"),
        (403, {"error": {"code": 403, "message": "denied"}}, "GEMINI_API_KEY"),
        (400, {"detail": "model is not loaded"}, "not loaded"),
    ],
)
def test_a_provider_s_words_reach_the_user(status: int, reply: object, words: str) -> None:
    def refuse(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json(reply, status=status)

    with serving(refuse) as server:
        generator = EmbeddingGenerator(
            "gemini:gemini-embedding-001", base_url=server.origin, api_key=KEY, retry=Retry(attempts=1)
        )
        with pytest.raises(EmbeddingError, match=words):
            generator.generate("water")


@pytest.mark.parametrize("provider", ["voyage", "mistral", "jina", "gemini"])
def test_a_missing_key_is_named_before_anything_is_sent(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"{provider.upper()}_API_KEY"
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(AuthenticationError, match=variable):
        EmbeddingGenerator(f"{provider}:{NAMES[provider][0]}", dimensions=None).generate("water")


def test_a_name_of_the_catalogue_finds_its_provider() -> None:
    found = {name: EmbeddingGenerator(name).model for name in ("voyage-3.5", "gemini-embedding-001")}
    assert [type(model).__name__ for model in found.values()] == ["VoyageModel", "GeminiModel"]


def test_dimensions_that_a_model_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="between 256 and 2048"):
        EmbeddingGenerator("voyage-4", dimensions=100)
    assert EmbeddingGenerator("voyage-4", dimensions=2048).spec.dimensions == 2048
