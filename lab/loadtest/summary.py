"""What a load amounts to: its ``summary.json``, and the steps of a search or a sweep.

Other tools read them, so they change only with their schema. Seconds, bytes and plain shares.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lab.load.statistics import LatencySummary, QuantileFigure
from lab.loadtest.folder import SUMMARY_FILE
from lab.loadtest.record import ClosedRecord, Objective, TargetRecord
from lab.runfiles import parse, read_bytes
from lab.schema import Frozen, Versioned

STEPS_FILE: Final = "steps.json"


class Generator(Frozen):
    """Whether an open loop kept its schedule (``lab.load.health``)."""

    valid: bool
    why_not: str
    """As a clause; empty if it is valid."""
    late_p99_s: float
    late_max_s: float
    limit_s: float
    cpu_share: float
    priority: str
    overrun: int
    reached_per_s: float


class PoolFigures(Frozen):
    """What the target's pool did at most."""

    containers: int
    starting: int
    memory_bytes: int | None


class Bin(Frozen):
    """A part of the time, by the intended instant of its requests."""

    at_s: float
    seconds: float
    sent: int
    answered: int
    cold: int
    throttled: int
    failed: int
    p50_s: float | None
    max_s: float | None
    """Of those answered."""


class LoadFinding(Frozen):
    """A doubt or an opportunity, with what to do about it."""

    kind: str
    severity: str
    """``serious``, ``warning`` or ``hint``."""
    title: str
    seen: str
    why: str
    remedy: str


class LoadSummary(Versioned):
    """``summary.json``."""

    id: str
    started_at: str
    headline: str
    detail: str
    target: TargetRecord
    schedule: str | None
    schedule_sha256: str | None
    closed: ClosedRecord | None
    """None is an open loop."""
    objective: Objective | None
    objective_met: bool | None
    """By the upper bound of its quantile; None where nothing was asked, or it cannot be told."""
    figures: LatencySummary
    generator: Generator | None
    """None of a closed loop, which keeps no schedule."""
    disturbed: str
    """What else took the machine, in words; empty where nothing did."""
    pool: PoolFigures | None
    bins: tuple[Bin, ...]
    errors: Mapping[str, int]
    """What went wrong, and how often; throttles are not among them."""
    findings: tuple[LoadFinding, ...]

    @property
    def valid(self) -> bool:
        """Whether it says anything of the target."""
        return self.generator is None or self.generator.valid


def read_load_summary(folder: Path) -> LoadSummary:
    """Raises ``UsageError`` for a folder without one, or of another schema."""
    path = folder / SUMMARY_FILE
    found = read_bytes(path, remedy=f"Make it: lab load report {folder.name}")
    return parse(LoadSummary, found, of=path)


class LoadStep(Frozen):
    """One rate, or one number of clients, of a search or a sweep."""

    offered_per_s: float | None = None
    clients: int | None = None
    """Of a closed loop."""
    achieved_per_s: float
    n: int
    """Requests, of all visits."""
    visits: int = 1
    error_share: float = 0.0
    quantiles: tuple[QuantileFigure, ...]
    passed: bool | None = None
    """Whether it kept the objective; None where there is none, or where it cannot be told."""
    why: str = ""
    """Why not, as a clause: the generator, errors, the bound."""
    runs: tuple[str, ...] = ()
    """The folders of its visits."""

    def at(self, q: float) -> QuantileFigure | None:
        """None where the number does not support it."""
        return next((one for one in self.quantiles if one.q == q), None)


class LoadSteps(Versioned):
    """``steps.json``: a search for the highest rate, or a sweep."""

    id: str
    started_at: str
    target: TargetRecord
    objective: Objective | None = None
    said: str
    """What was asked for."""
    steps: tuple[LoadStep, ...]
    """By rate or by clients, upwards."""
    knee: int | None = None
    """The place of the highest step that keeps the objective."""

    @property
    def closed(self) -> bool:
        """Whether its steps are closed loops: what a server does at most, not what users wait."""
        return any(one.clients is not None for one in self.steps)


def read_steps(folder: Path) -> LoadSteps:
    """Raises ``UsageError`` for a folder without one, or of another schema."""
    path = folder / STEPS_FILE
    return parse(LoadSteps, read_bytes(path, remedy="Name a search or a sweep."), of=path)
