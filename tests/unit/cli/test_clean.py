"""`lab clean`, without an engine."""

from pathlib import Path

import pytest

from lab.cli import main
from lab.engine.docker.clean import Removed
from lab.engine.docker.engine import DockerEngine
from lab.engine.process.engine import ProcessEngine
from lab.images.names import is_own_name


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.delenv("LAB_STATE", raising=False)
    monkeypatch.setattr("lab.cli.clean.find_engine", lambda: None)
    monkeypatch.setattr("lab.cli.clean.running_engine", ProcessEngine)
    return tmp_path


def test_a_stack_that_runs_is_stopped_before_its_state_is_removed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = []
    state = home / "state"

    def stop(_: object, name: str) -> bool:
        assert state.is_dir()
        stopped.append(name)
        return True

    monkeypatch.setattr("lab.stack.programs.Programs.stop", stop)
    (state / "logs").mkdir(parents=True)
    (home / "runs").mkdir()
    assert main.run(["clean"]) == 0
    assert stopped[0] == "endpoint"
    assert not state.exists()
    assert (home / "runs").is_dir()


def test_where_nothing_was_ever_started_nothing_is_made(home: Path) -> None:
    assert main.run(["clean"]) == 0
    assert not list(home.iterdir())


def test_what_stays_on_the_engine_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Engine(DockerEngine):
        def __init__(self) -> None:
            self.address = "unix:///x"

    asked = []

    def remove_all(_: object, names: object) -> Removed:
        asked.append(names)
        return Removed(containers=1, images=2, networks=3, volumes=4, kept=["x stays: in use."])

    monkeypatch.setattr("lab.cli.clean.find_engine", Engine)
    monkeypatch.setattr("lab.cli.clean.remove_all", remove_all)
    assert main.run(["clean"]) == 0
    said = capsys.readouterr().out
    assert "Removed 1 containers, 2 images, 3 networks and 4 volumes" in said
    assert "• x stays: in use." in said
    assert asked == [is_own_name]
