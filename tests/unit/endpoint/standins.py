"""What an emulator's parts have around them in tests: containers, a fleet, an S3, metrics."""

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from botocore.response import StreamingBody
from prometheus_client import CollectorRegistry

from lab.endpoint.instances import Compute
from lab.endpoint.launching import Vitals
from lab.endpoint.live import (
    Address,
    Lease,
    LiveEndpoint,
    LiveVariant,
    Server,
    ServerGone,
    Setup,
    VariantPlan,
)
from lab.endpoint.log_files import LogFiles
from lab.endpoint.metrics.counters import Counters
from lab.endpoint.records import EndpointKind, EndpointRecord, Status
from lab.endpoint.s3 import CHANGED, Coming, ObjectError, S3Location, S3Objects, Stored, parse_uri
from lab.endpoint.store import SqliteStore
from lab.endpoint.transport import ContainerAnswer, ContainerCall, StreamAnswer, TransportError
from lab.spec import Phase
from tests.unit.endpoint.manualclock import ManualClock

OUTPUT = {"S3OutputPath": "s3://box/out/", "S3FailurePath": "s3://box/failures"}
OK = ContainerAnswer(
    status=200, headers={"content-type": "application/json", "content-length": "2"}, body=b"{}"
)

_PLAN = VariantPlan(
    endpoint="e",
    name="v",
    kind=EndpointKind.REAL_TIME,
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
    startup_timeout_s=480.0,
    download_timeout_s=480.0,
)


def plan(**changes: Any) -> VariantPlan:
    return replace(_PLAN, **changes)


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
    """Hands out its least busy healthy server, or plays what it is told to."""

    plan: VariantPlan
    servers: list[Server]
    now: list[Lease | Exception | None] = field(default_factory=list)
    """What ``try_acquire`` does first: return it, or raise it."""
    late: Exception | None = None
    """What ``acquire`` raises."""
    never: bool = False
    """``acquire`` waits for ever."""
    setup: Setup | None = None
    leased: int = 0
    last_failure: str | None = None
    died: str | None = None
    """What its servers are said to have died of."""

    @property
    def in_flight(self) -> int:
        return sum(one.in_flight for one in self.servers)

    def try_acquire(self) -> Lease | None:
        if self.now:
            played = self.now.pop(0)
            if isinstance(played, Exception):
                raise played
            return played
        ready = [one for one in self.servers if one.healthy]
        return self._lease(min(ready, key=lambda one: one.in_flight)) if ready else None

    async def acquire(self) -> Lease:
        if self.never:
            await asyncio.get_running_loop().create_future()
        if self.late is not None:
            raise self.late
        return self._lease(self.servers[0])

    def hold(self, server_id: str) -> Lease | None:
        for one in self.servers:
            if one.id == server_id:
                return self._lease(one) if one.healthy else None
        raise ServerGone(server_id)

    async def autopsy(self, server: Server) -> str | None:
        return self.died

    def _lease(self, chosen: Server) -> Lease:
        chosen.in_flight += 1
        self.leased += 1
        held = [chosen]

        def release() -> None:
            held.pop().in_flight -= 1

        return Lease(server=chosen, setup=self.setup, release=release)


@dataclass(kw_only=True)
class FakeFleet:
    """Endpoints that are there, and the names of those that were to be seen to."""

    lives: dict[str, LiveEndpoint] = field(default_factory=dict)
    kicked: list[str] = field(default_factory=list)
    trouble: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def reconcile(self, endpoint: str) -> None:
        self.kicked.append(endpoint)

    def live(self, endpoint: str) -> LiveEndpoint | None:
        return self.lives.get(endpoint)

    def endpoints(self) -> Sequence[LiveEndpoint]:
        return tuple(self.lives.values())

    def troubles(self, endpoint: str) -> Mapping[str, str]:
        return self.trouble.get(endpoint, {})

    def add(self, live: LiveEndpoint) -> LiveEndpoint:
        self.lives[live.name] = live
        return live


def pool_of(live: LiveEndpoint) -> FakePool:
    pool = live.variants[0].pool
    assert isinstance(pool, FakePool)
    return pool


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
        variants=[LiveVariant(name=pool.plan.name, pool=pool, weight=1.0)],
        capture=capture,
        asynchronous=asynchronous,
    )


def add_endpoint(store: SqliteStore, name: str, **changes: Any) -> EndpointRecord:
    """An endpoint in service, unless the changes say otherwise."""
    row = EndpointRecord(
        name=name,
        arn=f"arn:endpoint/{name}",
        created_at=0.0,
        modified_at=0.0,
        status=Status.IN_SERVICE,
        config_name=f"{name}-config",
    )
    row = replace(row, **changes)
    store.add_endpoint(row)
    return row


