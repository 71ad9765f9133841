"""What lives while the emulator runs: servers, pools, variants, endpoints."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any, Final, Protocol

from lab.endpoint.instances import Compute
from lab.endpoint.records import EndpointKind, Pin
from lab.spec import Phase

Address = tuple[str, int]

STARTED_AGAIN: Final = "The container is started again and again"
"""How a variant's ``StatusMessage`` begins whose container ends before it is ready."""


# --- what runs ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class VariantPlan:
    """A variant, resolved: everything that starting one of its containers takes."""

    endpoint: str
    name: str
    kind: EndpointKind
    image: str
    """As the model names it: a local name, or an ECR address."""
    model_data: str | None
    """``s3://bucket/key`` of a ``model.tar.gz``; when uncompressed of a file, or a prefix ending in
    ``/``."""
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
    routing: str = "RANDOM"
    """``RoutingStrategy``: how an instance is chosen."""
    prefix_bytes: int = 0
    """``PREFIX_AWARE`` only: of a request's body, what decides."""
    prefix_at_once: int = 0
    """``PREFIX_AWARE`` only: requests that an instance has when the next one goes elsewhere."""
    etag: str | None = None
    """What the object's must be, where the model says so."""
    pull_cold: bool = False
    """The image is pulled too, on a machine that has never seen it."""
    pin: Pin | None = None
    """What the image and the model data were when they were deployed; None before that."""

    @property
    def image_id(self) -> str:
        """What tells its image from another that came to bear the same name."""
        return self.image if self.pin is None else self.pin.image_id


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
    suspect: bool = False
    """Its ``/ping`` is late or not 200: it gets a request only where there is no better one."""
    tainted: bool = False
    """A request ran out of time in it, and may still be worked on: not to be used again where a
    container takes one request at a time."""
    displaced: bool = False
    """Another container was given its address, so it has ended, whatever answers there."""
    death: "Death | None" = None
    """What it was replaced for: by then the engine may know it no more."""
    redirects: set[int] = field(default_factory=set)
    """Statuses from 300 to 399 with which it answered: each is logged once."""
    heard_at: float = 0.0
    """Monotonic: when it last answered anything, ``/ping`` or a request."""
    limit_s: float = 0.0
    """The longest that a request may take of those it was given since it last was idle."""
    left_until: float = 0.0
    """Monotonic: until when it may go on with requests whose callers went away."""

    @property
    def gone(self) -> bool:
        """Nothing is to be sent to its address any more: the next container may have that."""
        return self.displaced or self.death is not None

    def heard(self, now: float) -> None:
        """It answered."""
        self.heard_at = now
        if self.in_flight == 0 and now >= self.left_until:
            self.limit_s = 0.0

    def asked(self, limit_s: float) -> None:
        """It is given a request that may take so long."""
        self.limit_s = max(self.limit_s, limit_s)

    def left(self, *, until: float) -> None:
        """A request's caller went away; it may work on it until then."""
        self.left_until = max(self.left_until, until)

    def may_be_busy(self, now: float) -> bool:
        """Whether it may have so much to do that its ``/ping`` has to wait.

        Not for ever: one that has answered nothing for as long as any of its requests may take
        hangs, however many more it was given meanwhile.
        """
        at_work = self.in_flight > 0 or now < self.left_until
        return at_work and now < self.heard_at + self.limit_s


@unique
class Ping(StrEnum):
    """What came of asking ``/ping`` once."""

    WELL = "answered 200"
    LATE = "did not answer within 2 s"
    """Nothing came: it hangs, or its only worker is busy."""
    SICK = "did not answer 200"
    """Another status, no HTTP, or a connection that was refused or closed."""


class LaunchFailed(Exception):  # noqa: N818 - an outcome
    """A container did not get ready; ``reason`` says why in one message, log lines included.

    ``refused``: the engine would not start it at all, for the image names no program that can run.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refused = refused


class NothingToStart(LaunchFailed):
    """The image is gone, or the model's data did not come or are not what they should be.

    ``reason`` is all that is said: of data it begins with AWS's own words.
    """


@dataclass(frozen=True)
class Death:
    """Why a server no longer runs, or is as good as dead; log lines included."""

    reason: str
    oom_killed: bool = False


# --- what answers ------------------------------------------------------------------------------


class Throttled(Exception):  # noqa: N818 - an outcome
    """Above ``MaxConcurrency``."""


class NotReady(Exception):  # noqa: N818 - an outcome
    """No container can answer yet."""


class ServerGone(Exception):  # noqa: N818 - an outcome
    """The server that was asked for is not, or no longer, one of the pool's."""


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

    def hold(self, server_id: str) -> Lease | None:
        """That very server; None while it is being looked at, and it is not known whether it lives.

        Raises ``ServerGone``.
        """

    @property
    def in_flight(self) -> int:
        """Requests that hold or wait for a server."""

    @property
    def last_failure(self) -> str | None:
        """Why the last launch in the background failed; None once one succeeded."""

    async def autopsy(self, server: Server) -> str | None:
        """Why a server that broke off no longer runs; None if it still does after a moment."""


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
    kind: EndpointKind
    generation: int
    variants: Sequence[LiveVariant]
    shadows: Sequence[LiveVariant] = ()
    capture: Mapping[str, Any] | None = None
    """``DataCaptureConfig`` when it is enabled."""
    asynchronous: Mapping[str, Any] | None = None
    """``AsyncInferenceConfig``."""

    @property
    def all(self) -> Sequence[LiveVariant]:
        """The production variants, then the shadows."""
        return (*self.variants, *self.shadows)


class Fleet(Protocol):
    """All endpoints' servers, as far as requests, metrics and the control plane know them."""

    def reconcile(self, endpoint: str) -> None:
        """The store holds something new for this endpoint: see to it, in the background."""

    def live(self, endpoint: str) -> LiveEndpoint | None:
        """The endpoint if it takes requests (names are exact)."""

    def endpoints(self) -> Sequence[LiveEndpoint]:
        """All that take requests, for metrics and discovery."""

    def troubles(self, endpoint: str) -> Mapping[str, str]:
        """Of servers that are coming: by variant, why its container has to be started again."""
