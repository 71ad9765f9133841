"""Models of strangers: brought from a file to an answer, and refused where nothing could answer."""

import functools
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import numpy as np
import pytest

from lab import paths
from lab.artifacts import archive, store, trainer
from lab.artifacts.imported import ImportOrder, bring
from lab.artifacts.verify import problems
from lab.contenttype import content_type_of
from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.engine import DockerEngine
from lab.errors import UsageError
from lab.images.base import ensure_base
from lab.images.variants import runtime_of
from lab.process import run
from lab.progress import Progress
from lab.services import SERVICES
from lab.spec import Platform
from lab.start.serving import serving
from tests.docker import known
from tests.docker.endpoint.clients.environments import environment
from tests.docker.test_recipes import built_from, saved
from tests.docker.test_up import Lab
from tests.ports import free_port

pytestmark = pytest.mark.docker

PROGRAMS = Path(__file__).parent / "import_models"

Exported = Callable[[str], Path]
Served = Callable[..., Any]


@pytest.fixture(scope="module")
def exported(
    engine: DockerEngine,
    built: Callable[[str], str],
    progress: Progress,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    """The folder that a program of ``import_models`` fills inside the trainer image."""

    @functools.cache
    def export(program: str) -> Path:
        folder = tmp_path_factory.mktemp(program)
        spec = ContainerSpec(
            image=built(trainer.ROLE),
            command=[f"/programs/{program}.py", trainer.OUT],
            labels={"org.inference-lab.role": f"test-import-{program}"},
            mounts=[
                Mount(source=str(PROGRAMS), target="/programs"),
                Mount(source=str(folder), target=trainer.OUT, read_only=False),
            ],
            network="none",
        )
        with progress.step(f"Exporting {program}") as step:
            trainer.run(engine, spec, step).check()
        return folder

    return export


@pytest.fixture
def imports(
    engine: DockerEngine, progress: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Imports a model into a lab of the test's own; its name."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))

    def import_one(model: Path, payload: Path | None = None, name: str = "theirs") -> str:
        order = ImportOrder(model=model, name=name, payload=payload)
        bring(order, engine=engine, progress=progress)
        assert problems(name) == []
        return name

    return import_one


@pytest.fixture
def answers(engine: DockerEngine, built: Callable[[str], str], tmp_path: Path) -> Served:
    """What a variant answers to a body, with a model's archive unpacked as SageMaker does."""

    def answer(model: str, variant: str, payload: Path | None = None) -> Any:
        tmp_path.chmod(0o755)  # readable by whatever user the image runs as
        folder = tmp_path / "unpacked" / variant
        archive.extract(store.find(model, runtime_of(variant)).path, folder)
        sent = payload or store.payload(model).path
        spec = ContainerSpec(
            image=built(variant),
            model_dir=PurePosixPath(folder),
            labels={"org.inference-lab.role": f"test-import-{variant}"},
            publish=0,
        )
        with serving(engine, spec, within_s=120) as served:
            said = httpx.post(
                "http://{}:{}/invocations".format(*served.address),
                content=sent.read_bytes(),
                headers={"content-type": content_type_of(sent)},
                timeout=60,
                trust_env=False,
            )
        assert said.status_code == 200, said.text
        return said.json()

    return answer


def test_a_stranger_s_graph_answers_with_its_own_tensors(
    exported: Exported, imports: Callable[..., str], answers: Served, tmp_path: Path
) -> None:
    payload = tmp_path / "ask.json"
    payload.write_text(json.dumps({"inputs": {"a": [[1, 0, 0], [0, 1, 0]], "b": [[0, 0, 1]] * 2}}))

    model = imports(exported("graphs") / "good.onnx", payload)
    said = answers(model, "onnx-slim")

    table = np.arange(3000).reshape(3, 1000)
    assert said["model"] == model
    assert said["predictions"] == [
        (table[0] + table[2]).tolist(),
        (table[1] + table[2]).tolist(),
    ]


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("truncated.onnx", "truncated.onnx"),
        ("alone.onnx", "alone.weights"),
        ("custom.onnx", "frobs"),
        ("future.onnx", "99"),
    ],
)
def test_what_nothing_could_serve_is_refused_with_what_is_at_fault(
    file: str, named: str, exported: Exported, imports: Callable[..., str]
) -> None:
    with pytest.raises(UsageError) as refused:
        imports(exported("graphs") / file)

    assert named in refused.value.what
    assert refused.value.remedy
    assert store.imported() == ()
    assert not [one for one in paths.artifacts().iterdir() if one.is_dir()]


@pytest.mark.long
def test_weights_in_a_file_beside_the_graph_come_along(
    exported: Exported, imports: Callable[..., str], answers: Served
) -> None:
    good = imports(exported("graphs") / "good.onnx", name="good")
    apart = imports(exported("graphs") / "beside.onnx", name="apart")

    payload = store.payload(good).path
    ours, theirs = answers(apart, "onnx", payload), answers(good, "onnx-slim", payload)
    assert ours["predictions"] == theirs["predictions"]


