"""Images for the architecture that is not the engine's own.

The floor is compiled across, so what is true of any such image is shown on it; building under QEMU
takes minutes. TensorFlow is left to ``make images PLATFORMS=linux/amd64,linux/arm64``.
"""

import io
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.emulation import qemu
from lab.images.base import ensure_base
from lab.images.build import ensure
from lab.images.layers.saved import MACHINES
from lab.images.sizes import image_record
from lab.progress import Progress, Silent
from lab.spec import FLOOR, LABEL, LABEL_ROLE, Platform

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("registry")]

_MACHINES: Mapping[Platform, str] = {Platform.AMD64: "x86_64", Platform.ARM64: "aarch64"}
_PROOF = (
    "import ctypes, os; ctypes.CDLL(os.environ['LAB_ORT_LIBRARY']).OrtGetApiBase(); "
    "from PIL import Image; Image.new('RGB', (8, 8)).resize((4, 4)); print(os.uname().machine)"
)


def said(engine: DockerEngine, image: str, platform: Platform, *words: str) -> str:
    """What a program of the image prints."""
    made: Mapping[str, Any] = engine.client.create_container(
        image, entrypoint=list(words), labels={LABEL: "true", LABEL_ROLE: "test"}, platform=platform
    )
    try:
        engine.client.start(made["Id"])
        code = engine.client.wait(made["Id"], timeout=120)["StatusCode"]
        printed: bytes = engine.client.logs(made["Id"])
        assert code == 0, printed.decode()
        return printed.decode().strip()
    finally:
        engine.client.remove_container(made["Id"], force=True)


def test_programs_of_the_other_architecture_run_and_are_known_to_be_emulated(
    engine: DockerEngine, foreign: Platform, foreign_image: Callable[[str], str]
) -> None:
    foreign_image(FLOOR)
    seen = qemu.look(foreign, engine)
    assert seen.runs
    assert seen.version is None or int(seen.version.split(".")[0]) >= qemu.OLDEST


def test_the_floor_is_the_other_architecture_s_own(
    engine: DockerEngine, foreign: Platform, foreign_image: Callable[[str], str]
) -> None:
    ref = foreign_image(FLOOR)
    assert engine.image(ref).platform is foreign
    made = engine.client.create_container(ref, labels={LABEL: "true"}, platform=foreign)["Id"]
    try:
        packed, _ = engine.client.get_archive(made, "/serve")
        with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as tar:
            program = tar.extractfile("serve")
            assert program is not None
            head = program.read(20)
    finally:
        engine.client.remove_container(made, force=True)
    assert head.startswith(b"\x7fELF")
    assert MACHINES[int.from_bytes(head[18:], "little")] == foreign.arch


@pytest.mark.long
def test_the_base_is_the_other_architectures_own_and_made_once(
    engine: DockerEngine, foreign: Platform, progress: Progress
) -> None:
    base = ensure_base(foreign, engine, progress)
    assert engine.image(base.ref).platform is foreign
    assert said(engine, base.ref, foreign, "uname", "-m") == _MACHINES[foreign]
    silent = Silent()
    assert ensure_base(foreign, engine, silent) == base
    assert silent.steps == []


@pytest.mark.long
def test_the_small_image_runs_with_the_other_architectures_libraries(
    engine: DockerEngine, foreign: Platform, foreign_image: Callable[[str], str]
) -> None:
    ref = foreign_image("onnx-slim")
    assert engine.image(ref).platform is foreign
    python = "/usr/bin/python3"
    printed = said(engine, ref, foreign, python, "-S", "-c", _PROOF)
    assert printed.splitlines()[-1] == _MACHINES[foreign]


@pytest.mark.long
def test_the_small_image_is_hardly_larger_for_the_other_architecture(
    engine: DockerEngine,
    platform: Platform,
    foreign: Platform,
    built: Callable[[str], str],
    foreign_image: Callable[[str], str],
) -> None:
    built("onnx-slim")
    foreign_image("onnx-slim")
    sizes = {one: image_record(engine, None, "onnx-slim", one) for one in (platform, foreign)}
    arm64, amd64 = sizes[Platform.ARM64], sizes[Platform.AMD64]
    assert len(arm64.layers) == len(amd64.layers)
    assert arm64.unpacked_bytes < 1.1 * amd64.unpacked_bytes


@pytest.mark.parametrize("name", [FLOOR, pytest.param("onnx-slim", marks=pytest.mark.long)])
def test_nothing_is_built_again_when_nothing_changed(
    engine: DockerEngine, foreign: Platform, foreign_image: Callable[[str], str], name: str
) -> None:
    foreign_image(name)
    progress = Silent()
    ensure([name], platform=foreign, engine=engine, progress=progress)
    assert progress.steps == []
