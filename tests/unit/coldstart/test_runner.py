from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from lab import busy
from lab.coldstart import runner
from lab.coldstart.folder import RunFolder
from lab.coldstart.loop import InterruptedRunError
from lab.coldstart.plan import Plan
from lab.coldstart.record import Failure, FailureKind, ImageRecord, ModelRecord
from lab.coldstart.runner import Prepared
from lab.coldstart.schedule import Trial
from lab.errors import BusyError, UsageError
from lab.lock import bench_lock
from lab.progress import Progress, Silent
from lab.spec import Mark, Platform
from tests.unit.coldstart.builders import GOOD, cell, failure, plan
from tests.unit.coldstart.scripted import ScriptedExecutor

Script = Callable[[Trial], Mapping[Mark, float] | Failure | str | BaseException]


class Ground:
    """Prepares a run for a scripted executor, and remembers that it was cleared."""

    def __init__(
        self, script: Script = lambda _: GOOD, *, image: str = "sha256:aaaa", here: bool = False
    ) -> None:
        self.executor = ScriptedExecutor(script)
        self.image = image
        self.here = here
        self.sha256 = "cccc"
        self.cleared = 0

    def __call__(
        self, plan: Plan, run_id: str, progress: Progress
    ) -> AbstractContextManager[Prepared]:
        return self._prepared()

    @contextmanager
    def _prepared(self) -> Iterator[Prepared]:
        try:
            yield Prepared(
                run_trial=self.executor.run,
                here=self.here,
                engine={"kind": "docker"},
                base_image={"source": "packages"},
                images=[
                    ImageRecord(
                        variant="onnx",
                        platform=Platform.AMD64,
                        ref="inference-lab/onnx:amd64",
                        digest=None,
                        image_id=self.image,
                        compressed_bytes=None,
                        unpacked_bytes=5,
                    )
                ],
                models=[ModelRecord(name="mobilenet", archive="onnx", sha256=self.sha256, bytes=3)],
                notes=["something is degraded"],
            )
        finally:
            self.cleared += 1


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def interrupted_at(index: int) -> Script:
    return lambda trial: KeyboardInterrupt() if trial.index == index else GOOD


def test_a_run_leaves_everything_needed_to_check_it(home: Path, lock: Path) -> None:
    progress = Silent()
    ground = Ground()
    folder = runner.run(plan(), prepare=ground, progress=progress, lock=lock)
    record = folder.run()
    assert folder.path.parent == home / "runs"
    assert folder.path.name.endswith("Z-tiny")
    assert (home / "runs" / "latest").resolve() == folder.path
    assert [(one.block, one.cell) for one in ground.executor.ran] == list(record.order)
    assert record.plan["repeats"] == {"fresh": 2}
    assert record.images[0].image_id == "sha256:aaaa"
    assert record.bandwidth_bits_per_s is None
    assert len(folder.samples()) == 9
    assert ground.cleared == 1
    assert "something is degraded" in progress.notes


def test_the_bandwidth_is_recorded_where_something_is_pulled(lock: Path) -> None:
    a_plan = plan(start_kinds=["pull"], bandwidth="200Mbit")
    folder = runner.run(a_plan, prepare=Ground(), progress=Silent(), lock=lock)
    assert folder.run().bandwidth_bits_per_s == 200_000_000


def test_ctrl_c_clears_the_ground_and_the_run_goes_on_where_it_stopped(lock: Path) -> None:
    first = Ground(interrupted_at(4))
    with pytest.raises(InterruptedRunError):
        runner.run(plan(), prepare=first, progress=Silent(), lock=lock)
    assert first.cleared == 1
    folder = RunFolder.find("latest")
    assert len(folder.samples()) == 4
    with (folder.path / "samples.jsonl").open("ab") as file:
        file.write(b'{"torn')
    second = Ground()
    runner.resume(folder, prepare=second, progress=Silent(), lock=lock)
    assert [one.index for one in second.executor.ran] == [4, 5, 6, 7, 8]
    assert [sample.trial for sample in folder.samples()] == list(range(9))
    third = Ground()
    runner.resume(folder, prepare=third, progress=Silent(), lock=lock)
    assert third.executor.ran == []
    assert third.cleared == 0


