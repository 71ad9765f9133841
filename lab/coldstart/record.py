"""What a run leaves behind: ``run.json`` and a line of ``samples.jsonl`` per trial.

These are the files other tools read, so they change only with their schema.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from lab import busy
from lab.images.layers.credentials import redacted
from lab.schema import Frozen, Versioned
from lab.spec import Mark, Phase, Platform, StartKind, Tier
from lab.start.boot import Boot
from lab.start.cause import Cause


class Cell(Frozen):
    """What a trial varies; trials of one cell are repeats of each other."""

    variant: str
    model: str
    platform: Platform
    tier: str
    """Memory in MB, or ``host``."""
    start_kind: StartKind

    def __str__(self) -> str:
        return f"{self.variant}/{self.model}/{self.platform.arch}/{self.tier}/{self.start_kind}"


@unique
class Outcome(StrEnum):
    """How a trial ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@unique
class FailureKind(StrEnum):
    """Why a trial failed."""

    ENGINE = "engine"
    PULL = "pull"
    NOT_COLD = "not_cold"
    MODEL = "model"
    EARLY_EXIT = "early_exit"
    OOM = "oom"
    NEVER_READY = "never_ready"
    INVOCATION = "invocation"
    TOO_EARLY = "too_early"
    """``/ping`` said 200, and invocations were answered with errors until later."""
    INCONSISTENT = "inconsistent"


class Failure(Frozen):
    """What went wrong, with what the container left behind."""

    kind: FailureKind
    message: str
    exit_code: int | None = None
    last_ping_status: int | None = None
    log_tail: str = ""
    """What its log shows: the error first, then its last lines, without the lab's requests."""
    cause: str = ""
    """What it died of, as ``lab.start.deaths`` names it; empty where that is not known."""
    cure: str = ""
    """What to change in the image, imperative."""

    @classmethod
    def from_cause(cls, cause: Cause) -> Self:
        """Why a container did not get ready, or has ended, as a failed trial."""
        found = cause.explanation
        return cls(
            kind=FailureKind(cause.kind),
            message=cause.message,
            exit_code=cause.exit_code,
            last_ping_status=cause.last_ping_status,
            log_tail=cause.log,
            cause="" if found is None else found.kind,
            cure=cause.cure,
        )


class Chunks(Frozen):
    """What an on-demand start fetched of its image, by the phase in which it was asked for."""

    chunk_bytes: int
    bandwidth_bits_per_s: int
    latency_s: float
    """Of each fetch, beside what its bytes take on the link."""
    image_bytes: int
    """What the flattened image holds, whether it is read or not."""
    fetched: Mapping[Phase, int]
    """Chunks."""
    waited_s: Mapping[Phase, float]
    """Seconds in which something was being fetched. Several readers may wait at once."""

    @property
    def count(self) -> int:
        return sum(self.fetched.values())

    @property
    def bytes(self) -> int:
        """All chunks are counted whole."""
        return self.count * self.chunk_bytes

    @property
    def wait_s(self) -> float:
        return sum(self.waited_s.values())


