"""The emulator as a whole: its parts put together, started and ended in the right order."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from lab.endpoint.clock import Clock, SystemClock
from lab.endpoint.control.artifacts import LOOK_S, Artifacts, FoundArtifacts
from lab.endpoint.control.operations import Control
from lab.endpoint.deploy.fleet import EndpointFleet
from lab.endpoint.deploy.versions import VersionWatch
from lab.endpoint.instances import Machine
from lab.endpoint.launch.launcher import EngineLauncher
from lab.endpoint.launching import Launcher
from lab.endpoint.live import LiveVariant
from lab.endpoint.log_files import LogFiles
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.metrics.sampler import Sampler
from lab.endpoint.plans import plans_of
from lab.endpoint.pools.serverless import ServerlessPool
from lab.endpoint.runtime.async_queue import AsyncInference
from lab.endpoint.runtime.async_worker import AsyncContext
from lab.endpoint.runtime.capture import S3Capture
from lab.endpoint.runtime.invoker import Invoker
from lab.endpoint.s3 import S3Objects
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import Transport
from lab.engine.api import Engine

STORE_FILE = "emulator.sqlite3"
LOGS_FOLDER = "logs"
_VERSIONS_EVERY = 12
"""Rounds of pings between two looks at what has changed behind the endpoints."""


@dataclass(kw_only=True)
class Emulator:
    """Its parts. ``start`` before serving, ``close`` once nothing is served any more."""

    settings: EmulatorSettings
    clock: Clock
    store: SqliteStore
    launcher: Launcher
    fleet: EndpointFleet
    control: Control
    invoker: Invoker
    asynchronous: AsyncInference
    capture: S3Capture
    transport: Transport
    sampler: Sampler
    versions: VersionWatch
    logs: LogFiles

    async def start(self) -> None:
        """Go on where an earlier life left off."""
        await self.fleet.start()
        await self.capture.start()
        await self.sampler.start()
        await self.versions.start()
        await self.asynchronous.start()

    async def close(self, *, stop_servers: bool = True) -> None:
        """End the background work; stop the model containers, or leave them to the next life.

        Each part gets its turn even when the one before failed; the first failure is raised.
        """
        steps = (
            self.asynchronous.close,
            self.invoker.close,
            self.sampler.close,
            self.versions.close,
            lambda: self.fleet.close(stop_servers=stop_servers),
            self.capture.close,
            self.launcher.close,
            self.transport.close,
        )
        failures: list[Exception] = []
        for step in steps:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
        self.store.close()
        if failures:
            raise failures[0]

    def servers(self, endpoint: str) -> Sequence[Mapping[str, Any]]:
        """The endpoint's containers that answer now, for people."""
        return [
            {
                "variant": variant.name,
                "server": server.id,
                "container": server.container,
                "generation": server.generation,
                "address": f"{server.address[0]}:{server.address[1]}",
                "in_flight": server.in_flight,
                "healthy": server.healthy,
                "suspect": server.suspect,
                "emulated": server.emulated,
                "setup_s": None if server.setup is None else server.setup.total_s,
                "phases_s": {}
                if server.setup is None
                else {phase.value: took for phase, took in server.setup.phases_s.items()},
            }
            for variant in self._variants(endpoint)
            for server in variant.pool.servers
        ]

    def pool(self, endpoint: str) -> Mapping[str, int | None]:
        """How many of its containers answer now, how many requests wait for one, what they hold.

        On a serverless endpoint each that waits has a container of its own coming. Memory is as of
        the sampler's last round.
        """
        pools = [one.pool for one in self._variants(endpoint)]
        servers = [server for pool in pools for server in pool.servers]
        vitals = self.sampler.vitals()
        known = [vitals[server.id].memory_bytes for server in servers if server.id in vitals]
        return {
            "serving": len(servers),
            "waiting": sum(one.in_flight for one in pools)
            - sum(server.in_flight for server in servers),
            "memory_bytes": sum(known) if known else None,
        }

    def give_up(self, endpoint: str) -> None:
        """Wait no longer for containers of it that are not ready: what waits for them fails."""
        self.launcher.give_up(endpoint)

    async def scale_to_zero(self, endpoint: str) -> int:
        """Stop the idle containers of a serverless endpoint, so that the next start is cold."""
        pools = [one.pool for one in self._variants(endpoint)]
        emptied = [pool.scale_to_zero() for pool in pools if isinstance(pool, ServerlessPool)]
        return sum(await asyncio.gather(*emptied))

    def _variants(self, endpoint: str) -> Sequence[LiveVariant]:
        live = self.fleet.live(endpoint)
        return () if live is None else live.all


