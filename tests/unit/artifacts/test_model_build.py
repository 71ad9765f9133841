import json
import shutil
from pathlib import Path

import pytest

from lab import paths
from lab.artifacts import fingerprint, store
from lab.artifacts.build import ensure, stale
from lab.errors import BuildError, UsageError
from lab.progress import Silent
from lab.spec import Runtime
from tests.timing import quickest
from tests.unit.artifacts.scripted import MODEL, ScriptedEngine


def build(engine: ScriptedEngine, **options: object) -> None:
    ensure([MODEL], engine=engine, progress=Silent(), **options)  # type: ignore[arg-type]


def test_a_built_model_is_found_with_its_sum_and_size(engine: ScriptedEngine) -> None:
    build(engine)

    for runtime in Runtime:
        found = store.find(MODEL, runtime)
        assert found.bytes == found.path.stat().st_size
        assert found.sha256 == store.card(MODEL)["sha256"][found.path.name]
    assert store.payload(MODEL).content_type == "image/jpeg"


def test_the_card_keeps_what_the_trainer_wrote(engine: ScriptedEngine) -> None:
    build(engine)

    card = store.card(MODEL)
    assert card["sha256"]["weights"] == "ab"
    assert card["bytes"]["model.onnx"] == 400


def test_nothing_is_built_twice_and_that_takes_no_time(engine: ScriptedEngine) -> None:
    build(engine)

    assert quickest(lambda: build(engine)) < 0.5
    assert len(engine.made) == 1


def test_force_builds_again(engine: ScriptedEngine) -> None:
    build(engine)
    build(engine, force=True)

    assert len(engine.made) == 2


def test_a_model_is_trained_anew_when_that_is_asked_for_and_then_stays(
    engine: ScriptedEngine,
) -> None:
    build(engine)
    assert "--train" not in (engine.specs[0].command or ())

    build(engine, retrain=True)
    assert list(engine.specs[1].command or ())[-2:] == ["--train", "all"]
    assert store.card(MODEL)["training"]["weights"] == "retrained"

    build(engine)
    build(engine, retrain=True)
    assert len(engine.made) == 2


def test_other_stored_weights_make_a_model_stale(engine: ScriptedEngine, sources: Path) -> None:
    build(engine)

    (sources / "retinopathy_mobilenet" / "weights.npz").write_bytes(b"others")
    assert stale(MODEL)


def test_the_container_is_gone_and_was_cut_off_from_the_network(engine: ScriptedEngine) -> None:
    build(engine)

    assert engine.made[0].removed
    assert engine.specs[0].network == "none"
    assert all(mount.read_only for mount in engine.specs[0].mounts if mount.target != "/out")


def test_changed_code_makes_a_model_stale_but_changed_words_do_not(
    engine: ScriptedEngine, sources: Path
) -> None:
    build(engine)
    (sources / "retinopathy_mobilenet" / "README.md").write_text("other words")
    assert not stale(MODEL)

    (sources / "common" / "train.py").write_text("b = 2")
    assert stale(MODEL)


