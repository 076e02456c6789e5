"""The published embedding models: what is known of them before they are loaded or asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedpipe.types import Kind, ModelSpec

Provider: TypeAlias = Literal["openai", "local", "cohere"]
Quality: TypeAlias = Literal["standard", "best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """A published model.

    `repository` is its name on the Hugging Face hub. `weights_sha256` is the published digest of its weight file; if it
    is empty, it is read from the file instead. `min_dimensions` is None if the provider cannot shorten its vectors.
    Prices are in US dollars for a million tokens. They change: `EmbeddingMetrics` takes a table of your own.
    """

    name: str
    provider: Provider
    dimensions: int
    max_tokens: int
    normalized: bool = True
    query_prompt: str = ""
    document_prompt: str = ""
    repository: str = ""
    weights_sha256: str = ""
    min_dimensions: int | None = None
    price_per_million: float = 0.0

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


_BGE = "Represent this sentence for searching relevant passages: "

CATALOGUE: tuple[CatalogueModel, ...] = (
    CatalogueModel(
        name="text-embedding-3-small",
        provider="openai",
        dimensions=1536,
        max_tokens=8191,
        min_dimensions=1,
        price_per_million=0.02,
    ),
    CatalogueModel(
        name="text-embedding-3-large",
        provider="openai",
        dimensions=3072,
        max_tokens=8191,
        min_dimensions=1,
        price_per_million=0.13,
    ),
    CatalogueModel(
        name="text-embedding-ada-002", provider="openai", dimensions=1536, max_tokens=8191, price_per_million=0.10
    ),
    CatalogueModel(
        name="embed-english-v3.0", provider="cohere", dimensions=1024, max_tokens=512, price_per_million=0.10
    ),
    CatalogueModel(
        name="embed-multilingual-v3.0", provider="cohere", dimensions=1024, max_tokens=512, price_per_million=0.10
    ),
    CatalogueModel(
        name="all-MiniLM-L6-v2",
        provider="local",
        dimensions=384,
        max_tokens=256,
        repository="sentence-transformers/all-MiniLM-L6-v2",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    CatalogueModel(
        name="all-mpnet-base-v2",
        provider="local",
        dimensions=768,
        max_tokens=384,
        repository="sentence-transformers/all-mpnet-base-v2",
    ),
    *(
        CatalogueModel(
            name=f"bge-{size}-en-v1.5",
            provider="local",
            dimensions=dimensions,
            max_tokens=512,
            query_prompt=_BGE,
            repository=f"BAAI/bge-{size}-en-v1.5",
        )
        for size, dimensions in (("small", 384), ("base", 768), ("large", 1024))
    ),
    *(
        CatalogueModel(
            name=f"{family}-{size}{version}",
            provider="local",
            dimensions=dimensions,
            max_tokens=512,
            query_prompt="query: ",
            document_prompt="passage: ",
            repository=f"intfloat/{family}-{size}{version}",
        )
        for family, version in (("e5", "-v2"), ("multilingual-e5", ""))
        for size, dimensions in (("small", 384), ("base", 768), ("large", 1024))
    ),
)

_BY_NAME = {alias.lower(): model for model in CATALOGUE for alias in (model.name, model.repository) if alias}


def find(name: str) -> CatalogueModel | None:
    """Return the published model of that name or hub repository, whatever its case; None if there is none."""
    return _BY_NAME.get(name.lower())


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
