"""The recipes of docs/images: each is built as its reader would, and then keeps the contract.

The quickest to build stands for all of them in ``make test``.
"""

import functools
import io
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import busy
from lab.artifacts import archive
from lab.coldstart.executor import ColdStartBench, ContainerExecutor
from lab.coldstart.observe import Limits
from lab.coldstart.record import Cell, FailureKind, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.trial import Subject
from lab.contract.model import Verdict
from lab.contract.subject import CheckRequest
from lab.engine.docker.engine import DockerEngine
from lab.errors import CommandError
from lab.images import bake
from lab.images.base import ensure_base
from lab.images.hostfiles import host_files
from lab.paths import ROOT
from lab.process import run as run_program
from lab.progress import Progress
from lab.spec import LABEL, LABEL_ROLE, Phase, Platform, StartKind
from tests.docker import known
from tests.docker.test_contract_check import Checks, named

pytestmark = pytest.mark.docker

FOLDER = ROOT / "docs" / "images"
IN_SHORT = "fastapi"
RECIPES = [
    pytest.param(file.parent.name, marks=() if file.parent.name == IN_SHORT else pytest.mark.long)
    for file in sorted(FOLDER.glob("*/Dockerfile"))
]
PAYLOAD = FOLDER / "request.json"
SECRETS = {"CA_FILE": "ca", "PIP_FILE": "pip", "APT_FILE": "apt"}

WARNS = {"kind-multi-model": "one model each: none of them has the /models API"}
SKIPS = {"kind-bidirectional": "none claims to stream both ways"}
PORT_OF_ITS_OWN = {"bind-to-port": "NGINX's configuration names the port"}

Recipe = Callable[[str], str]
Model = Callable[[str], Path]


@pytest.fixture(scope="module")
def recipe(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[Recipe]:
    """Builds a recipe once, and says the image's name; skips where its packages cannot be had."""
    base = ensure_base(platform, engine, progress).ref
    made: list[str] = []

    @functools.cache
    def build(name: str) -> str:
        made.append(built_from(engine, base, FOLDER / name))
        return made[-1]

    yield build
    for ref in made:
        known.remove(engine, ref)


def built_from(engine: DockerEngine, base: str, folder: Path) -> str:
    """An image of the folder's Dockerfile; its name. Skips where its packages cannot be had."""
    name = folder.name
    ref = f"{known.REPOSITORY}/recipe-{name}:{secrets.token_hex(4)}"
    with host_files() as files:
        given = [
            *(f"--secret=id={key},src={files[one]}" for one, key in SECRETS.items() if files[one]),
            *(
                f"--build-arg={one}={value}"
                for one, value in files.items()
                if "PROXY" in one and value
            ),
        ]
        try:
            run_program(
                [
                    *("docker", "buildx", "--builder", "default", "build", "--provenance=false"),
                    *("--output=type=docker", f"--build-arg=BASE={base}", f"--tag={ref}", *given),
                    folder,
                ],
                env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": ""},
            )
        except CommandError as error:
            if bake._OFFLINE.search(error.what):
                pytest.skip(f"{name} cannot get its packages here: {error.what[-300:]}")
            raise
    return ref


@pytest.fixture(scope="module")
def model(engine: DockerEngine, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The folder with a recipe's model: the common one, or what its own ``save.py`` makes."""

    @functools.cache
    def make(name: str) -> Path:
        script = FOLDER / name / "save.py"
        if not script.exists():
            return FOLDER / "model"
        folder = tmp_path_factory.mktemp(name)
        saved(engine, recipe(name), script, folder)
        return folder / "model"

    return make


def saved(engine: DockerEngine, image: str, script: Path, into: Path) -> None:
    """Run a program in the image; the folder ``model`` that it fills comes into ``into``."""
    client = engine.client
    container = client.create_container(
        image,
        entrypoint=["python3", "/srv/save.py", "/srv/model"],
        labels={LABEL: "true", LABEL_ROLE: "test"},
    )["Id"]
    try:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(script, "save.py")
        client.put_archive(container, "/srv", packed.getvalue())
        client.start(container)
        assert client.wait(container)["StatusCode"] == 0, client.logs(container).decode()
        found, _ = client.get_archive(container, "/srv/model")
        with tarfile.open(fileobj=io.BytesIO(b"".join(found))) as tar:
            tar.extractall(into, filter="data")
    finally:
        client.remove_container(container, force=True)


@pytest.fixture(scope="module")
def checks(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    return Checks(engine, tmp_path_factory.mktemp("recipes"))


@pytest.fixture
def start(engine: DockerEngine, tmp_path: Path) -> Callable[..., Sample]:
    """Starts an image cold, as ``lab coldstart run --image`` does."""
    bench = ColdStartBench(
        engine=engine,
        facts=engine.facts(),
        limits=Limits(probe_interval_s=0.01, ready_timeout_s=300.0),
        owner="test-recipes",
        work=tmp_path / "work",
    )

    def once(subject: Subject, kind: StartKind) -> Sample:
        cell = Cell(
            variant="recipe",
            model="own",
            platform=bench.facts.platform,
            tier="host",
            start_kind=kind,
        )
        executor = ContainerExecutor(bench, lambda _: subject)
        try:
            return executor.run(Trial(index=0, block=1, cell=cell))
        finally:
            executor.close()

    return once


def test_the_list_of_recipes_names_every_one() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for file in FOLDER.glob("*/Dockerfile"):
        assert f"]({file.parent.name}/" in text


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_breaks_no_rule_of_the_contract(
    checks: Checks, recipe: Recipe, model: Model, name: str
) -> None:
    wish = CheckRequest(image=recipe(name), model_data=str(model(name)), payload=PAYLOAD)
    findings = checks.of(wish, memory=True)
    slow = set(named(findings, Verdict.WARN)) - set(WARNS)
    if slow:  # a start beside other work may take twice as long as the one before
        again = checks.of(wish, memory=True, only=sorted(slow))
        findings = [*(one for one in findings if one.rule.id not in slow), *again]
    assert named(findings, Verdict.FAIL) == {}
    assert set(named(findings, Verdict.WARN)) == set(WARNS)
    skipped = SKIPS | (PORT_OF_ITS_OWN if name == "flask" else {})
    untried = named(findings, Verdict.SKIP)
    assert {rule for rule in untried if busy.NOT_JUDGED not in untried[rule]} == set(skipped)


@pytest.mark.parametrize("kind", [StartKind.FRESH, StartKind.RESTART])
@pytest.mark.parametrize("name", RECIPES)
def test_the_marks_of_a_recipe_give_a_bench_its_phases(
    start: Callable[..., Sample],
    recipe: Recipe,
    model: Model,
    tmp_path: Path,
    name: str,
    kind: StartKind,
) -> None:
    packed = tmp_path / "model.tar.gz"
    archive.pack(model(name), packed)
    subject = Subject(
        image=recipe(name),
        archive=packed,
        payload=PAYLOAD.read_bytes(),
        content_type="application/json",
    )
    sample = start(subject, kind)
    for _ in range(4):  # a stall between two marks of two clocks
        if sample.failure is None or sample.failure.kind is not FailureKind.INCONSISTENT:
            break
        sample = start(subject, kind)
    assert sample.failure is None
    assert {Phase.INTERPRETER, Phase.IMPORTS, Phase.MODEL_LOAD} <= set(sample.phases_s)
    assert Phase.BOOT not in sample.phases_s
