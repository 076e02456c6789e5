"""Providers and rerankers of other packages, which are found by their entry points as pip installs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import packages
from embedpipe import EmbeddingGenerator
from embedpipe.embedding import CohereModel, OpenAIModel
from embedpipe.errors import ConfigurationError, UnknownModelError
from embedpipe.reranking import CohereReranker, as_reranker

OWN = "openai, embedpipe, bedrock, gemini, jina, mistral, ollama, voyage, cohere, local"

MODULE = """
from embedpipe.testing import FakeEmbeddingModel

def model(name, *, api_key=None):
    made = FakeEmbeddingModel(8, name=name)
    made.api_key = api_key
    return made

def any_options(name, **options):
    made = FakeEmbeddingModel(8, name=name)
    made.options = options
    return made

def reranker(model="default"):
    def by_length(query, texts):
        return [len(text) for text in texts]
    by_length.__name__ = model
    return by_length
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with a module and entry points, as pip leaves it in site-packages."""
    modules: list[str] = []

    def installed(package: str, entry_points: str, module: str = MODULE) -> None:
        site = tmp_path / package
        packages.install(site, package, entry_points=entry_points, module=module)
        monkeypatch.syspath_prepend(str(site))
        modules.append(package)

    yield installed
    for name in modules:
        sys.modules.pop(name, None)


def test_a_package_adds_a_provider_of_embedding_models(install: Install) -> None:
    install("acme_models", "[embedpipe.embedding_providers]\nacme = acme_models:model\nany = acme_models:any_options\n")
    assert EmbeddingGenerator("openai:text-embedding-3-small", api_key="k").source
    assert "acme_models" not in sys.modules  # imported only where it is used
    generator = EmbeddingGenerator("acme:tiny", api_key="secret")
    assert generator.generate("a text").embedding.shape == (8,)
    assert generator.spec.name == "tiny"
    assert generator.model.api_key == "secret"  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="provider 'acme' of tiny takes no base_url= or dimensions="):
        EmbeddingGenerator("acme:tiny", base_url="http://localhost/v1", dimensions=4)
    chosen = EmbeddingGenerator("any:tiny", base_url="http://localhost/v1", dimensions=4).model
    assert chosen.options == {"base_url": "http://localhost/v1", "dimensions": 4}  # type: ignore[attr-defined]


def test_a_package_adds_a_reranker(install: Install) -> None:
    install("acme_rerankers", "[embedpipe.rerankers]\nacme = acme_rerankers:reranker\n")
    assert "acme_rerankers" not in sys.modules
    for name in ("acme", "acme:large"):
        assert as_reranker(name).rerank("query", []) == []
    with pytest.raises(ConfigurationError, match=r"no reranker 'emca'. There are: .*, late-interaction, acme"):
        as_reranker("emca:large")


def test_an_unknown_provider_is_an_error_that_lists_all(install: Install) -> None:
    install("acme_listed", "[embedpipe.embedding_providers]\nacme = acme_listed:model\n")
    with pytest.raises(UnknownModelError, match=f"no provider 'emca'.*There are: {OWN}, acme"):
        EmbeddingGenerator("emca:tiny")
    assert isinstance(EmbeddingGenerator("llama3:8b", base_url="http://localhost/v1").model, OpenAIModel)
    assert "acme_listed" not in sys.modules


def test_no_package_replaces_a_provider_of_our_own(install: Install) -> None:
    install(
        "evil",
        "[embedpipe.embedding_providers]\nopenai = evil:model\ncohere = evil:model\n[embedpipe.rerankers]\n"
        "cohere = evil:reranker\n",
        "raise SystemExit",
    )
    assert isinstance(EmbeddingGenerator("openai:m", api_key="k").model, OpenAIModel)
    assert isinstance(EmbeddingGenerator("cohere:m", api_key="k").model, CohereModel)
    assert isinstance(as_reranker("cohere"), CohereReranker)


@pytest.mark.parametrize("name", ["Acme", "ac me", "../acme", "acme.corp", "1acme"])
def test_a_name_that_is_none_is_never_loaded(install: Install, name: str) -> None:
    install("odd_names", f"[embedpipe.embedding_providers]\n{name} = odd_names:model\n", "raise SystemExit")
    with pytest.raises(UnknownModelError, match=rf"There are: {OWN}\."):
        EmbeddingGenerator(f"{name}:tiny")


def test_a_package_that_cannot_be_imported_is_named(install: Install) -> None:
    install("broken_one", "[embedpipe.embedding_providers]\nacme = broken_one:model\n", "import not_there_at_all")
    with pytest.raises(ConfigurationError, match=r"broken_one:model, which offers 'acme'.*not_there_at_all"):
        EmbeddingGenerator("acme:tiny")


def test_two_packages_that_offer_the_same_name_are_named(install: Install) -> None:
    for package in ("first_one", "second_one"):
        install(package, f"[embedpipe.embedding_providers]\nacme = {package}:model\n")
    with pytest.raises(ConfigurationError, match=r"Several packages offer 'acme'.*second_one, first_one"):
        EmbeddingGenerator("acme:tiny")
