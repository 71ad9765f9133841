"""The kernel's files as they are, in a folder of the test's own."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab import busy
from lab.busy import MachineUse, Reading, between, disturbed, read

LAB, ENGINE, SHIM, SERVER, HELPER, OTHER, SHELL, KERNEL = 100, 10, 11, 12, 13, 200, 201, 2
OURS = "a" * 64
THEIRS = "b" * 64
TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """A ``/proc`` of two CPUs that a test moves on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.used: dict[int, float] = {}
        self.reaped: dict[int, float] = {}
        self.total = 0.0
        self.steal = 0.0
        self.at_s = 0.0
        self._who: dict[int, tuple[str, int]] = {}

    def add(self, pid: int, name: str, *, parent: int = 1, container: str = "") -> None:
        self._who[pid] = (name, parent)
        self.used[pid] = self.reaped[pid] = 0.0
        folder = self.root / str(pid)
        folder.mkdir(parents=True)
        group = f"/docker/{container}" if container else "/"
        (folder / "cgroup").write_text(f"3:cpuacct:{group}\n0::/\n")

    def end(self, pid: int) -> None:
        """It ends, and its parent learns what it used."""
        _, parent = self._who.pop(pid)
        self.reaped[parent] += self.used[pid] + self.reaped[pid]
        for file in (self.root / str(pid)).iterdir():
            file.unlink()
        (self.root / str(pid)).rmdir()

    def reading(self) -> Reading:
        total, steal = round(self.total * TICKS), round(self.steal * TICKS)
        stat = f"cpu  {total} 0 0 500 9 7 7 {steal} 0 0\ncpu0 1\ncpu1 1\nctxt 3\n"
        (self.root / "stat").write_text(stat)
        (self.root / "loadavg").write_text("3.50 1.00 0.50 2/99 1234\n")
        for pid, (name, parent) in self._who.items():
            kernel = 0x00200000 if parent == KERNEL else 0
            own, reaped = round(self.used[pid] * TICKS), round(self.reaped[pid] * TICKS)
            (self.root / str(pid) / "stat").write_text(
                f"{pid} ({name}) S {parent} 1 1 0 -1 {kernel} 0 0 0 0 {own} 0 {reaped} 0 "
                f"20 0 1 0 {pid} 0\n"
            )
        found = read(proc=self.root)
        assert found is not None
        return Reading(**{**vars(found), "at_s": self.at_s})

    def use(self, before: Reading, seconds: float = 1.0) -> MachineUse:
        self.at_s = before.at_s + seconds
        found = between(before, self.reading(), ours=[OURS], proc=self.root, pid=LAB)
        assert found is not None
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.add(1, "init", parent=0)
    made.add(LAB, "lab", parent=SHELL)
    made.add(SHELL, "make")
    made.add(ENGINE, "dockerd")
    made.add(SHIM, "containerd-shim")
    made.add(SERVER, "python3", parent=SHIM, container=OURS)
    made.add(HELPER, "unpigz", parent=ENGINE)
    made.add(14, "kworker/0:1", parent=KERNEL)
    made.add(OTHER, "cc1 (x)", parent=1)
    return made


def test_what_the_lab_its_engine_and_its_container_use_is_not_others(machine: Machine) -> None:
    before = machine.reading()
    for pid in (LAB, ENGINE, SHIM, SERVER, HELPER, 14):
        machine.used[pid] += 0.3
    machine.total += 1.8
    use = machine.use(before)
    assert use.others_s == 0
    assert use.busy_s == pytest.approx(1.8)
    assert use.who == ()
    assert not disturbed(use)


