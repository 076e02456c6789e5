"""The provider "jina": Jina AI's embedding models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from embedpipe._providers import Service
from embedpipe.embedding.roles import ExtraBody
from embedpipe.embedding.together import ContextualModel
from embedpipe.types import Kind


class JinaModel(ContextualModel):
    """A model of Jina AI. Questions and documents are told apart by `task`.

    The arguments are those of `OpenAIModel`. The key is read from JINA_API_KEY. With `late_chunking`, the service
    embeds the chunks of a document as one text, and returns the mean of each chunk's tokens.
    """

    provider = "jina"
    service = Service(key_variable="JINA_API_KEY", url_variable="JINA_BASE_URL", url="https://api.jina.ai/v1")
    roles: ClassVar[ExtraBody] = {"query": {"task": "retrieval.query"}, "document": {"task": "retrieval.passage"}}
    form_field = "embedding_type"

    def _fields(self, kind: Kind) -> Mapping[str, Any]:
        fields = super()._fields(kind)
        return {**fields, "late_chunking": True} if self._together else fields
