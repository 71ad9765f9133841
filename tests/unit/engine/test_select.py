from pathlib import Path

import pytest

from lab.engine import select
from lab.engine.install import packages
from lab.engine.install.locate import Candidate, Refusal, Search
from lab.engine.install.packages import Tool
from lab.engine.select import Choice, choice, open_docker, open_engine
from lab.errors import EngineError, EngineUnavailableError, UsageError
from lab.progress import Silent
from lab.spec import EngineKind
from tests.unit.engine.fakedocker import FakeDocker

NOTHING = Search(
    found=None,
    refused=[
        Refusal(
            candidate=Candidate(address="unix:///x", origin="the default socket"),
            why="no /x",
            forbidden=False,
        )
    ],
)
FORBIDDEN = Search(
    found=None,
    refused=[
        Refusal(
            candidate=Candidate(address="unix:///x", origin="the default socket"),
            why="no permission",
            forbidden=True,
        )
    ],
)


class Machine:
    """A machine without an engine, until one is installed and started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, docker: FakeDocker) -> None:
        self.engine = Search(found=Candidate(address=docker.address, origin="x"), refused=[])
        self.seen = NOTHING
        self.tools: set[Tool] = set()
        self.root = True
        self.can_install = True
        self.done: list[str] = []
        monkeypatch.setattr(select, "search", lambda: self.seen)
        monkeypatch.setattr(packages, "has", lambda tool: tool in self.tools)
        monkeypatch.setattr(packages, "ensure", self._ensure)
        monkeypatch.setattr(
            "lab.engine.install.privilege.prefix", lambda: () if self.root else None
        )
        monkeypatch.setattr("lab.engine.install.daemon.Daemon.start", lambda _: self._start())

    def _ensure(self, tools: tuple[Tool, ...], progress: Silent) -> None:
        if set(tools) <= self.tools:
            return
        if not self.can_install:
            raise EngineUnavailableError("it cannot be installed", remedy="Install it yourself.")
        self.done.append("install")
        self.tools |= set(tools)

    def _start(self) -> None:
        self.done.append("start")
        self.seen = self.engine


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, docker: FakeDocker, tmp_path: Path) -> Machine:
    monkeypatch.delenv("LAB_ENGINE", raising=False)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return Machine(monkeypatch, docker)


def test_an_engine_that_answers_is_used_as_it_is(machine: Machine) -> None:
    machine.seen = machine.engine
    machine.tools |= set(Tool)
    engine = open_engine(Silent())
    engine.close()
    assert engine.kind is EngineKind.DOCKER
    assert machine.done == []


def test_a_bare_machine_gets_an_engine_installed_and_started(machine: Machine) -> None:
    engine = open_engine(Silent())
    engine.close()
    assert engine.kind is EngineKind.DOCKER
    assert machine.done == ["install", "start"]


def test_packages_that_are_there_are_only_started(machine: Machine) -> None:
    machine.tools |= set(Tool)
    open_engine(Silent()).close()
    assert machine.done == ["start"]


def test_an_engine_that_the_package_starts_is_used(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(tools: tuple[Tool, ...], progress: Silent) -> None:
        machine.done.append("install")
        machine.seen = machine.engine

    monkeypatch.setattr(packages, "ensure", install)
    open_engine(Silent()).close()
    assert machine.done == ["install"]


def test_where_docker_cannot_be_had_processes_stand_in_and_it_is_said(machine: Machine) -> None:
    machine.can_install = False
    progress = Silent()
    engine = open_engine(progress)
    assert engine.kind is EngineKind.PROCESS
    assert "Install it yourself." in progress.notes[0]
    assert "without containers" in progress.notes[1]
    assert "it cannot be installed" in engine.facts().notes[0]


def test_docker_by_name_is_docker_or_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_ENGINE", "docker")
    machine.can_install = False
    with pytest.raises(EngineUnavailableError, match="cannot be installed") as caught:
        open_engine(Silent())
    assert caught.value.remedy
    assert caught.value.exit_code == 3


def test_external_neither_installs_nor_starts(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_ENGINE", "external")
    machine.tools |= set(Tool)
    with pytest.raises(EngineUnavailableError, match="the default socket: no /x"):
        open_engine(Silent())
    assert machine.done == []
    machine.seen = machine.engine
    machine.tools.clear()
    open_engine(Silent()).close()
    assert machine.done == []


def test_process_by_name_looks_for_no_engine(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_ENGINE", "process")
    machine.seen = machine.engine
    assert open_engine(Silent()).kind is EngineKind.PROCESS


def test_without_leave_to_install_an_installed_engine_is_still_started(machine: Machine) -> None:
    machine.tools |= set(Tool)
    open_docker(Silent(), allow_install=False).close()
    assert machine.done == ["start"]


def test_without_leave_to_install_a_bare_machine_gets_advice(machine: Machine) -> None:
    with pytest.raises(EngineUnavailableError, match="none is installed") as caught:
        open_docker(Silent(), allow_install=False)
    assert caught.value.remedy
    assert machine.done == []


def test_an_engine_that_only_root_could_start_is_said_so(machine: Machine) -> None:
    machine.tools |= set(Tool)
    machine.root = False
    with pytest.raises(EngineUnavailableError, match="may not start it") as caught:
        open_docker(Silent())
    assert "systemctl start docker" in caught.value.remedy


def test_no_second_engine_is_started_beside_one_that_refuses_this_user(machine: Machine) -> None:
    machine.seen = FORBIDDEN
    machine.root = False
    with pytest.raises(EngineUnavailableError, match="may not use it") as caught:
        open_docker(Silent())
    assert "usermod -aG docker" in caught.value.remedy
    assert machine.done == []


def test_a_missing_builder_beside_a_working_engine_is_a_note(machine: Machine) -> None:
    machine.seen = machine.engine
    machine.can_install = False
    progress = Silent()
    open_docker(progress).close()
    assert "cannot be installed" in progress.notes[0]


def test_an_engine_that_does_not_come_up_is_an_error_not_a_hang(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.tools |= set(Tool)

    def fail(_: object) -> None:
        raise EngineError("last words")

    monkeypatch.setattr("lab.engine.install.daemon.Daemon.start", fail)
    progress = Silent()
    assert open_engine(progress).kind is EngineKind.PROCESS
    assert "last words" in progress.notes[0]


def test_an_unknown_choice_names_the_known_ones() -> None:
    assert choice({}) is Choice.AUTO
    assert choice({"LAB_ENGINE": ""}) is Choice.AUTO
    with pytest.raises(UsageError, match="podman") as caught:
        choice({"LAB_ENGINE": "podman"})
    assert "docker, external, process" in caught.value.remedy
