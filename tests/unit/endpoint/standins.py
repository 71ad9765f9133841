"""A store, a fleet, containers and an S3 that are nothing but memory."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from lab.endpoint.instances import Compute
from lab.endpoint.live import (
    Address,
    Fleet,
    Lease,
    LiveEndpoint,
    LiveVariant,
    Pool,
    Server,
    Setup,
    VariantPlan,
    Vitals,
)
from lab.endpoint.records import AsyncRecord, EndpointKind, EndpointRecord, Resource, Status
from lab.endpoint.s3 import ObjectError
from lab.endpoint.store import Store
from lab.endpoint.transport import ContainerAnswer, ContainerCall, Transport, TransportError
from lab.spec import Phase
from tests.unit.endpoint.manualclock import ManualClock

OUTPUT = {"S3OutputPath": "s3://box/out/", "S3FailurePath": "s3://box/failures"}


def plan(
    *,
    endpoint: str = "e",
    name: str = "v",
    kind: EndpointKind = EndpointKind.REAL_TIME,
    **over: Any,
) -> VariantPlan:
    given: dict[str, Any] = {
        "endpoint": endpoint,
        "name": name,
        "kind": kind,
        "image": "image",
        "model_data": None,
        "compressed": True,
        "env": {},
        "hostname": None,
        "isolated": False,
        "instance_type": None,
        "compute": Compute(memory_bytes=None, cpus=None),
        "initial_count": 1,
        "max_concurrency": None,
        "weight": 1.0,
        "shadow": False,
        "startup_timeout_s": 60.0,
        "download_timeout_s": 60.0,
    }
    return VariantPlan(**{**given, **over})


def setup(total_s: float = 2.0) -> Setup:
    return Setup(total_s=total_s, phases_s={Phase.CREATE: 0.5, Phase.BOOT: total_s - 0.5})


def server(name: str = "s1", *, endpoint: str = "e", variant: str = "v") -> Server:
    return Server(
        id=name,
        endpoint=endpoint,
        variant=variant,
        generation=1,
        container=name,
        address=("10.0.0.1", 8080),
        setup=None,
    )


@dataclass(kw_only=True)
class FakePool:
    """Hands out its least busy server, whatever that one has in hand."""

    plan: VariantPlan
    servers: list[Server]

    @property
    def in_flight(self) -> int:
        return sum(one.in_flight for one in self.servers)

    def try_acquire(self) -> Lease | None:
        ready = [one for one in self.servers if one.healthy]
        if not ready:
            return None
        chosen = min(ready, key=lambda one: one.in_flight)
        chosen.in_flight += 1

        def release() -> None:
            chosen.in_flight -= 1

        return Lease(server=chosen, setup=None, release=release)

    async def acquire(self) -> Lease:
        raise NotImplementedError


@dataclass(kw_only=True)
class FakeFleet:
    lives: dict[str, LiveEndpoint] = field(default_factory=dict)

    def live(self, endpoint: str) -> LiveEndpoint | None:
        return self.lives.get(endpoint)

    def endpoints(self) -> Sequence[LiveEndpoint]:
        return tuple(self.lives.values())

    def add(self, live: LiveEndpoint) -> LiveEndpoint:
        self.lives[live.name] = live
        return live

    @property
    def as_fleet(self) -> Fleet:
        return cast("Fleet", self)


def live(
    name: str = "e",
    *,
    kind: EndpointKind = EndpointKind.REAL_TIME,
    servers: Sequence[Server] | None = None,
    capture: Mapping[str, Any] | None = None,
    at_once: int | None = None,
    output: Mapping[str, Any] | None = None,
    **of_plan: Any,
) -> LiveEndpoint:
    """An endpoint with one variant, ``v``."""
    pool = FakePool(
        plan=plan(endpoint=name, kind=kind, **of_plan),
        servers=list(servers) if servers is not None else [server(endpoint=name)],
    )
    asynchronous: dict[str, Any] | None = None
    if kind is EndpointKind.ASYNC:
        asynchronous = {"OutputConfig": OUTPUT if output is None else output}
        if at_once:
            asynchronous["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": at_once}
    return LiveEndpoint(
        name=name,
        kind=kind,
        generation=1,
        variants=[LiveVariant(name="v", pool=cast("Pool", pool), weight=1.0)],
        capture=capture,
        asynchronous=asynchronous,
    )


@dataclass(kw_only=True)
class FakeStore:
    rows: dict[str, AsyncRecord] = field(default_factory=dict)
    lives: dict[str, EndpointRecord] = field(default_factory=dict)
    made: dict[str, Resource] = field(default_factory=dict)

    def add_endpoint_named(self, name: str, *, created_at: float = 0.0) -> None:
        self.lives[name] = EndpointRecord(
            name=name,
            arn=f"arn:{name}",
            created_at=created_at,
            modified_at=created_at,
            status=Status.IN_SERVICE,
            config_name=f"{name}-config",
        )

    def add_async(self, row: AsyncRecord) -> None:
        self.rows[row.id] = row

    def asyncs(self) -> Sequence[AsyncRecord]:
        return tuple(self.rows.values())

    def delete_async(self, record_id: str) -> None:
        self.rows.pop(record_id, None)

    def endpoint(self, name: str) -> EndpointRecord | None:
        return self.lives.get(name)

    def endpoints(self) -> Sequence[EndpointRecord]:
        return tuple(self.lives.values())

    def config(self, name: str) -> Resource | None:
        return self.made.get(name)

    @property
    def as_store(self) -> Store:
        return cast("Store", self)


@dataclass(kw_only=True)
class FakeObjects:
    """S3 in memory; ``refuse`` may raise before anything is written or read."""

    kept: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    refuse: Callable[[str, str], None] = lambda verb, uri: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, uri: str) -> tuple[bytes, str]:
        self.refuse("read", uri)
        with self.lock:
            if uri not in self.kept:
                raise ObjectError("NoSuchKey", f"Reading {uri}: no such key.")
            return self.kept[uri]

    def size(self, uri: str) -> int:
        return len(self.read(uri)[0])

    def write(self, uri: str, data: bytes, *, content_type: str = "") -> None:
        self.refuse("write", uri)
        with self.lock:
            self.kept[uri] = (data, content_type)

    def download(self, uri: str, into: Path) -> str:
        raise NotImplementedError

    def download_prefix(self, uri: str, into: Path) -> None:
        raise NotImplementedError

    @contextmanager
    def open(self, uri: str) -> Iterator[Iterator[bytes]]:
        yield iter((self.read(uri)[0],))


@dataclass(kw_only=True)
class FakeTransport:
    """Containers that answer as ``answer`` says; what they got is in ``calls``."""

    answer: Callable[[ContainerCall, float], Any] = lambda call, timeout_s: None
    calls: list[ContainerCall] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    busy: int = 0
    most: int = 0

    async def invoke(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> ContainerAnswer:
        self.calls.append(call)
        self.timeouts.append(timeout_s)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            answer = self.answer(call, timeout_s)
            if hasattr(answer, "__await__"):
                answer = await answer
        finally:
            self.busy -= 1
        if isinstance(answer, ContainerAnswer):
            return answer
        return ContainerAnswer(
            status=200, headers={"content-type": "text/plain"}, body=b"<" + call.body + b">"
        )

    @property
    def as_transport(self) -> Transport:
        return cast("Transport", self)


def dies(call: ContainerCall, timeout_s: float) -> Any:
    raise TransportError("closed")


def vitals(**over: Any) -> Vitals:
    given: dict[str, Any] = {
        "memory_bytes": 500,
        "memory_limit_bytes": 1000,
        "cpu_seconds": 1.0,
    }
    return Vitals(**{**given, **over})


async def until(true: Callable[[], bool], *, clock: ManualClock | None = None) -> None:
    """Let threads and tasks go on until it is so; with a clock, winding that on meanwhile."""
    async with asyncio.timeout(5):
        while not true():
            if clock is not None:
                await clock.advance(0.1)
            await asyncio.sleep(0.001)
