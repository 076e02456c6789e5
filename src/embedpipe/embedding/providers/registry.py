"""From a model's name to its backend: which provider a name means, and where that provider is."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from embedpipe._plugins import Factory, Registry
from embedpipe.embedding import catalogue
from embedpipe.embedding.local import is_model_folder
from embedpipe.embedding.providers.frameworks import LangChainEmbeddings, LlamaIndexEmbedding, WrappedModel
from embedpipe.errors import ConfigurationError, UnknownModelError
from embedpipe.types import EmbeddingModel

PROVIDERS = Registry(
    "embedpipe.embedding_providers",
    {
        "openai": "embedpipe.embedding.openai:OpenAIModel",
        "embedpipe": "embedpipe.embedding.embedpipe_server:EmbedPipeServerModel",
        "bedrock": "embedpipe.embedding.bedrock:BedrockModel",
        "gemini": "embedpipe.embedding.gemini:GeminiModel",
        "jina": "embedpipe.embedding.jina:JinaModel",
        "mistral": "embedpipe.embedding.mistral:MistralModel",
        "ollama": "embedpipe.embedding.ollama:OllamaModel",
        "voyage": "embedpipe.embedding.voyage:voyage_model",
        "cohere": "embedpipe.embedding.cohere:CohereModel",
        "local": "embedpipe.embedding.local:LocalModel",
    },
)
"""Each is called with the model's name, and with those of `MODEL_OPTIONS` that were given."""

MODEL_OPTIONS = ("api_key", "base_url", "dimensions", "query_prompt", "document_prompt", "extra_body")


def model_named(name: str, **options: Any) -> EmbeddingModel:
    """Return the backend of a name. No model is loaded, and nothing is sent.

    "openai:...", "local:...", "cohere:..." and the prefixes of installed packages say the provider. Without one, a
    published name has its own provider, `base_url` means a server that speaks OpenAI's interface, and a folder or a
    repository ("owner/name") is a local model. `options` are those of `MODEL_OPTIONS`. None is the same as not given.

    Raises:
        UnknownModelError: If the name is none of these.
        ConfigurationError: If the provider takes no such option.
    """
    provider, model = _provider(name, has_url=options.get("base_url") is not None)
    factory = PROVIDERS.load(provider)
    given = {option: value for option, value in options.items() if value is not None}
    if refused := given.keys() - _options(factory):
        raise ConfigurationError(
            f"The provider {provider!r} of {model} takes no {' or '.join(f'{option}=' for option in sorted(refused))}. "
            f"Leave it out, or name the model 'openai:{model}' if a server with OpenAI's interface has it."
        )
    made: EmbeddingModel = factory(model, **given)
    return made


def as_model(model: Any) -> EmbeddingModel:
    """Return a backend itself, or LangChain's or LlamaIndex's embeddings wrapped as one.

    Raises:
        ConfigurationError: If it is neither.
    """
    if callable(getattr(model, "embed", None)):  # isinstance would ask for its spec, which may load or send
        chosen: EmbeddingModel = model
        return chosen
    if isinstance(model, LangChainEmbeddings | LlamaIndexEmbedding):
        return WrappedModel(model)
    raise ConfigurationError(
        f"`model` cannot be of type {type(model).__name__}. Pass a model's name, a backend with `spec` and "
        "`embed(texts, kind)`, or embeddings of LangChain or LlamaIndex."
    )


def _provider(name: str, *, has_url: bool) -> tuple[str, str]:
    """Return the provider that a name means, and the model's name without the prefix."""
    prefix, colon, rest = name.partition(":")
    # Before the catalogue and base_url=, since the user has said it.
    if colon and rest and prefix in PROVIDERS:
        return prefix, rest
    known = catalogue.find(name)
    if has_url and not (known and known.provider == "cohere"):
        if colon and known is None and (meant := PROVIDERS.misspelt(prefix)):
            raise UnknownModelError(
                f"There is no provider {prefix!r}. Did you mean '{meant}:{rest:.100}'? If the server at base_url has a "
                f"model of this name, name it 'openai:{name:.100}'."
            )
        return "openai", name  # also "llama3:8b", which a server may have
    if known:
        return known.provider, known.name
    if _is_local(name):
        return "local", name
    if colon and rest:
        raise UnknownModelError(
            f"There is no provider {prefix!r:.100} of embedding models. There are: {', '.join(PROVIDERS.names())}. "
            "A package adds one by an entry point in embedpipe.embedding_providers. For a server with OpenAI's "
            "interface that has a model of this name, pass base_url=."
        )
    near = difflib.get_close_matches(name, catalogue.names(), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UnknownModelError(
        f"{name!r:.200} is not the name of a known embedding model.{hint} `embedpipe models` lists all. Else pass a "
        "folder, a repository of the hub ('owner/name'), 'openai:name' for a model behind OpenAI's interface, or "
        "base_url= for a server that has it."
    )


def _options(factory: Factory) -> set[str]:
    """Return which of its options a provider takes."""
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    return set(MODEL_OPTIONS) if takes_any else set(parameters)


def _is_local(name: str) -> bool:
    """Return whether the name is a folder with a model, or may be a repository of the hub ("owner/name")."""
    if is_model_folder(name):
        return True
    owner, slash, rest = name.partition("/")
    return bool(owner and slash and rest) and "/" not in rest and ":" not in name and not name.startswith((".", "~"))