def test_what_other_programs_and_other_containers_use_is_told_by_name(machine: Machine) -> None:
    machine.add(300, "stress", parent=SHIM, container=THEIRS)
    before = machine.reading()
    machine.used[OTHER] += 0.9
    machine.used[300] += 0.5
    use = machine.use(before)
    assert use.others_s == pytest.approx(1.4)
    assert use.who == ("cc1 (x)", "stress")
    assert use.load == 3.5
    assert use.taken == pytest.approx(0.7)
    assert disturbed(use)
    assert busy.told(use) == "others took 70 % of its 2 CPUs (cc1 (x), stress)"


def test_a_program_that_begins_and_ends_between_is_counted_with_its_parent(
    machine: Machine,
) -> None:
    machine.add(301, "bash", parent=1)
    machine.add(302, "cc1", parent=301)
    machine.used[302] = 50.0  # long before
    before = machine.reading()
    machine.used[302] += 0.25
    machine.end(302)
    assert machine.use(before).others_s == pytest.approx(0.25)


def test_what_an_ended_container_used_does_not_become_init_s(machine: Machine) -> None:
    before = machine.reading()
    machine.reaped[SHIM] += 5.0
    machine.end(SHIM)
    machine.reaped[SHELL] += 5.0  # of the lab's own children
    assert machine.use(before).others_s == 0


def test_a_number_that_is_used_again_is_another_process(machine: Machine) -> None:
    machine.used[OTHER] = 70.0
    before = machine.reading()
    replaced = {
        (pid, birth + (pid == OTHER)): one for (pid, birth), one in before.processes.items()
    }
    before = Reading(**{**vars(before), "processes": replaced})
    machine.used[OTHER] = 0.5
    assert machine.use(before).others_s == pytest.approx(0.5)


def test_what_the_host_gives_to_others_counts_too(machine: Machine) -> None:
    before = machine.reading()
    machine.steal += 0.6
    use = machine.use(before)
    assert use.steal_s == pytest.approx(0.6)
    assert disturbed(use)
    assert "others or its host" in busy.told(use)


@pytest.mark.parametrize(
    ("others_s", "wall_s", "quota", "expected"),
    [
        (0.1, 1.0, None, False),  # a neighbour that is busy a tenth of its time
        (1.0, 1.0, None, True),  # one that always is, on two CPUs
        (0.06, 0.1, None, False),  # six ticks: no more than they may err
        (1.0, 1.0, 0.58, False),  # 1024 MB, and a whole CPU left for it
        (1.0, 1.0, 1.16, True),  # 2048 MB: it wants more than is left
        (1.9, 1.0, 0.58, True),
    ],
)
def test_a_trial_is_disturbed_by_what_it_lacked(
    others_s: float, wall_s: float, quota: float | None, *, expected: bool
) -> None:
    use = MachineUse(wall_s=wall_s, cpus=2, busy_s=1, others_s=others_s, steal_s=0, load=9)
    assert disturbed(use, quota_cpus=quota) is expected


def test_nothing_known_is_nothing_said() -> None:
    assert not disturbed(None)
    assert between(None, None) is None


def test_a_system_without_these_files_has_no_reading(tmp_path: Path) -> None:
    assert read(proc=tmp_path / "none") is None


def test_pressure_is_told_where_the_kernel_does(machine: Machine) -> None:
    folder = machine.root / "pressure"
    folder.mkdir()

    def stalled(**seconds: float) -> Mapping[str, float]:
        for what, total in seconds.items():
            (folder / what).write_text(
                f"some avg10=0.00 avg60=0.00 avg300=0.00 total={round(total * 1e6)}\n"
                "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
            )
        return machine.reading().stalled_s

    assert stalled(cpu=1.5, io=2.0) == {"cpu": 1.5, "io": 2.0}
    before = machine.reading()
    stalled(cpu=1.75)
    assert machine.use(before).stalled_s == {"cpu": 0.25, "io": 0.0}


def test_a_user_may_take_the_machine_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(busy.VARIABLE, "ignore")
    assert read() is None
    assert busy.watch(0.0) is None
    monkeypatch.delenv(busy.VARIABLE)
    assert (read() is None) is not Path("/proc/stat").exists()
