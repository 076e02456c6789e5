"""The published embedding models: what is known of them before they are loaded or asked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedpipe.errors import ConfigurationError, UnknownModelError
from embedpipe.types import Kind, ModelSpec

Provider: TypeAlias = Literal["openai", "local", "cohere", "voyage", "gemini", "mistral", "jina"]
Quality: TypeAlias = Literal["standard", "best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """A published model.

    Args:
        name: Its name.
        provider: Who runs it. "local" for open weights, which a server of your own may run as well.
        dimensions: The length of its vectors.
        max_tokens: The most tokens of a text, prompt included.
        normalized: Whether its vectors have length 1.
        query_prompt: What is put before a question.
        document_prompt: What is put before a document.
        repository: Its name on the Hugging Face hub.
        other_names: Its names on servers such as Ollama.
        weights_sha256: The published digest of its weight file. If it is empty, it is read from the file instead.
        min_dimensions: The shortest vectors that can be asked for. None if they cannot be shortened.
        max_dimensions: The longest vectors that can be asked for. None if `dimensions` are the longest.
        price_per_million: US dollars for a million tokens. None if no price could be confirmed, 0 for open weights.
            Prices change: `EmbeddingMetrics` takes a table of your own.
        source: Where these facts are from.
        source_date: The day of that source.
    """

    name: str
    provider: Provider
    dimensions: int
    max_tokens: int
    normalized: bool = True
    query_prompt: str = ""
    document_prompt: str = ""
    repository: str = ""
    other_names: tuple[str, ...] = ()
    weights_sha256: str = ""
    min_dimensions: int | None = None
    max_dimensions: int | None = None
    price_per_million: float | None = None
    source: str = ""
    source_date: str = ""

    @property
    def spec(self) -> ModelSpec:
        """The specification, without touching weights or network."""
        return ModelSpec(
            name=self.name,
            dimensions=self.dimensions,
            max_tokens=self.max_tokens,
            revision=self.weights_sha256,
            query_prompt=self.query_prompt,
            document_prompt=self.document_prompt,
            normalized=self.normalized,
            aliases=self.aliases,
        )

    @property
    def prompts(self) -> Mapping[Kind, str]:
        """What is put before questions and before documents."""
        return {"query": self.query_prompt, "document": self.document_prompt}

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its names elsewhere; none if its documents need a prompt, since other packages may leave that out."""
        return () if self.document_prompt else tuple(filter(None, (self.name, self.repository)))


_MTEB = "the model's card, as the package mteb 2.26.24 records it"
_MTEB_DATE = "2026-10-26"

_REPRESENT = "Represent this sentence for searching relevant passages: "
_INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


_PRICES = {
    "openai": "developers.openai.com/api/docs/models",
    "cohere": "getmaxim.ai/bifrost/llm-cost-calculator",
    "voyage": "vercel.com/ai-gateway/models",
    "gemini": "vercel.com/ai-gateway/models",
}
"""Where the prices were read, on 30 November 2026."""


def _hosted(
    name: str,
    provider: Provider,
    dimensions: int,
    max_tokens: int,
    *,
    price: float | None = None,
    min_dimensions: int | None = None,
    max_dimensions: int | None = None,
    prompts: tuple[str, str] = ("", ""),
    source: str = _MTEB,
    source_date: str = _MTEB_DATE,
) -> CatalogueModel:
    """Return a model that its provider runs. `prompts` are those for questions and for documents."""
    return CatalogueModel(
        name=name,
        provider=provider,
        dimensions=dimensions,
        max_tokens=max_tokens,
        query_prompt=prompts[0],
        document_prompt=prompts[1],
        min_dimensions=min_dimensions,
        max_dimensions=max_dimensions,
        price_per_million=price,
        source=source if price is None else f"{source}; the price: {_PRICES[provider]}",
        source_date=source_date,
    )


