"""What the emulator is assembled from: interfaces, so that each part is tested by itself."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lab.endpoint.records import (
    AsyncRecord,
    EndpointRecord,
    Kind,
    Resource,
    ServerRecord,
)
from lab.spec import Phase

Address = tuple[str, int]


# --- what runs ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Compute:
    """What a container gets. None: no limit but the machine's."""

    memory_bytes: int | None
    cpus: float | None
    disk_bytes: int | None = None
    """What it may write; None is not watched."""


@dataclass(frozen=True, kw_only=True)
class VariantPlan:
    """A variant, resolved: everything that starting one of its containers takes."""

    endpoint: str
    name: str
    kind: Kind
    image: str
    """As the model names it: a local name, or an ECR address."""
    model_data: str | None
    """``s3://bucket/key`` of a ``model.tar.gz``, or a prefix ending in ``/`` when uncompressed."""
    compressed: bool
    env: Mapping[str, str]
    hostname: str | None
    isolated: bool
    """``EnableNetworkIsolation``: no calls in or out but the emulator's."""
    instance_type: str | None
    compute: Compute
    initial_count: int
    """Instances; for serverless the provisioned concurrency."""
    max_concurrency: int | None
    """Serverless only."""
    weight: float
    shadow: bool
    startup_timeout_s: float
    download_timeout_s: float
    routing: str = "LEAST_OUTSTANDING_REQUESTS"
    pull_cold: bool = False
    """The image is pulled too, on a machine that has never seen it."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a server came up: for ``ModelSetupTime`` and the cold-start phases."""

    total_s: float
    """From asking for it to its first ``/ping`` 200."""
    phases_s: Mapping[Phase, float]


@dataclass(kw_only=True, eq=False)
class Server:
    """A model container that answers."""

    id: str
    endpoint: str
    variant: str
    generation: int
    container: str
    address: Address
    setup: Setup | None
    """None for one that was adopted from an earlier life of the emulator."""
    emulated: bool = False
    """Its processor is: no time of it says anything of real hardware."""
    in_flight: int = 0
    idle_since: float = 0.0
    """Monotonic; meaningful while ``in_flight`` is 0."""
    healthy: bool = True
    spent: bool = False
    """A request ran out of time in it, and may still be worked on: not to be used again where a
    container takes one request at a time."""


