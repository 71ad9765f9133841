"""What ``lab load`` leaves behind, beside ``schedule.csv`` and ``requests.csv``."""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Any

from lab.schema import Frozen, Versioned
from lab.spec import Platform


@unique
class TargetKind(StrEnum):
    """What is loaded."""

    IMAGE = "image"
    """A container that is started for it."""
    ENDPOINT = "endpoint"
    """Of the emulator."""
    URL = "url"
    AWS = "aws"


class TargetRecord(Frozen):
    """What was loaded, as far as it is known."""

    kind: TargetKind
    name: str
    """An image's variant or reference, an endpoint's name, a URL."""
    image: str | None = None
    image_digest: str | None = None
    model: str | None = None
    platform: Platform | None = None
    size: str | None = None
    """A memory size in MB of serverless inference, an instance type, or ``host``."""
    memory_mb: int | None = None
    cpus: float | None = None
    max_concurrency: int | None = None
    serverless: bool = False
    emulated: bool = False
    """By QEMU: such seconds predict nothing."""
    notes: tuple[str, ...] = ()
    """What this machine lacks of the size."""

    def __str__(self) -> str:
        size = {None: "", "host": ""}.get(self.size, f" at {self.size}")
        return f"{self.name}{size}{' MB' if size and str(self.size).isdecimal() else ''}"


class PayloadRecord(Frozen):
    """What requests carried."""

    name: str
    content_type: str
    bytes: int
    sha256: str
    weight: float = 1.0


class ClosedRecord(Frozen):
    """A closed loop, as it was asked for."""

    clients: int
    pause_s: float = 0.0
    requests: int | None = None
    seconds: float | None = None
    uncounted: int = 0
    """The first requests, which are recorded and not counted."""


class Objective(Frozen):
    """A quantile of the latency and its bound, and how many requests may fail."""

    q: float = 0.95
    seconds: float | None = None
    errors: float | None = None
    """The share of requests that may fail or be throttled."""

    def __str__(self) -> str:
        said = []
        if self.seconds is not None:
            said.append(f"p{self.q * 100:g} at most {self.seconds * 1e3:g} ms")
        if self.errors is not None:
            said.append(f"errors at most {self.errors * 100:g} %")
        return ", ".join(said) or "none"


class Load(Versioned):
    """``load.json``."""

    id: str
    started_at: str
    """ISO 8601, UTC."""
    lab_version: str
    git_commit: str | None
    git_dirty: bool | None
    target: TargetRecord
    schedule: str | None = None
    """How the schedule was asked for; None is a closed loop."""
    schedule_sha256: str | None = None
    rate_per_s: float | None = None
    idc: float | None = None
    """Index of dispersion of the instants, measured."""
    horizon_s: float | None = None
    closed: ClosedRecord | None = None
    payloads: tuple[PayloadRecord, ...]
    seed: int = 0
    timeout_s: float
    objective: Objective | None = None
    protocol: str | None = None
    """Of the study, by name, if it is one."""
    host: Mapping[str, Any]
    engine: Mapping[str, Any] | None = None


class Sitting(Frozen):
    """One start of the sender: a line of ``sittings.jsonl``."""

    number: int
    state: Mapping[str, Any]
    """The last ``SenderState``."""
    machine: Mapping[str, Any] | None = None
    """What others took meanwhile (``lab.busy.MachineUse``)."""
    cause: str | None = None
    """What the target died of, if it did."""


class PoolReading(Frozen):
    """What the target's pool did: a line of ``pool.jsonl``, some times a second."""

    at_s: float
    """Of the schedule."""
    containers: int
    """That serve."""
    starting: int = 0
    memory_bytes: int | None = None
    """Of all of them."""