def _open(
    repository: str,
    dimensions: int,
    max_tokens: int,
    *,
    prompts: tuple[str, str] = ("", ""),
    other_names: tuple[str, ...] = (),
    min_dimensions: int | None = None,
    weights_sha256: str = "",
) -> CatalogueModel:
    """Return a model with open weights. `prompts` are those for questions and for documents."""
    return CatalogueModel(
        name=repository.partition("/")[2],
        provider="local",
        dimensions=dimensions,
        max_tokens=max_tokens,
        query_prompt=prompts[0],
        document_prompt=prompts[1],
        repository=repository,
        other_names=other_names,
        weights_sha256=weights_sha256,
        min_dimensions=min_dimensions,
        price_per_million=0.0,
        source=_MTEB,
        source_date=_MTEB_DATE,
    )


CATALOGUE: tuple[CatalogueModel, ...] = (
    _hosted("text-embedding-3-small", "openai", 1536, 8191, min_dimensions=1, price=0.02),
    _hosted("text-embedding-3-large", "openai", 3072, 8191, min_dimensions=1, price=0.13),
    _hosted("text-embedding-ada-002", "openai", 1536, 8191, price=0.10),
    _hosted("embed-v4.0", "cohere", 1536, 128_000, min_dimensions=256, price=0.12),
    _hosted("embed-english-v3.0", "cohere", 1024, 512, price=0.10),
    _hosted("embed-multilingual-v3.0", "cohere", 1024, 512, price=0.10),
    _hosted("voyage-4-large", "voyage", 1024, 32_000, min_dimensions=256, max_dimensions=2048, price=0.12),
    _hosted("voyage-4", "voyage", 1024, 32_000, min_dimensions=256, max_dimensions=2048),
    _hosted("voyage-4-lite", "voyage", 1024, 32_000, min_dimensions=256, max_dimensions=2048),
    _hosted("voyage-3.5", "voyage", 1024, 32_000, min_dimensions=256, max_dimensions=2048, price=0.06),
    _hosted("voyage-3-large", "voyage", 1024, 32_000, min_dimensions=256, max_dimensions=2048, price=0.18),
    _hosted(
        "voyage-context-3",
        "voyage",
        1024,
        32_000,
        min_dimensions=256,
        max_dimensions=2048,
        source="docs.voyageai.com/docs/contextualized-chunk-embeddings",
        source_date="2026-11-30",
    ),
    _hosted("gemini-embedding-001", "gemini", 3072, 2048, min_dimensions=128, price=0.15),
    _hosted(
        "gemini-embedding-2",
        "gemini",
        3072,
        8192,
        min_dimensions=768,
        prompts=("task: search result | query: ", "title: none | text: "),
    ),
    _open(
        "sentence-transformers/all-MiniLM-L6-v2",
        384,
        256,
        other_names=("all-minilm",),
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    _open("sentence-transformers/all-mpnet-base-v2", 768, 384),
    *(
        _open(f"BAAI/bge-{size}-en-v1.5", dimensions, 512, prompts=(_REPRESENT, ""))
        for size, dimensions in (("small", 384), ("base", 768), ("large", 1024))
    ),
    _open("BAAI/bge-m3", 1024, 8192),
    *(
        _open(f"intfloat/{family}-{size}{version}", dimensions, 512, prompts=("query: ", "passage: "))
        for family, version in (("e5", "-v2"), ("multilingual-e5", ""))
        for size, dimensions in (("small", 384), ("base", 768), ("large", 1024))
    ),
    *(
        _open(f"nomic-ai/{name}", 768, tokens, prompts=("search_query: ", "search_document: "), other_names=others)
        for name, tokens, others in (
            ("nomic-embed-text-v1.5", 8192, ("nomic-embed-text", "text-embedding-nomic-embed-text-v1.5")),
            ("nomic-embed-text-v1", 8192, ()),
            ("nomic-embed-text-v2-moe", 512, ()),
            ("modernbert-embed-base", 8192, ()),
        )
    ),
    _open(
        "google/embeddinggemma-300m",
        768,
        2048,
        prompts=("task: search result | query: ", "title: none | text: "),
        other_names=("embeddinggemma",),
        min_dimensions=128,
    ),
    *(
        _open(
            f"Qwen/Qwen3-Embedding-{size}",
            dimensions,
            32_768,
            prompts=(_INSTRUCT, ""),
            other_names=(f"qwen3-embedding:{size.lower()}",),
            min_dimensions=32,
        )
        for size, dimensions in (("0.6B", 1024), ("4B", 2560), ("8B", 4096))
    ),
    *(
        _open(f"Snowflake/snowflake-arctic-embed-{size}", dimensions, 512, prompts=(_REPRESENT, ""))
        for size, dimensions in (("xs", 384), ("s", 384), ("m", 768), ("m-v1.5", 768), ("l", 1024))
    ),
    *(
        _open(
            f"Snowflake/snowflake-arctic-embed-{size}-v2.0",
            dimensions,
            8192,
            prompts=("query: ", ""),
            other_names=others,
        )
        for size, dimensions, others in (("m", 768, ()), ("l", 1024, ("snowflake-arctic-embed2",)))
    ),
    _open(
        "mixedbread-ai/mxbai-embed-large-v1", 1024, 512, prompts=(_REPRESENT, ""), other_names=("mxbai-embed-large",)
    ),
    _open("Alibaba-NLP/gte-modernbert-base", 768, 8192),
    *(
        _open(f"ibm-granite/granite-embedding-{name}", dimensions, 8192)
        for name, dimensions in (("english-r2", 768), ("small-english-r2", 384))
    ),
)

_BY_NAME = {
    alias.lower(): model for model in CATALOGUE for alias in (model.name, model.repository, *model.other_names) if alias
}


def find(name: str) -> CatalogueModel | None:
    """Return the published model of that name, hub repository or name on a server; None if there is none.

    Case does not matter, and neither does Ollama's tag ":latest".
    """
    return _BY_NAME.get(name.lower().removesuffix(":latest"))


def published(name: str) -> CatalogueModel:
    """Return the published model of that name, as `find`. A provider's prefix may stand before it.

    Raises:
        UnknownModelError: If there is none.
    """
    model = find(name) or find(name.partition(":")[2])
    if model is None:
        near = difflib.get_close_matches(name, names(), n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownModelError(f"{name!r:.200} is not in the catalogue.{hint} `embedpipe models` lists all.")
    return model


def check_dimensions(dimensions: int, known: CatalogueModel | None, name: str) -> None:
    """Check that a model has vectors of these dimensions, as far as is known.

    Raises:
        ConfigurationError: If it has none.
    """
    longest = (known.max_dimensions or known.dimensions) if known else dimensions
    if known and known.min_dimensions is None and dimensions != longest:
        raise ConfigurationError(
            f"dimensions={dimensions} is not possible: {name} has {longest} dimensions and cannot be shortened. "
            "Leave dimensions out, or use text-embedding-3-small or -large."
        )
    least = (known.min_dimensions if known else None) or 1
    if not least <= dimensions <= longest:
        raise ConfigurationError(
            f"dimensions={dimensions} is not possible: for {name} it is between {least} and {longest}."
        )


def of_weights(sha256: str) -> CatalogueModel | None:
    """Return the published model whose weight file has that digest; None if there is none."""
    return next((model for model in CATALOGUE if model.weights_sha256 == sha256), None)


def names() -> list[str]:
    """Return the names of all published models, in the catalogue's order."""
    return [model.name for model in CATALOGUE]


def recommend(*, local: bool, quality: Quality = "standard") -> str:
    """Return the name of the model to start with.

    Args:
        local: Keep text on this machine. False takes a paid interface.
        quality: "standard" is fast on a CPU, or cheap. "best" is ten times slower on a CPU, or costs six times as much.
    """
    choices: dict[tuple[bool, Quality], str] = {
        (True, "standard"): "all-MiniLM-L6-v2",
        (True, "best"): "bge-large-en-v1.5",
        (False, "standard"): "text-embedding-3-small",
        (False, "best"): "text-embedding-3-large",
    }
    return choices[local, quality]
