"""Every prerequisite as ok, degraded or missing, each with its remedy; independent and quick."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from lab.errors import LabError

_PATIENCE_S: Final = 9.0


@unique
class CheckState(StrEnum):
    """How a prerequisite stands."""

    OK = "ok"
    DEGRADED = "degraded"
    """Something works less well, or only in part."""
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a check found."""

    state: CheckState
    detail: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class DoctorCheck:
    """A prerequisite and how to look for it."""

    name: str
    look: Callable[[], CheckResult]
    alone: bool = False
    """It times something, so nothing else may run beside it."""


def ok(detail: str) -> CheckResult:
    """It is as it should be."""
    return CheckResult(state=CheckState.OK, detail=detail)


def degraded(detail: str, remedy: str = "") -> CheckResult:
    """It works less well, or only in part."""
    return CheckResult(state=CheckState.DEGRADED, detail=detail, remedy=remedy)


def missing(detail: str, remedy: str = "") -> CheckResult:
    """It is not there."""
    return CheckResult(state=CheckState.MISSING, detail=detail, remedy=remedy)


def examine(
    checks: Sequence[DoctorCheck], *, patience_s: float = _PATIENCE_S
) -> Mapping[str, CheckResult]:
    """Run the checks: side by side, and then those that need quiet, in the order given.

    A check that fails, or is not done when patience ends, is itself a finding.
    """
    deadline = time.monotonic() + patience_s
    # Not a context manager: that would wait for a check that hangs.
    pool = ThreadPoolExecutor(max_workers=max(1, len(checks)), thread_name_prefix="doctor")
    started = {check.name: pool.submit(_look, check) for check in checks if not check.alone}
    quiet = {check.name: check for check in checks if check.alone}
    found = {name: _result(future, deadline) for name, future in started.items()}
    pool.shutdown(wait=False, cancel_futures=True)
    found |= {name: _look(check) for name, check in quiet.items()}
    return {check.name: found[check.name] for check in checks}


def _look(check: DoctorCheck) -> CheckResult:
    try:
        return check.look()
    except LabError as error:
        return missing(error.what, error.remedy)
    except OSError as error:
        return degraded(f"could not be looked at: {error}")


def _result(future: "Future[CheckResult]", deadline: float) -> CheckResult:
    try:
        return future.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return degraded("no answer in time", "Run `lab doctor` again when the machine is quiet.")
