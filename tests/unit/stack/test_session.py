"""What `lab down` leaves, and how it is known whose containers there are."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts import store
from lab.endpoint.emulator import STORE_FILE
from lab.endpoint.store import SqliteStore
from lab.errors import UsageError
from lab.progress import Silent
from lab.spec import Platform
from lab.stack import session
from lab.stack.identity import identity
from lab.stack.processes import Processes
from lab.stack.settings import Settings
from tests.unit.coldstart.fakes import FakeEngine


def test_the_identity_is_that_of_the_emulators_store(tmp_path: Path) -> None:
    assert identity(tmp_path) is None
    kept = SqliteStore(tmp_path / STORE_FILE)
    own = kept.identity()
    kept.close()
    assert identity(tmp_path) == own


def test_a_state_folder_that_nobody_here_may_remove_is_said_and_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    backend = Processes(Settings(state=tmp_path, env={}), Silent())
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
    model = store.models()[0]
    folder = tmp_path / "artifacts" / model
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "photo-size.jpg").write_bytes(b"picture")
    (folder / "model-onnx.tar.gz").write_bytes(b"weights")
    (folder / "card.json").write_text(json.dumps({"sha256": {"model-onnx.tar.gz": "11"}}))
    (served,) = session._served(Settings(models=(model,), env={}), FakeEngine(platform=machine))
    assert (served.image, served.instance_type) == (image, instance_type)
