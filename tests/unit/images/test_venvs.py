import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import BuildError, DiskFullError, UsageError
from lab.images import venvs
from lab.progress import Silent
from tests.unit.images.conftest import Builder


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def image(tmp_path: Path, name: str) -> dict[str, object]:
    file = tmp_path / ".cache" / "venvs" / name / "image.json"
    read: dict[str, object] = json.loads(file.read_text())
    return read


def pips(builder: Builder) -> Iterator[list[str]]:
    return (command for command in builder.commands if "install" in command)


def test_an_environment_is_filled_from_the_images_own_lock_and_hashes(
    tmp_path: Path, builder: Builder
) -> None:
    venvs.ensure(["onnx"], progress=Silent())
    (pip,) = pips(builder)
    assert "--require-hashes" in pip
    assert pip[-1].endswith("requirements/onnx.txt")
    made = image(tmp_path, "onnx")
    assert made["variant"] == "onnx"
    assert made["env"] == {
        "PYTHONUNBUFFERED": "1",
        "LAB_BACKEND": "onnx",
        "LAB_HTTP": "fastapi",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    argv = made["argv"]
    assert isinstance(argv, list)
    assert argv[0].endswith("/venvs/onnx/venv/bin/python")
    assert argv[1].endswith("services/inference/serve")


def test_an_environment_that_is_there_is_not_built_again(builder: Builder) -> None:
    venvs.ensure(["onnx"], progress=Silent())
    progress = Silent()
    venvs.ensure(["onnx"], progress=progress)
    assert len(list(pips(builder))) == 1
    assert progress.steps == []


def test_one_that_was_interrupted_is_built_again(tmp_path: Path, builder: Builder) -> None:
    folder = tmp_path / ".cache" / "venvs" / "onnx"
    (folder / "venv").mkdir(parents=True)
    (folder / "venv" / "half").touch()
    venvs.ensure(["onnx"], progress=Silent())
    assert len(list(pips(builder))) == 1
    assert not (folder / "venv" / "half").exists()


def test_the_smallest_keeps_the_c_library_and_nothing_else_of_onnx_runtime(
    tmp_path: Path, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".cache" / "venvs" / "onnx-slim"
    stream = builder.stream

    def unpack(*arguments: object, **more: object) -> None:
        capi = folder / "lib" / "onnxruntime" / "capi"
        capi.mkdir(parents=True)
        (capi / "libonnxruntime.so.1.2.3").write_bytes(b"x" * 1000)
        (capi / "state.so").write_bytes(b"y" * 1000)
        stream(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("lab.images.venvs.stream", unpack)
    venvs.ensure(["onnx-slim"], progress=Silent())
    made = image(tmp_path, "onnx-slim")
    env = made["env"]
    assert isinstance(env, dict)
    assert Path(env["LAB_ORT_LIBRARY"]).read_bytes() == b"x" * 1000
    assert env["PYTHONPATH"] == str(folder / "lib")
    assert not (folder / "lib" / "onnxruntime").exists()


def test_the_floor_needs_no_package(tmp_path: Path, builder: Builder) -> None:
    venvs.ensure(["floor"], progress=Silent())
    assert builder.commands == []
    argv = image(tmp_path, "floor")["argv"]
    assert isinstance(argv, list)
    assert argv[-1].endswith("services/floor/floor.py")


def test_what_needs_containers_is_refused_by_name(builder: Builder) -> None:
    with pytest.raises(UsageError, match="coldhost"):
        venvs.ensure(["coldhost"], progress=Silent())
    assert builder.commands == []


def test_a_failed_install_ends_with_pips_last_lines(builder: Builder) -> None:
    builder.fails = "pip ended with code 1.\nERROR: No matching distribution"
    with pytest.raises(BuildError, match="No matching distribution"):
        venvs.ensure(["onnx"], progress=Silent())


def test_a_full_disk_is_named_as_such(builder: Builder) -> None:
    builder.fails = "pip ended with code 1.\nERROR: [Errno 28] No space left on device"
    with pytest.raises(DiskFullError):
        venvs.ensure(["onnx"], progress=Silent())
