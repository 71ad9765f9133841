"""The real models: built by the real trainer, answering on real and drawn eyes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from lab import paths
from lab.artifacts import build, store, trainer
from lab.artifacts.archive import extract
from lab.artifacts.verify import problems
from lab.engine.docker.engine import DockerEngine
from lab.progress import Progress, Silent
from lab.spec import LABEL_OWNER, LABEL_ROLE, Runtime
from models.retinopathy.fundus import draw
from models.retinopathy.metrics import accuracy, confusion, quadratic_weighted_kappa

STORED_KAPPA = {"retinopathy-mobilenet": 0.97, "retinopathy-vgg19": 0.85}
"""0.986 and 0.893 where they were made; other processors round otherwise."""
PARAMETERS = {"retinopathy-mobilenet": 3_377_221, "retinopathy-vgg19": 20_107_205}


@pytest.fixture(
    scope="module",
    params=[
        "retinopathy-mobilenet",
        pytest.param("retinopathy-vgg19", marks=pytest.mark.long),
    ],
)
def model(request: pytest.FixtureRequest, engine: DockerEngine, progress: Progress) -> str:
    """The name of each model in turn, built."""
    name = str(request.param)
    build.ensure([name], engine=engine, progress=progress)
    return name


@pytest.fixture(scope="module")
def card(model: str) -> dict[str, Any]:
    return dict(store.card(model))


@pytest.fixture(scope="module")
def session(model: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        str(store.folder(model) / "model.onnx"), providers=["CPUExecutionProvider"]
    )


def test_the_model_on_disk_is_what_its_card_says(model: str) -> None:
    assert problems(model) == []


def test_the_card_tells_what_must_be_known(model: str, card: dict[str, Any]) -> None:
    assert card["parameters"] == PARAMETERS[model]
    assert card["metrics"]["qwk"] >= 0.6
    table = np.array(card["metrics"]["confusion"])
    assert table.sum() == card["training"]["held_out"] >= 100
    assert card["metrics"]["qwk"] == pytest.approx(quadratic_weighted_kappa(table), abs=1e-3)
    assert card["metrics"]["accuracy"] == pytest.approx(accuracy(table), abs=1e-3)
    assert card["parity"]["max_abs_difference"] < 1e-4
    assert card["parity"]["n"] >= 32
    assert card["training"]["origin"] in {"drawn", "APTOS 2019"}
    assert card["training"]["weights"] in {"stored", "retrained"}


def test_the_stored_weights_are_as_good_as_their_page_says(card: dict[str, Any]) -> None:
    if card["training"]["weights"] != "stored":
        pytest.skip("trained anew on this machine")
    assert card["metrics"]["qwk"] >= STORED_KAPPA[card["name"]]


def test_it_takes_raw_pixels_in_batches_of_any_size(
    session: onnxruntime.InferenceSession, card: dict[str, Any]
) -> None:
    (image,) = session.get_inputs()
    (answer,) = session.get_outputs()

    assert (image.name, image.type) == ("image", "tensor(uint8)")
    assert [image.name, answer.name] == [card["inputs"][0]["name"], card["outputs"][0]["name"]]
    for count in (1, 3):
        (said,) = session.run(None, {"image": np.zeros((count, 224, 224, 3), np.uint8)})
        assert said.shape == (count, 5)
        assert said.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_it_grades_eyes_that_nobody_has_seen(
    session: onnxruntime.InferenceSession, card: dict[str, Any]
) -> None:
    if card["training"]["origin"] != "drawn":
        pytest.skip("built from photographs: drawings are foreign to it")
    grades = np.arange(40) % 5
    images = np.stack([draw(int(grade), 10_000 + i).image for i, grade in enumerate(grades)])

    (said,) = session.run(None, {"image": images})

    assert quadratic_weighted_kappa(confusion(grades, said.argmax(axis=1), 5)) >= 0.6
    assert said.std(axis=0).min() > 0.1  # the answers depend on the picture


def test_its_samples_can_be_sent_to_it(model: str) -> None:
    folder = store.folder(model) / "samples"

    for grade in range(5):
        with Image.open(folder / f"grade-{grade}.png") as picture:
            assert picture.size == (224, 224)
    payload = store.payload(model)
    with Image.open(payload.path) as picture:
        assert picture.format == "JPEG"
        assert min(picture.size) >= 1000


def test_archives_hold_the_model_at_their_top(model: str, tmp_path: Path) -> None:
    served = {Runtime.ONNX: {"model.onnx", "model.data"}, Runtime.TENSORFLOW: {"saved_model"}}
    for runtime, expected in served.items():
        extract(store.find(model, runtime).path, tmp_path / runtime.value)
        names = {path.name for path in (tmp_path / runtime.value).iterdir()}
        assert names == {"model.json", *expected}
        described = json.loads((tmp_path / runtime.value / "model.json").read_text())
        assert described["name"] == model


def test_the_card_tells_how_it_starts_and_why_so(card: dict[str, Any]) -> None:
    starts = card["starts"]
    rows = {row["name"]: row for row in starts["rows"]}

    assert starts["chosen"] == "mapped"
    assert rows["mapped"]["peak_bytes"] == card["memory"]["peak_bytes"]
    assert rows["mapped"]["peak_bytes"] < 0.9 * rows["as is"]["peak_bytes"]
    assert all(row["same"] for row in rows.values())
    assert not rows["mapped, for this family"]["portable"]
    assert rows["mapped, for this family"]["load_cpu_ms"] < rows["as is"]["load_cpu_ms"]


def test_nothing_is_done_when_nothing_changed(
    model: str, engine: DockerEngine, progress: Progress
) -> None:
    before = store.find(model, Runtime.ONNX).path.stat().st_mtime_ns
    quiet = Silent()

    build.ensure([model], engine=engine, progress=quiet)

    assert quiet.steps == []
    assert store.find(model, Runtime.ONNX).path.stat().st_mtime_ns == before


def test_no_trainer_is_left_behind(model: str, engine: DockerEngine) -> None:
    ours = {LABEL_ROLE: trainer.ROLE, LABEL_OWNER: str(paths.artifacts())}
    left = engine.containers(ours)

    assert [container for container in left if not container.state().running] == []


def test_a_model_that_is_built_again_has_the_same_bytes(
    mobilenet: str,
    engine: DockerEngine,
    progress: Progress,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = store.card(mobilenet)["sha256"]
    monkeypatch.setenv("LAB_HOME", str(tmp_path))  # others use the first one meanwhile
    build.ensure([mobilenet], engine=engine, progress=progress)
    assert store.card(mobilenet)["sha256"] == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kappa"), [("retinopathy-mobilenet", 0.97), ("retinopathy-vgg19", 0.93)]
)
def test_training_anew_reaches_the_published_kappa_and_the_same_bytes_twice(
    name: str,
    kappa: float,
    engine: DockerEngine,
    progress: Progress,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    build.ensure([name], engine=engine, progress=progress, retrain=True)
    card = store.card(name)
    assert card["training"]["weights"] == "retrained"
    assert card["metrics"]["qwk"] >= kappa
    assert problems(name) == []
    if name == "retinopathy-mobilenet":
        build.ensure([name], engine=engine, progress=progress, retrain=True, force=True)
        assert store.card(name)["sha256"] == card["sha256"]
