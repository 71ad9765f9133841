"""An emulator's asynchronous half, with containers and an S3 that are made of memory."""

import asyncio
from pathlib import Path
from typing import Any

from lab.endpoint.records import EndpointKind
from lab.endpoint.runtime.async_queue import AcceptedReply, AsyncInference
from lab.endpoint.runtime.async_worker import AsyncContext
from lab.endpoint.s3 import S3Objects
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.standins import (
    FakeFleet,
    FakeObjects,
    FakeTransport,
    Metered,
    Noted,
    add_endpoint,
    live,
    pool_of,
    until,
)

PREFIX = "X-Amzn-SageMaker-"


class World:
    """An emulator's asynchronous half, with containers and an S3 that are made of memory."""

    def __init__(self, store: SqliteStore, tmp: Path, **of_live: Any) -> None:
        self.clock = ManualClock()
        self.store = store
        self.fleet = FakeFleet()
        self.transport = FakeTransport()
        self.objects = FakeObjects()
        self.meter = Metered()
        self.settings = EmulatorSettings(state=tmp)
        add_endpoint(store, "e")
        self.live = self.fleet.add(live(**{"kind": EndpointKind.ASYNC, "at_once": 1, **of_live}))
        self.pool = pool_of(self.live)
        self.logs = Noted()
        self.queue = self.made()

    def made(self, objects: S3Objects | None = None) -> AsyncInference:
        context = AsyncContext(
            store=self.store,
            fleet=self.fleet,
            transport=self.transport,
            objects=objects or self.objects,
            meter=self.meter,
            clock=self.clock,
            settings=self.settings,
            logs=self.logs,
        )
        return AsyncInference(context)

    async def accept(self, body: bytes = b"", **headers: str) -> AcceptedReply:
        named = {PREFIX + name.replace("_", "-"): value for name, value in headers.items()}
        return await self.queue.accept("e", named, body)

    async def settled(self) -> None:
        await until(lambda: not self.store.asyncs(), clock=self.clock)
        await asyncio.sleep(0)

    def count(self, name: str) -> float:
        return self.meter.asynchronous_value(f"{name}_total")

    def reason(self, reply: AcceptedReply) -> bytes:
        """What was written to the request's failure path."""
        assert reply.failure_location is not None
        return self.objects.kept[reply.failure_location][0]
