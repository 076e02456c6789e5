"""OpenAI's own Python client and LangChain's OpenAIEmbeddings against the server, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import tiktoken
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from embedpipe import EmbeddingGenerator
from embedpipe.embedding import catalogue
from embedpipe.server import ApiKeys, ServerSettings, create_app
from embedpipe.testing import FakeEmbeddingModel
from serving import serving

KEY = "a-key-for-the-tests-of-clients"
MODEL = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def url(minilm: EmbeddingGenerator, shared_database_url: str) -> Iterator[str]:
    settings = ServerSettings(aliases=["text-embedding-ada-002"])
    app = create_app(minilm.model, database=shared_database_url, keys=ApiKeys.of([KEY]), settings=settings)
    with serving(app) as at:
        yield f"{at}/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as opened:
        yield opened


def test_vectors_come_as_base64_and_as_numbers(client: openai.OpenAI, minilm: EmbeddingGenerator) -> None:
    texts = ["a cat", "ein Hund", "чашка чая"]
    expected = minilm.generate_batch(texts)
    packed = client.embeddings.create(input=texts, model=MODEL)  # the client asks for base64 by itself
    plain = client.embeddings.create(input=texts, model=MODEL, encoding_format="float", user="me")
    np.testing.assert_array_equal([each.embedding for each in packed.data], [each.embedding for each in plain.data])
    np.testing.assert_allclose([each.embedding for each in plain.data], expected.vectors, atol=1e-5)
    assert [each.index for each in plain.data] == [0, 1, 2]
    assert plain.usage.prompt_tokens == plain.usage.total_tokens == expected.token_counts.sum()
    assert plain.model == MODEL


def test_token_ids_are_read_as_the_text_that_they_spell(client: openai.OpenAI) -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    texts = ["a cat sleeps", "ein Hund"]
    tokens = [encoding.encode(text) for text in texts]
    one = client.embeddings.create(input=tokens[0], model=MODEL).data
    both = client.embeddings.create(input=tokens, model=MODEL).data
    of_text = client.embeddings.create(input=texts, model=MODEL).data
    np.testing.assert_allclose(one[0].embedding, of_text[0].embedding, atol=1e-6)
    np.testing.assert_allclose([e.embedding for e in both], [e.embedding for e in of_text], atol=1e-6)
    with pytest.raises(openai.BadRequestError, match="token id"):
        client.embeddings.create(input=[100_300], model=MODEL)


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == [MODEL, f"sentence-transformers/{MODEL}", "text-embedding-ada-002"]
    assert client.models.retrieve(f"sentence-transformers/{MODEL}").owned_by == "embedpipe"
    assert client.embeddings.create(input="x", model="text-embedding-ada-002").model == "text-embedding-ada-002"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-5")
    assert caught.value.code == "model_not_found"


def test_errors_are_those_that_the_client_knows(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError, match="This server has"):
        client.embeddings.create(input="x", model="another")
    with pytest.raises(openai.BadRequestError, match="cannot be shortened") as caught:
        client.embeddings.create(input="x", model=MODEL, dimensions=100)
    assert (caught.value.param, caught.value.type) == ("dimensions", "invalid_request_error")
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    assert client.embeddings.create(input="x", model=MODEL, dimensions=384).data
    nothing: list[Any] = ["", [], [""], [[]], " "]
    for wrong in nothing:
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(input=wrong, model=MODEL)
    with openai.OpenAI(base_url=url, api_key="a-wrong-key-of-the-right-length", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            stranger.models.list()
        assert refused.value.code == "invalid_api_key"


async def test_many_at_once_through_the_async_client(url: str, minilm: EmbeddingGenerator) -> None:
    texts = [f"text number {number}" for number in range(60)]
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        answers = await asyncio.gather(*(client.embeddings.create(input=text, model=MODEL) for text in texts))
    vectors = [answer.data[0].embedding for answer in answers]
    np.testing.assert_allclose(vectors, minilm.generate_batch(texts).vectors, atol=1e-5)
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client_of_metrics:
        metrics = (await client_of_metrics.get(f"{url.removesuffix('/v1')}/metrics")).text
    lines = [line.split() for line in metrics.splitlines() if line.startswith("embedpipe_batch_requests")]
    shared = {name: float(value) for name, value in lines}
    assert shared["embedpipe_batch_requests_sum"] > shared["embedpipe_batch_requests_count"]


def test_vectors_are_shortened_where_the_model_was_trained_for_it(database_url: str) -> None:
    known = catalogue.find("text-embedding-3-small")
    assert known is not None
    model = FakeEmbeddingModel(known.dimensions, name=known.name)
    with (
        serving(create_app(model, database=database_url)) as at,
        openai.OpenAI(base_url=f"{at}/v1", api_key="none", max_retries=0) as client,
    ):
        short = np.array(client.embeddings.create(input="x", model=known.name, dimensions=256).data[0].embedding)
        whole = model.embed(["x"], "document")[0][:256]
        np.testing.assert_allclose(short, whole / np.linalg.norm(whole), atol=1e-6)
        with pytest.raises(openai.BadRequestError, match="1 to 1536"):
            client.embeddings.create(input="x", model=known.name, dimensions=1537)


@pytest.mark.parametrize("as_tokens", [True, False])
async def test_langchain_s_embeddings_work_unchanged(url: str, minilm: EmbeddingGenerator, as_tokens: bool) -> None:
    texts = ["a cat", "a dog that barks"]
    expected = minilm.generate_batch(texts).vectors
    with httpx.Client() as http_client:  # ours, to be closed; without them it keeps some open
        async with httpx.AsyncClient() as http_async_client:
            embeddings = OpenAIEmbeddings(
                model=MODEL,
                base_url=url,
                api_key=SecretStr(KEY),
                check_embedding_ctx_length=as_tokens,
                http_client=http_client,
                http_async_client=http_async_client,
            )
            np.testing.assert_allclose(embeddings.embed_documents(texts), expected, atol=1e-5)
            np.testing.assert_allclose(embeddings.embed_query(texts[0]), expected[0], atol=1e-5)
            np.testing.assert_allclose(await embeddings.aembed_documents(texts), expected, atol=1e-5)