def assemble(
    *,
    settings: EmulatorSettings,
    engine: Engine,
    transport: Transport,
    registry: CollectorRegistry,
    s3_endpoint: str | None = None,
    cold_image: str | None = None,
) -> Emulator:
    """An emulator on an engine, not yet started."""
    clock = SystemClock()
    store = SqliteStore(settings.state / STORE_FILE)
    objects = S3Objects(endpoint_url=s3_endpoint, region=settings.region)
    logs = LogFiles(settings.state / LOGS_FOLDER)
    launcher = EngineLauncher(
        engine=engine,
        objects=objects,
        settings=settings,
        owner=store.identity(),
        clock=clock,
        logs=logs,
        cold_image=cold_image,
    )
    facts = engine.facts()
    return compose(
        settings=settings,
        clock=clock,
        store=store,
        objects=objects,
        logs=logs,
        launcher=launcher,
        artifacts=FoundArtifacts(
            engine=engine,
            objects=S3Objects(endpoint_url=s3_endpoint, region=settings.region, read_s=LOOK_S),
            registry=settings.registry,
            region=settings.region,
        ),
        machine=Machine(cpus=facts.cpus, memory_bytes=facts.memory_bytes, platform=facts.platform),
        transport=transport,
        registry=registry,
    )


def compose(  # noqa: PLR0913 - all keyword-only
    *,
    settings: EmulatorSettings,
    clock: Clock,
    store: SqliteStore,
    objects: S3Objects,
    logs: LogFiles,
    launcher: Launcher,
    artifacts: Artifacts,
    machine: Machine,
    transport: Transport,
    registry: CollectorRegistry,
) -> Emulator:
    """An emulator of parts that may be others' than an engine's."""
    metrics = Counters(registry=registry)
    fleet = EndpointFleet(
        store=store,
        launcher=launcher,
        clock=clock,
        meter=metrics,
        settings=settings,
        plans=partial(plans_of, store=store, settings=settings, machine=machine),
    )
    asynchronous = AsyncInference(
        AsyncContext(
            store=store,
            fleet=fleet,
            transport=transport,
            objects=objects,
            meter=metrics,
            clock=clock,
            settings=settings,
            logs=logs,
        )
    )
    capture = S3Capture(objects=objects, clock=clock)
    sampler = Sampler(
        fleet=fleet,
        launcher=launcher,
        store=store,
        clock=clock,
        keep=metrics.keep,
        interval_s=settings.ping_interval_s,
    )
    metrics.watch(
        fleet=fleet, sampler=sampler, backlogs=asynchronous.backlogs, records=store.endpoints
    )
    return Emulator(
        settings=settings,
        clock=clock,
        store=store,
        launcher=launcher,
        fleet=fleet,
        control=Control(
            store=store,
            fleet=fleet,
            clock=clock,
            settings=settings,
            machine=machine,
            artifacts=artifacts,
            announce=asynchronous.announce,
        ),
        invoker=Invoker(
            fleet=fleet,
            store=store,
            transport=transport,
            meter=metrics,
            capture=capture,
            clock=clock,
            settings=settings,
            random=random.Random(),
            logs=logs,
        ),
        asynchronous=asynchronous,
        capture=capture,
        transport=transport,
        sampler=sampler,
        versions=VersionWatch(
            store=store,
            fleet=fleet,
            launcher=launcher,
            clock=clock,
            logs=logs,
            every_s=_VERSIONS_EVERY * settings.ping_interval_s,
        ),
        logs=logs,
    )
