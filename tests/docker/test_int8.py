"""The int8 grader, built by the real trainer, beside the float one in the smallest image."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from lab.artifacts import archive, build, store
from lab.artifacts.verify import problems
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.errors import UsageError
from lab.parity.compare import ModelAnswer, parse
from lab.parity.inputs import choose
from lab.progress import Progress
from lab.spec import LABEL_ROLE, Runtime
from lab.start.serving import serving

pytestmark = [pytest.mark.docker, pytest.mark.long]

FLOAT = "retinopathy-mobilenet"
INT8 = f"{FLOAT}-int8"
COUNT = 100


@pytest.fixture(scope="module")
def models(engine: DockerEngine, progress: Progress) -> None:
    build.ensure([FLOAT, INT8], engine=engine, progress=progress)


@pytest.mark.usefixtures("models")
def test_int8_weighs_a_quarter_and_grades_as_the_float_model_does(
    engine: DockerEngine, built: Callable[[str], str], tmp_path: Path
) -> None:
    assert problems(INT8) == []
    tmp_path.chmod(0o755)  # readable by whatever user the image runs as
    exact, rounded = (
        _answers(engine, built("onnx-slim"), model, tmp_path / model) for model in (FLOAT, INT8)
    )
    same = sum(one.label == other.label for one, other in zip(exact, rounded, strict=True))
    assert same >= 0.95 * COUNT
    assert any(one.scores != other.scores for one, other in zip(exact, rounded, strict=True))
    said = store.card(INT8)["quantised"]
    assert said["float"]["bytes"] > 3.7 * said["int8"]["bytes"]
    assert said["float"]["qwk"] - store.card(INT8)["metrics"]["qwk"] <= 0.01


@pytest.mark.usefixtures("models")
def test_a_variant_of_tensorflow_refuses_it_and_names_those_that_serve_it() -> None:
    with pytest.raises(UsageError, match="no archive for tensorflow") as refused:
        store.check(INT8, Runtime.TENSORFLOW)
    assert "onnx-slim" in str(refused.value.remedy)


def _answers(engine: DockerEngine, image: str, model: str, folder: Path) -> list[ModelAnswer]:
    archive.extract(store.find(model, Runtime.ONNX).path, folder)
    spec = ContainerSpec(
        image=image,
        model_dir=PurePosixPath(folder),
        labels={LABEL_ROLE: "test-int8"},
        publish=0,
    )
    with serving(engine, spec, within_s=60) as served:
        return [
            parse(
                served.invoke(
                    one.body,
                    one.content_type,
                    accept="application/json",
                    name=one.name,
                    timeout_s=60,
                ),
                store.tolerance(model),
                of=one.name,
            )
            for one in choose(FLOAT, COUNT)[:COUNT]
        ]
