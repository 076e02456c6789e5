"""The provider "gemini": Google's embedding models by the Gemini API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from embedpipe._providers import Service
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.openai import OpenAIModel, raw_reply, unreadable
from embedpipe.embedding.roles import ExtraBody
from embedpipe.embedding.vectors import stack_rows
from embedpipe.types import Kind, ModelSpec


class GeminiModel(OpenAIModel):
    """A model of Google, by the Gemini API's own interface. That of OpenAI, which Google offers too, knows no tasks.

    gemini-embedding-001 is told by `taskType` what the texts are, later models by their prompts. The arguments are
    those of `OpenAIModel`. The key is read from GEMINI_API_KEY.
    """

    provider = "gemini"
    service = Service(
        key_variable="GEMINI_API_KEY",
        url_variable="GEMINI_BASE_URL",
        url="https://generativelanguage.googleapis.com/v1beta",
    )
    tasks: ClassVar[ExtraBody] = {
        "query": {"taskType": "RETRIEVAL_QUERY"},
        "document": {"taskType": "RETRIEVAL_DOCUMENT"},
    }

    @property
    def limits(self) -> Limits:
        """Gemini's limit for a request: 100 texts."""
        return Limits(batch_items=100)

    def _bare_spec(self) -> ModelSpec:
        spec = super()._bare_spec()
        whole = self._known is None or spec.dimensions == self._known.dimensions
        return spec if whole else replace(spec, normalized=False)  # shortened vectors come as they are cut

    def _call(self, client: Any, texts: Sequence[str], kind: Kind) -> Any:
        import openai

        request = {"model": f"models/{self._name}", **self._fields(kind)}
        if not self._prompt(kind) and not self._prompt("query"):
            request |= self.tasks[kind]
        if self._dimensions:
            request["outputDimensionality"] = self._dimensions
        prompt = self._prompt(kind)
        body = {"requests": [request | {"content": {"parts": [{"text": prompt + text}]}} for text in texts]}
        headers = {"x-goog-api-key": client.api_key, "Authorization": openai.Omit()}
        path = f"/models/{self._name}:batchEmbedContents"
        return client.post(path, body=body, cast_to=raw_reply(), options={"headers": headers})

    def _read(self, reply: Any, expected: int) -> EmbeddingResponse:
        try:
            rows = [each["values"] for each in json.loads(reply.content)["embeddings"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise unreadable(reply.content, expected, "embeddings") from (
                None if isinstance(error, RecursionError) else error
            )
        if len(rows) != expected:
            raise unreadable(reply.content, expected, "embeddings")
        return EmbeddingResponse(vectors=stack_rows(rows, self._known_dimensions))
