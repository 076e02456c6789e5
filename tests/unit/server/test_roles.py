"""`/v1/embeddings` and the model's prompts: applied once, whoever the client is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import openai
import pytest

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.server import create_app
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors
from serving import serving

MODEL = FakeEmbeddingModel(16, name="fake-prompted", query_prompt="query: ", document_prompt="passage: ")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_app(MODEL)) as origin:
        yield f"{origin}/v1"


def expected(*texts: tuple[str, Kind]) -> Vectors:
    return np.concatenate([MODEL.embed([text], kind) for text, kind in texts])


@pytest.mark.parametrize("kind", ["query", "document"])
@pytest.mark.parametrize("client", ["embedpipe", "prompts of its own"])
def test_our_client_gets_the_model_s_own_vectors(url: str, client: str, kind: Kind) -> None:
    if client == "embedpipe":
        generator = EmbeddingGenerator("embedpipe:fake-prompted", base_url=url, api_key="none")
    else:
        generator = EmbeddingGenerator(
            "openai:fake-prompted", base_url=url, api_key="none", query_prompt="query: ", document_prompt="passage: "
        )
    vectors = generator.generate_batch(["hot water", "tea"], kind).vectors
    np.testing.assert_allclose(vectors, expected(("hot water", kind), ("tea", kind)), atol=1e-6)


def test_any_client_s_own_prompts_are_not_put_there_twice(url: str) -> None:
    client = openai.OpenAI(base_url=url, api_key="none")
    texts = ["query: hot water", "hot water", "passage: tea", "query: tea"]
    reply = client.embeddings.create(model="fake-prompted", input=texts)
    vectors = np.array([each.embedding for each in reply.data])
    kinds: list[tuple[str, Kind]] = [("hot water", "query"), ("hot water", "document"), ("tea", "document")]
    np.testing.assert_allclose(vectors, expected(*kinds, ("tea", "query")), atol=1e-6)


def test_a_stated_kind_is_believed(url: str) -> None:
    client = openai.OpenAI(base_url=url, api_key="none")
    reply = client.embeddings.create(
        model="fake-prompted", input="query: a title", extra_body={"input_type": "document"}
    )
    np.testing.assert_allclose([reply.data[0].embedding], expected(("query: a title", "document")), atol=1e-6)
