"""What is started in which order, and what is left out, on engines that are played."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import PortTakenError
from lab.paths import ROOT, SERVICES
from lab.progress import Silent
from lab.services import Started
from lab.stack import processes
from lab.stack.processes import Processes
from lab.stack.programs import Program, Programs
from lab.stack.settings import StackSettings


class Begun:
    def __init__(self) -> None:
        self.programs: dict[str, Program] = {}
        self.stopped: list[str] = []


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    seen = Begun()

    def ensure(_: Programs, program: Program) -> bool:
        seen.programs[program.name] = program
        return True

    def stop(_: Programs, name: str, **__: Any) -> bool:
        seen.stopped.append(name)
        return True

    monkeypatch.setattr(Programs, "ensure", ensure)
    monkeypatch.setattr(Programs, "stop", stop)
    monkeypatch.setattr("lab.stack.processes.venvs.ensure", lambda *_, **__: None)
    monkeypatch.setattr(processes, "_image", _image)
    monkeypatch.setattr("lab.stack.ports.taken", lambda _: False)
    return seen


def _image(name: str) -> Mapping[str, Any]:
    return {"argv": [f"/venvs/{name}/python"], "env": {"PYTHONUNBUFFERED": "1"}}


def start(
    tmp_path: Path, *, installed: Sequence[str] = (), **env: str
) -> tuple[dict[str, Started], Silent]:
    progress = Silent()
    settings = StackSettings(variant="onnx-slim", models=("m",), state=tmp_path, env=env)
    backend = Processes(
        settings, progress, which=lambda name: f"/usr/bin/{name}" if name in installed else None
    )
    backend.prepare()
    backend.start_store()
    backend.start_rest()
    return {one.service.name: one for one in backend.started()}, progress


def test_the_emulator_and_s3_are_processes_and_what_is_missing_is_said(
    tmp_path: Path, begun: Begun
) -> None:
    rows, progress = start(tmp_path)
    assert list(begun.programs) == ["s3", "endpoint"]  # archives come before the emulator
    env = begun.programs["endpoint"].env
    assert env["LAB_ENGINE"] == "process"
    assert env["LAB_STATE"] == str(tmp_path)
    assert env["LAB_BIND"] == "127.0.0.1"
    assert env["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:9000"
    absent = {name for name, one in rows.items() if one.url is None}
    assert absent == {"registry", "prometheus", "pushgateway", "grafana"}
    assert "prometheus is left out: not installed (Debian: prometheus)." in progress.notes


def test_a_setting_of_the_emulators_starts_it_anew(tmp_path: Path, begun: Begun) -> None:
    start(tmp_path)
    before = begun.programs["endpoint"].env
    start(tmp_path, LAB_IDLE_S="5")
    assert begun.programs["endpoint"].env["LAB_IDLE_S"] == "5"
    assert begun.programs["endpoint"].env != before


def test_prometheus_remembers_as_long_as_it_does_in_its_container(
    tmp_path: Path, begun: Begun
) -> None:
    start(tmp_path, installed=["prometheus"])
    command = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["prometheus"]
    kept = [word for word in command["command"] if "retention" in word]
    assert len(kept) == 2
    assert set(kept) <= set(begun.programs["prometheus"].argv)


def test_debians_prometheus_is_used_where_it_is_installed(tmp_path: Path, begun: Begun) -> None:
    rows, _ = start(tmp_path, installed=["prometheus"], LAB_ENDPOINT_PORT="8801")
    assert rows["prometheus"].url == "http://127.0.0.1:9090"
    argv = begun.programs["prometheus"].argv
    assert "--web.listen-address=127.0.0.1:9090" in argv
    said = (tmp_path / "prometheus.yml").read_text()
    assert "http://127.0.0.1:8801/_lab/targets" in said
    assert '"127.0.0.1:8801"' in said
    assert "endpoint:8800" not in said


def test_prometheus_as_a_process_has_the_same_rules_and_starts_anew_when_they_change(
    tmp_path: Path, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path, installed=["prometheus"])
    said = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    (rules,) = said["rule_files"]
    assert rules == f"{SERVICES}/prometheus/rules/*.yml"
    assert list(Path(rules).parent.glob("*.yml"))
    before = begun.programs["prometheus"].mark

    copy = tmp_path / "services"
    shutil.copytree(SERVICES / "prometheus", copy / "prometheus")
    monkeypatch.setattr("lab.paths.SERVICES", copy)
    (copy / "prometheus" / "rules" / "more.yml").write_text("groups: []")
    start(tmp_path, installed=["prometheus"])
    assert begun.programs["prometheus"].mark != before


def test_processes_listen_on_loopback_only(tmp_path: Path, begun: Begun) -> None:
    start(tmp_path, installed=["prometheus", "prometheus-pushgateway"])
    for name in ("prometheus", "pushgateway"):
        (listen,) = [w for w in begun.programs[name].argv if w.startswith("--web.listen-address")]
        assert listen.startswith("--web.listen-address=127.0.0.1:")


def test_a_prometheus_whose_port_is_taken_is_left_out_and_the_rest_starts(
    tmp_path: Path, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.stack.ports.taken", lambda port: port == 9090)
    rows, progress = start(tmp_path, installed=["prometheus", "prometheus-pushgateway"])
    assert rows["prometheus"].url is None
    assert rows["pushgateway"].url
    assert any("port 9090 is taken" in note for note in progress.notes)


def test_a_taken_port_of_the_emulator_is_refused_before_anything_starts(
    tmp_path: Path, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.stack.ports.taken", lambda port: port == 8800)
    with pytest.raises(PortTakenError, match="8800 of endpoint"):
        start(tmp_path)
    assert begun.programs == {}


def test_an_s3_of_the_users_own_is_used_and_none_is_started(tmp_path: Path, begun: Begun) -> None:
    rows, _ = start(tmp_path, AWS_ENDPOINT_URL_S3="https://minio.example")
    assert "s3" not in begun.programs
    assert rows["s3"].url == "https://minio.example"
    assert begun.programs["endpoint"].env["AWS_ENDPOINT_URL_S3"] == "https://minio.example"


def test_the_emulator_is_stopped_first_for_the_model_servers_are_its_children(
    tmp_path: Path, begun: Begun
) -> None:
    Processes(StackSettings(variant="onnx-slim", models=(), state=tmp_path), Silent()).stop()
    assert begun.stopped[0] == "endpoint"
    assert begun.stopped[-1] == "s3"
