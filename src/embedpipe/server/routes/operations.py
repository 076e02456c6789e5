"""`/healthz`, `/readyz` and `/metrics`: for those who run the server."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastapi import Request, Response

from embedpipe.server.resources import Resources
from embedpipe.server.schemas.common import ResponseModel
from embedpipe.server.web import Access, Routes
from embedpipe.storage import Health

routes = Routes("operations")

State: TypeAlias = Literal["ok", "failing"]
Part: TypeAlias = Literal["reading", "writing", "model"]


class AliveBody(ResponseModel):
    """The process answers. This says nothing about the database."""

    status: Literal["ok"]
    model: str


class ReadyBody(ResponseModel):
    """Whether requests can be answered. The log has the reason if not."""

    status: State
    reading: State
    writing: State
    model: State


class PartBody(ResponseModel):
    """Whether one kind of request can be answered. The log has the reason if not."""

    status: State


_NOT_READY = "Requests cannot be answered."


@routes.add("GET", "/healthz", Access.PROBE)
async def healthz(request: Request) -> AliveBody:
    """Return that the process is alive. For supervisors that restart it if not. Nothing else is checked."""
    return AliveBody(status="ok", model=Resources.of(request).generator.spec.name)


@routes.add("GET", "/readyz", Access.PROBE, responses={503: {"model": ReadyBody, "description": _NOT_READY}})
async def readyz(request: Request, response: Response) -> ReadyBody:
    """Return whether searches and ingests work now. For load balancers that send requests elsewhere if not."""
    health = await Resources.of(request).watch.health()
    reading, writing, model = (_state(health, part) for part in ("reading", "writing", "model"))
    status: State = "ok" if health.healthy and reading == writing == model == "ok" else "failing"
    response.status_code = 200 if status == "ok" else 503
    return ReadyBody(status=status, reading=reading, writing=writing, model=model)


@routes.add("GET", "/readyz/{part}", Access.PROBE, responses={503: {"model": PartBody, "description": _NOT_READY}})
async def ready_part(part: Part, request: Request, response: Response) -> PartBody:
    """Return whether one part works: reading the database, writing it, or embedding with the model."""
    status = _state(await Resources.of(request).watch.health(), part)
    response.status_code = 200 if status == "ok" else 503
    return PartBody(status=status)


def _state(health: Health, part: Part) -> State:
    well = {"reading": health.reads, "writing": health.writes, "model": health.model_loads is not False}
    return "ok" if well[part] else "failing"


@routes.add(
    "GET", "/metrics", Access.METRICS, response_class=Response, responses={200: {"content": {"text/plain": {}}}}
)
async def metrics(request: Request) -> Response:
    """Return counts and times in Prometheus's text format."""
    return Response(Resources.of(request).monitor.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
