"""Images for the other architecture: held against the contract, and started cold, under QEMU."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts import store
from lab.coldstart import runner
from lab.coldstart.folder import RunFolder
from lab.coldstart.plan import Plan
from lab.coldstart.prepare import prepared as prepared_run
from lab.contract.check import chosen, entries, run
from lab.contract.model import Verdict, Verdicts
from lab.contract.running.session import Session
from lab.contract.subject import CheckRequest, prepared
from lab.endpoint.instances import LARGE
from lab.engine.docker.engine import DockerEngine
from lab.progress import Progress, Silent
from lab.spec import FLOOR, LABEL_OWNER, Mark, Platform, Runtime

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("registry")]

SMALL = "onnx-slim"
IN_FULL = ("platform", "instance-type", "image-size", "layers", "serve", "port", "ping-empty")
ABOUT_TIME = ("start-time", "ping", "invocation")
OF_ANSWERS = ("content-type", "garbage", "unknown-paths")


def checked(engine: DockerEngine, wish: CheckRequest, only: Sequence[str]) -> Verdicts:
    with prepared(wish, engine, Silent()) as (subject, where):
        session = Session(subject, where, quick=True)
        with closing(session):
            return run(session, chosen(only, quick=True, among=entries()), Silent())


def assert_kept(engine: DockerEngine, wish: CheckRequest, rules: Sequence[str]) -> None:
    """Every rule passes; nothing is said of how long things took, and all else is judged."""
    verdicts = checked(engine, wish, rules)
    assert verdicts.emulated
    assert verdicts.platform is wish.platform
    by_rule = {one.rule.id: one for one in verdicts.findings}
    assert {
        name: one.seen for name, one in by_rule.items() if one.verdict is not Verdict.PASS
    } == {}
    assert set(by_rule) == set(rules)
    assert all("time not judged" in by_rule[name].seen for name in ABOUT_TIME)
    assert not any("time not judged" in by_rule[name].seen for name in IN_FULL)


def test_the_floor_keeps_the_contract_and_nothing_is_said_of_its_pace(
    engine: DockerEngine, foreign: Platform
) -> None:
    wish = CheckRequest(image=FLOOR, platform=foreign, instance_type=LARGE[foreign])
    assert_kept(engine, wish, (*IN_FULL, *ABOUT_TIME))


@pytest.mark.long
def test_the_small_image_keeps_the_contract_and_nothing_is_said_of_its_pace(
    engine: DockerEngine, foreign: Platform, mobilenet: str
) -> None:
    wish = CheckRequest(
        image=SMALL, platform=foreign, model_data=mobilenet, instance_type=LARGE[foreign]
    )
    assert_kept(engine, wish, (*IN_FULL, *ABOUT_TIME, *OF_ANSWERS))


def test_an_image_for_another_processor_than_the_instance_s_is_told(
    engine: DockerEngine, platform: Platform, foreign: Platform, built: Callable[[str], str]
) -> None:
    wish = CheckRequest(image=built(FLOOR), instance_type=LARGE[foreign])
    (finding,) = checked(engine, wish, ["instance-type"]).findings
    assert finding.verdict is Verdict.FAIL
    assert str(platform) in finding.seen
    assert f"--platform {foreign}" in finding.seen


def measured(
    home: Path, progress: Progress, platform: Platform, kind: str, own: Mapping[str, Any]
) -> RunFolder:
    """A run of one trial of an image, and one of the floor."""
    plan = Plan.model_validate(
        {
            "name": "foreign",
            "platforms": [platform],
            "start_kinds": [kind],
            "repeats": 1,
            "warm_up": False,
            "own": own,
        }
    )
    return runner.run(plan, prepare=prepared_run, progress=progress, lock=home / "lock")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path


def assert_emulated(engine: DockerEngine, folder: RunFolder, foreign: Platform) -> None:
    """Both trials came to their end, and everything says that they were emulated."""
    samples, record = folder.samples(), folder.run()
    assert len(samples) == 2
    for sample in samples:
        # How well the phases add up depends on what else the machine does.
        assert Mark.SECOND_END in sample.marks, sample.failure
        assert sample.emulated
    assert {image.platform for image in record.images} == {foreign}
    assert any(f"{foreign} is emulated" in note for note in record.notes)
    assert engine.containers({LABEL_OWNER: record.id}) == []


@pytest.mark.parametrize("kind", ["fresh", "pull"])
def test_a_cold_start_is_measured_and_labelled_emulated(
    home: Path,
    engine: DockerEngine,
    foreign: Platform,
    foreign_image: Callable[[str], str],
    progress: Progress,
    kind: str,
) -> None:
    (home / "question.json").write_text("{}")
    own = {
        "image": foreign_image(FLOOR),
        "payload": home / "question.json",
        "content_type": "application/json",
    }
    folder = measured(home, progress, foreign, kind, own)
    assert_emulated(engine, folder, foreign)
    assert all(bool(sample.pulled_layers) is (kind == "pull") for sample in folder.samples())


@pytest.mark.long
def test_a_cold_start_of_the_small_image_is_measured_and_labelled_emulated(
    mobilenet: str,
    payload: Path,
    home: Path,
    engine: DockerEngine,
    foreign: Platform,
    foreign_image: Callable[[str], str],
    progress: Progress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ref = foreign_image(SMALL)
    with monkeypatch.context() as real:
        real.delenv("LAB_HOME")
        archive = store.find(mobilenet, Runtime.ONNX).path
    own = {"image": ref, "payload": payload, "content_type": "image/jpeg", "model_data": archive}
    assert_emulated(engine, measured(home, progress, foreign, "fresh", own), foreign)