class Sample(Versioned):
    """The immutable result of one trial. Seconds and bytes; marks in nanoseconds of the epoch."""

    trial: int
    """Its place in the order of the run, from 0."""
    block: int
    """0 is the warm-up block, which is never mixed in."""
    cell: Cell
    started_at: str
    """ISO 8601, UTC."""
    outcome: Outcome
    failure: Failure | None = None
    skipped: str | None = None
    """Why it was skipped."""
    marks: Mapping[Mark, int] = Field(default_factory=dict)
    phases_s: Mapping[Phase, float] = Field(default_factory=dict)
    total_s: float | None = None
    """Trial begun to first prediction received, by the clock of the marks."""
    wall_s: float | None = None
    """The same span by a second, monotonic clock; the phases must add up to it within 2 % and the
    error bar."""
    second_prediction_s: float | None = None
    probe_interval_s: float | None = None
    """The error bar of ``accepting`` and ``ready``: the plan's interval, or the time before the
    probes that saw them where the machine was too busy to keep it."""
    emulated: bool = False
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    read_bytes: int | None = None
    pulled_layers: int | None = None
    chunks: Chunks | None = None
    """Of an on-demand start."""
    boot: Boot | None = None
    """What was seen of a container that tells nothing of itself."""
    machine: busy.MachineUse | None = None
    """What the machine did beside it, from its beginning to its second prediction; None for an
    engine on another machine, and in runs before it was looked at."""
    evidence: Mapping[str, Any] = Field(default_factory=dict)
    """What proves that the start was as cold as its kind demands."""

    @property
    def warm_up(self) -> bool:
        """Whether the trial is of the first block."""
        return self.block == 0

    @property
    def disturbed(self) -> bool:
        """Whether others took so much of the machine that its times say nothing."""
        tier = Tier(memory_mb=int(self.cell.tier) if self.cell.tier.isdecimal() else None)
        return busy.disturbed(self.machine, quota_cpus=tier.cpus)

    @model_validator(mode="before")
    @classmethod
    def _one_boot(cls, values: Any) -> Any:
        """Before ``boot`` went on to the first 200, what came after the port had opened was told
        apart as ``ready``.
        """
        phases = values.get("phases_s") if isinstance(values, dict) else None
        if isinstance(phases, dict) and Phase.BOOT in phases and Phase.READY in phases:
            whole = phases[Phase.BOOT] + phases[Phase.READY]
            rest = {name: seconds for name, seconds in phases.items() if name != Phase.READY}
            values = values | {"phases_s": rest | {Phase.BOOT: whole}}
        return values


class Layer(Frozen):
    """A layer of an image, with the command that made it."""

    compressed_bytes: int | None
    unpacked_bytes: int
    created_by: str

    @field_validator("created_by")
    @classmethod
    def _told(cls, command: str) -> str:
        """Runs of earlier versions may hold secrets of the build."""
        return redacted(command)


class ImageRecord(Frozen):
    """An image that was measured."""

    variant: str
    platform: Platform
    ref: str
    digest: str | None
    image_id: str | None = None
    """The engine's own id, which every change to the image changes."""
    compressed_bytes: int | None
    """The sum of the layers in the registry's manifest; None without a registry."""
    unpacked_bytes: int
    layers: Sequence[Layer] = ()


class ModelRecord(Frozen):
    """A model that was served."""

    name: str
    archive: str
    """Which archive: its runtime, or the user's file name."""
    sha256: str
    bytes: int


class Run(Versioned):
    """``run.json``: everything needed to check a run."""

    id: str
    started_at: str
    lab_version: str
    git_commit: str | None
    git_dirty: bool | None
    plan_name: str
    plan: Mapping[str, Any]
    """The plan as resolved: every default filled in."""
    seed: int
    order: Sequence[tuple[int, Cell]]
    """(block, cell) of each trial in the order in which they were to run."""
    host: Mapping[str, Any]
    engine: Mapping[str, Any]
    base_image: Mapping[str, Any]
    """Which base image was used and where it came from."""
    bandwidth_bits_per_s: int | None
    """Of the shaped link that ``pull`` and ``ondemand`` trials go over."""
    images: Sequence[ImageRecord]
    models: Sequence[ModelRecord]
    notes: Sequence[str] = ()
    """What is degraded or was skipped, in words."""

    @property
    def chunk_latency_s(self) -> float | None:
        """What each chunk took beside its bytes; None where no image was to come on demand."""
        demanded = any(cell.start_kind is StartKind.ONDEMAND for _, cell in self.order)
        found = self.plan.get("chunk_latency") if demanded else None
        return None if found is None else float(found)


def same_link(one: Run, other: Run, kind: StartKind) -> bool:
    """Whether a kind's images came the same way in both: else they are not the same starts."""
    if kind not in (StartKind.PULL, StartKind.ONDEMAND):
        return True
    alike = one.bandwidth_bits_per_s == other.bandwidth_bits_per_s
    return alike and (kind is StartKind.PULL or one.chunk_latency_s == other.chunk_latency_s)
