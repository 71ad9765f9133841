import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lab.engine.doctor import network, prerequisites
from lab.engine.doctor.findings import (
    CheckResult,
    CheckState,
    DoctorCheck,
    degraded,
    examine,
    missing,
    ok,
)
from lab.engine.doctor.prerequisites import all_checks, judged_emulation, runnable, time_loop
from lab.engine.emulation.qemu import Emulation
from lab.engine.install import packages
from lab.engine.install.locate import Search
from lab.engine.install.packages import Tool
from lab.errors import EngineError
from lab.spec import Platform
from tests.timing import quickest

if TYPE_CHECKING:
    from tests.unit.engine.conftest import Programs


def test_findings_come_in_the_order_of_the_checks() -> None:
    checks = [
        DoctorCheck(name="slow", look=lambda: _after(0.05)),
        DoctorCheck(name="alone", look=lambda: ok("a"), alone=True),
        DoctorCheck(name="fast", look=lambda: ok("f")),
    ]
    assert list(examine(checks)) == ["slow", "alone", "fast"]


def _after(seconds: float) -> CheckResult:
    time.sleep(seconds)
    return ok("done")


def test_a_check_that_hangs_does_not_hold_up_the_others() -> None:
    release = threading.Event()

    def hang() -> CheckResult:
        release.wait(10)
        return ok("late")

    begun = time.monotonic()
    found = examine(
        [DoctorCheck(name="hangs", look=hang), DoctorCheck(name="fine", look=lambda: ok("x"))],
        patience_s=1,
    )
    release.set()
    assert time.monotonic() - begun < 5
    assert found["hangs"].state is CheckState.DEGRADED
    assert found["fine"].state is CheckState.OK


def test_a_check_that_fails_is_a_finding() -> None:
    def refuse() -> CheckResult:
        raise EngineError("gone", remedy="Start it.")

    def break_() -> CheckResult:
        raise PermissionError("no")

    found = examine([DoctorCheck(name="a", look=refuse), DoctorCheck(name="b", look=break_)])
    assert found["a"] == missing("gone", "Start it.")
    assert found["b"].state is CheckState.DEGRADED


def test_what_needs_quiet_runs_after_all_others() -> None:
    order: list[str] = []

    def noted(name: str, seconds: float) -> Callable[[], CheckResult]:
        def look() -> CheckResult:
            time.sleep(seconds)
            order.append(name)
            return ok(name)

        return look

    examine(
        [
            DoctorCheck(name="q", look=noted("q", 0), alone=True),
            DoctorCheck(name="s", look=noted("s", 0.05)),
        ]
    )
    assert order == ["s", "q"]


@pytest.mark.parametrize(
    ("engine", "process", "expected"),
    [
        (ok(""), ok(""), "docker"),
        (degraded(""), missing(""), "docker"),
        (missing(""), ok(""), "process"),
        (missing(""), missing(""), None),
    ],
)
def test_the_lab_runs_as_long_as_one_engine_can(
    engine: CheckResult, process: CheckResult, expected: str | None
) -> None:
    assert runnable({"engine": engine, "process engine": process}) == expected


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in all_checks()]
    assert len(names) == len(set(names))
    assert {"engine", "buildx", "compose", "disk", "cgroups", "registry", "CPUs"} <= set(names)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ({"runs": True, "version": "10.0.2"}, CheckState.OK),
        ({"runs": True, "remedy": "See that it is QEMU 8."}, CheckState.DEGRADED),
        ({"runs": False, "remedy": "Build once.", "mendable": True}, CheckState.DEGRADED),
        ({"runs": False, "remedy": "Run as root: ..."}, CheckState.MISSING),
    ],
)
def test_the_other_platform_is_told_with_what_to_do(
    seen: dict[str, Any], state: CheckState
) -> None:
    emulation = Emulation(platform=Platform.ARM64, detail="QEMU", **seen)
    found = judged_emulation(emulation)
    assert found.state is state
    assert found.remedy == seen.get("remedy", "")
    assert "linux/arm64: QEMU" in found.detail


def test_without_an_engine_this_machines_own_kernel_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prerequisites, "search", lambda: Search(found=None, refused=()))
    asked = []

    def look_here(platform: Platform) -> Emulation:
        asked.append(platform)
        return Emulation(platform=platform, runs=True, detail="QEMU 10")

    monkeypatch.setattr(prerequisites, "look_here", look_here)
    for machine in ("x86_64", "aarch64"):
        monkeypatch.setattr("os.uname", lambda machine=machine: SimpleNamespace(machine=machine))
        assert prerequisites.other_platform().state is CheckState.OK
    assert asked == [Platform.ARM64, Platform.AMD64]


def test_a_tool_tells_its_version_or_how_to_get_it(
    programs: "Programs", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "has", lambda tool: tool is Tool.BUILDX)
    programs.answer("docker buildx version", "github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3")
    looks = {check.name: check.look for check in all_checks()}
    assert looks["buildx"]() == ok("0.13.1+ds1")
    assert looks["compose"]().state is CheckState.MISSING
    assert looks["compose"]().remedy


@pytest.mark.parametrize(
    ("free", "state"),
    [(100 * 2**30, CheckState.OK), (12 * 2**30, CheckState.DEGRADED), (2**30, CheckState.MISSING)],
)
def test_too_little_disk_is_told_in_figures(
    monkeypatch: pytest.MonkeyPatch, free: int, state: CheckState
) -> None:
    monkeypatch.setattr(
        "shutil.disk_usage", lambda path: type("Usage", (), {"free": free, "total": free})
    )
    assert prerequisites.disk().state is state


def test_pip_itself_is_asked_whether_its_index_answers(programs: "Programs") -> None:
    assert network.python_index().state is CheckState.DEGRADED
    programs.answer(f"{sys.executable} -m pip index versions", "pip (25.0)")
    assert network.python_index().state is CheckState.OK


def test_the_noise_probe_lasts_as_long_as_it_was_told() -> None:
    times: list[float] = []
    assert 0.05 <= quickest(lambda: times.extend(time_loop(0.05))) < 1.0
    assert all(seconds > 0 for seconds in times)
