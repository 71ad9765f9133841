"""What `lab down` leaves, and how it is known whose containers there are."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts import store
from lab.endpoint.emulator import STORE_FILE
from lab.endpoint.records import EndpointRecord, Status
from lab.endpoint.store import SqliteStore
from lab.errors import UsageError
from lab.progress import Silent
from lab.spec import Platform
from lab.stack import session
from lab.stack.identity import identity
from lab.stack.processes import Processes
from lab.stack.settings import StackSettings
from tests.unit.engine.fake import FakeEngine

SAMPLES = {"payload": "samples/photo-size.jpg"}


def test_the_identity_is_that_of_the_emulators_store(tmp_path: Path) -> None:
    assert identity(tmp_path) is None
    kept = SqliteStore(tmp_path / STORE_FILE)
    own = kept.identity()
    kept.close()
    assert identity(tmp_path) == own


class Emulator:
    """One that runs, with an endpoint; or none."""

    def __init__(self, endpoint: str | None) -> None:
        self.endpoint = endpoint

    def healthy(self) -> bool:
        return self.endpoint is not None

    def endpoints(self) -> list[dict[str, str | None]]:
        return [{"EndpointName": self.endpoint}]


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("retinopathy-vgg19-serverless", ["retinopathy-vgg19"]),
        ("retinopathy-mobilenet-realtime", []),  # which is asked for
        ("retinopathy-vgg19", []),  # which `lab up` did not make
    ],
)
def test_models_that_had_endpoints_before_are_known_whether_the_emulator_runs_or_not(
    tmp_path: Path, name: str, found: list[str], *, runs: bool
) -> None:
    if not runs:
        kept = SqliteStore(tmp_path / STORE_FILE)
        kept.add_endpoint(
            EndpointRecord(
                name=name,
                arn="arn",
                created_at=0,
                modified_at=0,
                status=Status.IN_SERVICE,
                config_name="any",
            )
        )
        kept.close()
    client: Any = Emulator(name if runs else None)
    assert session._served_before(StackSettings(state=tmp_path, env={}), client) == found


def test_archives_of_both_runtimes_go_up_for_them_and_a_model_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    model, gone = store.STUDY
    folder = tmp_path / "artifacts" / model
    folder.mkdir(parents=True)
    names = ["model-onnx.tar.gz", "model-tensorflow.tar.gz"]
    for name in names:
        (folder / name).write_bytes(b"weights")
    (folder / "card.json").write_text(json.dumps({"sha256": dict.fromkeys(names, "11")}))
    progress = Silent()
    archives = list(session._archives([model, gone], progress))
    assert sorted(one.path.name for one in archives) == names
    (said,) = progress.notes
    assert f"{gone} is not built" in said


def test_a_state_folder_that_nobody_here_may_remove_is_said_and_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    backend = Processes(StackSettings(state=tmp_path, env={}), Silent())
    with pytest.raises(UsageError, match="Permission denied") as refused:
        session._remove(tmp_path, backend)
    assert f"sudo rm -r {tmp_path}" in refused.value.remedy


def test_the_state_is_nobody_elses_to_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with session.alone(state):
        assert state.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("machine", "image", "instance_type"),
    [
        (Platform.AMD64, "inference-lab/onnx-slim:amd64", "ml.m5.large"),
        (Platform.ARM64, "inference-lab/onnx-slim:arm64", "ml.m6g.large"),
    ],
)
def test_endpoints_are_seeded_with_the_machines_own_images_on_instances_that_take_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: Platform,
    image: str,
    instance_type: str,
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    model = store.DEFAULT
    folder = tmp_path / "artifacts" / model
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "photo-size.jpg").write_bytes(b"picture")
    (folder / "model-onnx.tar.gz").write_bytes(b"weights")
    (folder / "card.json").write_text(
        json.dumps({"sha256": {"model-onnx.tar.gz": "11"}, "samples": SAMPLES})
    )
    (served,) = session._served(
        StackSettings(models=(model,), env={}), FakeEngine(platform=machine)
    )
    assert (served.image, served.instance_type) == (image, instance_type)


def test_a_model_that_its_serverless_endpoint_cannot_hold_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    model = store.DEFAULT
    folder = tmp_path / "artifacts" / model
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"memory": {"peak_bytes": 3_000_000_000}}))
    with pytest.raises(UsageError, match="does not fit into 2048 MB") as refused:
        session._served(StackSettings(models=(model,), env={}), FakeEngine())
    assert "Take 3072 MB" in refused.value.remedy
    assert "lab push aws --target local" in refused.value.remedy
