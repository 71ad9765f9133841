"""Whether a server still does its work: what ``/ping`` says, and what the engine says."""

import logging
from enum import StrEnum, unique
from typing import Final

from lab.endpoint.clock import Clock
from lab.endpoint.launching import Launcher
from lab.endpoint.live import Death, Ping, Server
from lab.endpoint.logged import logged

_LOG = logging.getLogger(__name__)

MISSES: Final = 3
"""Pings in a row that may fail before a server that still runs is replaced."""


@unique
class ServerHealth(StrEnum):
    """What an examination of a server that is to be kept came to."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    """It runs, and its ``/ping`` is late or not 200: used only when there is no better one."""


class Health:
    """Examines the servers of one pool, and remembers the pings that they missed."""

    def __init__(self, launcher: Launcher, clock: Clock) -> None:
        self._launcher = launcher
        self._clock = clock
        self._missed: dict[str, int] = {}

    async def examine(self, server: Server, *, periodic: bool) -> ServerHealth | Death:
        """Ping, and look at the container when that fails.

        ``Death`` when it no longer runs, or has been doubtful for too long. A ``/ping`` that is
        late is no sign of illness while its only worker may be busy with a request: SageMaker says
        nothing of that, and to replace such a server would lose the same long request over and
        over. Another answer than 200 is one at any time.

        Only the ``periodic`` ones are counted: a burst of failed requests, each of which has the
        server looked at, is not several missed pings.
        """
        said = await self._ping(server)
        now = self._clock.monotonic()
        if said is Ping.WELL:
            self._missed.pop(server.id, None)
            server.heard(now)
            return ServerHealth.HEALTHY
        death = await self.death(server)
        if death is not None:
            self.forget(server)
            return death
        if not periodic or (said is Ping.LATE and server.may_be_busy(now)):
            return ServerHealth.SUSPECT
        missed = self._missed.get(server.id, 0) + 1
        self._missed[server.id] = missed
        if missed < MISSES:
            return ServerHealth.SUSPECT
        self.forget(server)
        return Death(f"/ping {said}, {missed} times in a row")

    async def _ping(self, server: Server) -> Ping:
        with logged(_LOG, "pinging %s", server.id):
            return await self._launcher.ping(server)
        return Ping.SICK

    async def death(self, server: Server) -> Death | None:
        """Why it no longer runs; None while it runs, or while the engine cannot say."""
        with logged(_LOG, "asking the engine after %s", server.id):
            return await self._launcher.died(server)
        return None

    def forget(self, server: Server) -> None:
        self._missed.pop(server.id, None)
