import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.engine import network, prerequisites, provision
from lab.engine.doctor import Check, Finding, State, degraded, examine, missing, ok
from lab.engine.prerequisites import all_checks, qemu, runnable, time_loop
from lab.engine.provision import Tool
from lab.errors import EngineError

if TYPE_CHECKING:
    from tests.unit.engine.conftest import Programs


def test_findings_come_in_the_order_of_the_checks() -> None:
    checks = [
        Check(name="slow", look=lambda: _after(0.05)),
        Check(name="alone", look=lambda: ok("a"), alone=True),
        Check(name="fast", look=lambda: ok("f")),
    ]
    assert list(examine(checks)) == ["slow", "alone", "fast"]


def _after(seconds: float) -> Finding:
    time.sleep(seconds)
    return ok("done")


def test_a_check_that_hangs_does_not_hold_up_the_others() -> None:
    release = threading.Event()

    def hang() -> Finding:
        release.wait(10)
        return ok("late")

    begun = time.monotonic()
    found = examine(
        [Check(name="hangs", look=hang), Check(name="fine", look=lambda: ok("x"))], patience_s=0.1
    )
    release.set()
    assert time.monotonic() - begun < 5
    assert found["hangs"].state is State.DEGRADED
    assert found["fine"].state is State.OK


def test_a_check_that_fails_is_a_finding() -> None:
    def refuse() -> Finding:
        raise EngineError("gone", remedy="Start it.")

    def break_() -> Finding:
        raise PermissionError("no")

    found = examine([Check(name="a", look=refuse), Check(name="b", look=break_)])
    assert found["a"] == missing("gone", "Start it.")
    assert found["b"].state is State.DEGRADED


def test_what_needs_quiet_runs_after_all_others() -> None:
    order: list[str] = []

    def noted(name: str, seconds: float) -> Callable[[], Finding]:
        def look() -> Finding:
            time.sleep(seconds)
            order.append(name)
            return ok(name)

        return look

    examine(
        [Check(name="q", look=noted("q", 0), alone=True), Check(name="s", look=noted("s", 0.05))]
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
    engine: Finding, process: Finding, expected: str | None
) -> None:
    assert runnable({"engine": engine, "process engine": process}) == expected


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in all_checks()]
    assert len(names) == len(set(names))
    assert {"engine", "buildx", "compose", "disk", "cgroups", "registry", "CPUs"} <= set(names)


def _registered(tmp_path: Path, flags: str = "POF") -> Path:
    (tmp_path / "qemu-aarch64").write_text(
        f"enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: {flags}\noffset 0\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", State.DEGRADED),
        ("qemu-aarch64 version 10.0.2 (Debian 1:10.0.2+ds-2~bpo12+1)", State.OK),
        ("something else", State.DEGRADED),
    ],
)
def test_an_emulator_too_old_to_run_the_server_is_told(
    tmp_path: Path,
    programs: "Programs",
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    state: State,
) -> None:
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"machine": "x86_64"}))
    programs.answer("/usr/bin/qemu-aarch64-static --version", said)
    assert qemu(binfmt=_registered(tmp_path)).state is state


def test_an_emulator_that_containers_cannot_find_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"machine": "x86_64"}))
    assert qemu(binfmt=tmp_path).state is State.MISSING
    assert qemu(binfmt=_registered(tmp_path, flags="P")).state is State.DEGRADED


def test_an_arm64_machine_needs_no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"machine": "aarch64"}))
    assert qemu().state is State.OK


def test_a_tool_tells_its_version_or_how_to_get_it(
    programs: "Programs", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision, "has", lambda tool: tool is Tool.BUILDX)
    programs.answer("docker buildx version", "github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3")
    looks = {check.name: check.look for check in all_checks()}
    assert looks["buildx"]() == ok("0.13.1+ds1")
    assert looks["compose"]().state is State.MISSING
    assert looks["compose"]().remedy


@pytest.mark.parametrize(
    ("free", "state"),
    [(100 * 2**30, State.OK), (12 * 2**30, State.DEGRADED), (2**30, State.MISSING)],
)
def test_too_little_disk_is_told_in_figures(
    monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    monkeypatch.setattr(
        "shutil.disk_usage", lambda path: type("Usage", (), {"free": free, "total": free})
    )
    assert prerequisites.disk().state is state


def test_pip_itself_is_asked_whether_its_index_answers(programs: "Programs") -> None:
    assert network.python_index().state is State.DEGRADED
    programs.answer(f"{sys.executable} -m pip index versions", "pip (25.0)")
    assert network.python_index().state is State.OK


def test_the_noise_probe_lasts_as_long_as_it_was_told() -> None:
    begun = time.perf_counter()
    times = time_loop(0.05)
    assert 0.05 <= time.perf_counter() - begun < 1.0
    assert all(seconds > 0 for seconds in times)
