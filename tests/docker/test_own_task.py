"""A model of a kind that the lab has never seen: a folder, and nothing else, all the way to an
answer."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import httpx
import pytest

from lab import paths
from lab.artifacts import archive, build, fingerprint, store
from lab.artifacts.verify import problems
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.parity.compare import compare, parse
from lab.parity.inputs import choose
from lab.progress import Progress
from lab.spec import Runtime
from lab.start.serving import serving

pytestmark = pytest.mark.docker

TOY = Path(__file__).parent / "toy_model"
MODEL = "toy"


@pytest.fixture(scope="module")
def toy(
    engine: DockerEngine, progress: Progress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The toy, built by the real trainer from a copy of ``models/`` that has its folder."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(paths.MODELS, home / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(TOY, home / "models" / MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "MODELS", home / "models")
        patch.setattr(fingerprint, "MODELS", home / "models")
        patch.setenv("LAB_HOME", str(home))
        build.ensure([MODEL], engine=engine, progress=progress)
        assert problems(MODEL) == []
        yield home


@pytest.mark.parametrize("variant", ["onnx", "onnx-slim"])
def test_its_own_task_answers_in_the_lab_s_own_images(
    variant: str,
    toy: Path,
    engine: DockerEngine,
    built: Callable[[str], str],
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)  # readable by whatever user the image runs as
    folder = tmp_path / "model"
    archive.extract(store.find(MODEL, Runtime.ONNX).path, folder)
    inputs, tolerance = choose(MODEL, 20), store.tolerance(MODEL)
    spec = ContainerSpec(
        image=built(variant),
        model_dir=PurePosixPath(folder),
        labels={"org.inference-lab.role": f"test-own-task-{variant}"},
        publish=0,
    )
    with serving(engine, spec, within_s=60) as served:
        url = "http://{}:{}".format(*served.address)
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            said = [
                http.post(
                    "/invocations", content=one.body, headers={"content-type": one.content_type}
                )
                for one in inputs
            ]
            wrong = http.post(
                "/invocations", content=b"{}", headers={"content-type": "application/json"}
            )
            page = http.get("/metrics").text
    answers = [parse(one.content, tolerance, of=one.text) for one in said]
    assert {one.label for one in answers} == {"0", "1", "2"}
    assert all(sum(one.scores) == pytest.approx(1) for one in answers)
    names = [one.name for one in inputs]
    assert all(one.max_abs_difference == 0 for one in compare(names, answers, answers))
    assert (wrong.status_code, "numbers" in wrong.text) == (400, True)
    assert f"lab_inference_confidence_count {len(inputs)}.0" in page
    assert 'lab_inference_drift_bin_total{bin="0",feature="place"}' in page
    assert not list(folder.rglob("__pycache__"))