class Metered(Counters):
    """The emulator's own counters, to be asked for values."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        super().__init__(registry=self.registry)

    def value(self, name: str, endpoint: str = "e", variant: str = "v", **labels: str) -> float:
        found = value(self.registry, name, endpoint=endpoint, variant=variant, **labels)
        return found or 0.0

    def asynchronous_value(self, name: str) -> float:
        return value(self.registry, f"async_{name}", endpoint="e") or 0.0


class Noted(LogFiles):
    """Logs of which only the platform's own lines are kept, in memory."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))
        self.lines: list[str] = []

    def line(self, endpoint: str, variant: str, stream: str, text: str) -> None:
        del stream
        self.lines.append(f"{endpoint}/{variant} {text}")


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"sagemaker_{name}", labels)


@dataclass(kw_only=True)
class FakeObjects(S3Objects):
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

    def download(self, uri: str, into: Path, *, etag: str | None = None) -> str:
        into.parent.mkdir(parents=True, exist_ok=True)
        with self.open(uri, etag=etag) as coming:
            into.write_bytes(b"".join(coming))
        return coming.etag

    def location(self, uri: str) -> S3Location:
        return parse_uri(uri)

    def stored(self, uri: str) -> Stored:
        return Stored(key=parse_uri(uri).key, etag=self.etag(uri), size=self.size(uri))

    def etag(self, uri: str) -> str:
        return hashlib.md5(self.read(uri)[0], usedforsecurity=False).hexdigest()

    def listing(self, uri: str) -> Sequence[Stored]:
        bucket = parse_uri(uri).bucket
        found = [key for key in sorted(self.kept) if key.startswith(uri)]
        if not found:
            raise ObjectError("NoSuchKey", f"There is no object below {uri}.")
        return [
            Stored(
                key=key.removeprefix(f"s3://{bucket}/"), etag=self.etag(key), size=self.size(key)
            )
            for key in found
        ]

    @contextmanager
    def open(self, uri: str, *, etag: str | None = None) -> Iterator[Coming]:
        data, _ = self.read(uri)
        now = self.etag(uri)
        if etag not in {None, now}:
            raise ObjectError(CHANGED, f"{uri} has the ETag {now}, not {etag}.")
        body = StreamingBody(io.BytesIO(data), len(data))
        yield Coming({"ETag": now, "Body": body}, doing=f"Downloading {uri}", endpoint="memory")


def echo(call: ContainerCall, timeout_s: float) -> Any:
    body = b"<" + call.body + b">"
    headers = {"content-type": "text/plain", "content-length": str(len(body))}
    return ContainerAnswer(status=200, headers=headers, body=body)


def played(*script: ContainerAnswer | BaseException) -> Callable[[ContainerCall, float], Any]:
    """Answers in their order; the last goes on for ever."""
    left = list(script) or [OK]

    def answer(call: ContainerCall, timeout_s: float) -> Any:
        following = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(following, BaseException):
            raise following
        return following

    return answer


def dies(call: ContainerCall, timeout_s: float) -> Any:
    raise TransportError("closed")


@dataclass(kw_only=True)
class FakeTransport:
    """Containers that answer as ``answer`` says, at once or awaited; what they got is kept."""

    answer: Callable[[ContainerCall, float], Any] = echo
    parts: Sequence[bytes | BaseException] = ()
    """Of a stream, instead of the answer's body."""
    calls: list[ContainerCall] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    busy: int = 0
    most: int = 0
    streams_closed: int = 0

    async def invoke(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> ContainerAnswer:
        self.calls.append(call)
        self.addresses.append(address)
        self.timeouts.append(timeout_s)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            answer = self.answer(call, timeout_s)
            if hasattr(answer, "__await__"):
                answer = await answer
        finally:
            self.busy -= 1
        return answer if isinstance(answer, ContainerAnswer) else echo(call, timeout_s)

    async def stream(
        self, address: Address, call: ContainerCall, *, timeout_s: float
    ) -> StreamAnswer:
        answer = await self.invoke(address, call, timeout_s=timeout_s)

        async def close() -> None:
            self.streams_closed += 1

        return StreamAnswer(
            status=answer.status, headers=answer.headers, parts=self._parts(answer), close=close
        )

    async def _parts(self, answer: ContainerAnswer) -> AsyncIterator[bytes]:
        for part in self.parts or [answer.body]:
            if isinstance(part, BaseException):
                raise part
            yield part
        if answer.broken is not None:
            raise answer.broken

    async def close(self) -> None: ...


def vitals(**over: Any) -> Vitals:
    standard = Vitals(memory_bytes=500, memory_limit_bytes=1000, cpu_seconds=1.0)
    return replace(standard, **over)


async def until(true: Callable[[], bool], *, clock: ManualClock | None = None) -> None:
    """Let threads and tasks go on until it is so; with a clock, winding that on meanwhile."""
    async with asyncio.timeout(5):
        while not true():
            if clock is not None:
                await clock.advance(0.1)
            await asyncio.sleep(0.001)
