"""`/healthz` and `/metrics`: for whoever runs the server."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response

from embedpipe.server.resources import Resources
from embedpipe.server.schemas.common import Sent

router = APIRouter(tags=["operations"])


class HealthBody(Sent):
    """Whether requests can be answered; the log says why where they cannot."""

    status: Literal["ok", "failing"]
    model: str
    database: Literal["ok", "failing"]


@router.get("/healthz", responses={503: {"model": HealthBody, "description": "Requests cannot be answered."}})
async def healthz(request: Request, response: Response) -> HealthBody:
    """Whether the database answers, and the collection is one that the server's model can search."""
    resources = Resources.of(request)
    health = await resources.watch.health()
    well = health.database and health.healthy
    response.status_code = 200 if well else 503
    return HealthBody(
        status="ok" if well else "failing",
        model=resources.generator.spec.name,
        database="ok" if health.database else "failing",
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counts and times as Prometheus reads them."""
    return Response(Resources.of(request).monitor.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
