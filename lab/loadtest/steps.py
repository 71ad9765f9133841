"""A run of several loads, one after the other: each a load of its own, kept in one folder."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Generic, TypeVar

from lab import __version__, paths
from lab.engine.api import EngineFacts
from lab.load.statistics import LatencySummary
from lab.loadtest import runner
from lab.loadtest.folder import LoadFolder
from lab.loadtest.runner import InterruptedLoadError, LoadPlan
from lab.loadtest.summary import STEPS_FILE, LoadStep, LoadSteps
from lab.loadtest.targets.api import Target
from lab.progress import Progress
from lab.runfiles import new_folder, write_whole
from lab.schema import Frozen, Versioned

STEPS: Final = "steps"


class KeptStep(Frozen):
    """One load of several, with its figures."""

    folder: str
    """Below the run's."""
    rate_per_s: float | None = None
    """At which it was loaded; None is a closed loop."""
    clients: int | None = None
    """Of a closed loop."""
    summary: LatencySummary

    def summarised(
        self, *, visits: Sequence["KeptStep"], passed: bool | None = None, why: str = ""
    ) -> LoadStep:
        """For a report, with its rate's other visits."""
        return LoadStep(
            offered_per_s=self.rate_per_s,
            clients=self.clients,
            achieved_per_s=self.summary.achieved_per_s,
            n=sum(one.summary.n for one in visits),
            visits=len(visits),
            error_share=self.summary.error_share,
            quantiles=() if self.summary.latency is None else self.summary.latency.quantiles,
            passed=passed,
            why=why,
            runs=tuple(one.folder for one in visits),
        )


class SteppedRun(Versioned):
    """What such a run was, whatever its steps are."""

    id: str
    started_at: str
    """ISO 8601, UTC."""
    lab_version: str


Record = TypeVar("Record", bound=SteppedRun)


class StepFolder(Generic[Record]):
    """``runs/<UTC time>-<kind>/``: a record that is written anew at every step, and the steps."""

    def __init__(self, kind: str, file: str, *, root: Path | None = None) -> None:
        """Make it. Raises ``DiskFullError`` and ``BusyError``."""
        now = datetime.now(UTC)
        self.path = new_folder((root or paths.runs()) / f"{now:%Y%m%dT%H%M%SZ}-{kind}")
        self._file = self.path / file
        self._begun = now
        self._number = 0

    def head(self) -> dict[str, object]:
        """The fields of ``SteppedRun``."""
        return {
            "id": self.path.name,
            "started_at": self._begun.isoformat(timespec="seconds"),
            "lab_version": __version__,
        }

    def keep(self, record: Record, steps: LoadSteps | None = None) -> Record:
        """Write the record, and what a report needs of it. Raises ``DiskFullError``."""
        write_whole(self._file, record.to_json())
        if steps is not None:
            write_whole(self.path / STEPS_FILE, steps.to_json())
        return record

    def run(
        self, target: Target, plan: LoadPlan, *, progress: Progress, engine: EngineFacts | None
    ) -> LoadFolder:
        """The next step, by ``plan``, whose name goes behind the step's number.

        Raises ``InterruptedLoadError`` for Ctrl-C.
        """
        named = LoadPlan(**{**vars(plan), "name": f"{self._number:02d}-{plan.name}"})
        self._number += 1
        root = self.path / STEPS
        try:
            return runner.run(target, named, progress=progress, engine=engine, root=root)
        except InterruptedLoadError as stop:
            raise InterruptedLoadError(
                f"Stopped: all that was measured until then is kept in {self.path}.",
                remedy="To measure the rest begin anew.",
            ) from stop

    def below(self, step: LoadFolder) -> str:
        """A step's folder as records name it."""
        return str(step.path.relative_to(self.path))


def rounded(rate_per_s: float) -> float:
    """Three figures: a rate that people can read."""
    return float(f"{rate_per_s:.3g}")