def test_ctrl_c_while_preparing_leaves_no_run(home: Path, lock: Path) -> None:
    def stopped(plan: Plan, run_id: str, progress: Progress) -> AbstractContextManager[Prepared]:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="before the first trial") as caught:
        runner.run(plan(), prepare=stopped, progress=Silent(), lock=lock)
    assert caught.value.exit_code == 130
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": "sha256:bbbb"}, r"image onnx \(amd64\) was aaaa and is bbbb"),
        ({"sha256": "dddd"}, r"model mobilenet \(onnx\) was cccc and is dddd"),
    ],
)
def test_a_run_does_not_go_on_with_other_things(
    lock: Path, change: dict[str, str], says: str
) -> None:
    with pytest.raises(InterruptedRunError):
        runner.run(plan(), prepare=Ground(interrupted_at(4)), progress=Silent(), lock=lock)
    other = Ground()
    for name, value in change.items():
        setattr(other, name, value)
    with pytest.raises(UsageError, match=says):
        runner.resume(RunFolder.find("latest"), prepare=other, progress=Silent(), lock=lock)
    assert other.executor.ran == []
    assert other.cleared == 1


def test_a_run_does_not_go_on_with_another_plan(lock: Path) -> None:
    with pytest.raises(InterruptedRunError):
        runner.run(plan(), prepare=Ground(interrupted_at(4)), progress=Silent(), lock=lock)
    with pytest.raises(UsageError, match="seed was 1 and is 2"):
        runner.resume(
            RunFolder.find("latest"),
            prepare=Ground(),
            progress=Silent(),
            plan=plan(seed=2),
            lock=lock,
        )


def test_two_benches_at_once_are_refused(lock: Path) -> None:
    with (
        bench_lock("The run first", path=lock),
        pytest.raises(BusyError, match=r"The run first \(process \d+\) is measuring"),
    ):
        runner.run(plan(), prepare=Ground(), progress=Silent(), lock=lock)


def test_a_run_that_begins_beside_other_work_says_so_and_by_whom(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = busy.MachineUse(
        wall_s=0.5, cpus=2, busy_s=0.9, others_s=0.8, steal_s=0, load=3, who=("cc1", "stress")
    )
    monkeypatch.setattr(busy, "watch", lambda _: use)
    ground, said = Ground(here=True), Silent()
    runner.run(plan(), prepare=ground, progress=said, lock=lock)
    (note,) = [one for one in said.notes if "busy" in one]
    assert note.startswith("This machine is busy: others took 80 % of its 2 CPUs (cc1, stress).")
    for quiet in (use.model_copy(update={"others_s": 0.05}), None):
        monkeypatch.setattr(busy, "watch", lambda _, quiet=quiet: quiet)
        said = Silent()
        runner.run(plan(), prepare=Ground(here=True), progress=said, lock=lock)
        assert not [one for one in said.notes if "busy" in one]


def test_a_lock_whose_holder_died_is_no_lock(lock: Path) -> None:
    lock.write_text("The run before (process 4194304)\n")
    with bench_lock("The run now", path=lock):
        assert lock.read_text().startswith("The run now")


def test_two_runs_within_a_second_have_different_folders(lock: Path) -> None:
    folders = [
        runner.run(plan(), prepare=Ground(), progress=Silent(), lock=lock).path for _ in range(3)
    ]
    assert len(set(folders)) == 3


def test_a_variant_that_never_answered_is_an_error_with_its_last_words(lock: Path) -> None:
    dead = failure(FailureKind.EARLY_EXIT, "The container exited with code 3.").model_copy(
        update={"log_tail": "no such file: weights.bin\n"}
    )
    ground = Ground(lambda trial: dead if trial.cell == cell("slim") else GOOD)
    folder = runner.run(plan(), prepare=ground, progress=Silent(), lock=lock)
    error = runner.verdict(folder)
    assert error is not None
    assert error.exit_code == 6
    assert "slim never answered in 2 trials" in error.what
    assert "code 3" in error.what
    assert error.what.endswith("no such file: weights.bin")


def test_a_variant_that_answered_in_some_tier_is_a_result(lock: Path) -> None:
    ground = Ground(lambda trial: failure(FailureKind.OOM) if trial.cell.tier == "1024" else GOOD)
    folder = runner.run(plan(tiers=[1024, 2048]), prepare=ground, progress=Silent(), lock=lock)
    assert runner.verdict(folder) is None
