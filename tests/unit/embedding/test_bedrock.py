"""Amazon Bedrock: what its models are sent, by a key of its own or signed with AWS credentials."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import numpy as np
import pytest

from bad_provider import Handler, Provider, serving
from embedpipe.embedding import EmbeddingGenerator, Retry
from embedpipe.errors import AuthenticationError, ConfigurationError

auth = pytest.importorskip("botocore.auth", reason="botocore holds python-dateutil back, so it is in no other extra")
awsrequest = pytest.importorskip("botocore.awsrequest")
credentials_of_aws = pytest.importorskip("botocore.credentials")

ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI-do-not-show", "session-token-do-not-show"
TITAN = "bedrock:amazon.titan-embed-text-v2:0"
COHERE = "bedrock:us.cohere.embed-multilingual-v3"


def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
    if "inputText" in body:
        size = body.get("dimensions", 1024)
        handler.send_json({"embedding": [float(len(body["inputText"]))] * size, "inputTextTokenCount": 1})
    else:
        rows = [[float(len(text))] * body.get("output_dimension", 1024) for text in texts]
        handler.send_json({"embeddings": {"float": rows}, "id": "1", "response_type": "embeddings_by_type"})


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    for name, value in {"ACCESS_KEY_ID": ID, "SECRET_ACCESS_KEY": SECRET, "SESSION_TOKEN": TOKEN}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def check_signature(server: Provider, data: bytes) -> None:
    """Sign what came, as AWS does, and compare."""
    sent = server.headers[-1]
    request = awsrequest.AWSRequest("POST", server.origin + server.paths[-1], data=data)
    request.headers["Content-Type"] = sent["content-type"]
    request.headers["X-Amz-Date"] = sent["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = sent["x-amz-security-token"]
    request.context["timestamp"] = sent["x-amz-date"]
    signer = auth.SigV4Auth(credentials_of_aws.Credentials(ID, SECRET, TOKEN), "bedrock", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert sent["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={ID}/")
    assert sent["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("name", "path", "bodies"),
    [
        (
            TITAN,
            "/model/amazon.titan-embed-text-v2%3A0/invoke",
            [{"inputText": "water"}, {"inputText": "water"}],
        ),
        (
            COHERE,
            "/model/us.cohere.embed-multilingual-v3/invoke",
            [
                {"texts": ["water"], "input_type": kind, "embedding_types": ["float"], "truncate": "NONE"}
                for kind in ("search_query", "search_document")
            ],
        ),
    ],
)
def test_a_model_gets_signed_requests_that_say_what_the_text_is(
    name: str, path: str, bodies: list[dict[str, Any]], mode: str
) -> None:
    with serving(reply) as server:
        generator = EmbeddingGenerator(name, base_url=server.origin)
        assert generator.spec.dimensions == 1024
        for kind, body in zip(("query", "document"), bodies, strict=True):
            if mode == "sync":
                vectors = generator.generate_batch(["water"], kind).vectors  # type: ignore[arg-type]
            else:
                vectors = asyncio.run(generator.agenerate_batch(["water"], kind)).vectors  # type: ignore[arg-type]
            np.testing.assert_array_equal(vectors, np.full((1, 1024), 5.0))
            assert server.requests[-1] == body
            assert server.paths[-1] == path
            check_signature(server, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    shown = repr(generator.model) + repr(pickle.dumps(generator.model)) + repr(vars(generator.model))
    assert not any(secret in shown for secret in (SECRET, TOKEN))


def test_titan_gets_a_text_a_request_and_the_order_is_kept() -> None:
    with serving(reply) as server:
        texts = ["a", "bb", "ccc", "dddd"]
        vectors = EmbeddingGenerator(TITAN, base_url=server.origin).generate_batch(texts).vectors
        assert vectors[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
        assert len(server.requests) == 4


def test_shorter_vectors() -> None:
    with serving(reply) as server:
        for name, field in ((TITAN, "dimensions"), ("bedrock:cohere.embed-v4:0", "output_dimension")):
            generator = EmbeddingGenerator(name, base_url=server.origin, dimensions=256)
            assert generator.generate("a").embedding.shape == (256,)
            assert server.requests[-1][field] == 256
    for wrong in (TITAN, "bedrock:amazon.titan-embed-text-v1"):
        with pytest.raises(ConfigurationError, match="Titan v2 has 256"):
            EmbeddingGenerator(wrong, dimensions=100)
    with pytest.raises(ConfigurationError, match="not a Titan or Cohere"):
        EmbeddingGenerator("bedrock:anthropic.claude")


def test_a_key_of_bedrock_takes_the_place_of_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-0123")
    with serving(reply) as server:
        EmbeddingGenerator(TITAN, base_url=server.origin).generate("a")
        assert server.headers[-1]["authorization"] == "Bearer bedrock-api-key-0123"


def test_what_a_refusal_quotes_of_the_credentials_is_hidden() -> None:
    def refuse(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json({"message": f"refused {TOKEN} {SECRET}, too long"}, status=400)

    with serving(refuse) as server:
        generator = EmbeddingGenerator(TITAN, base_url=server.origin, retry=Retry(attempts=1))
        with pytest.raises(Exception, match="too long") as caught:
            generator.generate("a")
        assert not any(secret in str(caught.value) for secret in (SECRET, TOKEN))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        EmbeddingGenerator(TITAN).generate("a")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AuthenticationError, match="AWS_ACCESS_KEY_ID"):
        EmbeddingGenerator(TITAN).generate("a")
