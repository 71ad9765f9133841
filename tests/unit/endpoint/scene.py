"""A fleet of one endpoint and a transport that plays a script: what the invoker sees."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lab.endpoint.instances import Compute
from lab.endpoint.live import (
    Address,
    Fleet,
    Lease,
    LiveEndpoint,
    LiveVariant,
    Server,
    Setup,
    VariantPlan,
)
from lab.endpoint.records import EndpointKind, EndpointRecord, Resource, Status
from lab.endpoint.runtime.invoker import Invoker, Request
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.transport import ContainerAnswer, ContainerCall, StreamAnswer
from tests.unit.endpoint.manualclock import ManualClock

if TYPE_CHECKING:
    from lab.endpoint.store import Store

OK = ContainerAnswer(status=200, headers={"content-type": "application/json"}, body=b"{}")


def plan(name: str = "AllTraffic", kind: EndpointKind = EndpointKind.REAL_TIME) -> VariantPlan:
    return VariantPlan(
        endpoint="eye",
        name=name,
        kind=kind,
        image="image",
        model_data=None,
        compressed=True,
        env={},
        hostname=None,
        isolated=False,
        instance_type=None,
        compute=Compute(memory_bytes=None, cpus=None),
        initial_count=1,
        max_concurrency=None,
        weight=1.0,
        shadow=False,
        startup_timeout_s=480,
        download_timeout_s=480,
    )


class ScriptedPool:
    """Gives its servers in turn; ``acquire`` plays ``late``: a server, an error, or never."""

    def __init__(
        self, name: str = "AllTraffic", kind: EndpointKind = EndpointKind.REAL_TIME
    ) -> None:
        self.plan = plan(name, kind)
        self.servers: Sequence[Server] = [
            Server(
                id=f"i-{number}",
                endpoint="eye",
                variant=name,
                generation=1,
                container=f"c{number}",
                address=("127.0.0.1", 8000 + number),
                setup=None,
            )
            for number in (1, 2)
        ]
        self.now: list[Lease | Exception | None] = []
        self.late: Exception | None = None
        self.never = False
        self.setup: Setup | None = None
        self.leased = 0
        self.released = 0

    @property
    def in_flight(self) -> int:
        return self.leased - self.released

    def try_acquire(self) -> Lease | None:
        if self.now:
            played = self.now.pop(0)
            if isinstance(played, Exception):
                raise played
            return played
        return self.lease()

    async def acquire(self) -> Lease:
        if self.never:
            await asyncio.get_running_loop().create_future()
        if self.late is not None:
            raise self.late
        return self.lease()

    def lease(self) -> Lease:
        healthy = [server for server in self.servers if server.healthy] or list(self.servers)
        self.leased += 1
        released = False

        def release() -> None:
            nonlocal released
            assert not released
            released = True
            self.released += 1

        return Lease(server=healthy[0], setup=self.setup, release=release)


class ScriptedTransport:
    """Answers each call from the script; the last entry goes on for ever."""

    def __init__(self, *script: ContainerAnswer | BaseException) -> None:
        self.script = list(script) or [OK]
        self.calls: list[tuple[Address, ContainerCall, float]] = []
        self.parts: Sequence[bytes | BaseException] = ()
        self.closed = 0

    def _play(self, address: Address, call: ContainerCall, timeout_s: float) -> ContainerAnswer:
        self.calls.append((address, call, timeout_s))
        played = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(played, BaseException):
            raise played
        return played

    async def invoke(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> ContainerAnswer:
        return self._play(address, call, timeout_s)

    async def stream(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> StreamAnswer:
        answer = self._play(address, call, timeout_s)

        async def close() -> None:
            self.closed += 1

        return StreamAnswer(
            status=answer.status, headers=answer.headers, parts=self._parts(answer), close=close
        )

    async def _parts(self, answer: ContainerAnswer) -> AsyncIterator[bytes]:
        for part in self.parts or [answer.body]:
            if isinstance(part, BaseException):
                raise part
            yield part

    async def close(self) -> None: ...


class Counted:
    """A meter and a capture that remember."""

    def __init__(self) -> None:
        self.invocations: list[dict[str, Any]] = []
        self.throttles: list[tuple[str, str]] = []
        self.captured: list[dict[str, Any]] = []

    def invocation(self, endpoint: str, variant: str, **more: Any) -> None:
        self.invocations.append({"endpoint": endpoint, "variant": variant, **more})

    def throttled(self, endpoint: str, variant: str) -> None:
        self.throttles.append((endpoint, variant))

    def record(self, endpoint: LiveEndpoint, variant: str, **more: Any) -> None:
        self.captured.append({"endpoint": endpoint.name, "variant": variant, **more})


class Scene:
    """One endpoint, ``eye``."""

    def __init__(
        self,
        *script: ContainerAnswer | BaseException,
        kind: EndpointKind = EndpointKind.REAL_TIME,
        capture: Mapping[str, Any] | None = None,
    ) -> None:
        self.pool = ScriptedPool(kind=kind)
        self.transport = ScriptedTransport(*script)
        self.counted = Counted()
        self.clock = ManualClock()
        self.settings = EmulatorSettings(state=Path("/nonexistent"))
        self.live: LiveEndpoint | None = LiveEndpoint(
            name="eye",
            kind=kind,
            generation=1,
            variants=[LiveVariant(name="AllTraffic", pool=self.pool, weight=1.0)],
            capture=capture,
        )
        self.record: EndpointRecord | None = None
        self.config: dict[str, Any] = {}
        self.invoker = Invoker(
            fleet=cast("Fleet", _Live(self)),
            store=cast("Store", _Rows(self)),
            transport=self.transport,
            meter=cast("Any", self.counted),
            capture=self.counted,
            clock=self.clock,
            settings=self.settings,
            random=random.Random(3),
        )

    def creating(self, *, serverless: bool) -> None:
        """The endpoint is in the store and takes no requests yet."""
        self.live = None
        variant: dict[str, Any] = {"ServerlessConfig": {}} if serverless else {}
        self.record = EndpointRecord(
            name="eye",
            arn="arn",
            created_at=0,
            modified_at=0,
            status=Status.CREATING,
            config_name="c",
            origins={"c": {"config": {"body": {"ProductionVariants": [variant]}}}},
        )


class _Live:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def live(self, name: str) -> LiveEndpoint | None:
        live = self._scene.live
        return live if live is not None and live.name == name else None


class _Rows:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def endpoint(self, name: str) -> EndpointRecord | None:
        return self._scene.record

    def config(self, name: str) -> Resource:
        return Resource(name=name, arn="arn", created_at=0, body=self._scene.config)


def request(body: bytes = b"body", *, endpoint: str = "eye", **headers: Any) -> Request:
    """Header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(id="r-1", endpoint=endpoint, headers=named, body=body, received=0.0)


def run(make: Callable[[], Any]) -> Any:
    return asyncio.run(make())
