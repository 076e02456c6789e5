"""Whether requests can be answered, looked at once a second however many ask."""

from __future__ import annotations

import asyncio
import logging

from embedpipe.service import SemanticSearchService
from embedpipe.storage import Health

logger = logging.getLogger(__name__)

_CHECK_S = 5.0
_KEPT_S = 1.0


class HealthWatch:
    """The health of one service, which all who ask within a second share. For one event loop."""

    def __init__(self, service: SemanticSearchService) -> None:
        self._service = service
        self._looked: asyncio.Task[Health] | None = None
        self._until = 0.0

    async def health(self) -> Health:
        """As the service's; where the database does not answer in time, it is not well."""
        now = asyncio.get_running_loop().time()
        if self._looked is None or (self._looked.done() and now > self._until):
            self._looked, self._until = asyncio.create_task(self._look()), now + _KEPT_S
        return await asyncio.shield(self._looked)

    async def _look(self) -> Health:
        try:
            async with asyncio.timeout(_CHECK_S):
                health = await self._service.ahealth()
        except TimeoutError:
            health = Health(collection=self._service.store.name)
            logger.warning("the database did not answer within %g s", _CHECK_S)
        for finding in health.findings:
            if finding.wrong:
                logger.warning("%s %s", finding.message, finding.advice)
        return health
