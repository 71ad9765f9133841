"""The same pictures through both platforms' real images; the foreign one runs under QEMU."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import paths
from lab.engine.docker.engine import DockerEngine
from lab.parity.compare import refuse_broken
from lab.parity.record import load
from lab.parity.session import ParityJob, run
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, Platform
from tests.timing import PATIENCE_S, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.xdist_group("registry")]

BESIDE = Path(__file__).parents[3] / "shared" / "data" / "retina.jpg"
PHOTOGRAPH = Path(os.environ.get("LAB_TEST_PHOTOGRAPH", BESIDE))


def test_both_platforms_of_the_small_image_answer_alike(
    engine: DockerEngine,
    platform: Platform,
    mobilenet: str,
    progress: Progress,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paths, "runs", lambda: tmp_path)
    mine = [PHOTOGRAPH] if PHOTOGRAPH.is_file() else []
    job = ParityJob(variants=["onnx-slim"], model=mobilenet, count=5, payloads=mine)

    found, path = run(job, engine, progress)

    refuse_broken(found.comparisons, found.bounds)
    (one,) = found.comparisons
    assert len(one.inputs) == 6 + len(mine)
    assert {each.reference_label for each in one.inputs} > {"0"}
    assert one.reference.platform is platform
    assert one.compared.platform is not platform
    assert (one.reference.emulated, one.compared.emulated) == (False, True)
    assert one.reference.image_id != one.compared.image_id
    assert 0 <= one.max_abs_difference <= 1e-3 < one.spread
    assert load(path.parent).comparisons == found.comparisons
    assert not ours(engine, os.getpid())


def test_ctrl_c_leaves_no_container(engine: DockerEngine, mobilenet: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "lab", "images", "parity", "onnx-slim", "--model", mobilenet]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(words, cwd=paths.ROOT, stdout=said, stderr=said)
    try:
        wait_until(lambda: ours(engine, process.pid) or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "said").read_text()
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert code == 130
    assert not ours(engine, process.pid)


def ours(engine: DockerEngine, pid: int) -> list[str]:
    """The containers that this process started."""
    return [
        one.name
        for one in engine.containers({LABEL_ROLE: "parity"})
        if one.labels[LABEL_OWNER].endswith(f"-{pid}")
    ]
