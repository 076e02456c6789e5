"""Amazon Bedrock by the bounded HTTP client. botocore finds the credentials and signs each request."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from embedpipe._optional import require
from embedpipe._providers.clients import Service
from embedpipe._providers.http import async_client, client, openai_http_library
from embedpipe._providers.json_service import JsonConnection
from embedpipe.errors import AuthenticationError, ConfigurationError

_BEDROCK = Service(key_variable="AWS_BEARER_TOKEN_BEDROCK", url_variable="AWS_ENDPOINT_URL_BEDROCK_RUNTIME")


class BedrockConnection(JsonConnection):
    """A connection to Amazon Bedrock, by a key of Bedrock or by AWS credentials, which a pickle does not hold."""

    def __init__(self, *, api_key: str | None, base_url: str | None, region: str | None, timeout_s: float) -> None:
        super().__init__(_BEDROCK, api_key=api_key, base_url=base_url, timeout_s=timeout_s)
        self._region = region
        self._credentials: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_credentials": None}

    @property
    def secrets(self) -> tuple[str, ...]:
        if self._credentials is None:
            return super().secrets
        held = self._credentials.get_frozen_credentials()
        return (*super().secrets, *filter(None, (held.secret_key, held.token, held.access_key)))

    def client(self, *, is_async: bool = False) -> Any:
        """Return a client for threads, or for the running event loop.

        Raises:
            AuthenticationError: If there are neither a key nor credentials.
            ConfigurationError: If the region is not known.
        """
        base_url, login = self.endpoint.resolved()
        made = (async_client if is_async else client)(openai_http_library(), login=login)
        region = self._region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if self.secret.values:
            made.headers["Authorization"] = f"Bearer {self.secret.reveal()}"
        elif login is None:
            session = require("botocore.session", extra="bedrock").get_session()
            region = region or session.get_config_variable("region")
            self._credentials = session.get_credentials()
            if self._credentials is None:
                raise AuthenticationError(
                    "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                    "AWS_BEARER_TOKEN_BEDROCK, or name a profile in AWS_PROFILE."
                )
        if region is None and (base_url is None or self._credentials is not None):
            raise ConfigurationError("The AWS region is not known. Set AWS_REGION, or pass region=.")
        made.base_url = base_url or f"https://bedrock-runtime.{region}.amazonaws.com"
        if self._credentials is not None and not self.secret.values:
            made.auth = _signer(self._credentials, str(region))
        return made


def _signer(credentials: Any, region: str) -> Callable[[Any], Any]:
    """Return what signs a request of the HTTP library, as its authentication."""
    auth = require("botocore.auth", extra="bedrock")
    requests = require("botocore.awsrequest", extra="bedrock")

    def sign(request: Any) -> Any:
        headers = {"Content-Type": request.headers["content-type"]}
        signed = requests.AWSRequest(request.method, str(request.url), data=request.content, headers=headers)
        auth.SigV4Auth(credentials, "bedrock", region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request

    return sign
