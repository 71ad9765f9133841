"""An executor that plays a script: for tests with exact numbers, of this package and of others."""

from collections.abc import Callable, Mapping

from lab.coldstart.record import Failure, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.spec import Mark
from lab.start import timeline

EPOCH_NS = 1_700_000_000_000_000_000


class ScriptedExecutor:
    """Answers each trial from a script, and remembers what it was asked.

    The script maps a trial to the times of its marks in seconds from its beginning, to a failure,
    to the reason for which it is skipped, or to an exception to raise (Ctrl-C, a full disk).
    """

    def __init__(
        self,
        script: Callable[[Trial], Mapping[Mark, float] | Failure | str | BaseException],
    ) -> None:
        self._script = script
        self.ran: list[Trial] = []

    def run(self, trial: Trial) -> Sample:
        """Play the script's answer."""
        self.ran.append(trial)
        played = self._script(trial)
        match played:
            case BaseException():
                raise played
            case Failure():
                return _sample(trial, Outcome.FAILED, failure=played)
            case str():
                return _sample(trial, Outcome.SKIPPED, skipped=played)
            case _:
                marks = {mark: EPOCH_NS + round(at * 1e9) for mark, at in played.items()}
                return _sample(trial, Outcome.OK, marks=marks)


def _sample(
    trial: Trial,
    outcome: Outcome,
    *,
    marks: Mapping[Mark, int] | None = None,
    failure: Failure | None = None,
    skipped: str | None = None,
) -> Sample:
    marks = marks or {}
    whole = timeline.total(marks) if Mark.PREDICTED in marks else None
    second = None
    if Mark.SECOND_END in marks:
        second = (marks[Mark.SECOND_END] - marks[Mark.SECOND_BEGIN]) / 1e9
    return Sample(
        trial=trial.index,
        block=trial.block,
        cell=trial.cell,
        started_at=f"2026-01-01T00:00:{trial.index % 60:02d}Z",
        outcome=outcome,
        failure=failure,
        skipped=skipped,
        marks=marks,
        phases_s=timeline.phases(marks),
        total_s=whole,
        wall_s=whole,
        second_prediction_s=second,
        probe_interval_s=0.01,
    )
