"""A model of a kind that the lab has never seen: a folder, and nothing else, all the way to an
answer, by the recipe in CONTRIBUTING.md."""

import hashlib
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import httpx
import pytest

from lab import paths
from lab.artifacts import archive, store
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.parity.compare import compare, parse
from lab.parity.inputs import choose
from lab.process import run
from lab.spec import Runtime
from lab.start.serving import serving
from tests.docker.conftest import alone

pytestmark = pytest.mark.docker

MODEL = "toy"
TOY = "tests/docker/toy_model"
COPIED = (
    ".dockerignore",
    "compose.yaml",
    "dashboards",
    "lab",
    "models",
    "requirements",
    "services",
)
FEW_LINES = 80
"""Of all that a model of a new task needs, its README among it: fewer than these."""
RECIPE = re.findall(
    r"`(?:\.venv/bin/)?((?:cp|lab) [^`]*\btoy\b[^`]*)`",
    (paths.ROOT / "CONTRIBUTING.md").read_text().partition("## Recipe: a model")[2],
)
"""What its reader types, in its order."""


class Checkout:
    """A copy of what the lab is made of, where the recipe's commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        leave = shutil.ignore_patterns("__pycache__", ".*_cache")
        for name in (*COPIED, TOY):
            source, target = paths.ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=leave)
            else:
                shutil.copy2(source, target)

    def type(self, command: str) -> str:
        words = shlex.split(command)
        if words[0] == "lab":
            words[:1] = [sys.executable, "-m", "lab"]
        env = {"LAB_HOME": "", "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return run(words, cwd=self.folder, env=env).stdout

    def sources(self) -> Mapping[str, str]:
        """What lies there and was not made by the lab: a digest for each path."""
        return {
            str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for name in COPIED
            for file in sorted([self.folder / name, *(self.folder / name).rglob("*")])
            if file.is_file()
        }


@pytest.fixture(scope="module")
def toy(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The toy, built and verified by the recipe's commands."""
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    before = checkout.sources()
    with alone("models"):
        for command in RECIPE[:3]:
            checkout.type(command)
    after = checkout.sources()
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {
        f"models/{MODEL}/{name}" for name in ("README.md", "model.py", "task.py")
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "MODELS", checkout.folder / "models")
        patch.setenv("LAB_HOME", str(checkout.folder))
        yield checkout


def test_all_it_takes_is_a_folder_of_fewer_than_eighty_lines() -> None:
    files = [one for one in (paths.ROOT / TOY).iterdir() if one.is_file()]
    assert sum(len(file.read_text().splitlines()) for file in files) < FEW_LINES


def test_nothing_outside_of_its_folder_knows_its_task_or_what_it_notes() -> None:
    own = re.compile(rb"largest-of-three|input_spread")
    sources = [
        file
        for name in COPIED
        for file in (paths.ROOT / name).rglob("*")
        if file.is_file() and file.suffix in {".py", ".yaml", ".yml", ".json", ".toml", ".hcl"}
    ]
    assert len(sources) > len(COPIED)
    assert not [file for file in sources if own.search(file.read_bytes())]


def test_the_recipe_names_the_commands_that_are_tried_here() -> None:
    assert [command.partition(" toy")[0] for command in RECIPE] == [
        f"cp -r {TOY} models/toy",
        "lab models build",
        "lab models verify",
        "lab contract check onnx-slim --model-data",
        "lab coldstart run smoke --variant onnx-slim --model",
    ]


@pytest.mark.parametrize("variant", ["onnx", "onnx-slim"])
def test_its_own_task_answers_in_the_lab_s_own_images(
    variant: str,
    toy: Checkout,
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
            wrong = [
                http.post(
                    "/invocations", content=body, headers={"content-type": "application/json"}
                )
                for body in (b"{}", b"[", b'{"numbers": []}', b'{"numbers": [["1", "2", "3"]]}')
            ]
            page = http.get("/metrics").text
    answers = [parse(one.content, tolerance, of=one.text) for one in said]
    assert {one.label for one in answers} == {"0", "1", "2"}
    assert all(sum(one.scores) == pytest.approx(1) for one in answers)
    names = [one.name for one in inputs]
    assert all(one.max_abs_difference == 0 for one in compare(names, answers, answers))
    assert [one.status_code for one in wrong] == [400] * 4
    assert f"lab_inference_confidence_count {len(inputs)}.0" in page
    assert 'lab_inference_drift_bin_total{bin="0",feature="place"}' in page
    assert not list(folder.rglob("__pycache__"))


@pytest.mark.long
def test_it_keeps_the_contract_and_starts_cold_as_the_recipe_says(toy: Checkout) -> None:
    for command in RECIPE[3:]:
        toy.type(command)
