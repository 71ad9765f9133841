"""What ``lab push measure`` leaves behind: a run folder that other tools may read.

``aws.json`` comes first, then ``samples.jsonl`` a line per request, ``metrics.json`` when
CloudWatch has told, ``summary.json`` last. It holds no account id: neither ARNs nor names of
buckets and repositories.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Any

from pydantic import Field

from lab.aws.model import PushTarget, ServingKind
from lab.cost.charges import HOUR_S
from lab.schema import Frozen, Versioned
from lab.spec import Platform


@unique
class Protocol(StrEnum):
    """How requests follow each other; both are the study's."""

    WARM = "warm"
    """One request that is not counted, then more in series, a few seconds between them."""
    COLD = "cold"
    """Before each request enough idle time for the container to be gone."""


class MeasuredSubject(Frozen):
    """Which endpoint was measured."""

    endpoint: str
    """SageMaker's name of it."""
    variant: str
    model: str
    kind: ServingKind
    target: PushTarget
    region: str
    platform: Platform = Platform.AMD64
    memory_mb: int | None = None
    instance_type: str | None = None
    instances: int = 1
    routing: str | None = None
    """SageMaker's strategy, where there are several instances to choose from."""
    image_digest: str | None = None
    """``sha256:...`` without the repository, whose name holds the account's id."""

    def __str__(self) -> str:
        size = (
            f"{self.memory_mb} MB"
            if self.kind is ServingKind.SERVERLESS
            else str(self.instance_type)
        )
        several = f", {self.instances} instances routed {self.routing}" if self.routing else ""
        return f"{self.variant}, {self.model}, {self.kind}, {size}{several}"


class SentPayload(Frozen):
    """What each request carried."""

    name: str
    content_type: str
    bytes: int
    sha256: str


class Rates(Frozen):
    """Dollars for what a measurement uses; all 0 on the emulator."""

    second_usd: float
    """Of a request that is being answered: serverless. By the client's clock, which sees the
    network and the cold start too, so it is more than AWS counts."""
    hour_usd: float
    """Of the endpoint being there: real time. While it is measured; it costs the same after."""
    byte_usd: float
    metric_usd: float
    """Of a metric that CloudWatch is asked for."""

    def usd(
        self, *, answering_s: float, present_s: float, data_bytes: float, metrics: int = 0
    ) -> float:
        """What so much of everything costs."""
        return (
            answering_s * self.second_usd
            + present_s / HOUR_S * self.hour_usd
            + data_bytes * self.byte_usd
            + metrics * self.metric_usd
        )


class AwsRun(Versioned):
    """``aws.json``."""

    id: str
    started_at: str
    """ISO 8601, UTC."""
    lab_version: str
    git_commit: str | None
    git_dirty: bool | None
    subject: MeasuredSubject
    options: Mapping[str, Any]
    rates: Rates
    payload: SentPayload
    client: Mapping[str, Any]
    """The machine that asked: its way to the region is in every total."""
    emulated: bool = False
    """Under QEMU, which the lab's own endpoint may be: such seconds predict nothing."""


class MetricReading(Frozen):
    """What the endpoint itself measured of some requests. Means, in seconds."""

    requests: int
    model_latency_s: float | None
    """ModelLatency: from request to answer of the container."""
    overhead_s: float | None
    """OverheadLatency: all the rest, a cold start too."""
    setup_s: float | None
    """ModelSetupTime: to launch a container; None when none was launched."""
    setups: int
    """How many requests waited for one."""


class MeasuredRequest(Frozen):
    """The immutable result of one request."""

    protocol: Protocol
    number: int
    """From 1; 0 is the one before warm requests, which is not counted."""
    started_at: str
    """When it was sent: ISO 8601, UTC."""
    ended_at: str
    idle_s: float
    """How long nothing was asked before it."""
    total_s: float | None
    """From sending the request to having the answer, at the client; None for a failure."""
    prediction_s: float | None = None
    """By the container's own clock, where it says so."""
    response_bytes: int = 0
    failure: str | None = None
    reading: MetricReading | None = None
    """Of this request alone, where the endpoint tells at once; CloudWatch tells later."""


class MetricsFile(Frozen):
    """``metrics.json``: what CloudWatch told of the warm requests together and of each cold one."""

    asked: int
    """How many metrics it was asked for, which it charges."""
    warm: MetricReading | None = None
    cold: Mapping[int, MetricReading] = Field(default_factory=dict)
    """By the sample's number."""
