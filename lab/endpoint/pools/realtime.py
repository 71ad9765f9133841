"""The instances of a real-time or asynchronous variant."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from lab.endpoint.live import Death, LaunchFailed, Lease, Server, ServerGone, VariantPlan
from lab.endpoint.pools.base import BasePool, PoolContext, backoff_s, wait_for
from lab.endpoint.pools.health import ServerHealth
from lab.endpoint.records import EndpointKind

_YOUNG_S: Final = 60.0
"""A server lost before this age counts as a failed attempt: the next one has to wait."""


class RealTimePool(BasePool):
    """As many servers as are wanted, each with any number of requests at a time."""

    def __init__(
        self,
        plan: VariantPlan,
        *,
        generation: int,
        context: PoolContext,
        rng: random.Random,
    ) -> None:
        super().__init__(plan, generation=generation, context=context)
        self._wanted = plan.initial_count
        self._rng = rng
        # From a queue, who has room gets the next one: chance would leave servers idle.
        self._at_random = plan.routing == "RANDOM" and plan.kind is not EndpointKind.ASYNC
        self._ready: list[Server] = []
        self._doubtful: list[Server] = []
        self._examined: dict[Server, asyncio.Task[None]] = {}
        self._since: dict[Server, float] = {}
        self._replacements: set[asyncio.Task[None]] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._turn = 0
        self._failures = 0
        """Why there is nobody, as far as it is known."""

    @property
    def servers(self) -> Sequence[Server]:
        return (*self._ready, *self._doubtful)

    @property
    def wanted(self) -> int:
        return self._wanted

    # --- leases ------------------------------------------------------------------------------

    def try_acquire(self) -> Lease | None:
        """Any server; with least outstanding requests asked for, the one with the fewest."""
        other = self._successor()
        if other is not None:
            return other.try_acquire()
        server = self._choose()
        return None if server is None else self._lease(server)

    async def acquire(self) -> Lease:
        """The same, waiting for a server as long as an invocation may take.

        Not when there is none and the last attempt to start one has failed.
        """
        deadline = self._clock.monotonic() + self._settings.invocation_timeout_s
        while True:
            other = self._successor()
            if other is not None:
                return await other.acquire()
            server = self._choose()
            if server is not None:
                return self._lease(server)
            left_s = deadline - self._clock.monotonic()
            hopeless = self._last_failure is not None and not self._members()
            if hopeless or left_s <= 0 or not await self._wait(left_s):
                raise self._not_ready()

    def hold(self, server_id: str) -> Lease | None:
        """Sick or well: what it knows, no other server does."""
        server = next((each for each in self._members() if each.id == server_id), None)
        if server is None:
            raise ServerGone(server_id)
        if server in self._examined:
            return None
        if not server.healthy:
            self._examine_now(server)
            return None
        return self._lease(server)

    async def _wait(self, seconds: float) -> bool:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._waiting += 1
        try:
            return await wait_for(self._clock, seconds, waiter)
        finally:
            self._waiting -= 1
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            self._notify()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _choose(self) -> Server | None:
        while True:
            candidates = self._ready or self._doubtful
            if not candidates:
                return None
            suspects = [server for server in candidates if not server.healthy]
            if not suspects:
                return self._pick(candidates)
            for server in suspects:
                self._examine_now(server)

    def _pick(self, candidates: Sequence[Server]) -> Server:
        count = len(candidates)
        if count == 1:
            return candidates[0]
        if self._at_random:
            return self._rng.choice(candidates)
        # Begin elsewhere each time: equals share the load, also when there is little of it.
        self._turn = (self._turn + 1) % count
        best = candidates[self._turn - count]
        for index in range(self._turn - count + 1, self._turn):
            if candidates[index].in_flight < best.in_flight:
                best = candidates[index]
        return best

    # --- its life ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Launch all that are wanted, at the same time."""
        for server in await self._launch_all(self._wanted):
            self._add(server)
        self._work.start(self._watch())

    def resume(self, adopted: Sequence[Server]) -> None:
        """Take over those that still answer; surplus ones go, missing ones come."""
        for server in adopted:
            self._add(server)
        for server in tuple(self._ready[self._wanted :]):
            self._discard(server)
        self._refill()
        self._work.start(self._watch())

    async def resize(self, count: int) -> None:
        """Have so many. Returns when new ones answer; those too many end in the background.

        Raises ``LaunchFailed``, and then there are as many as before.
        """
        # What is lost meanwhile is replaced up to the old count, so that nothing comes twice.
        launched = await self._launch_all(count - self._have)
        self._wanted = count
        for server in launched:
            self._add(server)
        for task in tuple(self._replacements)[: max(0, self._have - count)]:
            self._replacements.discard(task)
            task.cancel()
        # The doubtful go first, unless they are only busy, then those with the least to do.
        now = self._clock.monotonic()
        leaving = sorted(
            (*self._doubtful, *self._examined, *self._ready),
            key=lambda each: (each in self._ready or each.may_be_busy(now), each.in_flight),
        )
        for server in leaving[: max(0, self._have - count)]:
            self._discard(server)
        self._refill()

    @property
    def _have(self) -> int:
        return len(self._members()) + len(self._replacements)

    def _members(self) -> Sequence[Server]:
        return (*self._ready, *self._doubtful, *self._examined)

    def _on_retire(self) -> None:
        for task in tuple(self._replacements):
            task.cancel()
        # Each goes when its own requests have ended, not when those of all have.
        for server in self._members():
            self._discard(server)
        self._wake()

    def _on_close(self) -> None:
        self._wake()

    def _add(self, server: Server) -> None:
        self._last_failure = None
        self._since[server] = self._clock.monotonic()
        server.heard(self._clock.monotonic())
        self._settle(server, self._ready)

    def _settle(self, server: Server, among: list[Server]) -> None:
        """Put it where it belongs, and let those who wait have it."""
        self._withhold(server)
        server.healthy, server.suspect = True, among is self._doubtful
        among.append(server)
        self._wake()

    def _withhold(self, server: Server) -> None:
        for servers in (self._ready, self._doubtful):
            if server in servers:
                servers.remove(server)

    def _remove(self, server: Server) -> None:
        self._withhold(server)
        self._since.pop(server, None)
        examination = self._examined.pop(server, None)
        if examination is not None and examination is not asyncio.current_task():
            examination.cancel()

    # --- health ------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(self._settings.ping_interval_s)
            servers = self.servers
            if servers:
                await asyncio.gather(*(self._ping(server) for server in servers))

    async def _ping(self, server: Server) -> None:
        found = await self._health.examine(server, periodic=True)
        if server in self.servers:
            self._judge(server, found)

    def _examine_now(self, server: Server) -> None:
        """A request could not reach it: nobody gets it until it was looked at."""
        self._withhold(server)
        self._examined[server] = self._work.start(self._examination(server))

    async def _examination(self, server: Server) -> None:
        found = await self._health.examine(server, periodic=False)
        if self._examined.pop(server, None) is not None:
            self._judge(server, found)

    def _judge(self, server: Server, found: ServerHealth | Death) -> None:
        if not isinstance(found, Death):
            among = self._ready if found is ServerHealth.HEALTHY else self._doubtful
            if server not in among:
                self._settle(server, among)
            return
        young = self._clock.monotonic() - self._since.get(server, 0.0) < _YOUNG_S
        self._failures = self._failures + 1 if young else 0
        self._replace_lost(server, found)
        self._refill()

    def _refill(self) -> None:
        """Launch what is missing, each by itself: one that hangs does not hold up another."""
        if self._retired or self._closed:
            return
        for _ in range(self._wanted - self._have):
            task = self._work.start(self._replacement())
            self._replacements.add(task)
            task.add_done_callback(self._replacements.discard)

    async def _replacement(self) -> None:
        # A server that was lost young is replaced at once the first time, and later ever slower.
        await self._clock.sleep(backoff_s(self._failures - 1))
        while True:
            try:
                server = await self._launch()
            except LaunchFailed as failed:
                self._failures += 1
                self._last_failure = failed.reason
                self._wake()
                await self._clock.sleep(backoff_s(self._failures))
                continue
            task = asyncio.current_task()
            if task is not None:
                self._replacements.discard(task)
            self._add(server)
            return
