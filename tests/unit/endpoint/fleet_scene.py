"""A fleet without an engine, its store on disk, and time that only tests wind on."""

import asyncio
import contextlib
import itertools
import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.endpoint.deploy.fleet import EndpointFleet
from lab.endpoint.live import LaunchFailed, Lease, LiveVariant, VariantPlan
from lab.endpoint.pools.base import PoolContext
from lab.endpoint.pools.provisioner import Provisioner
from lab.endpoint.pools.realtime import RealTimePool
from lab.endpoint.pools.serverless import ServerlessPool
from lab.endpoint.records import (
    EndpointKind,
    EndpointRecord,
    Origin,
    Resource,
    ServerRecord,
    Status,
    VariantState,
)
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint import standins
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.scripted import ScriptedLauncher
from tests.unit.endpoint.standins import Metered, add_endpoint

SETTINGS = EmulatorSettings(state=Path("/nowhere"), idle_s=600.0, ping_interval_s=5.0)


def plan(name: str = "AllTraffic", **changes: Any) -> VariantPlan:
    shop = {"endpoint": "shop", "image": "model:1", "instance_type": "ml.m5.large"}
    return standins.plan(name=name, **{**shop, **changes})


def serverless(limit: int = 2, *, provisioned: int = 0, **changes: Any) -> VariantPlan:
    return plan(
        kind=EndpointKind.SERVERLESS, max_concurrency=limit, initial_count=provisioned, **changes
    )


class WatchedStore(SqliteStore):
    """Calls ``on_write`` after every change of a server or an endpoint: to look at each instant."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.on_write: Callable[[], None] = lambda: None

    def after_kill(self, path: Path) -> "WatchedStore":
        """As it is on disk now, for another life."""
        with (
            contextlib.closing(sqlite3.connect(self.path)) as now,
            contextlib.closing(sqlite3.connect(path)) as copy,
        ):
            now.backup(copy)
        return WatchedStore(path)

    def change_endpoint(
        self, name: str, change: Callable[[EndpointRecord], EndpointRecord | None]
    ) -> EndpointRecord | None:
        row = super().change_endpoint(name, change)
        self.on_write()
        return row

    def delete_endpoint(self, name: str) -> bool:
        deleted = super().delete_endpoint(name)
        self.on_write()
        return deleted

    def add_server(self, row: ServerRecord) -> None:
        super().add_server(row)
        self.on_write()

    def delete_server(self, server_id: str) -> None:
        super().delete_server(server_id)
        self.on_write()


_numbers = itertools.count(1)


class PoolScene:
    """One pool and what is around it."""

    def __init__(self, store: SqliteStore, settings: EmulatorSettings = SETTINGS) -> None:
        self.clock = ManualClock()
        self.store = store
        self.meter = Metered()
        self.launcher = ScriptedLauncher(self.clock)
        self._pools: list[RealTimePool | ServerlessPool] = []
        self.context = PoolContext(
            provisioner=Provisioner(
                store=self.store, launcher=self.launcher, clock=self.clock, meter=self.meter
            ),
            launcher=self.launcher,
            clock=self.clock,
            settings=settings,
        )

    def real_time(self, count: int = 1, **changes: Any) -> RealTimePool:
        pool = RealTimePool(
            plan(initial_count=count, **changes),
            generation=1,
            context=self.context,
            rng=random.Random(7),
        )
        self._pools.append(pool)
        return pool

    async def started(self, pool: Any) -> Any:
        starting = asyncio.ensure_future(pool.start())
        await self.clock.advance(self.launcher.launch_s)
        await starting
        return pool

    def serverless(self, limit: int = 2, *, provisioned: int = 0) -> ServerlessPool:
        pool = ServerlessPool(
            serverless(limit, provisioned=provisioned), generation=1, context=self.context
        )
        self._pools.append(pool)
        return pool

    async def close(self) -> None:
        for pool in self._pools:
            await pool.close(stop_servers=True)

    def counted(self, name: str) -> float:
        return self.meter.value(name, "shop", "AllTraffic")

    @property
    def losses(self) -> tuple[int, int]:
        """Servers that were replaced, and how many of these were killed for their memory."""
        replaced = self.counted("container_replacements_total")
        return int(replaced), int(self.counted("container_oom_kills_total"))

    async def emptied(self, limit: int = 2) -> ServerlessPool:
        """A serverless pool at zero, as after a quiet night."""
        pool: ServerlessPool = await self.started(self.serverless(limit))
        await pool.scale_to_zero()
        return pool


class FleetScene:
    """A fleet, the store it reads, and the hands of a control plane."""

    def __init__(self, folder: Path, *, before: "FleetScene | None" = None) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.plans: dict[str, Sequence[VariantPlan] | Exception] = {}
        self._lives: list[FleetScene] = []
        path = folder / f"state-{next(_numbers)}.sqlite3"
        if before is None:
            self.store = WatchedStore(path)
            self.launcher = ScriptedLauncher(self.clock)
        else:
            self.store = before.store.after_kill(path)
            self.launcher = before.launcher.after_kill(self.clock)
            self.plans = before.plans
        self.fleet = EndpointFleet(
            store=self.store,
            launcher=self.launcher,
            clock=self.clock,
            meter=Metered(),
            settings=SETTINGS,
            plans=self._plans,
            rng=random.Random(7),
        )

    def next_life(self) -> "FleetScene":
        """The emulator after a kill at this instant."""
        life = FleetScene(self.folder, before=self)
        self._lives.append(life)
        return life

    async def close(self) -> None:
        for life in self._lives:
            await life.close()
        await self.fleet.close(stop_servers=True)
        self.store.close()

    def _plans(
        self, record: EndpointRecord, config_name: str
    ) -> tuple[Resource, Sequence[VariantPlan]]:
        config = self.store.resource("config", config_name)
        plans = self.plans.get(config_name, LaunchFailed("it was deleted"))
        if isinstance(plans, Exception):
            raise plans
        assert config is not None
        known = record.origins.get(config_name)
        pins = {} if known is None else known.pins
        return config, [replace(one, endpoint=record.name, pin=pins.get(one.name)) for one in plans]

    def config(self, name: str, *plans: VariantPlan, **body: Any) -> str:
        self.plans[name] = plans
        self.store.put(
            "config", Resource(name=name, arn=f"arn:config/{name}", created_at=0.0, body=body)
        )
        return name

    def _origin(self, config: str) -> dict[str, Origin]:
        found = self.store.resource("config", config)
        return {} if found is None else {config: Origin(config=found, models={}, tags={})}

    def create(self, name: str, config: str, **changes: Any) -> None:
        made = {"config_name": config, "origins": self._origin(config), **changes}
        add_endpoint(self.store, name, status=Status.CREATING, **made)
        self.fleet.reconcile(name)

    def change(self, name: str, **changes: Any) -> None:
        self.store.change_endpoint(name, lambda row: replace(row, **changes))
        self.fleet.reconcile(name)

    def update(self, name: str, config: str, **changes: Any) -> None:
        origins = {**self.record(name).origins, **self._origin(config)}
        self.change(name, status=Status.UPDATING, pending_config=config, origins=origins, **changes)

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
        return next(one for one in live.all if one.name == variant)

    def lease(self, name: str, variant: str = "AllTraffic") -> Lease:
        lease = self.variant(name, variant).pool.try_acquire()
        assert lease is not None
        return lease

    def consistent(self) -> None:
        """Containers and their traces are the same."""
        assert {row.id for row in self.store.servers()} == set(self.launcher.containers)
