"""``join.json``: what several runs say side by side. It changes only with its schema.

Seconds, bytes and plain ratios. Every figure of a run is that of its own ``summary.json``; what is
new here divides one run's median by another's, and says whether they are of one machine.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from typing import Any

from lab.coldstart.summary import Comparison, Finding, Headline, RatioFigures, Row
from lab.report.compare.runs import Difference
from lab.report.study import published
from lab.schema import Frozen, Versioned
from lab.spec import Platform, StartKind


@unique
class Machines(StrEnum):
    """What two runs have in common."""

    SAME = "same machine, another run"
    DIFFERENT = "different machines"


class Member(Frozen):
    """A run as it stands in the join, with the facts of its own host."""

    letter: str
    """What tables and plots call it: ``A`` for the first."""
    id: str
    started_at: str
    plan: str
    machine: str
    """In a line: processor, CPUs, memory, platform."""
    against_first: Machines | None
    """None for the first itself."""
    engine_platform: str | None
    """What is native there; everything else ran under QEMU."""
    container: bool
    lab_version: str
    git_commit: str | None
    bandwidth_bits_per_s: int | None
    host: Mapping[str, Any]
    engine: Mapping[str, Any]
    notes: Sequence[str]
    headline: Headline
    rows: Sequence[Row]
    comparisons: Sequence[Comparison]
    findings: Sequence[Finding]
    differences: Sequence[Difference]
    """What is not as in the first run."""


class Quotient(RatioFigures):
    """A run's median over the first run's, of the same variant, model, tier and start kind.

    Of different machines it says how the machines differ, with engine, platform and all: it is no
    ratio of images.
    """

    variant: str
    model: str
    tier: str
    start_kind: StartKind
    run: str
    """The letter of the run above the line; below it is always the first."""
    machines: Machines
    platforms: tuple[Platform, Platform]
    """Above the line, and below."""


class JoinSize(Frozen):
    """An image of a run. Bytes are exact, and the same on any machine."""

    run: str
    compressed_bytes: int | None
    unpacked_bytes: int


class Sizes(Frozen):
    """A variant's arm64 image beside its amd64 one, of the first runs that have them."""

    variant: str
    amd64: JoinSize | None
    arm64: JoinSize | None
    compressed: float | None
    """arm64 over amd64."""
    unpacked: float | None


class Joined(Versioned):
    """``join.json``, whole."""

    id: str
    made_at: str
    headline: Headline
    runs: Sequence[Member]
    quotients: Sequence[Quotient]
    sizes: Sequence[Sizes]

    @property
    def container(self) -> bool:
        """Whether every run used containers."""
        return all(run.container for run in self.runs)

    @property
    def repeats_study(self) -> bool:
        """Whether any run repeated the published study, whose figures then stand beside."""
        return any(published.repeated(run.rows) for run in self.runs)
