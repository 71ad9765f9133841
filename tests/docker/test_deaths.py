"""Containers that really die in usual ways: what the contract check, a bench and an endpoint say.

What is in a log, and what it means, is tried on many more of them in ``tests/unit/start``.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lab.coldstart.advice import check_command
from lab.coldstart.executor import ColdStartBench, ContainerExecutor
from lab.coldstart.observe import Limits
from lab.coldstart.record import Cell, Failure
from lab.coldstart.schedule import Trial
from lab.coldstart.trial import Subject
from lab.contract.check import chosen, entries, run
from lab.contract.model import RuleFinding, Verdict, Verdicts
from lab.contract.reports.machine import as_json, as_junit
from lab.contract.running.session import Session
from lab.contract.subject import CheckRequest, prepared
from lab.endpoint.live import LaunchFailed
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import NETWORK
from lab.images.base import ensure_base
from lab.process import run as run_program
from lab.progress import Progress, Silent
from lab.spec import LABEL_OWNER, Platform, StartKind
from tests.docker.test_launch import Bench
from tests.unit.endpoint.launching import PLAN

pytestmark = pytest.mark.docker

FOLDER = Path(__file__).parent / "death_images"
REPOSITORY = "inference-lab-test/deaths"
OWNER = "test-deaths"
SERVERS = ("behind-nginx", "workers", "model", "shm", "port", "once")
STARTS = ("serve", "port", "ping", "start-time")
PATIENCE_S = 20.0

Image = Callable[[str], str]


@pytest.fixture(scope="module")
def death(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[Image]:
    """The image that dies in a certain way, by its name; all are built at once."""
    base = ensure_base(platform, engine, progress).ref
    made = dict.fromkeys(SERVERS, "server") | {"crlf": "crlf", "no-run-bit": "no-run-bit"}
    targets = {
        name: {
            "context": str(FOLDER),
            "target": target,
            "tags": [f"{REPOSITORY}:{name}"],
            "args": {"BASE": base, "CASE": name},
            "output": ["type=docker"],
        }
        for name, target in made.items()
    }
    bake = ["docker", "buildx", "--builder", "default", "bake", "--file", "-", *targets]
    run_program(
        [*bake, "--provenance=false"],
        input_text=json.dumps({"target": targets}),
        env={"DOCKER_HOST": engine.address, "DOCKER_CONTEXT": ""},
    )
    yield lambda name: f"{REPOSITORY}:{name}"
    for name in made:
        engine.client.remove_image(f"{REPOSITORY}:{name}", force=True)


@pytest.fixture
def deep_model(tmp_path: Path) -> Path:
    """What an archive unpacks to that was packed with its folder."""
    (tmp_path / "model" / "export").mkdir(parents=True)
    (tmp_path / "model" / "export" / "model.json").write_text("{}")
    return tmp_path / "model"


def checked(engine: DockerEngine, image: str, model: Path | None = None) -> Verdicts:
    wish = CheckRequest(image=image, model_data=None if model is None else str(model))
    with prepared(wish, engine, Silent()) as (subject, where):
        session = Session(subject, where, start_limit_s=PATIENCE_S, quick=True)
        with closing(session):
            return run(session, chosen(STARTS, quick=True, among=entries()), Silent())


def broken(verdicts: Verdicts) -> RuleFinding:
    """The one rule that is."""
    (one,) = [one for one in verdicts.findings if one.verdict is Verdict.FAIL]
    return one


@pytest.mark.parametrize(
    ("name", "rule", "cause", "seen", "change"),
    [
        (
            "behind-nginx",
            "serve",
            "missing_module",
            "the Python module a_module_of_nobody is not in the image",
            "pip install a_module_of_nobody",
        ),
        ("workers", "start-time", "missing_module", "/ping last answered 502; its log", "Install"),
        ("crlf", "serve", "crlf", "the lines of /usr/local/bin/serve end in CRLF", "sed -i"),
        ("no-run-bit", "serve", "no_run_bit", "/srv/start may not be run", "chmod +x /srv/start"),
        ("port", "serve", "port_in_use", "Address already in use", "one server only"),
        ("model", "serve", "model_file", "it was given no model", "--model-data"),
    ],
)
def test_the_contract_check_names_the_error_and_a_cure_that_fits(
    engine: DockerEngine,
    death: Image,
    name: str,
    rule: str,
    cause: str,
    seen: str,
    change: str,
) -> None:
    verdicts = checked(engine, death(name))
    one = broken(verdicts)
    assert one.rule.id == rule
    assert one.data["cause"] == cause
    assert seen in one.seen
    assert "\n" not in one.seen
    assert change in one.change
    assert "(it was given no model" not in one.seen
    assert "ENTRYPOINT" not in one.change
    assert "GET /ping" not in one.log


def test_all_of_the_error_is_in_json_and_junit(engine: DockerEngine, death: Image) -> None:
    verdicts = checked(engine, death("behind-nginx"))
    (told,) = [one for one in json.loads(as_json(verdicts))["findings"] if one["verdict"] == "fail"]
    for log in (told["log"], told["data"]["log"], as_junit(verdicts)):
        assert "Traceback (most recent call last):" in log
        assert "ModuleNotFoundError: No module named" in log
        assert "GET /ping" not in log


def test_an_archive_that_is_laid_out_one_folder_too_deep_is_told_so(
    engine: DockerEngine, death: Image, deep_model: Path
) -> None:
    one = broken(checked(engine, death("model"), deep_model))
    assert one.data["cause"] == "archive_depth"
    assert "/opt/ml/model/export/model.json" in one.seen
    assert "tar -C export -czf model.tar.gz ." in one.change


def test_the_contract_check_says_what_a_second_start_comes_to(
    engine: DockerEngine, death: Image
) -> None:
    one = broken(checked(engine, death("once")))
    assert one.rule.id == "serve"
    assert "the first start fails" in one.seen
    assert "started again in the same container, as SageMaker does, it gets ready" in one.seen


def test_a_full_dev_shm_is_not_taken_for_a_full_disk(engine: DockerEngine, death: Image) -> None:
    one = broken(checked(engine, death("shm")))
    assert "/dev/shm" in one.seen
    assert "64 MB" in one.seen
    assert "free some space" not in one.change.lower()


def tried(engine: DockerEngine, folder: Path, image: str) -> Failure:
    """Why a trial of an image failed."""
    bench = ColdStartBench(
        engine=engine,
        facts=engine.facts(),
        limits=Limits(probe_interval_s=0.01, ready_timeout_s=PATIENCE_S),
        owner=OWNER,
        work=folder / "work",
    )
    cell = Cell(
        variant="own",
        model="in-image",
        platform=bench.facts.platform,
        tier="host",
        start_kind=StartKind.FRESH,
    )
    subject = Subject(image=image, archive=None, payload=b"tea?", content_type="text/plain")
    executor = ContainerExecutor(bench, lambda _: subject)
    try:
        failure = executor.run(Trial(index=0, block=1, cell=cell)).failure
    finally:
        executor.close()
    assert engine.containers({LABEL_OWNER: OWNER}) == []
    assert failure is not None
    assert check_command(failure.kind, plan={}, cell=cell).startswith("lab contract check own ")
    return failure


@pytest.mark.parametrize("name", ["behind-nginx", "crlf", "no-run-bit"])
def test_a_bench_says_what_the_contract_check_says(
    engine: DockerEngine, death: Image, tmp_path: Path, name: str
) -> None:
    failure = tried(engine, tmp_path, death(name))
    one = broken(checked(engine, death(name)))
    assert failure.cause == one.data["cause"]
    assert failure.cure == one.change
    why = failure.message.rstrip(".").partition(": ")[2]
    assert why in one.seen
    assert "GET /ping" not in failure.log_tail


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("behind-nginx", "Install it (`RUN pip install a_module_of_nobody`"),
        ("crlf", "end in CRLF"),
        ("shm", "/dev/shm"),
    ],
)
def test_an_endpoint_s_reason_is_the_error_with_its_cure(
    engine: DockerEngine, death: Image, tmp_path: Path, name: str, says: str
) -> None:
    bench = Bench(tmp_path, engine.address, owner=OWNER)
    engine.ensure_network(NETWORK)
    plan = replace(PLAN, image=death(name), model_data=None, env={}, startup_timeout_s=PATIENCE_S)

    async def work() -> None:
        with pytest.raises(LaunchFailed) as failed:
            await bench.launch(plan)
        assert says in failed.value.reason
        assert "GET /ping" not in failed.value.reason

    bench.run(work)
