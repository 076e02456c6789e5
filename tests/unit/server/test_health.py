from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from embedpipe.server.web import health_watch
from embedpipe.server.web.health_watch import HealthWatch
from embedpipe.storage import Health


class Looked:
    """A service that counts how often its health is looked at, each time for so many seconds."""

    store = SimpleNamespace(name="teas")

    def __init__(self, seconds: float) -> None:
        self.times = 0
        self.seconds = seconds

    async def ahealth(self) -> Health:
        self.times += 1
        await asyncio.sleep(self.seconds)
        return Health(collection="teas", database=True)


async def test_who_asks_within_a_second_shares_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    service: Any = Looked(0.01)
    watch = HealthWatch(service)
    answers = await asyncio.gather(*(watch.health() for _ in range(50)))
    assert all(answer.database for answer in answers)
    await watch.health()
    assert service.times == 1
    monkeypatch.setattr(health_watch, "_KEPT_S", 0.0)
    other = HealthWatch(service)
    await other.health()
    await asyncio.sleep(0.01)
    await other.health()
    assert service.times == 3


async def test_who_hangs_up_ends_the_look_for_nobody_else() -> None:
    service: Any = Looked(0.05)
    watch = HealthWatch(service)
    gone, stays = (asyncio.create_task(watch.health()) for _ in range(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert (await stays).database


async def test_a_database_that_does_not_answer_in_time_is_not_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health_watch, "_CHECK_S", 0.01)
    service: Any = Looked(60)
    found = await HealthWatch(service).health()
    assert not found.database
    assert "did not answer" in caplog.text
