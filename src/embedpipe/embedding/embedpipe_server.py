"""The provider "embedpipe": a model behind `embedpipe serve`."""

from __future__ import annotations

from typing import ClassVar

from embedpipe.embedding.openai import OpenAIModel
from embedpipe.embedding.roles import ExtraBody
from embedpipe.types import Kind


class EmbedPipeServerModel(OpenAIModel):
    """A model behind `embedpipe serve`. The server knows the model's prompts, and is told what each text is.

    The arguments are those of `OpenAIModel`. The fingerprint is that of the same model on this machine.
    """

    provider = "embedpipe"
    roles: ClassVar[ExtraBody] = {"query": {"input_type": "query"}, "document": {"input_type": "document"}}

    def _prompt(self, kind: Kind) -> str:
        return self._prompts.get(kind) or ""
