"""``lab engine`` and ``lab doctor``, as a user types them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli import doctor as doctor_verb
from lab.cli import main
from lab.engine.doctor.findings import CheckResult, DoctorCheck, degraded, missing, ok
from lab.engine.install.locate import Candidate, Refusal
from tests.unit.engine.fakedocker import FakeDocker


@pytest.fixture
def docker(short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    monkeypatch.delenv("LAB_ENGINE", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("LAB_ENGINE_ROOT", str(short))
    with FakeDocker(short / "docker.sock") as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.address)
        yield fake


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports of this machine are no business of these tests."""
    monkeypatch.setattr(doctor_verb, "stack_checks", list)


def test_status_tells_the_engine_and_where_its_address_is_from(
    docker: FakeDocker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["engine", "status"]) == 0
    said = capsys.readouterr().out
    assert "DOCKER_HOST: answers" in said
    assert "Docker Engine 26.1.5" in said
    assert "overlay2" in said


def test_status_without_any_engine_fails_with_a_remedy(
    docker: FakeDocker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.engine.install.locate.ask", _refused)
    assert main.run(["engine", "status"]) == 3
    shown = capsys.readouterr()
    assert "DOCKER_HOST: not today" in shown.out
    assert "lab engine up" in shown.err


def _refused(candidate: Candidate) -> Refusal:
    return Refusal(candidate=candidate, why="not today", forbidden=False)


def test_status_of_processes_needs_no_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_ENGINE", "process")
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    assert main.run(["engine", "status"]) == 0
    assert "no container" in capsys.readouterr().out


def test_down_leaves_an_engine_alone_that_is_not_the_lab_s(
    docker: FakeDocker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["engine", "down"]) == 0
    assert "does not run" in capsys.readouterr().out
    assert docker.asked == []


def _checks(engine: CheckResult, process: CheckResult) -> list[DoctorCheck]:
    return [
        DoctorCheck(name="engine", look=lambda: engine),
        DoctorCheck(name="process engine", look=lambda: process),
        DoctorCheck(name="disk", look=lambda: degraded("[3 GB] free", "Free some.")),
    ]


def test_doctor_lists_findings_with_their_remedies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_verb, "all_checks", lambda: _checks(ok("it runs"), ok("3.13")))
    assert main.run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "it runs" in said
    assert "[3 GB] free" in said
    assert "→ Free some." in said


def test_doctor_s_json_holds_every_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_verb, "all_checks", lambda: _checks(missing("none"), ok("3.13")))
    assert main.run(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["runs_on"] == "process"
    assert [check["state"] for check in said["checks"]] == ["missing", "ok", "degraded"]


def test_doctor_fails_only_where_nothing_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_verb, "all_checks", lambda: _checks(missing("no"), missing("no")))
    assert main.run(["doctor"]) == 3
    assert "Nothing can run here" in capsys.readouterr().out
