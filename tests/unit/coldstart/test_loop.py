from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lab.coldstart import schedule
from lab.coldstart.folder import RunFolder
from lab.coldstart.loop import InterruptedRunError, Pace, measure, words
from lab.coldstart.record import Failure, FailureKind, Outcome, Sample
from lab.coldstart.schedule import Trial
from lab.errors import DiskFullError, EngineError, RegistryError
from lab.progress import Silent
from lab.spec import Mark, Phase, StartKind
from tests.unit.coldstart.builders import GOOD, cell, failure, plan
from tests.unit.coldstart.scripted import ScriptedExecutor
from tests.unit.coldstart.test_run_folder import record

Answer = Mapping[Mark, float] | Failure | str | BaseException
TRIALS = schedule.order(plan())


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(record(), root=tmp_path)


def run(
    folder: RunFolder, script: Sequence[Answer] | None = None, *, trials: Sequence[Trial] = TRIALS
) -> ScriptedExecutor:
    executor = ScriptedExecutor(
        lambda trial: GOOD if script is None else script[trial.index % len(script)]
    )
    measure(trials, executor.run, folder, Silent())
    return executor


def test_trials_run_in_their_order_and_each_leaves_a_sample(folder: RunFolder) -> None:
    executor = run(folder)
    assert executor.ran == list(TRIALS)
    assert [sample.trial for sample in folder.samples()] == list(range(len(TRIALS)))
    sample = folder.samples()[0]
    assert sample.total_s == 1.0
    assert sample.warm_up
    assert sample.phases_s[Phase.BOOT] == pytest.approx(0.6)
    assert sample.second_prediction_s == pytest.approx(0.01)


def test_ctrl_c_keeps_what_was_measured_and_says_how_to_go_on(folder: RunFolder) -> None:
    script: list[Answer] = [GOOD, GOOD, GOOD, KeyboardInterrupt(), *[GOOD] * 10]
    with pytest.raises(InterruptedRunError) as caught:
        run(folder, script)
    assert caught.value.exit_code == 130
    assert f"3 of {len(TRIALS)} trials are kept" in caught.value.what
    assert caught.value.remedy == f"Go on with `lab coldstart run --resume {folder.path.name}`."
    assert [sample.trial for sample in folder.samples()] == [0, 1, 2]


def test_going_on_runs_exactly_what_is_missing(folder: RunFolder) -> None:
    with pytest.raises(InterruptedRunError):
        run(folder, [GOOD, GOOD, GOOD, KeyboardInterrupt(), *[GOOD] * 10])
    resumed = run(folder)
    assert resumed.ran == list(TRIALS[3:])
    whole = folder.samples()
    assert [sample.trial for sample in whole] == list(range(len(TRIALS)))
    assert [sample.cell for sample in whole] == [one.cell for one in TRIALS]


def test_a_full_disk_in_a_trial_ends_the_run(folder: RunFolder) -> None:
    with pytest.raises(DiskFullError):
        run(folder, [GOOD, DiskFullError("full")])
    assert len(folder.samples()) == 1


def test_a_failure_is_a_sample_and_the_run_goes_on(folder: RunFolder) -> None:
    run(folder, [failure(FailureKind.NOT_COLD), GOOD])
    assert [sample.outcome for sample in folder.samples()][:2] == [Outcome.FAILED, Outcome.OK]


def test_a_vanished_engine_ends_the_run_after_three_failures(folder: RunFolder) -> None:
    with pytest.raises(EngineError, match=r"3 trials in a row failed alike.*it is gone") as caught:
        run(folder, [GOOD, *[failure(FailureKind.ENGINE, "it is gone")] * 20])
    assert "--resume" in caught.value.remedy
    assert len(folder.samples()) == 4


def test_a_vanished_registry_ends_the_run_though_other_trials_succeed(folder: RunFolder) -> None:
    trials = schedule.order(plan(start_kinds=["fresh", "pull"], repeats=4))

    def script(trial: Trial) -> Answer:
        pull = trial.cell.start_kind is StartKind.PULL
        return failure(FailureKind.PULL, "no route") if pull else GOOD

    executor = ScriptedExecutor(script)
    with pytest.raises(RegistryError, match="no route"):
        measure(trials, executor.run, folder, Silent())
    failed = [sample for sample in folder.samples() if sample.outcome is Outcome.FAILED]
    assert len(failed) == 3


def test_failures_that_are_not_in_a_row_do_not_end_it(folder: RunFolder) -> None:
    gone = failure(FailureKind.ENGINE)
    run(folder, [gone, gone, GOOD])
    assert len(folder.samples()) == len(TRIALS)


def test_a_cell_that_can_never_start_is_not_waited_for_again(folder: RunFolder) -> None:
    trials = schedule.order(plan(repeats=5))
    executor = ScriptedExecutor(
        lambda one: failure(FailureKind.OOM, "too big") if one.cell == cell("slim") else GOOD
    )
    measure(trials, executor.run, folder, Silent())
    slim = [sample for sample in folder.samples() if sample.cell == cell("slim")]
    assert [sample.outcome for sample in slim] == [Outcome.FAILED] * 2 + [Outcome.SKIPPED] * 4
    assert slim[-1].skipped == "failed 2 times and never succeeded: too big"
    assert len(folder.samples()) == len(trials)


def test_what_is_given_up_under_emulation_is_labelled_as_what_failed_is(folder: RunFolder) -> None:
    class Emulated(ScriptedExecutor):
        def run(self, trial: Trial) -> Sample:
            return super().run(trial).model_copy(update={"emulated": True})

    executor = Emulated(lambda _: failure(FailureKind.OOM))
    measure(schedule.order(plan(repeats=3)), executor.run, folder, Silent())
    samples = folder.samples()
    assert {sample.outcome for sample in samples} == {Outcome.FAILED, Outcome.SKIPPED}
    assert all(sample.emulated for sample in samples)


def test_a_cell_that_has_succeeded_is_tried_to_the_end(folder: RunFolder) -> None:
    trials = schedule.order(plan(repeats=5))

    def script(trial: Trial) -> Answer:
        bad = trial.cell == cell("slim") and trial.block > 0
        return failure(FailureKind.NEVER_READY) if bad else GOOD

    executor = ScriptedExecutor(script)
    measure(trials, executor.run, folder, Silent())
    assert len(executor.ran) == len(trials)


def test_time_left_is_the_median_of_each_cell_so_far() -> None:
    pace = Pace()
    for seconds in (1.0, 2.0, 90.0):
        pace.learn(cell("slim"), seconds)
    pace.learn(cell("floor"), 0.5)
    # onnx has not run yet: it is taken to be like the other fresh starts, not like the floor.
    assert pace.left_s([cell("slim"), cell("floor"), cell("onnx")]) == 2.0 + 0.5 + 2.0
    assert pace.left_s([cell("onnx", StartKind.PULL)]) == 20.0
    assert (words(42), words(200)) == ("40 s left", "3 min left")
