"""The server against its own description: schemathesis makes requests of all kinds from it, valid and not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from embedpipe.server import ServerSettings, create_app
from embedpipe.testing import FakeEmbeddingModel
from serving import serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def url(shared_database_url: str) -> Iterator[str]:
    app = create_app(FakeEmbeddingModel(8), database=shared_database_url, settings=ServerSettings(max_texts=20))
    with serving(app) as at:
        body = {"documents": [{"id": "1", "text": "A text to be found."}]}
        httpx.post(f"{at}/documents", json=body).raise_for_status()
        yield at


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_finds_a_fault(url: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations: list[Any] = [cast(Any, result).ok() for result in schema.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:
        operations = [operation for operation in operations if operation.body]  # the others take nothing wrong
    assert len(operations) > 6
    with requests.Session() as session:
        for operation in operations:
            check(operation, mode, session)


def check(operation: Any, mode: GenerationMode, session: requests.Session) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answered(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, session=session)

    answered()