def test_the_services_code_that_computes_the_reference_comes_along_and_counts(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = tmp_path / "services" / "inference" / "app"
    shutil.copytree(paths.SERVICES / "inference" / "app", app)
    (tmp_path / "services" / "trainer").mkdir()
    shutil.copy(paths.SERVICES / "trainer" / "Dockerfile", tmp_path / "services" / "trainer")
    monkeypatch.setattr(paths, "SERVICES", tmp_path / "services")
    monkeypatch.setattr(fingerprint, "SERVICES", tmp_path / "services")
    build(engine)
    assert {mount.source: mount.target for mount in engine.specs[0].mounts}[str(app)] == "/lab/app"

    (app / "gate.py").write_text("other = 1")
    assert not stale(MODEL)
    (app / "tasks" / "image_classification.py").write_text("other = 1")
    assert stale(MODEL)


def test_code_that_changes_during_a_build_makes_its_result_stale(
    engine: ScriptedEngine, sources: Path
) -> None:
    engine.meanwhile = lambda: (sources / "common" / "train.py").write_text("b = 2")

    build(engine)

    assert stale(MODEL)


def test_a_model_that_lost_a_file_is_stale(engine: ScriptedEngine) -> None:
    build(engine)
    store.find(MODEL, Runtime.ONNX).path.unlink()

    assert stale(MODEL)


def test_a_model_of_photographs_stays_until_other_photographs_come(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    data = tmp_path / "aptos"
    data.mkdir()
    (data / "train.csv").write_text("id_code,diagnosis\n")

    build(engine, data=data)

    assert not stale(MODEL)
    assert not stale(MODEL, data=data)
    (data / "another.png").write_bytes(b"png")
    assert stale(MODEL, data=data)
    assert str(data) in {mount.source for mount in engine.specs[0].mounts}
    assert engine.specs[0].network is None


def test_data_without_the_competitions_table_is_refused(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"train\.csv"):
        build(engine, data=tmp_path)
    assert not engine.made


@pytest.mark.parametrize(("code", "word"), [(1, "ended with code 1"), (137, "ran out of memory")])
def test_a_failed_build_says_why_and_leaves_the_old_model(
    engine: ScriptedEngine, code: int, word: str
) -> None:
    build(engine)
    before = store.find(MODEL, Runtime.ONNX)
    engine.code, engine.said = code, "quadratic weighted kappa is 0.100, below 0.6"

    with pytest.raises(BuildError, match=f"(?s){word}.*below 0.6"):
        build(engine, force=True)

    assert store.find(MODEL, Runtime.ONNX) == before
    assert engine.made[-1].removed
    assert [path.name for path in paths.artifacts().iterdir() if path.is_dir()] == [MODEL]


def test_ctrl_c_leaves_nothing_half_made(engine: ScriptedEngine) -> None:
    engine.interrupt = True

    with pytest.raises(KeyboardInterrupt):
        build(engine)

    assert engine.made[0].removed
    assert not [path for path in paths.artifacts().iterdir() if path.is_dir()]


def test_a_container_left_by_a_killed_command_is_removed_first(engine: ScriptedEngine) -> None:
    build(engine)
    left = engine.create(engine.specs[0])

    build(engine, force=True)

    assert left.removed


def test_what_the_trainer_wants_known_is_passed_on(engine: ScriptedEngine) -> None:
    engine.said = "step 1/2\nnote: ImageNet's weights cannot be had\nkappa 0.8"
    progress = Silent()

    ensure([MODEL], engine=engine, progress=progress)

    assert progress.notes == [f"{MODEL}: ImageNet's weights cannot be had"]


def test_equal_models_are_packed_to_equal_archives(engine: ScriptedEngine) -> None:
    build(engine)
    first = store.find(MODEL, Runtime.TENSORFLOW).sha256
    build(engine, force=True)

    assert store.find(MODEL, Runtime.TENSORFLOW).sha256 == first


def test_an_unknown_model_is_refused_with_the_known_ones(engine: ScriptedEngine) -> None:
    with pytest.raises(UsageError) as caught:
        ensure(["resnet"], engine=engine, progress=Silent())

    assert "resnet" in caught.value.what
    assert "retinopathy-vgg19" in caught.value.remedy


def test_a_missing_model_says_how_to_build_it() -> None:
    with pytest.raises(UsageError) as caught:
        store.find(MODEL, Runtime.ONNX)

    assert "lab models build" in caught.value.remedy


def test_a_damaged_card_is_an_error_for_users_and_a_stale_model(engine: ScriptedEngine) -> None:
    build(engine)
    (store.folder(MODEL) / "card.json").write_text("{")

    assert stale(MODEL)
    with pytest.raises(UsageError, match=r"card\.json"):
        store.find(MODEL, Runtime.ONNX)


def test_the_card_is_json_that_people_can_read(engine: ScriptedEngine) -> None:
    build(engine)

    text = (store.folder(MODEL) / "card.json").read_text()
    assert json.loads(text)["name"] == MODEL
    assert text.count("\n") > 10
