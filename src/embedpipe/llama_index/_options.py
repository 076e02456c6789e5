"""Check the options of LlamaIndex components. Pydantic would ignore misspelt ones silently."""

from __future__ import annotations

from collections.abc import Iterable

from llama_index.core.bridge.pydantic import BaseModel

from embedpipe.errors import unknown_option


def check_fields(kind: type[BaseModel], given: Iterable[str]) -> None:
    """Raise `UnknownOptionError` for the first name that is not a field of the component."""
    known = [name for field, info in kind.model_fields.items() for name in {field, info.alias or field}]
    for name in given:
        if name not in known:
            raise unknown_option(kind.__name__, name, known)
