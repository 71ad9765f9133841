"""Whatever happens in whatever order, the pools keep their word."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lab.endpoint.live import LaunchFailed, Lease, NotReady, Throttled
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.fleet_scene import SETTINGS, PoolScene

pytestmark = pytest.mark.anyio

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.integers(1, 4)),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("break"), st.integers(0, 9)),
        st.tuples(st.just("suspect"), st.integers(0, 9)),
        st.tuples(st.just("sicken"), st.integers(0, 9)),
        st.tuples(st.just("refuse"), st.integers(1, 3)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 5, 30, 700])),
        st.tuples(st.just("zero"), st.just(0)),
        st.tuples(st.just("resize"), st.integers(0, 4)),
    ),
    max_size=30,
)


class _Run:
    """Takes a pool through the steps, checking after each."""

    def __init__(self, scene: PoolScene, pool: Any, limit: int | None) -> None:
        self.scene = scene
        self.pool = pool
        self.limit = limit
        self.most = limit or 0
        """The highest limit that requests under way were let in by."""
        self.waiting: list[asyncio.Future[Lease]] = []
        self.held: list[Lease] = []
        self.resizing: asyncio.Future[None] | None = None

    async def step(self, what: str, value: int) -> None:  # noqa: C901 - a step a line
        scene, pool = self.scene, self.pool
        alive = scene.launcher.running
        match what:
            case "request":
                for _ in range(value):
                    self.waiting.append(asyncio.ensure_future(self._request()))
            case "release" if self.held:
                self.held.pop(value % len(self.held)).release()
            case "cancel" if self.waiting:
                self.waiting[value % len(self.waiting)].cancel()
            case "break" if alive:
                scene.launcher.kill(alive[value % len(alive)].id)
            case "sicken" if alive:
                scene.launcher.sicken(alive[value % len(alive)].id)
            case "suspect" if pool.servers:
                pool.servers[value % len(pool.servers)].healthy = False
            case "refuse":
                scene.launcher.refuse("AllTraffic", "on order", times=value)
            case "wait":
                await scene.clock.advance(value)
            case "zero" if self.limit is not None:
                await pool.scale_to_zero()
            case "resize" if not self.resizing or self.resizing.done():
                self.resizing = asyncio.ensure_future(self._resize(value))
        await self.settle()
        self.check()

    async def _request(self) -> Lease:
        lease: Lease = self.pool.try_acquire() or await self.pool.acquire()
        return lease

    async def _resize(self, count: int) -> None:
        try:
            if self.limit is None:
                await self.pool.resize(count)
            else:
                await self.pool.resize(limit=max(1, count), provisioned=count // 2)
        except LaunchFailed:
            return

    async def settle(self) -> None:
        await self.scene.clock.advance(0)
        for one in [one for one in self.waiting if one.done()]:
            self.waiting.remove(one)
            if one.cancelled():
                continue
            error = one.exception()
            assert error is None or isinstance(error, Throttled | NotReady | LaunchFailed)
            if error is None:
                lease = one.result()
                assert lease.server.id not in self.scene.launcher.stopped
                self.held.append(lease)

    def check(self) -> None:
        pool, scene = self.pool, self.scene
        assert pool.in_flight == len(self.held) + len(self.waiting)
        for server in pool.servers:
            held = sum(lease.server is server for lease in self.held)
            assert server.in_flight == held
            if self.limit is not None:
                assert held <= 1
        stopped = set(scene.launcher.stopped)
        assert not stopped & {server.id for server in pool.servers}
        assert {row.id for row in scene.store.servers()} == set(scene.launcher.containers)
        if self.limit is not None:
            self.limit = pool._limit
            self.most = max(self.most, self.limit) if self.held or self.waiting else self.limit
            assert pool.in_flight <= self.most
            assert len(pool.servers) + len(pool._coming) <= self.most

    async def end(self) -> None:
        while self.held:
            self.held.pop().release()
        for one in self.waiting:
            one.cancel()
        await self.settle()
        assert pool_is_quiet(self.pool)
        if self.resizing is not None:
            self.resizing.cancel()
            await asyncio.wait({self.resizing})
        await self.pool.close(stop_servers=True)
        assert not self.scene.launcher.containers
        assert not self.scene.store.servers()
        assert len(self.scene.launcher.stopped) == len(set(self.scene.launcher.stopped))


@contextlib.contextmanager
def opened_scene(settings: EmulatorSettings = SETTINGS) -> Iterator[PoolScene]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "state.sqlite3")
        try:
            yield PoolScene(store, settings)
        finally:
            store.close()


def pool_is_quiet(pool: Any) -> bool:
    return pool.in_flight == 0 and all(server.in_flight == 0 for server in pool.servers)


@settings(suppress_health_check=list(HealthCheck))
@given(steps=_STEPS, limit=st.integers(1, 3), provisioned=st.integers(0, 2))
@example(
    # Launches that nobody waits for any more when the limit is lowered ...
    steps=[
        ("zero", 0),
        ("request", 1),
        ("request", 1),
        ("cancel", 0),
        ("cancel", 0),
        ("resize", 1),
    ],
    limit=2,
    provisioned=0,
)
@example(
    # ... and that nobody waits for once it is.
    steps=[("zero", 0), ("request", 2), ("resize", 1), ("cancel", 0), ("cancel", 0)],
    limit=2,
    provisioned=0,
)
async def test_a_serverless_pool_keeps_its_word(
    steps: list[tuple[str, int]], limit: int, provisioned: int
) -> None:
    with opened_scene(replace(SETTINGS, idle_s=60.0)) as scene:
        pool = await scene.started(scene.serverless(limit, provisioned=min(limit, provisioned)))
        taken = _Run(scene, pool, limit)
        for step in steps:
            await taken.step(*step)
        await taken.end()


@settings(suppress_health_check=list(HealthCheck))
@given(steps=_STEPS, count=st.integers(0, 3))
async def test_a_real_time_pool_keeps_its_word(steps: list[tuple[str, int]], count: int) -> None:
    with opened_scene() as scene:
        pool = await scene.started(scene.real_time(count))
        taken = _Run(scene, pool, None)
        for step in steps:
            await taken.step(*step)
        if taken.resizing is not None:
            await scene.clock.advance(1)
            assert taken.resizing.done()
        # What was lost comes back, and not more of it.
        scene.launcher._refusals.clear()
        await scene.clock.advance(200)
        await taken.settle()
        assert len(pool.servers) == pool.wanted
        await taken.end()
