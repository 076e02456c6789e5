"""How a model is told whether it embeds a question or a document: prompts, and fields of a provider's request."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias, get_args

from embedpipe._checks import shown
from embedpipe.errors import ConfigurationError
from embedpipe.types import Kind, ModelSpec

logger = logging.getLogger(__name__)

ExtraBody: TypeAlias = Mapping[Kind, Mapping[str, Any]]
"""Further fields of a request, for questions and for documents."""

Prompts: TypeAlias = Mapping[Kind, str]
"""What is put before each text of a kind. A kind that is missing has the model's own prompt."""

_OWN_FIELDS = ("model", "input", "texts", "encoding_format", "dimensions")

_PROMPTED = re.compile(
    r"(?<![a-z0-9])(e5|bge(?!-m3|-reranker)|nomic-embed|arctic-embed|mxbai-embed|qwen3-embedding|embeddinggemma"
    r"|instructor|gte-qwen|modernbert-embed|stella|kalm-embedding|llama-embed-nemotron|nv-embed)(?![a-z0-9])",
    re.IGNORECASE,
)
"""Families of models whose cards ask for a prompt before questions at least."""


def checked_prompts(*, query_prompt: object, document_prompt: object) -> Prompts:
    """Return the prompts that were given.

    Raises:
        ConfigurationError: If one is not a str.
    """
    given: dict[Kind, object] = {"query": query_prompt, "document": document_prompt}
    for kind, prompt in given.items():
        if prompt is not None and not isinstance(prompt, str):
            raise ConfigurationError(f"{kind}_prompt={shown(prompt)} is no text. Pass a str, or '' for no prompt.")
    return {kind: prompt for kind, prompt in given.items() if isinstance(prompt, str)}


def checked_extra_body(extra_body: ExtraBody | None) -> ExtraBody:
    """Return the fields by kind.

    Raises:
        ConfigurationError: If they are not given by kind, are no JSON, or would replace a field of the request.
    """
    kinds = get_args(Kind)
    given: object = {} if extra_body is None else extra_body
    if not isinstance(given, Mapping) or not all(
        kind in kinds and isinstance(each, Mapping) for kind, each in given.items()
    ):
        raise ConfigurationError(
            'extra_body gives fields by kind. Pass {"query": {...}, "document": {...}}, with the fields of a request.'
        )
    fields: ExtraBody = given
    if own := sorted({name for each in fields.values() for name in each if name in _OWN_FIELDS}):
        raise ConfigurationError(f"extra_body replaces {', '.join(own)}, which embedpipe sets. Leave it out.")
    try:
        json.dumps({kind: dict(each) for kind, each in fields.items()})
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"extra_body cannot be sent as JSON: {error}. Pass numbers, text, lists and dicts."
        ) from error
    return fields


def with_roles(spec: ModelSpec, prompts: Prompts, extra_body: ExtraBody = {}) -> ModelSpec:  # noqa: B006 - never changed
    """Return the specification with these prompts and fields, which change the vectors.

    A name that looks like one of a model with prompts, while none is known or given, is logged once.
    """
    if prompts:
        spec = replace(
            spec,
            query_prompt=prompts.get("query", spec.query_prompt),
            document_prompt=prompts.get("document", spec.document_prompt),
            aliases=() if prompts.get("document") else spec.aliases,
        )
    elif not (spec.query_prompt or spec.document_prompt or extra_body) and (family := _PROMPTED.search(spec.name)):
        _say_unprompted(spec.name, family[0])
    if extra_body:
        fields = json.dumps({kind: dict(each) for kind, each in extra_body.items()}, sort_keys=True)
        spec = replace(spec, revision=f"{spec.revision} {fields}".strip(), aliases=())
    return spec


@lru_cache(maxsize=256)
def _say_unprompted(name: str, family: str) -> None:
    logger.warning(
        "%s looks like a model of the family %s, which needs a prompt before questions or documents. None is known for "
        "it. Pass query_prompt= and document_prompt= as its model card says, or '' if it needs none.",
        name,
        family,
    )
