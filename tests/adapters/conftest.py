"""A service with a few real topics in it, which the retrievers of both frameworks search."""

from __future__ import annotations

import pydoc_data.topics
from collections.abc import AsyncIterator

import pytest

from embedpipe import Document, EmbeddingGenerator, SemanticSearchService

TOPICS = ("yield", "with", "lambda", "try", "slicings", "del")


@pytest.fixture(scope="module")
def topics_url(shared_database_url: str, minilm: EmbeddingGenerator) -> str:
    """A database that holds the topics, for tests that only read."""
    made = SemanticSearchService(minilm, database=shared_database_url)
    made.ingest(
        Document(id=name, text=pydoc_data.topics.topics[name][:2500], metadata={"topic": name, "length": len(name)})
        for name in TOPICS
    )
    made.close()
    return shared_database_url


@pytest.fixture
async def service(topics_url: str, minilm: EmbeddingGenerator) -> AsyncIterator[SemanticSearchService]:
    made = SemanticSearchService(minilm, database=topics_url)
    yield made
    await made.aclose()
