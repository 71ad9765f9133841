"""A photograph from a real camera, larger than the model's input, through all images."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import httpx
import pytest

from lab.artifacts import archive, store
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.images.variants import VARIANTS, serving
from lab.spec import LABEL_ROLE
from tests.docker.contract_client import wait_until_ready

BESIDE = Path(__file__).parents[3] / "shared" / "data" / "retina.jpg"
PHOTOGRAPH = Path(os.environ.get("LAB_TEST_PHOTOGRAPH", BESIDE))
READY_S = 120


def probabilities(
    variant: str, engine: DockerEngine, image: str, model: str, folder: Path
) -> list[float]:
    runtime = VARIANTS[variant].runtime
    assert runtime is not None
    archive.extract(store.find(model, runtime).path, folder)
    spec = ContainerSpec(
        image=image, model_dir=PurePosixPath(folder), labels={LABEL_ROLE: "test"}, publish=0
    )
    container = engine.create(spec)
    try:
        container.start()
        host, port = container.address()
        url = f"http://{host}:{port}"
        wait_until_ready(url, within_s=READY_S)
        answer = httpx.post(
            f"{url}/invocations",
            content=PHOTOGRAPH.read_bytes(),
            headers={"Content-Type": "image/jpeg"},
            timeout=READY_S,
        )
        assert answer.status_code == 200, answer.text
        (prediction,) = answer.json()["predictions"]
        found: list[float] = prediction["probabilities"]
        return found
    finally:
        container.remove()


@pytest.mark.skipif(
    not PHOTOGRAPH.is_file(),
    reason="there is no photograph here: name one in LAB_TEST_PHOTOGRAPH",
)
@pytest.mark.parametrize(
    "serving",
    [
        pytest.param(("slim", "onnx", "onnx-slim"), id="three"),
        pytest.param(tuple(serving()), id="all", marks=pytest.mark.long),
    ],
)
def test_all_images_see_the_same_in_a_real_photograph(
    engine: DockerEngine,
    built: Callable[[str], str],
    mobilenet: str,
    tmp_path: Path,
    serving: tuple[str, ...],
) -> None:
    seen = {
        name: probabilities(name, engine, built(name), mobilenet, tmp_path / name)
        for name in serving
    }
    first = seen[serving[0]]
    assert sum(first) == pytest.approx(1, abs=1e-3)
    for found in seen.values():
        assert found == pytest.approx(first, abs=1e-3)
