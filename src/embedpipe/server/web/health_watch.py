"""Check whether requests can be answered, at most once a second however many clients ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from embedpipe.service import SemanticSearchService
from embedpipe.storage import Health
from embedpipe.storage.admin import Finding

logger = logging.getLogger(__name__)

_CHECK_S = 5.0
_KEPT_S = 1.0


async def _no_fault() -> str | None:
    return None


class HealthWatch:
    """The health of one service. Calls within one second share one check. Use one per event loop.

    `model_fault` returns the reason why the model does not embed, or None. The service itself cannot tell.
    """

    def __init__(
        self, service: SemanticSearchService, model_fault: Callable[[], Awaitable[str | None]] = _no_fault
    ) -> None:
        self._service = service
        self._model_fault = model_fault
        self._looked: asyncio.Task[Health] | None = None
        self._until = 0.0

    async def health(self) -> Health:
        """Return the service's health. A database that does not answer within 5 s counts as not healthy."""
        now = asyncio.get_running_loop().time()
        if self._looked is None or (self._looked.done() and now > self._until):
            self._looked, self._until = asyncio.create_task(self._look()), now + _KEPT_S
        # A caller that disconnects must not cancel the check of the others.
        return await asyncio.shield(self._looked)

    async def _look(self) -> Health:
        health, fault = await asyncio.gather(self._database(), self._model())
        if fault is not None:
            found = Finding(None, f"The model does not embed: {fault}", "See the log.", wrong=True)
            health = replace(health, model_loads=False, findings=[*health.findings, found])
        for finding in health.findings:
            if finding.wrong:
                logger.warning("%s %s", finding.message, finding.advice)
        return health

    async def _database(self) -> Health:
        try:
            async with asyncio.timeout(_CHECK_S):
                return await self._service.ahealth()
        except TimeoutError:
            logger.warning("the database did not answer within %g s", _CHECK_S)
            return Health(collection=self._service.store.name)

    async def _model(self) -> str | None:
        try:
            async with asyncio.timeout(_CHECK_S):
                return await self._model_fault()
        except TimeoutError:
            return f"It did not answer within {_CHECK_S:g} s."