@pytest.fixture(scope="module")
def sklearn_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sklearn")
    run([environment("import-skl") / "python", PROGRAMS / "skl.py", folder])
    return folder


@pytest.mark.long
@pytest.mark.parametrize("variant", ["onnx", "onnx-slim"])
def test_scikit_learn_s_models_say_what_scikit_learn_says(
    variant: str, sklearn_models: Path, imports: Callable[..., str], answers: Served
) -> None:
    asked = sklearn_models / "asked.npy"
    said = json.loads((sklearn_models / "said.json").read_text())

    plain = answers(imports(sklearn_models / "plain.onnx", asked, "plain"), variant)
    trees = answers(imports(sklearn_models / "trees.onnx", asked, "trees"), variant)

    shares = [one["probabilities"] for one in plain["predictions"]]
    assert np.allclose(shares, said["plain"], atol=1e-5)
    assert np.allclose(np.ravel(trees["predictions"]), said["trees"], rtol=1e-4)


@pytest.mark.long
def test_scikit_learn_s_probabilities_come_without_the_map_that_its_exporter_makes(
    sklearn_models: Path, imports: Callable[..., str], answers: Served
) -> None:
    asked = sklearn_models / "asked.npy"

    said = answers(imports(sklearn_models / "mapped.onnx", asked), "onnx-slim")

    wanted = json.loads((sklearn_models / "said.json").read_text())["plain"]
    shares = [
        next(one for one in row.values() if isinstance(one, list)) for row in said["predictions"]
    ]
    assert np.allclose(shares, wanted, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "variant"), [("dense.onnx", "onnx-slim"), ("exported", "slim")], ids=["onnx", "saved"]
)
def test_keras_s_models_say_what_keras_says(
    file: str, variant: str, exported: Exported, imports: Callable[..., str], answers: Served
) -> None:
    folder = exported("keras_dense")

    said = answers(imports(folder / file, folder / "asked.json"), variant)

    assert np.allclose(said["predictions"], json.loads((folder / "said.json").read_text()), 1e-4)


@pytest.mark.long
def test_torch_s_models_say_what_torch_says(
    engine: DockerEngine,
    platform: Platform,
    progress: Progress,
    imports: Callable[..., str],
    answers: Served,
    tmp_path: Path,
) -> None:
    """Debian's PyTorch: what PyPI has for x86-64 brings 3 GB of CUDA."""
    image = built_from(engine, ensure_base(platform, engine, progress).ref, PROGRAMS / "torch")
    try:
        saved(engine, image, PROGRAMS / "torch" / "save.py", tmp_path)
    finally:
        known.remove(engine, image)
    folder = tmp_path / "model"

    said = answers(imports(folder / "cnn.onnx", folder / "asked.json"), "onnx-slim")

    assert np.allclose(said["predictions"], json.loads((folder / "said.json").read_text()), 1e-4)


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A stack of the test's own, with models of its own."""
    home = tmp_path_factory.mktemp("lab")
    made = Lab(
        {
            **{one.variable: str(free_port()) for one in SERVICES.values()},
            "LAB_HOME": str(home),
            "LAB_STATE": str(home / "state"),
            "LAB_PROJECT": f"inference-lab-test-{secrets.token_hex(4)}",
        }
    )
    made.env.pop("AWS_ENDPOINT_URL_S3", None)
    yield made
    made("down", "--all")


@pytest.mark.long
def test_from_a_stranger_s_file_to_a_prediction_on_an_endpoint(
    lab: Lab, exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a user does it once the stack is up; under 60 s is the aim, and the seconds are said."""
    graph = exported("graphs") / "good.onnx"
    before, mine = (f"{name}-{secrets.token_hex(3)}" for name in ("before", "mine"))
    lab("models", "import", str(graph), "--name", before)
    lab("up", "--model", before)

    began = time.monotonic()
    said = lab("models", "import", str(graph), "--name", mine)
    imported_s = time.monotonic() - began
    lab("up", "--model", mine)
    payload = Path(lab.env["LAB_HOME"], "artifacts", mine, store_payload(lab, mine))
    answer = json.loads(lab("endpoint", "invoke", f"{mine}-realtime", "--payload", str(payload)))
    took_s = time.monotonic() - began
    with capsys.disabled():
        sys.stdout.write(f"\nimport {imported_s:.1f} s, to the first prediction {took_s:.1f} s\n")

    assert answer["model"] == mine
    assert f"up --model {mine}" in said
    assert f"--payload {payload}" in said
    assert f"{mine}-serverless" in lab("endpoint", "list")
    assert "onnx, onnx-slim" in lab.run("up", "--model", mine, "--variant", "slim").stderr


def store_payload(lab: Lab, model: str) -> str:
    """Where its card says that its payload is."""
    card = json.loads(Path(lab.env["LAB_HOME"], "artifacts", model, store.CARD).read_text())
    return str(card["samples"]["payload"])
