"""The containers of a serverless variant."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from lab.endpoint.live import Death, LaunchFailed, Lease, NotReady, Server, Throttled, VariantPlan
from lab.endpoint.pools.base import BasePool, PoolContext, backoff_s
from lab.endpoint.pools.health import ServerHealth

_LOG = logging.getLogger(__name__)


class _Coming:
    """A container that will be there: it is being launched, or being looked at."""

    def __init__(self) -> None:
        self.waiter: asyncio.Future[Lease] | None = None
        self.suspect: Server | None = None
        """The container that is being looked at."""
        self.failed: LaunchFailed | None = None
        """Why it will not be there."""

    @property
    def claimed(self) -> bool:
        """Whether a request waits for it."""
        return self.waiter is not None and not self.waiter.done()


class ServerlessPool(BasePool):
    """One request at a time per container, containers as requests come, none when none come."""

    def __init__(self, plan: VariantPlan, *, generation: int, context: PoolContext) -> None:
        super().__init__(plan, generation=generation, context=context)
        self._limit = plan.max_concurrency or 1
        self._provisioned = plan.initial_count
        self._idle: list[Server] = []
        """The one used last is used next, so that the others get old enough to go."""
        self._busy: set[Server] = set()
        self._coming: dict[_Coming, asyncio.Task[None]] = {}
        self._warming: asyncio.Task[None] | None = None

    @property
    def servers(self) -> Sequence[Server]:
        return (*self._idle, *self._busy)

    # --- leases ------------------------------------------------------------------------------

    def try_acquire(self) -> Lease | None:
        """An idle container. Raises ``Throttled``."""
        other = self._successor()
        if other is not None:
            return other.try_acquire()
        while self._idle:
            server = self._idle.pop()
            if server.healthy:
                return self._lend(server)
            self._look_at(server)
        if self.in_flight >= self._limit:
            raise Throttled
        return None

    async def acquire(self) -> Lease:
        """An idle container, or a cold start. Raises ``Throttled`` or ``LaunchFailed``."""
        other = self._successor()
        if other is not None:
            return await other.acquire()
        lease = self.try_acquire()
        if lease is not None:
            return lease
        # One whose request went away is taken over before another is launched. There is one or
        # room for one: idle, busy and coming ones together never exceed the limit.
        coming = next((each for each in self._coming if not each.claimed), None)
        if coming is None:
            coming = self._bring()
        waiter: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        coming.waiter = waiter
        self._waiting += 1
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()
            elif waiter.cancelled():
                self._waiting -= 1
                self._notify()
                self._trim()
            raise

    def _lend(self, server: Server, *, cold: bool = False) -> Lease:
        self._busy.add(server)
        return self._lease(server, server.setup if cold else None)

    def _returned(self, server: Server) -> None:
        if server not in self._busy:
            return
        self._busy.discard(server)
        if self._retired or self._closed:
            self._discard(server)
        elif server.tainted:
            self._discard(server)
            self._warm()
        elif server.healthy:
            self._idle.append(server)
            self._trim()
        else:
            self._look_at(server)

    # --- containers that come ----------------------------------------------------------------

    def _bring(self) -> _Coming:
        coming = _Coming()
        self._expect(coming, self._launching(coming))
        return coming

    def _expect(self, coming: _Coming, work: Coroutine[Any, Any, None]) -> None:
        task = self._work.start(work)
        self._coming[coming] = task

        def ended(task: "asyncio.Task[None]") -> None:
            # Here and not in the work itself: a task that never began cannot clean up.
            self._coming.pop(coming, None)
            if task.cancelled() or task.exception() is not None:
                if coming.suspect is not None:
                    self._discard(coming.suspect)
                self._refuse(coming, self._not_ready())

        task.add_done_callback(ended)

    async def _launching(self, coming: _Coming) -> None:
        try:
            server = await self._launch()
        except LaunchFailed as failed:
            coming.failed = failed
            del self._coming[coming]
            self._refuse(coming, failed)
            return
        del self._coming[coming]
        self._deliver(coming, server, cold=True)

    def _deliver(self, coming: _Coming, server: Server, *, cold: bool) -> None:
        """To the request that waits; to the idle ones if it went away."""
        waiter = coming.waiter
        if waiter is not None and not waiter.done():
            self._waiting -= 1
            waiter.set_result(self._lend(server, cold=cold))
            return
        server.idle_since = self._clock.monotonic()
        self._idle.append(server)
        if self._retired or self._closed:
            self._discard(server)
        self._trim()

    def _refuse(self, coming: _Coming, reason: LaunchFailed | NotReady) -> None:
        waiter = coming.waiter
        if waiter is None or waiter.done():
            _LOG.warning(
                "%s/%s: nobody waits for: %s", self._plan.endpoint, self._plan.name, reason
            )
            return
        self._waiting -= 1
        waiter.set_exception(reason)
        self._notify()

    def _look_at(self, server: Server) -> None:
        """A request could not reach it: it keeps its place, and nobody gets it until we know."""
        coming = _Coming()
        coming.suspect = server
        self._expect(coming, self._looking(coming, server))

    async def _looking(self, coming: _Coming, server: Server) -> None:
        found = await self._health.examine(server, periodic=False)
        coming.suspect = None
        if found is ServerHealth.HEALTHY:
            del self._coming[coming]
            server.healthy = True
            self._deliver(coming, server, cold=False)
            return
        sick = Death("it runs, but /ping does not answer 200")
        self._replace_lost(server, found if isinstance(found, Death) else sick)
        if coming.claimed:
            await self._launching(coming)
            return
        del self._coming[coming]
        self._warm()

    # --- its life ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Launch one to see that it works, as AWS does, or all of the provisioned concurrency."""
        self._idle.extend(await self._launch_all(max(1, self._provisioned)))
        self._attend()

    def resume(self, adopted: Sequence[Server]) -> None:
        """Take over what still answers; only provisioned concurrency is launched again."""
        for server in adopted:
            server.idle_since = self._clock.monotonic()
        self._idle.extend(adopted[: self._limit])
        for server in adopted[self._limit :]:
            self._discard(server)
        self._warm()
        self._attend()

    async def resize(self, *, limit: int, provisioned: int) -> None:
        """Another maximum and another provisioned concurrency.

        Returns when what is provisioned is warm. Raises ``LaunchFailed``, and then all is as
        before. Requests above a lower maximum are let end.
        """
        before = self._limit
        self._limit = max(before, limit)
        try:
            # As for requests: one that comes meanwhile may have one of these.
            comings = [self._bring() for _ in range(provisioned - self._present)]
            if comings:
                await asyncio.wait([self._coming[coming] for coming in comings])
            for coming in comings:
                if coming.failed is not None:
                    raise coming.failed  # noqa: TRY301 - undone as when cancelled
        except BaseException:
            self._limit = before
            self._trim()
            raise
        self._limit, self._provisioned = limit, provisioned
        self._plan = replace(self._plan, max_concurrency=limit, initial_count=provisioned)
        self._trim()

    def _trim(self) -> None:
        """Drop what nobody has and the maximum forbids: what is still coming, then idle ones."""
        forsaken = [coming for coming in self._coming if not coming.claimed]
        for coming in forsaken[: max(0, self._present - self._limit)]:
            self._coming.pop(coming).cancel()
        for server in self._idle[: max(0, self._present - self._limit)]:
            self._discard(server)

    @property
    def _present(self) -> int:
        """What counts against the maximum."""
        return len(self._idle) + len(self._busy) + len(self._coming)

    async def scale_to_zero(self) -> int:
        """Remove idle containers, all but the provisioned: the next request starts cold.

        Returns how many went, when they are gone.
        """
        going = self._idle[: max(0, len(self.servers) - self._provisioned)]
        for server in going:
            self._discard(server)
        await self._stops.wait()
        return len(going)

    def _attend(self) -> None:
        self._work.start(self._reap())
        self._work.start(self._watch())

    async def _reap(self) -> None:
        """Remove those that were idle for too long. Sleeps until the next one may be due."""
        idle_s = self._settings.idle_s
        while True:
            now = self._clock.monotonic()
            due = now + idle_s
            while self._idle and len(self.servers) > self._provisioned:
                due = self._idle[0].idle_since + idle_s
                if due > now:
                    break
                self._discard(self._idle[0])
                due = now + idle_s
            await self._clock.sleep(max(0.001, due - now))

    async def _watch(self) -> None:
        """Find containers that died while idle, before a request does."""
        while True:
            await self._clock.sleep(self._settings.ping_interval_s)
            for server in tuple(self._idle):
                death = await self._health.death(server)
                if death is None:
                    continue
                server.healthy = False
                if server in self._idle:
                    self._replace_lost(server, death)
            self._warm()

    def _warm(self) -> None:
        """See in the background that provisioned concurrency is there."""
        if self._retired or self._closed or self._missing() <= 0:
            return
        if self._warming is None or self._warming.done():
            self._warming = self._work.start(self._rewarm())

    def _missing(self) -> int:
        return self._provisioned - self._present

    async def _rewarm(self) -> None:
        failures = 0
        while self._missing() > 0:
            launches = [self._coming[self._bring()] for _ in range(self._missing())]
            await asyncio.wait(launches)
            failures = failures + 1 if self._missing() > 0 else 0
            await self._clock.sleep(backoff_s(failures))

    def _members(self) -> Sequence[Server]:
        return self.servers

    def _remove(self, server: Server) -> None:
        if server in self._idle:
            self._idle.remove(server)
        self._busy.discard(server)

    def _on_retire(self) -> None:
        for server in tuple(self._idle):
            self._discard(server)
        for coming, task in tuple(self._coming.items()):
            # Who waits for a cold start gets it, unless there will be nobody to answer for it.
            if not coming.claimed or self._next_pool is None:
                task.cancel()

    def _on_close(self) -> None:
        """The launches under way are cancelled with the rest, and tell those who wait."""
