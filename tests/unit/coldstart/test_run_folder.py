import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lab.coldstart import schedule
from lab.coldstart.folder import RunFolder
from lab.coldstart.record import Run
from lab.errors import DiskFullError, UsageError
from tests.unit.coldstart.builders import GOOD, plan, trial
from tests.unit.coldstart.scripted import ScriptedExecutor


def record(run_id: str = "20260102T030405Z-tiny") -> Run:
    a_plan = plan()
    return Run(
        id=run_id,
        started_at="2026-01-02T03:04:05+00:00",
        lab_version="0",
        git_commit=None,
        git_dirty=None,
        plan_name=a_plan.name,
        plan=a_plan.model_dump(mode="json"),
        seed=a_plan.seed,
        order=[(one.block, one.cell) for one in schedule.order(a_plan)],
        host={},
        engine={"kind": "docker"},
        base_image={},
        bandwidth_bits_per_s=None,
        images=[],
        models=[],
    )


def samples(count: int) -> list[Any]:
    executor = ScriptedExecutor(lambda _: GOOD)
    return [executor.run(trial(index)) for index in range(count)]


def test_a_run_is_written_before_its_first_trial_and_read_back(tmp_path: Path) -> None:
    folder = RunFolder.create(record(), root=tmp_path)
    assert folder.run().model_dump_json() == record().model_dump_json()
    assert folder.samples() == []
    assert (tmp_path / "latest").resolve() == folder.path


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    folder = RunFolder.create(record(), root=tmp_path)
    written = samples(3)
    for sample in written:
        folder.append(sample)
    assert folder.samples() == written


def test_a_line_torn_by_a_crash_is_left_out_and_cut_off(tmp_path: Path) -> None:
    folder = RunFolder.create(record(), root=tmp_path)
    written = samples(3)
    for sample in written[:2]:
        folder.append(sample)
    with (folder.path / "samples.jsonl").open("ab") as file:
        file.write(b'{"schema":1,"trial":2,"blo')
    assert folder.samples() == written[:2]
    folder.mend()
    folder.append(written[2])
    assert folder.samples() == written


def test_a_broken_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    folder = RunFolder.create(record(), root=tmp_path)
    (folder.path / "samples.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"samples.jsonl, line 1: "):
        folder.samples()


def test_a_full_disk_keeps_the_samples_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(record(), root=tmp_path)
    first, second = samples(2)
    folder.append(first)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="what was written before is kept") as caught:
        folder.append(second)
    assert f"--resume {folder.path.name}" in caught.value.remedy
    assert folder.samples() == [first]
    assert (folder.path / "samples.jsonl").read_bytes().endswith(b"\n")


def test_latest_points_to_the_newest(tmp_path: Path) -> None:
    RunFolder.create(record("a"), root=tmp_path)
    RunFolder.create(record("b"), root=tmp_path)
    assert (tmp_path / "latest").readlink() == Path("b")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_run_is_found_by_id_by_latest_and_by_path(tmp_path: Path) -> None:
    folder = RunFolder.create(record("a"), root=tmp_path)
    for name in ("a", "latest", str(folder.path)):
        assert RunFolder.find(name, root=tmp_path).path == folder.path
    with pytest.raises(UsageError, match=r"'x' is neither a run's id .*: a\."):
        RunFolder.find("x", root=tmp_path)
