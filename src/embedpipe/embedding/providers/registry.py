"""From a model's name to its backend."""

from __future__ import annotations

import difflib
from typing import Any

from embedpipe.embedding import catalogue
from embedpipe.embedding.cohere import CohereModel
from embedpipe.embedding.local import model_files
from embedpipe.embedding.local.model import LocalModel
from embedpipe.embedding.openai import OpenAIModel
from embedpipe.embedding.providers.frameworks import LangChainEmbeddings, LlamaIndexEmbedding, WrappedModel
from embedpipe.errors import ConfigurationError, UnknownModelError
from embedpipe.types import EmbeddingModel


def named(
    name: str, *, api_key: str | None = None, base_url: str | None = None, dimensions: int | None = None
) -> EmbeddingModel:
    """The backend of a name; nothing is loaded or sent.

    "openai:...", "local:..." and "cohere:..." say the provider. Without one, a published name has its own, `base_url`
    means a server that speaks OpenAI's interface, and a folder or a repository ("owner/name") is a local model.
    `UnknownModelError` for any other name.
    """
    provider, name = _provider(name, has_url=base_url is not None)
    if provider == "openai":
        return OpenAIModel(name, api_key=api_key, base_url=base_url, dimensions=dimensions)
    if provider == "cohere" and dimensions is None:
        return CohereModel(name, api_key=api_key, base_url=base_url)
    if provider == "cohere":
        raise ConfigurationError(f"dimensions= belongs to OpenAI's models, and {name} is Cohere's. Leave it out.")
    if dimensions is not None or api_key is not None or base_url is not None:
        raise ConfigurationError(
            f"api_key=, base_url= and dimensions= belong to a provider's model, and {name} runs on this machine. "
            f"Leave them out, or name it 'openai:{name}' to reach it through a server."
        )
    return LocalModel(name)


def backend(model: Any) -> EmbeddingModel:
    """A backend itself, or LangChain's or LlamaIndex's embeddings wrapped as one."""
    if callable(getattr(model, "embed", None)):  # isinstance would ask for its spec, which may load or send
        chosen: EmbeddingModel = model
        return chosen
    if isinstance(model, LangChainEmbeddings | LlamaIndexEmbedding):
        return WrappedModel(model)
    raise ConfigurationError(
        f"A model's name, a backend with spec and embed(texts, kind), or embeddings of LangChain or LlamaIndex were "
        f"expected, and {type(model).__name__} came."
    )


def _provider(name: str, *, has_url: bool) -> tuple[str, str]:
    prefix, colon, rest = name.partition(":")
    if colon and prefix in ("openai", "local", "cohere") and rest:
        return prefix, rest
    known = catalogue.find(name)
    if has_url and not (known and known.provider == "cohere"):
        return "openai", name
    if known:
        return known.provider, known.name
    if model_files.is_folder(name) or _is_repository(name):
        return "local", name
    near = difflib.get_close_matches(name, catalogue.names(), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UnknownModelError(
        f"The name of an embedding model was expected, and {name!r:.200} is none that is known.{hint} The command "
        "`embedpipe models` lists all. Else give a folder, a repository of the hub as 'owner/name', 'openai:name' for "
        "a model of OpenAI's interface, or base_url= for a server that has it."
    )


def _is_repository(name: str) -> bool:
    owner, slash, rest = name.partition("/")
    return bool(owner and slash and rest) and "/" not in rest and not name.startswith((".", "~"))