class LaunchFailed(Exception):  # noqa: N818 - an outcome
    """A container did not get ready; ``reason`` says why in one message, log lines included."""

    def __init__(
        self, reason: str, *, exit_code: int | None = None, oom_killed: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exit_code = exit_code
        self.oom_killed = oom_killed


@dataclass(frozen=True)
class Death:
    """Why a server no longer runs, or is as good as dead; log lines included."""

    reason: str
    oom_killed: bool = False


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """A container's present use of resources."""

    memory_bytes: int
    memory_limit_bytes: int
    cpu_seconds: float
    """Since it started."""
    threads: int | None = None
    oom_kills: int = 0
    disk_bytes: int | None = None


class Launcher(Protocol):
    """Makes and removes servers. Blocking work happens in threads of its own."""

    async def launch(self, plan: VariantPlan, *, generation: int, server_id: str) -> Server:
        """Fetch the model, create, start, and wait for ``/ping`` 200. Raises ``LaunchFailed``.

        When cancelled, what was made is removed before this returns.
        """

    async def check(self, plan: VariantPlan) -> str | None:
        """Why this plan can never run (no such image, too large, ...); None if it may."""

    async def adopt(self, record: ServerRecord, plan: VariantPlan) -> Server | None:
        """A server of an earlier life if it still runs and answers ``/ping``; else None."""

    async def stop(self, server: Server, *, grace_s: float = 30.0) -> None:
        """SIGTERM, SIGKILL after ``grace_s``, then gone. No error if it is gone already."""

    async def sweep(self, keep: Sequence[str]) -> None:
        """Remove this emulator's containers but those whose server ids are in ``keep``."""

    async def ping(self, server: Server) -> bool:
        """Whether ``/ping`` answers 200 within 2 s."""

    async def died(self, server: Server) -> Death | None:
        """Why it no longer runs: exit code, OOM, last lines; None while it runs."""

    async def vitals(self, server: Server) -> Vitals | None:
        """Its use of resources; None when the engine cannot say."""

    async def close(self) -> None:
        """Let go of the engine; containers stay."""


# --- what answers ------------------------------------------------------------------------------


class Throttled(Exception):  # noqa: N818 - an outcome
    """Above ``MaxConcurrency``."""


class NotReady(Exception):  # noqa: N818 - an outcome
    """No container can answer yet."""


@dataclass(kw_only=True)
class Lease:
    """A server for one request; ``release`` must be called exactly once."""

    server: Server
    setup: Setup | None
    """How it came up, when this request waited for it: a cold start."""
    release: Callable[[], None]


class Pool(Protocol):
    """The servers of one variant."""

    @property
    def plan(self) -> VariantPlan:
        """What its servers are started from."""

    @property
    def servers(self) -> Sequence[Server]:
        """Those that answer now."""

    def try_acquire(self) -> Lease | None:
        """A server at once, or None when one would have to be waited for. Raises ``Throttled``."""

    async def acquire(self) -> Lease:
        """A server, started if need be.

        Raises ``Throttled``, ``NotReady`` or ``LaunchFailed``.
        """

    @property
    def in_flight(self) -> int:
        """Requests that hold or wait for a server."""


@dataclass(kw_only=True)
class LiveVariant:
    """A variant that takes requests."""

    name: str
    pool: Pool
    weight: float
    """May change while it lives."""


@dataclass(kw_only=True)
class LiveEndpoint:
    """An endpoint that takes requests; replaced as a whole by an update."""

    name: str
    kind: Kind
    generation: int
    variants: Sequence[LiveVariant]
    shadows: Sequence[LiveVariant] = ()
    capture: Mapping[str, Any] | None = None
    """``DataCaptureConfig`` when it is enabled."""
    asynchronous: Mapping[str, Any] | None = None
    """``AsyncInferenceConfig``."""


class Fleet(Protocol):
    """All endpoints' servers, and the work of bringing them to what is wanted."""

    async def start(self) -> None:
        """Adopt or remove what an earlier life left, go on with what was under way."""

    def kick(self, endpoint: str) -> None:
        """The store holds something new for this endpoint: see to it, in the background."""

    def live(self, endpoint: str) -> LiveEndpoint | None:
        """The endpoint if it takes requests (names are exact)."""

    def endpoints(self) -> Sequence[LiveEndpoint]:
        """All that take requests, for metrics and discovery."""

    async def close(self, *, stop_servers: bool) -> None:
        """End the background work; stop the containers or leave them to the next life."""


# --- what is remembered ------------------------------------------------------------------------


class Store(Protocol):
    """Everything that survives a kill at any instant. Each call is one transaction, and quick."""

    def put_model(self, row: Resource) -> bool:
        """False if the name is taken."""

    def model(self, name: str) -> Resource | None: ...  # noqa: D102
    def models(self) -> Sequence[Resource]: ...  # noqa: D102
    def delete_model(self, name: str) -> bool: ...  # noqa: D102

    def put_config(self, row: Resource) -> bool:
        """False if the name is taken."""

    def config(self, name: str) -> Resource | None: ...  # noqa: D102
    def configs(self) -> Sequence[Resource]: ...  # noqa: D102
    def delete_config(self, name: str) -> bool: ...  # noqa: D102

    def add_endpoint(self, row: EndpointRecord) -> bool:
        """False if the name is taken, in whatever case."""

    def endpoint(self, name: str) -> EndpointRecord | None: ...  # noqa: D102
    def endpoints(self) -> Sequence[EndpointRecord]: ...  # noqa: D102

    def change_endpoint(
        self, name: str, change: Callable[[EndpointRecord], EndpointRecord | None]
    ) -> EndpointRecord | None:
        """Read, change and write in one transaction; None from ``change`` leaves it as it is.

        Returns the row as it is afterwards, or None if there is none of that name.
        """

    def delete_endpoint(self, name: str) -> bool: ...  # noqa: D102

    def tags(self, arn: str) -> Mapping[str, str]: ...  # noqa: D102
    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None: ...  # noqa: D102

    def add_server(self, row: ServerRecord) -> None: ...  # noqa: D102
    def servers(self) -> Sequence[ServerRecord]: ...  # noqa: D102
    def delete_server(self, server_id: str) -> None: ...  # noqa: D102

    def add_async(self, row: AsyncRecord) -> None: ...  # noqa: D102
    def asyncs(self) -> Sequence[AsyncRecord]: ...  # noqa: D102
    def delete_async(self, record_id: str) -> None: ...  # noqa: D102

    def identity(self) -> str:
        """The emulator's id, made once: on every container it starts."""

    def close(self) -> None: ...  # noqa: D102


class Objects(Protocol):
    """S3, as far as the emulator needs it. Blocking: call it in a thread.

    Every method raises ``ObjectError`` with S3's own code and what it said.
    """

    def download(self, uri: str, into: Path) -> str:
        """One object into a file; its ETag."""

    def open(self, uri: str) -> AbstractContextManager[Iterator[bytes]]:
        """One object as a stream of parts."""

    def download_prefix(self, uri: str, into: Path) -> None:
        """Every object below a prefix, as files below a folder."""

    def read(self, uri: str) -> tuple[bytes, str]:
        """One object's bytes and content type."""

    def write(self, uri: str, data: bytes, *, content_type: str = "") -> None: ...  # noqa: D102

    def size(self, uri: str) -> int:
        """Bytes of one object."""


class ObjectError(Exception):
    """S3 refused: ``NoSuchKey``, ``NoSuchBucket``, ``AccessDenied``, or could not be reached."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# --- requests ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Call:
    """An invocation as the container gets it."""

    body: bytes
    headers: Mapping[str, str]
    """Those that SageMaker lets through, and no others."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a container answered. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class StreamAnswer:
    """The same, with a body that is still coming. ``close`` ends the connection."""

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


class TransportError(Exception):
    """The container closed early, was not there, or did not speak HTTP."""


class NotSentError(TransportError):
    """Not a byte of the request can have been taken: another server may get it."""


class Transport(Protocol):
    """HTTP to the containers. Raises ``TransportError`` or ``TimeoutError``."""

    async def invoke(self, address: Address, call: Call, *, timeout_s: float) -> Answer:
        """``POST /invocations``, the whole answer."""

    async def stream(self, address: Address, call: Call, *, timeout_s: float) -> StreamAnswer:
        """``POST /invocations``, the answer as it comes; ``timeout_s`` bounds all of it."""

    async def close(self) -> None:
        """Close what is open."""


# --- what is counted ---------------------------------------------------------------------------


class Meter(Protocol):
    """CloudWatch's metrics, counted. All durations in seconds."""

    def invocation(
        self,
        endpoint: str,
        variant: str,
        *,
        model_status: int | None,
        model_s: float | None,
        overhead_s: float,
        setup: Setup | None,
    ) -> None:
        """One InvokeEndpoint that reached a variant. ``model_status`` None: no HTTP answer."""

    def throttled(self, endpoint: str, variant: str) -> None:
        """One that was turned away."""

    def started(self, endpoint: str, variant: str, setup: Setup) -> None:
        """A server got ready."""

    def start_failed(self, endpoint: str, variant: str) -> None:
        """A server did not."""

    def replaced(self, endpoint: str, variant: str, *, oom_killed: bool) -> None:
        """A server that had been ready died or was unhealthy, and is replaced."""

    def asynchronous(self, endpoint: str, event: str, seconds: float | None = None) -> None:
        """An event of asynchronous inference, by CloudWatch's name of it."""


class Capture(Protocol):
    """What ``Invoker`` hands every answered request of an endpoint with data capture to."""

    def record(
        self,
        endpoint: LiveEndpoint,
        variant: str,
        *,
        request: Call,
        answer: Answer,
        inference_id: str | None,
        at: float,
    ) -> None:
        """Keep a copy, if this one is in the sample. Returns at once, and never raises."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the emulator is set; each value has an environment variable in ``services/endpoint``."""

    state: Path
    """Folder of the store, logs and unpacked models; the engine sees it under the same path."""
    region: str = "us-east-1"
    account: str = "000000000000"
    network: str | None = None
    """The engine's network for model containers; None reaches them as the engine can."""
    isolated_network: str | None = None
    realtime_payload_bytes: int = 25 * 1024 * 1024
    serverless_payload_bytes: int = 4 * 1024 * 1024
    invocation_timeout_s: float = 60.0
    stream_timeout_s: float = 480.0
    idle_s: float = 600.0
    """After which an idle serverless container is removed: AWS publishes no figure."""
    startup_timeout_s: float = 480.0
    serverless_startup_timeout_s: float = 180.0
    ping_interval_s: float = 5.0
    """How often containers are asked how they are, and the engine what they use."""
    probe_interval_s: float = 0.01
    access_keys: Mapping[str, str] = field(default_factory=dict)
    """Access key id to secret: when there are any, signatures are verified."""
    registry: str | None = None
    """The local registry as the engine reaches it, for ECR addresses that the engine lacks."""
