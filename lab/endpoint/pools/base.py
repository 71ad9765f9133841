"""What the pools of all kinds share: leases, draining, background work, and their end."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.endpoint.clock import Clock
from lab.endpoint.launching import Launcher
from lab.endpoint.live import Death, Lease, NotReady, Pool, Server, ServerGone, Setup, VariantPlan
from lab.endpoint.pools.health import Health
from lab.endpoint.pools.provisioner import Provisioner
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings

_LOG = logging.getLogger(__name__)

_ASYNCHRONOUS_S: Final = 3600.0
_AUTOPSY_S: Final = 1.0
LONGEST_BACKOFF_S: Final = 60.0


def backoff_s(failures: int) -> float:
    """How long to wait before the next attempt: 1, 2, 4, ... 60 s; 0 before the first."""
    if failures <= 0:
        return 0.0
    return min(LONGEST_BACKOFF_S, 2.0 ** min(failures - 1, 10))


async def wait_for(clock: Clock, seconds: float, waited: "asyncio.Future[Any]") -> bool:
    """Whether it was done in time; if not, it is cancelled."""
    if waited.done():
        return True
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({waited, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        if not waited.done():
            waited.cancel()
    return not waited.cancelled()


class Background:
    """Tasks that nobody waits for, held and logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self) -> None:
        """Until all have ended, those included that begin meanwhile."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def cancel(self) -> None:
        """End them; returns when they have cleaned up."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.wait()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("background work failed", exc_info=task.exception())


@dataclass(frozen=True, kw_only=True)
class PoolContext:
    """What a pool works with."""

    provisioner: Provisioner
    launcher: Launcher
    clock: Clock
    settings: EmulatorSettings


