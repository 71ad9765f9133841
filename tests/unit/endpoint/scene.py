"""An invoker with one endpoint, whose containers play a script."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.endpoint.records import EndpointKind, Origin, Resource, Status
from lab.endpoint.runtime.capture import S3Capture
from lab.endpoint.runtime.exchange import Request
from lab.endpoint.runtime.invoker import Invoker
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import ContainerAnswer
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.standins import (
    FakeFleet,
    FakeObjects,
    FakeTransport,
    Metered,
    Noted,
    add_endpoint,
    live,
    played,
    pool_of,
    server,
)


class Scene:
    """One endpoint, ``eye``, of one variant, ``v``, with two servers."""

    def __init__(
        self,
        store: SqliteStore,
        *script: ContainerAnswer | BaseException,
        kind: EndpointKind = EndpointKind.REAL_TIME,
        capture: Mapping[str, Any] | None = None,
    ) -> None:
        self.store = store
        self.transport = FakeTransport(answer=played(*script))
        self.meter = Metered()
        self.clock = ManualClock()
        self.objects = FakeObjects()
        self.logs = Noted()
        self.capture = S3Capture(objects=self.objects, clock=self.clock)
        self.fleet = FakeFleet()
        servers = [server(f"i-{number}", endpoint="eye") for number in (1, 2)]
        for number, one in enumerate(servers, start=1):
            one.address = ("127.0.0.1", 8000 + number)
        self.live = self.fleet.add(live("eye", kind=kind, capture=capture, servers=servers))
        self.pool = pool_of(self.live)
        self.invoker = Invoker(
            fleet=self.fleet,
            store=store,
            transport=self.transport,
            meter=self.meter,
            capture=self.capture,
            clock=self.clock,
            settings=EmulatorSettings(state=Path("/nonexistent")),
            random=random.Random(3),
            logs=self.logs,
        )

    def creating(self, *, serverless: bool) -> None:
        """The endpoint is in the store and takes no requests yet."""
        self.fleet.lives.clear()
        variant: dict[str, Any] = (
            {"ServerlessConfig": {"MemorySizeInMB": 1024}} if serverless else {}
        )
        config = Resource(
            name="c", arn="arn", created_at=0.0, body={"ProductionVariants": [variant]}
        )
        add_endpoint(
            self.store,
            "eye",
            status=Status.CREATING,
            config_name="c",
            origins={"c": Origin(config=config, models={}, tags={})},
        )

    def counted(self, name: str, variant: str = "v") -> float:
        return self.meter.value(name, "eye", variant)


def request(body: bytes = b"body", *, endpoint: str = "eye", **headers: Any) -> Request:
    """Header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(id="r-1", endpoint=endpoint, headers=named, body=body, received=0.0)
