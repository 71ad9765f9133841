import json

import pytest

from lab.artifacts import store
from lab.artifacts.archive import pack, sha256
from lab.artifacts.build import ensure
from lab.artifacts.verify import problems
from lab.errors import UsageError
from lab.progress import Silent
from lab.spec import Runtime
from tests.unit.artifacts.scripted import MODEL, ScriptedEngine


@pytest.fixture(autouse=True)
def built(engine: ScriptedEngine) -> None:
    ensure([MODEL], engine=engine, progress=Silent())


def test_a_fresh_model_has_no_problems() -> None:
    assert problems(MODEL) == []


def test_a_changed_archive_does_not_match_its_card() -> None:
    path = store.find(MODEL, Runtime.ONNX).path
    path.write_bytes(path.read_bytes()[:-3])

    found = problems(MODEL)

    assert any("model-onnx.tar.gz is not what the card says" in line for line in found)
    assert any("not a whole gzipped tar" in line for line in found)


def test_an_archive_with_another_model_inside_is_found_though_the_card_agrees() -> None:
    folder = store.folder(MODEL)
    kept = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(b"other")
    pack(folder, folder / "model-onnx.tar.gz", names=["model.json", "model.onnx"])
    (folder / "model.onnx").write_bytes(kept)
    card = json.loads((folder / "card.json").read_text())
    card["sha256"]["model-onnx.tar.gz"] = sha256(folder / "model-onnx.tar.gz")
    (folder / "card.json").write_text(json.dumps(card))

    assert problems(MODEL) == ["model-onnx.tar.gz holds another model.onnx than the folder"]


def test_a_description_that_disagrees_with_the_card_is_found() -> None:
    file = store.folder(MODEL) / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "labels": ["x"]}))

    assert "model.json and the card disagree about 'labels'" in problems(MODEL)


def test_a_reference_that_disagrees_with_the_card_is_found() -> None:
    file = store.folder(MODEL) / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "reference": {"schema": 1}}))

    assert "model.json and the card disagree about 'reference'" in problems(MODEL)


def test_a_missing_file_is_found() -> None:
    (store.folder(MODEL) / "model.onnx").unlink()

    assert "model.onnx is missing" in problems(MODEL)


def test_a_model_that_is_not_built_cannot_be_verified() -> None:
    with pytest.raises(UsageError, match="not built"):
        problems("retinopathy-vgg19")
