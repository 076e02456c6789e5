"""The provider "jina": Jina AI's embedding models."""

from __future__ import annotations

from typing import ClassVar

from embedpipe._providers import Service
from embedpipe.embedding.openai import OpenAIModel
from embedpipe.embedding.roles import ExtraBody


class JinaModel(OpenAIModel):
    """A model of Jina AI. Questions and documents are told apart by `task`.

    The arguments are those of `OpenAIModel`. The key is read from JINA_API_KEY.
    """

    provider = "jina"
    service = Service(key_variable="JINA_API_KEY", url_variable="JINA_BASE_URL", url="https://api.jina.ai/v1")
    roles: ClassVar[ExtraBody] = {"query": {"task": "retrieval.query"}, "document": {"task": "retrieval.passage"}}
    form_field = "embedding_type"
