"""`/healthz` and `/metrics`: for whoever runs the server."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from fastapi import APIRouter, Request, Response

from embedpipe.errors import EmbedPipeError
from embedpipe.server.resources import Resources
from embedpipe.server.schemas.common import Sent

router = APIRouter(tags=["operations"])
logger = logging.getLogger(__name__)

_CHECK_S = 5.0


class Health(Sent):
    """Whether requests can be answered."""

    status: Literal["ok", "failing"]
    model: str
    database: Literal["ok", "failing"]


@router.get("/healthz", responses={503: {"model": Health, "description": "Requests cannot be answered."}})
async def healthz(request: Request, response: Response) -> Health:
    """Whether the database answers; the model is there since the server started."""
    resources = Resources.of(request)
    try:
        async with asyncio.timeout(_CHECK_S):
            await resources.store().exists()
    except (EmbedPipeError, TimeoutError) as error:
        logger.warning("the database does not answer: %s", type(error).__name__)
        response.status_code = 503
        return Health(status="failing", model=resources.generator.spec.name, database="failing")
    return Health(status="ok", model=resources.generator.spec.name, database="ok")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counts and times as Prometheus reads them."""
    return Response(Resources.of(request).monitor.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
