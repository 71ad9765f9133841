"""A fleet without an engine, a store without a disk, and time that only tests wind on."""

import asyncio
import copy
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.endpoint.deploy.fleet import EndpointFleet
from lab.endpoint.instances import Compute
from lab.endpoint.live import LaunchFailed, Lease, LiveVariant, Setup, VariantPlan
from lab.endpoint.pools.base import PoolContext
from lab.endpoint.pools.provisioner import Provisioner
from lab.endpoint.pools.realtime import RealTimePool
from lab.endpoint.pools.serverless import ServerlessPool
from lab.endpoint.records import (
    AsyncRecord,
    EndpointKind,
    EndpointRecord,
    Resource,
    ServerRecord,
    Status,
    VariantState,
)
from lab.endpoint.settings import EmulatorSettings
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.scripted import ScriptedLauncher

SETTINGS = EmulatorSettings(state=Path("/nowhere"), idle_s=600.0, ping_interval_s=5.0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def plan(name: str = "AllTraffic", **changes: Any) -> VariantPlan:
    standard = VariantPlan(
        endpoint="shop",
        name=name,
        kind=EndpointKind.REAL_TIME,
        image="model:1",
        model_data=None,
        compressed=True,
        env={},
        hostname=None,
        isolated=False,
        instance_type="ml.m5.large",
        compute=Compute(memory_bytes=None, cpus=None),
        initial_count=1,
        max_concurrency=None,
        weight=1.0,
        shadow=False,
        startup_timeout_s=480.0,
        download_timeout_s=480.0,
    )
    return replace(standard, **changes)


def serverless(limit: int = 2, *, provisioned: int = 0, **changes: Any) -> VariantPlan:
    return plan(
        kind=EndpointKind.SERVERLESS, max_concurrency=limit, initial_count=provisioned, **changes
    )


class CountingMeter:
    def __init__(self) -> None:
        self.starts = 0
        self.failures = 0
        self.losses: list[bool] = []

    def invocation(self, endpoint: str, variant: str, **measured: Any) -> None: ...

    def throttled(self, endpoint: str, variant: str) -> None: ...

    def started(self, endpoint: str, variant: str, setup: Setup) -> None:
        self.starts += 1

    def start_failed(self, endpoint: str, variant: str) -> None:
        self.failures += 1

    def replaced(self, endpoint: str, variant: str, *, oom_killed: bool) -> None:
        self.losses.append(oom_killed)

    def asynchronous(self, endpoint: str, event: str, seconds: float | None = None) -> None: ...


class MemoryStore:
    """A ``Store`` of dictionaries."""

    def __init__(self) -> None:
        self._models: dict[str, Resource] = {}
        self._configs: dict[str, Resource] = {}
        self._endpoints: dict[str, EndpointRecord] = {}
        self._tags: dict[str, Mapping[str, str]] = {}
        self._servers: dict[str, ServerRecord] = {}
        self._asyncs: dict[str, AsyncRecord] = {}
        self.on_write: Callable[[], None] = lambda: None
        """Called after every change of a server or an endpoint: to look at each instant."""

    def after_kill(self) -> "MemoryStore":
        """As it is on disk now, for another life."""
        other = MemoryStore()
        for name in ("_models", "_configs", "_endpoints", "_tags", "_servers", "_asyncs"):
            setattr(other, name, copy.copy(getattr(self, name)))
        return other

    def put_model(self, row: Resource) -> bool:
        return self._models.setdefault(row.name, row) is row

    def model(self, name: str) -> Resource | None:
        return self._models.get(name)

    def models(self) -> Sequence[Resource]:
        return list(self._models.values())

    def delete_model(self, name: str) -> bool:
        return self._models.pop(name, None) is not None

    def put_config(self, row: Resource) -> bool:
        return self._configs.setdefault(row.name, row) is row

    def config(self, name: str) -> Resource | None:
        return self._configs.get(name)

    def configs(self) -> Sequence[Resource]:
        return list(self._configs.values())

    def delete_config(self, name: str) -> bool:
        return self._configs.pop(name, None) is not None

    def add_endpoint(self, row: EndpointRecord) -> bool:
        return self._endpoints.setdefault(row.name, row) is row

    def endpoint(self, name: str) -> EndpointRecord | None:
        return self._endpoints.get(name)

    def endpoints(self) -> Sequence[EndpointRecord]:
        return list(self._endpoints.values())

    def change_endpoint(
        self, name: str, change: Callable[[EndpointRecord], EndpointRecord | None]
    ) -> EndpointRecord | None:
        row = self._endpoints.get(name)
        if row is None:
            return None
        changed = change(row)
        if changed is not None:
            self._endpoints[name] = changed
            self.on_write()
        return self._endpoints[name]

    def delete_endpoint(self, name: str) -> bool:
        row = self._endpoints.pop(name, None)
        if row is not None:
            self._tags.pop(row.arn, None)
        self.on_write()
        return row is not None

    def tags(self, arn: str) -> Mapping[str, str]:
        return self._tags.get(arn, {})

    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        self._tags[arn] = tags

    def add_server(self, row: ServerRecord) -> None:
        self._servers[row.id] = row
        self.on_write()

    def servers(self) -> Sequence[ServerRecord]:
        return list(self._servers.values())

    def delete_server(self, server_id: str) -> None:
        self._servers.pop(server_id, None)
        self.on_write()

    def add_async(self, row: AsyncRecord) -> None:
        self._asyncs[row.id] = row

    def asyncs(self) -> Sequence[AsyncRecord]:
        return list(self._asyncs.values())

    def delete_async(self, record_id: str) -> None:
        self._asyncs.pop(record_id, None)

    def identity(self) -> str:
        return "lab-of-tests"

    def close(self) -> None: ...


class PoolScene:
    """One pool and what is around it."""

    def __init__(self, settings: EmulatorSettings = SETTINGS, *, launch_s: float = 1.0) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.meter = CountingMeter()
        self.launcher = ScriptedLauncher(self.clock, launch_s=launch_s)
        self.means = PoolContext(
            provisioner=Provisioner(
                store=self.store, launcher=self.launcher, clock=self.clock, meter=self.meter
            ),
            launcher=self.launcher,
            clock=self.clock,
            settings=settings,
        )

    def real_time(self, count: int = 1, **changes: Any) -> RealTimePool:
        return RealTimePool(
            plan(initial_count=count, **changes),
            generation=1,
            means=self.means,
            rng=random.Random(7),
        )

    async def started(self, pool: Any) -> Any:
        starting = asyncio.ensure_future(pool.start())
        await self.clock.advance(self.launcher.launch_s)
        await starting
        return pool

    def serverless(self, limit: int = 2, *, provisioned: int = 0) -> ServerlessPool:
        return ServerlessPool(
            serverless(limit, provisioned=provisioned), generation=1, means=self.means
        )

    async def emptied(self, limit: int = 2) -> ServerlessPool:
        """A serverless pool at zero, as after a quiet night."""
        pool: ServerlessPool = await self.started(self.serverless(limit))
        await pool.scale_to_zero()
        return pool


class FleetScene:
    """A fleet, the store it reads, and the hands of a control plane."""

    def __init__(self, before: "FleetScene | None" = None) -> None:
        self.clock = ManualClock()
        self.meter = CountingMeter()
        self.plans: dict[str, Sequence[VariantPlan] | Exception] = {}
        if before is None:
            self.store = MemoryStore()
            self.launcher = ScriptedLauncher(self.clock)
        else:
            self.store = before.store.after_kill()
            self.launcher = before.launcher.after_kill(self.clock)
            self.plans = before.plans
        self.fleet = EndpointFleet(
            store=self.store,
            launcher=self.launcher,
            clock=self.clock,
            meter=self.meter,
            settings=SETTINGS,
            plans=self._plans,
            rng=random.Random(7),
        )

    def _plans(
        self, record: EndpointRecord, config_name: str
    ) -> tuple[Resource, Sequence[VariantPlan]]:
        config = self.store.config(config_name)
        plans = self.plans.get(config_name, LaunchFailed("it was deleted"))
        if isinstance(plans, Exception):
            raise plans
        assert config is not None
        return config, [replace(one, endpoint=record.name) for one in plans]

    def config(self, name: str, *plans: VariantPlan, **body: Any) -> str:
        self.plans[name] = plans
        self.store.put_config(
            Resource(name=name, arn=f"arn:config/{name}", created_at=0.0, body=body)
        )
        return name

    def create(self, name: str, config: str, **changes: Any) -> None:
        row = EndpointRecord(
            name=name,
            arn=f"arn:endpoint/{name}",
            created_at=self.clock.time(),
            modified_at=self.clock.time(),
            status=Status.CREATING,
            config_name=config,
        )
        self.store.add_endpoint(replace(row, **changes))
        self.fleet.reconcile(name)

    def change(self, name: str, **changes: Any) -> None:
        self.store.change_endpoint(name, lambda row: replace(row, **changes))
        self.fleet.reconcile(name)

    def update(self, name: str, config: str, **changes: Any) -> None:
        self.change(name, status=Status.UPDATING, pending_config=config, **changes)

    def scale_serverless(self, name: str, *, limit: int, provisioned: int) -> None:
        state = self.record(name).variants["AllTraffic"]
        wanted = replace(state, max_concurrency=limit, provisioned_concurrency=provisioned)
        self.change(name, status=Status.UPDATING, pending={state.name: wanted})

    def scale(self, name: str, **wanted: tuple[float, int]) -> None:
        states = {
            variant: VariantState(name=variant, weight=weight, count=count)
            for variant, (weight, count) in wanted.items()
        }
        self.change(name, status=Status.UPDATING, pending=states)

    def delete(self, name: str) -> None:
        self.change(name, status=Status.DELETING)

    async def created(self, name: str, config: str) -> None:
        self.create(name, config)
        await self.clock.advance(self.launcher.launch_s)
        assert self.record(name).status is Status.IN_SERVICE

    def record(self, name: str) -> EndpointRecord:
        row = self.store.endpoint(name)
        assert row is not None
        return row

    def variant(self, name: str, variant: str = "AllTraffic") -> LiveVariant:
        live = self.fleet.live(name)
        assert live is not None
        return next(one for one in (*live.variants, *live.shadows) if one.name == variant)

    def lease(self, name: str, variant: str = "AllTraffic") -> Lease:
        lease = self.variant(name, variant).pool.try_acquire()
        assert lease is not None
        return lease

    def consistent(self) -> None:
        """Containers and their traces are the same."""
        assert {row.id for row in self.store.servers()} == set(self.launcher.containers)
