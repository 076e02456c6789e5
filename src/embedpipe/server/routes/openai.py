"""`/v1/embeddings` and `/v1/models`, as in OpenAI's API."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import Request, Response

from embedpipe._threads import in_thread
from embedpipe.embedding import EmbeddingGenerator, catalogue, to_unit_length
from embedpipe.server.resources import Resources
from embedpipe.server.schemas.embeddings import EmbeddingsRequest, EmbeddingsResponse, Model, ModelList
from embedpipe.server.web import ANY_TEXT, Access, ApiError, Routes, check_texts, decode_token_ids, list_response
from embedpipe.types import Kind, ModelSpec, Vectors

routes = Routes("OpenAI's interface")

_TOKEN_WEIGHT = 0.1
"""Token ids come by the hundred thousand. Ten of them take as long to parse as one other value."""


@routes.add("POST", "/v1/embeddings", Access.READ, number_weight=_TOKEN_WEIGHT, response_model=EmbeddingsResponse)
async def embeddings(body: EmbeddingsRequest, request: Request) -> Response:
    """Return a vector for each input, in their order."""
    resources = Resources.of(request)
    spec = resources.generator.spec
    _check_model(body.model, resources)
    _check_dimensions(body.dimensions, spec)
    texts = await in_thread(_texts, body.input, spec.name)
    check_texts(texts, resources.settings, param="input")
    vectors, tokens = await _embedded(texts, body.input_type, resources.generator)
    vectors = _shortened(vectors, body.dimensions)
    items = _items(vectors, base64=body.encoding_format == "base64")
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return await list_response("data", items, {"object": "list", "model": body.model, "usage": usage})


@routes.add("GET", "/v1/models", Access.READ)
async def models(request: Request) -> ModelList:
    """List the server's model under each of its names."""
    names = _names(Resources.of(request))
    return ModelList(object="list", data=[_model(name) for name in names])


@routes.add("GET", f"/v1/models/{{model:{ANY_TEXT}}}", Access.READ)
async def model(model: str, request: Request) -> Model:
    """Return one model."""
    _check_model(model, Resources.of(request))
    return _model(model)


def _model(name: str) -> Model:
    return Model(id=name, object="model", created=0, owned_by="embedpipe")


def _names(resources: Resources) -> list[str]:
    """Return the model's name, its repository's name and the aliases."""
    spec = resources.generator.spec
    known = catalogue.find(spec.name)
    published = [known.repository] if known and known.repository else []
    return list(dict.fromkeys([spec.name, *published, *resources.settings.aliases]))


def _check_model(name: str, resources: Resources) -> None:
    names = _names(resources)
    if name not in names:
        raise ApiError(
            404,
            f"This server has no model {name[:200]!r}. It has: {', '.join(names)}.",
            param="model",
            code="model_not_found",
        )


def _check_dimensions(dimensions: int | None, spec: ModelSpec) -> None:
    if dimensions is None or dimensions == spec.dimensions:
        return
    known = catalogue.find(spec.name)
    least = known.min_dimensions if known else None
    if least is None:
        message = f"dimensions: the {spec.dimensions} dimensions of {spec.name} cannot be shortened. Leave it out."
    elif not least <= dimensions <= spec.dimensions:
        message = f"dimensions: {spec.name} allows {least} to {spec.dimensions}, not {dimensions}."
    else:
        return
    raise ApiError(400, message, param="dimensions", code="invalid_value")


async def _embedded(texts: list[str], kind: Kind | None, generator: EmbeddingGenerator) -> tuple[Vectors, int]:
    """Return the vectors and the number of tokens.

    Without a kind, a text that begins with one of the model's prompts is of that prompt's kind: the client put the
    prompt there, and it must not be there twice. All other texts are documents.
    """
    spec = generator.spec
    prompts: list[tuple[Kind, str]] = [("query", spec.query_prompt), ("document", spec.document_prompt)]
    parts: dict[Kind, list[tuple[int, str]]] = {}
    for row, text in enumerate(texts):
        given = [(each, text.removeprefix(prompt)) for each, prompt in prompts if prompt and text.startswith(prompt)]
        own, bare = given[0] if given and kind is None else (kind or "document", text)
        parts.setdefault(own, []).append((row, bare))
    vectors = np.empty((len(texts), spec.dimensions), dtype=np.float32)
    tokens = 0
    for own, rows in parts.items():
        batch = await generator.agenerate_batch([text for _, text in rows], own)
        vectors[[row for row, _ in rows]] = batch.vectors
        tokens += int(batch.token_counts.sum())
    return vectors, tokens


def _texts(given: Any, model: str) -> list[str]:
    """Return the texts of an input: one or several, as text or as token ids."""
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], str):
        return list(given)
    return decode_token_ids(given if isinstance(given[0], list) else [given], model)


def _shortened(vectors: Vectors, dimensions: int | None) -> Vectors:
    return vectors if dimensions in (None, vectors.shape[1]) else to_unit_length(vectors[:, :dimensions])


def _items(vectors: Vectors, *, base64: bool) -> Iterator[dict[str, Any]]:
    for index, row in enumerate(vectors):
        yield {"object": "embedding", "index": index, "embedding": _base64(row) if base64 else row.tolist()}


def _base64(row: Vectors) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