class BasePool(ABC):
    """The servers of one variant in one generation of its endpoint."""

    def __init__(self, plan: VariantPlan, *, generation: int, context: PoolContext) -> None:
        self._plan = plan
        self._generation = generation
        self._provisioner = context.provisioner
        self._clock = context.clock
        self._settings = context.settings
        self._health = Health(context.launcher, context.clock)
        self._work = Background()
        """Ends with the pool."""
        self._stops = Background()
        """Containers on their way out: ends by itself."""
        self._leased = 0
        self._waiting = 0
        self._watchers: list[asyncio.Future[None]] = []
        self._next_pool: Pool | None = None
        self._last_failure: str | None = None
        self._retired = False
        self._closed = False

    # --- what a Pool is ----------------------------------------------------------------------

    @property
    def plan(self) -> VariantPlan:
        return self._plan

    @property
    def in_flight(self) -> int:
        return self._leased + self._waiting

    @property
    def last_failure(self) -> str | None:
        return self._last_failure

    async def autopsy(self, server: Server) -> str | None:
        """Why it no longer runs. The engine takes a moment to notice; that is waited for."""
        give_up_at = self._clock.monotonic() + _AUTOPSY_S
        while True:
            death = await self._health.death(server)
            death = server.death or death  # what it was replaced for says more than "removed"
            if death is not None:
                server.healthy = False  # nobody's: its address may be another's in a moment
                return death.reason
            if self._clock.monotonic() >= give_up_at:
                return None
            await self._clock.sleep(_AUTOPSY_S / 20)

    @property
    @abstractmethod
    def servers(self) -> Sequence[Server]: ...

    @abstractmethod
    def try_acquire(self) -> Lease | None: ...

    @abstractmethod
    async def acquire(self) -> Lease: ...

    def hold(self, server_id: str) -> Lease | None:
        """None of its servers can be asked for by name."""
        raise ServerGone(server_id)

    # --- its life ----------------------------------------------------------------------------

    @abstractmethod
    async def start(self) -> None:
        """Bring up what a new endpoint needs to be in service. Raises ``LaunchFailed``.

        When it fails or is cancelled, what it launched is stopped.
        """

    @abstractmethod
    def resume(self, adopted: Sequence[Server]) -> None:
        """Go on with the servers of an earlier life; what is missing comes in the background."""

    async def retire(self, successor: Pool | None) -> None:
        """Send new and waiting requests to ``successor``, let the others end, stop the servers.

        Holders of this pool may go on calling it: it passes them on.
        """
        self._next_pool = successor
        self._retired = True
        self._on_retire()
        # No request may take longer than a stream, or than a cold start and an invocation; what
        # does is not waited for.
        quiet = asyncio.ensure_future(self._until(lambda: self.in_flight == 0))
        await wait_for(self._clock, self._longest_s, quiet)
        await self.close(stop_servers=True)

    async def close(self, *, stop_servers: bool) -> None:
        """End the background work at once; stop the servers, or leave them to the next life."""
        self._closed = True
        self._on_close()
        self._notify()
        await self._work.cancel()
        if stop_servers:
            for server in tuple(self._members()):
                self._discard(server)
            await self._stops.wait()
        else:
            await self._stops.cancel()

    @abstractmethod
    def _members(self) -> Sequence[Server]:
        """All that would be left running."""

    @abstractmethod
    def _remove(self, server: Server) -> None:
        """Never lease it again."""

    @abstractmethod
    def _on_retire(self) -> None:
        """The pool is retired: pass on those who wait, stop what is idle."""

    @abstractmethod
    def _on_close(self) -> None:
        """The pool is closed: nobody who waits will get a server."""

    # --- leases ------------------------------------------------------------------------------

    def _lease(self, server: Server, setup: Setup | None = None) -> Lease:
        server.in_flight += 1
        self._leased += 1
        held = True

        def release() -> None:
            nonlocal held
            if not held:
                msg = f"a lease of {server.id} was released twice"
                raise RuntimeError(msg)
            held = False
            self._release(server)

        return Lease(server=server, setup=setup, release=release)

    def _release(self, server: Server) -> None:
        self._leased -= 1
        server.in_flight -= 1
        if server.in_flight == 0:
            server.idle_since = self._clock.monotonic()
        self._returned(server)
        if self._watchers:
            self._notify()

    def _returned(self, server: Server) -> None:  # noqa: B027 - a hook, not a duty
        """A lease of it ended."""

    def _notify(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Look again whenever a lease ends or a waiting request gives up."""
        while not condition():
            watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.append(watcher)
            await watcher

    @property
    def _longest_s(self) -> float:
        """What a request may take at most; an asynchronous one has no reason to be cut short.

        A deletion does not wait for an hour.
        """
        deleted = self._retired and self._next_pool is None
        if self._plan.kind is EndpointKind.ASYNC and not deleted:
            return _ASYNCHRONOUS_S
        return self._settings.stream_timeout_s

    # --- servers on their way in and out -----------------------------------------------------

    async def _launch(self) -> Server:
        return await self._provisioner.launch(self._plan, generation=self._generation)

    async def _launch_all(self, count: int) -> list[Server]:
        """So many at the same time, all or none."""
        launches = [asyncio.ensure_future(self._launch()) for _ in range(count)]
        if not launches:
            return []
        try:
            done, _ = await asyncio.wait(launches, return_when=asyncio.FIRST_EXCEPTION)
            for launch in done:
                launch.result()
            return [launch.result() for launch in launches]
        except BaseException:
            for launch in launches:
                launch.cancel()
            outcomes = await asyncio.gather(*launches, return_exceptions=True)
            ends = [self._discard(outcome) for outcome in outcomes if isinstance(outcome, Server)]
            # Only for these: others on their way out may have long requests to end.
            await asyncio.gather(*ends, return_exceptions=True)
            raise

    def _discard(self, server: Server) -> "asyncio.Task[None]":
        """Take it out of service now, and stop it when its requests have ended."""
        self._remove(server)
        self._health.forget(server)
        return self._stops.start(self._drain(server))

    async def _drain(self, server: Server) -> None:
        if server.in_flight and not self._closed:
            quiet = asyncio.ensure_future(
                self._until(lambda: server.in_flight == 0 or self._closed)
            )
            try:
                await wait_for(self._clock, self._longest_s, quiet)
            finally:
                quiet.cancel()
        await self._provisioner.stop(server)

    def _replace_lost(self, server: Server, death: Death) -> None:
        """It is dead or as good as dead: its requests fail by themselves."""
        server.death = death
        self._remove(server)
        self._health.forget(server)
        self._provisioner.replaced(server, death)
        self._stops.start(self._provisioner.stop(server))

    def _successor(self) -> Pool | None:
        """Who answers instead of a pool that has ended. Raises ``NotReady`` if nobody does."""
        if (self._retired or self._closed) and self._next_pool is None:
            raise self._not_ready()
        return self._next_pool

    def _not_ready(self) -> NotReady:
        plan = self._plan
        none = f"no container of variant {plan.name} of endpoint {plan.endpoint} is in service."
        failed = f" The last start failed: {self._last_failure}" if self._last_failure else ""
        return NotReady(none + failed)
