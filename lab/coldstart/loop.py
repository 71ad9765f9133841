"""Running trials in their order, keeping each sample, and stopping when there is no point."""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from lab.coldstart.folder import RunFolder
from lab.coldstart.record import Cell, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.errors import EngineError, LabError, RegistryError
from lab.progress import Progress
from lab.spec import FLOOR, StartKind
from lab.units import format_seconds

STOP_AFTER: Final = 3
"""Consecutive failures of the engine, or of pulls, after which the run ends: it is gone."""

GIVE_UP_AFTER: Final = 2
"""Failures of a cell that has never succeeded after which its other trials are skipped: a
container that cannot start in this tier would wait out its time again and again."""

_SURE: Final = frozenset(
    {
        FailureKind.EARLY_EXIT,
        FailureKind.OOM,
        FailureKind.NEVER_READY,
        FailureKind.INVOCATION,
        FailureKind.TOO_EARLY,
        FailureKind.MODEL,
    }
)

_GUESS_S: Final = {
    StartKind.RESTART: 4.0,
    StartKind.FRESH: 4.0,
    StartKind.DISKCOLD: 7.0,
    StartKind.ONDEMAND: 8.0,
    StartKind.PULL: 20.0,
}
"""Before the first trial of a kind has ended; the floor takes a second."""


class InterruptedRunError(LabError):
    """Ctrl-C or SIGTERM: the samples so far are kept."""

    exit_code = 130


def measure(
    trials: Sequence[Trial],
    run_trial: Callable[[Trial], Sample],
    folder: RunFolder,
    progress: Progress,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run the trials that the folder has no sample of yet.

    Raises ``InterruptedRunError``, ``EngineError`` (also its kinds: the registry is gone, the disk
    is full); the samples so far are in the folder.
    """
    loop = _Loop(folder.samples())
    done = {sample.trial for sample in folder.samples()}
    rest = [trial for trial in trials if trial.index not in done]
    with progress.step(f"Measure {len(rest)} cold starts") as step:
        try:
            for number, trial in enumerate(rest):
                left = words(loop.pace.left_s(one.cell for one in rest[number:]))
                step.advance(number, len(rest))
                step.detail(f"{number + 1} of {len(rest)}, {left}: {trial.cell}")
                began = clock()
                sample = loop.skip(trial) or run_trial(trial)
                folder.append(sample)
                if sample.outcome is not Outcome.SKIPPED:
                    loop.pace.learn(trial.cell, clock() - began)
                _tell(sample, progress)
                loop.judge(sample, folder)
            step.advance(len(rest), len(rest))
        except KeyboardInterrupt as stop:
            raise interrupted(folder, len(trials)) from stop


def interrupted(folder: RunFolder, planned: int) -> InterruptedRunError:
    """What to say after Ctrl-C."""
    return InterruptedRunError(
        f"Stopped: {len(folder.samples())} of {planned} trials are kept in {folder.path}.",
        remedy=f"Go on with `lab coldstart run --resume {folder.path.name}`.",
    )


class _Loop:
    """What the run has learnt so far."""

    def __init__(self, before: Sequence[Sample]) -> None:
        self.pace = Pace()
        self._failed: dict[Cell, list[Sample]] = {}
        self._succeeded: set[Cell] = set()
        self._in_a_row: Counter[FailureKind] = Counter()
        for sample in before:
            self._remember(sample)

    def skip(self, trial: Trial) -> Sample | None:
        """The sample of a trial that is not worth running."""
        failed = self._failed.get(trial.cell, [])
        if trial.cell in self._succeeded or len(failed) < GIVE_UP_AFTER:
            return None
        failure = failed[-1].failure
        return Sample(
            trial=trial.index,
            block=trial.block,
            cell=trial.cell,
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            outcome=Outcome.SKIPPED,
            emulated=failed[-1].emulated,
            skipped=f"failed {len(failed)} times and never succeeded"
            + (f": {failure.message}" if failure else ""),
        )

    def judge(self, sample: Sample, folder: RunFolder) -> None:
        """Learn from a sample. Raises ``EngineError`` when what all trials need is gone."""
        self._remember(sample)
        kind = sample.failure.kind if sample.failure else None
        if sample.outcome is Outcome.OK:
            self._in_a_row[FailureKind.ENGINE] = 0
            if sample.pulled_layers is not None:
                self._in_a_row[FailureKind.PULL] = 0
        if kind not in {FailureKind.ENGINE, FailureKind.PULL} or sample.failure is None:
            return
        self._in_a_row[kind] += 1
        if self._in_a_row[kind] >= STOP_AFTER:
            gone = RegistryError if kind is FailureKind.PULL else EngineError
            raise gone(
                f"{STOP_AFTER} trials in a row failed alike, so the run stops: "
                f"{sample.failure.message}",
                remedy="See to it, then go on with "
                f"`lab coldstart run --resume {folder.path.name}`.",
            )

    def _remember(self, sample: Sample) -> None:
        if sample.outcome is Outcome.OK:
            self._succeeded.add(sample.cell)
        elif sample.failure is not None and sample.failure.kind in _SURE:
            self._failed.setdefault(sample.cell, []).append(sample)


def _tell(sample: Sample, progress: Progress) -> None:
    """A line for what is not as it should be; what went well is in the table at the end."""
    if sample.failure is not None:
        progress.note(f"Trial {sample.trial} ({sample.cell}) failed: {sample.failure.message}")
    elif sample.phases_s and sample.total_s is not None and sample.wall_s is not None:
        apart = abs(sample.total_s - sample.wall_s)
        if apart > 0.01 * sample.wall_s:
            progress.note(
                f"Trial {sample.trial} ({sample.cell}): two clocks differ by "
                f"{format_seconds(apart)}."
            )


class Pace:
    """Learns what a trial of each cell takes, preparation and cleaning up included."""

    def __init__(self) -> None:
        self._took: dict[Cell, list[float]] = defaultdict(list)

    def learn(self, cell: Cell, seconds: float) -> None:
        """A trial has ended."""
        self._took[cell].append(seconds)

    def left_s(self, rest: Iterable[Cell]) -> float:
        """Seconds for these trials: the median of each cell's so far, of its kind's, or a guess."""
        return sum(self._expect(cell) for cell in rest)

    def _expect(self, cell: Cell) -> float:
        own = self._took.get(cell)
        if own:
            return statistics.median(own)
        alike = [
            seconds
            for other, took in self._took.items()
            if other.start_kind is cell.start_kind
            and (other.variant == FLOOR) == (cell.variant == FLOOR)
            for seconds in took
        ]
        if alike:
            return statistics.median(alike)
        return 1.0 if cell.variant == FLOOR else _GUESS_S[cell.start_kind]


def words(seconds: float) -> str:
    """``40 s left`` or ``3 min left``: no more exact than a guess can be."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5):.0f} s left"
    return f"{seconds / 60:.0f} min left"
