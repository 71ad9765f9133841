"""The containers' use of resources, asked for in the background: a scrape never waits for it."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from lab.endpoint.clock import Clock
from lab.endpoint.launching import Launcher, Vitals
from lab.endpoint.live import Fleet, Server
from lab.endpoint.logged import logged
from lab.endpoint.store import SqliteStore

_LOG = logging.getLogger(__name__)
_AT_ONCE = 4
"""Questions to the engine at a time."""
_PATIENCE_S = 10.0
"""After which an engine that does not answer is given up on, until the next round."""

Key = tuple[str, str]
"""Endpoint and variant."""


@dataclass(kw_only=True)
class VariantUsage:
    """Ratios, one of each container."""

    memory: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    disk: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Sample:
    vitals: Vitals
    at: float


class Sampler:
    """Asks the launcher for each container's vitals every few seconds.

    ``keep`` is told the names of all endpoints that exist, each round.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        launcher: Launcher,
        store: SqliteStore,
        clock: Clock,
        keep: Callable[[Collection[str]], None],
        interval_s: float,
    ) -> None:
        self._fleet = fleet
        self._launcher = launcher
        self._store = store
        self._clock = clock
        self._keep = keep
        self._interval_s = interval_s
        self._usage: dict[Key, VariantUsage] = {}
        self._kills: dict[Key, int] = {}
        self._samples: dict[str, _Sample] = {}
        self._task: asyncio.Task[None] | None = None

    def usage(self) -> Iterable[tuple[Key, VariantUsage]]:
        """As of the last round."""
        return tuple(self._usage.items())

    def oom_kills(self) -> Iterable[tuple[Key, int]]:
        """Processes killed for memory inside containers that lived on, since the start."""
        return tuple(self._kills.items())

    def vitals(self) -> Mapping[str, Vitals]:
        """Each container's by its server, as of the last round."""
        return {server: sample.vitals for server, sample in self._samples.items()}

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sampler")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            with logged(_LOG, "A round of sampling the containers failed; the next goes on."):
                await self.sample()
            await self._clock.sleep(self._interval_s)

    async def sample(self) -> None:
        """One round, which replaces what was known."""
        names = {row.name for row in self._store.endpoints()}
        self._keep(names)
        servers = [
            (one.pool.plan.compute.disk_bytes, server)
            for live in self._fleet.endpoints()
            for one in live.all
            for server in one.pool.servers
        ]
        gate = asyncio.Semaphore(_AT_ONCE)
        found = await asyncio.gather(*(self._ask(server, gate) for _, server in servers))
        usage: dict[Key, VariantUsage] = defaultdict(VariantUsage)
        samples: dict[str, _Sample] = {}
        for (disk, server), now in zip(servers, found, strict=True):
            if now is not None:
                samples[server.id] = now
                key = (server.endpoint, server.variant)
                self._add(usage[key], key, now, self._samples.get(server.id), disk)
        self._usage, self._samples = dict(usage), samples
        self._kills = {key: kills for key, kills in self._kills.items() if key[0] in names}

    async def _ask(self, server: Server, gate: asyncio.Semaphore) -> _Sample | None:
        async with gate:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    vitals = await self._launcher.vitals(server)
            except Exception as error:  # noqa: BLE001 - it may have gone; others are asked all the same
                _LOG.debug("No vitals of %s: %s", server.id, error)
                return None
        return None if vitals is None else _Sample(vitals=vitals, at=self._clock.monotonic())

    def _add(
        self, usage: VariantUsage, key: Key, now: _Sample, before: _Sample | None, disk: int | None
    ) -> None:
        vitals = now.vitals
        if vitals.memory_limit_bytes > 0:
            usage.memory.append(vitals.memory_bytes / vitals.memory_limit_bytes)
        if disk and vitals.disk_bytes is not None:
            usage.disk.append(vitals.disk_bytes / disk)
        kills = vitals.oom_kills
        if before is not None:
            kills -= before.vitals.oom_kills
            if now.at > before.at:
                used = vitals.cpu_seconds - before.vitals.cpu_seconds
                usage.cpu.append(max(0.0, used) / (now.at - before.at))
        self._kills[key] = self._kills.get(key, 0) + max(0, kills)
