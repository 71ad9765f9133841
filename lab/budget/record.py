"""What a check leaves behind: ``check.json``, beside every start and every request."""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Any

from lab.budget.budgetfile import Ceiling
from lab.schema import Frozen, Versioned


@unique
class Verdict(StrEnum):
    """What a figure shows of its ceiling."""

    OK = "ok"
    BROKEN = "broken"
    OVER = "over, but not shown"
    """Above it, by no more than chance may do."""
    UNMEASURED = "not measured"


@unique
class Trend(StrEnum):
    """What a figure shows beside an earlier one."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no difference shown"


class Figure(Frozen):
    """What was measured: bytes, seconds or dollars."""

    value: float
    low: float | None = None
    high: float | None = None
    """Between them lies the true value with 95 % confidence; None where nothing is that sure."""
    values: tuple[float, ...] = ()
    """One of each container, to compare by; none of what is exact."""


class Change(Frozen):
    """A figure beside that of an earlier check."""

    before: float
    ratio: float
    low: float | None = None
    high: float | None = None
    trend: Trend


class Finding(Frozen):
    """A ceiling, and what became of it."""

    ceiling: Ceiling
    line: int
    """Of the budget's file."""
    limit: float
    verdict: Verdict
    figure: Figure | None = None
    why: str = ""
    """Why it was not measured, or shows nothing, as a clause."""
    change: Change | None = None


class Subject(Frozen):
    """What must be alike in two checks that are compared."""

    budget: str
    """The file's name."""
    image: str
    """Without its tag and digest, which change with every build."""
    size: str
    payload_sha256: str | None
    content_type: str
    machine: Mapping[str, Any]
    """What tells one machine from another."""


class Warm(Frozen):
    """What one container did once it was ready: a line of ``warm.jsonl``."""

    trial: int
    """The trial of ``samples.jsonl`` that started it."""
    latencies_s: tuple[float, ...]
    """In the order of the requests."""
    answer_bytes: int
    """The longest."""
    peak_memory_bytes: int | None
    disturbed: str = ""
    """By whom, if others took the machine."""


class Check(Versioned):
    """``check.json``."""

    id: str
    started_at: str
    """ISO 8601, UTC."""
    seconds: float
    lab_version: str
    budget_file: str
    """As it was given."""
    budget: Mapping[str, Any]
    """As resolved: every default filled in."""
    image: str
    image_id: str
    subject: Subject
    host: Mapping[str, Any]
    engine: Mapping[str, Any]
    findings: tuple[Finding, ...]
    doubt: str = ""
    """Why seconds say little, as a clause."""
    notes: tuple[str, ...] = ()
    compared_with: str | None = None
    """The earlier check, by its id."""

    @property
    def broken(self) -> bool:
        """Whether some ceiling is shown to be."""
        return any(one.verdict is Verdict.BROKEN for one in self.findings)

    @property
    def regressed(self) -> bool:
        """Whether some figure is shown to be worse than the last time."""
        return any(
            one.change is not None and one.change.trend is Trend.WORSE for one in self.findings
        )
