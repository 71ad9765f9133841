"""A comparison from beginning to end, on an engine whose containers answer from a script."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts import archive, build
from lab.engine.api import ContainerSpec
from lab.errors import ContainerFailedError, EngineError, UsageError
from lab.parity import inputs, session
from lab.parity.compare import ParityError, refuse_broken
from lab.parity.record import FILE, Parity, load, save
from lab.parity.session import ParityJob, run
from lab.progress import Silent
from lab.spec import EngineKind, Platform
from tests.unit.engine.fake import Behaviour, FakeContainer, FakeEngine
from tests.unit.start.servers import Answer, Reply

MODEL = "retinopathy-mobilenet"
HELD_OUT = [f"{number:04d}-grade-{number % 3}.png" for number in range(9)]
SAYS = {0: (0.8, 0.1, 0.1), 1: (0.1, 0.8, 0.1), 2: (0.1, 0.1, 0.8)}
SAMPLES = {"payload": "samples/photo-size.jpg", "held_out": "samples/held-out"}
TOLERANCE = {
    "label": "grade",
    "scores": "probabilities",
    "max_abs_difference": 1e-3,
    "least_agreement": 0.99,
}
Say = Callable[[Platform, int], tuple[int, Any]]
"""Platform and grade of the picture to a status and an answer."""


def faithful(platform: Platform, grade: int) -> tuple[int, Any]:
    shift = 2e-6 if platform is Platform.ARM64 else 0
    said = [SAYS[grade][0] + shift, *SAYS[grade][1:]]
    return 200, {"predictions": [{"grade": grade, "probabilities": said}]}


class Engine(FakeEngine):
    """Both platforms; what the containers say depends on theirs."""

    def __init__(self, say: Say = faithful, *, platform: Platform = Platform.AMD64) -> None:
        super().__init__(platform=platform)
        self.say = say
        self.bodies: dict[Platform, list[bytes]] = {}

    def create(self, spec: ContainerSpec) -> FakeContainer:
        assert spec.platform is not None
        self.does = Behaviour(answer=lambda of=spec.platform: self._answer(of))  # type: ignore[misc]
        return super().create(spec)

    def _answer(self, platform: Platform) -> Answer:
        def answer(method: str, path: str, body: bytes) -> Reply | None:
            if method == "GET":
                return 200, b""
            self.bodies.setdefault(platform, []).append(body)
            status, value = self.say(platform, int(body.decode().rpartition("grade ")[2]))
            return status, json.dumps(value).encode()

        return answer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab whose images and models are built."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    folder = tmp_path / "artifacts" / MODEL
    (folder / "samples" / "held-out").mkdir(parents=True)
    for name in HELD_OUT:
        (folder / "samples" / "held-out" / name).write_text(f"{name}: grade {name[-5]}")
    (folder / "samples" / "photo-size.jpg").write_text("large: grade 2")
    (folder / "model.onnx").write_text("weights")
    sums = {
        f"model-{runtime}.tar.gz": archive.pack(
            folder, folder / f"model-{runtime}.tar.gz", names=["model.onnx"]
        )
        for runtime in ("onnx", "tensorflow")
    }
    (folder / "card.json").write_text(
        json.dumps({"sha256": sums, "samples": SAMPLES, "tolerance": TOLERANCE})
    )
    monkeypatch.setattr(build, "ensure", lambda *_, **__: None)
    monkeypatch.setattr(session, "ensure_images", lambda *_, **__: None)
    monkeypatch.setattr(session, "ensure_runs", lambda *_: None)
    return tmp_path


def job(*variants: str, **options: Any) -> ParityJob:
    return ParityJob(variants=variants or ("onnx-slim",), model=MODEL, **{"count": 9, **options})


def test_both_platforms_get_the_same_pictures_and_their_answers_are_compared() -> None:
    engine = Engine()
    found, _ = run(job(), engine, Silent())
    (one,) = found.comparisons
    assert engine.bodies[Platform.AMD64] == engine.bodies[Platform.ARM64]
    assert len(set(engine.bodies[Platform.AMD64])) == 10
    assert one.max_abs_difference == pytest.approx(2e-6)
    assert (one.agreement, one.passed) == (1, True)
    assert [side.image for side in (one.reference, one.compared)] == [
        "inference-lab/onnx-slim:amd64",
        "inference-lab/onnx-slim:arm64",
    ]
    assert (one.reference.emulated, one.compared.emulated) == (False, True)
    refuse_broken(found.comparisons, found.bounds)


def test_both_platforms_get_the_same_archive() -> None:
    engine = Engine()
    run(job("onnx", "onnx-slim"), engine, Silent())
    assert len(engine.made) == 4
    assert len({made.spec.model_dir for made in engine.made}) == 1


def test_an_emulated_arm64_processor_is_one_that_sagemaker_has() -> None:
    engine = Engine()
    run(job(), engine, Silent())
    native, foreign = (made.spec.env for made in engine.made)
    assert "QEMU_CPU" not in native
    assert foreign["QEMU_CPU"] == "neoverse-n1"


def test_on_an_arm64_machine_it_is_amd64_that_is_emulated() -> None:
    found, _ = run(job(), Engine(platform=Platform.ARM64), Silent())
    (one,) = found.comparisons
    assert (one.reference.platform, one.reference.emulated) == (Platform.ARM64, False)
    assert (one.compared.platform, one.compared.emulated) == (Platform.AMD64, True)


def test_another_answer_is_beyond_the_bounds_and_its_picture_is_named() -> None:
    def wrong(platform: Platform, grade: int) -> tuple[int, Any]:
        status, value = faithful(platform, grade)
        if platform is Platform.ARM64 and grade == 1:
            value["predictions"][0]["probabilities"] = [0.15, 0.75, 0.1]
        return status, value

    found, path = run(job(), Engine(wrong), Silent())
    assert not found.comparisons[0].passed
    with pytest.raises(ParityError, match=r"onnx-slim: .*0\.05 \(at 0001-grade-1\.png\)"):
        refuse_broken(found.comparisons, found.bounds)
    assert load(path.parent).comparisons == found.comparisons


def test_every_input_is_in_the_file(home: Path) -> None:
    found, path = run(job(), Engine(), Silent())
    assert path == home / "runs" / found.id / "parity.json"
    content = json.loads(path.read_text())
    assert content["schema"] == 2
    assert content["bounds"] == {"max_abs_difference": 1e-3, "least_agreement": 0.99}
    assert {one["name"] for one in content["comparisons"][0]["inputs"]} == {
        *HELD_OUT,
        "photo-size.jpg",
    }
    assert load(path.parent) == Parity.model_validate(content)


def test_containers_are_gone_afterwards_and_carry_the_runs_name() -> None:
    engine = Engine()
    found, _ = run(job(), engine, Silent())
    assert [made.removed for made in engine.made] == [True, True]
    for made in engine.made:
        assert made.labels["org.inference-lab.role"] == "parity"
        assert made.labels["org.inference-lab.owner"].startswith(found.id)


def test_whoever_waits_sees_how_far_apart_the_answers_are() -> None:
    class Listening(Silent):
        said: list[str] = []  # noqa: RUF012 - of one test

        def detail(self, text: str) -> None:
            self.said.append(text)

    run(job(), Engine(), Listening())
    assert "9 of 10 inputs: at most 2.0e-06 apart, 0 labelled otherwise" in Listening.said


def test_ctrl_c_leaves_no_container_and_keeps_the_variants_that_were_done(home: Path) -> None:
    asked = 0

    def interrupted(platform: Platform, grade: int) -> tuple[int, Any]:
        nonlocal asked
        asked += 1
        return faithful(platform, grade)

    engine = Engine(interrupted)

    class Impatient(Silent):
        def advance(self, done: float, total: float) -> None:
            if asked > 25:  # in the midst of the second variant
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job("onnx", "onnx-slim"), engine, Impatient())
    assert all(made.removed for made in engine.made)
    (folder,) = (home / "runs").iterdir()
    assert [one.variant for one in load(folder).comparisons] == ["onnx"]


def test_an_answer_that_is_an_error_is_told_with_its_picture() -> None:
    engine = Engine(lambda *_: (400, {"error": "cannot decode"}))
    with pytest.raises(ContainerFailedError, match=r"answered 400 to 0000.*cannot decode"):
        run(job(), engine, Silent())
    assert all(made.removed for made in engine.made)


def test_a_container_that_ends_before_it_is_ready_is_told_with_its_log() -> None:
    class Dying(Engine):
        def create(self, spec: ContainerSpec) -> FakeContainer:
            made = super().create(spec)
            made.does = Behaviour(exit_code=139, log="qemu: uncaught target signal 11")
            return made

    engine = Dying()
    with pytest.raises(ContainerFailedError, match=r"(?s)onnx-slim:amd64.*signal 11") as caught:
        run(job(), engine, Silent())
    assert "lab contract check inference-lab/onnx-slim:amd64" in caught.value.remedy
    assert all(made.removed for made in engine.made)


def test_a_few_pictures_are_of_every_grade() -> None:
    some = inputs.choose(MODEL, 3)
    assert [one.name for one in some] == [
        *("0000-grade-0.png", "0001-grade-1.png", "0002-grade-2.png"),
        "photo-size.jpg",
    ]
    assert [one.content_type for one in some[-2:]] == ["image/png", "image/jpeg"]


def test_a_picture_of_the_users_is_sent_too(tmp_path: Path) -> None:
    photograph = tmp_path / "eye.JPEG"
    photograph.write_text("mine: grade 1")
    found, _ = run(job(payloads=[photograph]), Engine(), Silent())
    assert found.comparisons[0].inputs[-1].name == "eye.JPEG"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (job("floor"), "floor serves no model"),
        (job("onyx"), "There is no variant 'onyx'"),
        (job(count=10), "has 9 inputs that it was tested on, not 10"),
        (job(payloads=[Path("notes")]), "type of notes cannot be told"),
        (job(payloads=[Path("absent.png")]), r"absent\.png cannot be read"),
        (job(platform=Platform.AMD64), "is the engine's own platform"),
    ],
)
def test_a_slip_of_the_users_is_told_before_anything_starts(wrong: ParityJob, said: str) -> None:
    engine = Engine()
    with pytest.raises(UsageError, match=said) as caught:
        run(wrong, engine, Silent())
    assert caught.value.remedy
    assert engine.made == []


def test_without_containers_there_is_nothing_to_compare() -> None:
    with pytest.raises(EngineError, match="no container here"):
        run(job(), FakeEngine(kind=EngineKind.PROCESS), Silent())


def test_a_file_of_another_version_is_not_read(tmp_path: Path) -> None:
    found, path = run(job(), Engine(), Silent())
    save(found.model_copy(update={"schema_version": 3}), tmp_path / "later")
    with pytest.raises(UsageError, match="is of schema 3"):
        load(tmp_path / "later")
    (path.parent / FILE).write_text("{}")
    with pytest.raises(UsageError, match="id: Field required"):
        load(path.parent)
