import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab import paths
from lab.artifacts import build, imported, store
from lab.artifacts.imported import ImportOrder, bring, check, remove
from lab.artifacts.verify import problems
from lab.cli.models_import import next_steps
from lab.coldstart import planfile
from lab.coldstart.subjects import check_models
from lab.engine.api import ContainerSpec
from lab.errors import BuildError, UsageError
from lab.images.variants import VARIANTS
from lab.loadtest.targets.subject import ImageRequest, image_subject
from lab.progress import Silent
from lab.spec import EngineKind, Runtime
from lab.stack import session
from lab.stack.settings import StackSettings
from tests.unit.artifacts.scripted import MODEL, write_model
from tests.unit.engine.fake import Behaviour, FakeContainer, FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION: dict[str, Any] = {
    "schema": 2,
    "name": "mine",
    "task": "tensors",
    "inputs": [{"name": "x", "dtype": "float32", "shape": [None, 3]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": [None, 1]}],
    "labels": [],
}


class ImportingEngine(FakeEngine):
    """Makes trainers that end as told, having described a graph of three bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.said = 0, "checking"
        self.served = store.SERVED[Runtime.ONNX]
        self.meanwhile: Callable[[], object] = lambda: None

    def create(self, spec: ContainerSpec) -> FakeContainer:
        words = list(spec.command or ())
        out = Path(words[words.index("--out") + 1])
        if spec.mounts:
            out = next(Path(mount.source or "") for mount in spec.mounts if mount.target == "/out")

        def work() -> tuple[int, str]:
            (out / "samples").mkdir()
            (out / "samples" / "payload.json").write_text("{}")
            (out / self.served).write_bytes(b"abc")
            (out / "model.json").write_text(json.dumps(DESCRIPTION))
            card = {
                **DESCRIPTION,
                "samples": {"payload": "samples/payload.json"},
                "tolerance": {
                    "label": "",
                    "scores": "",
                    "max_abs_difference": 1e-3,
                    "least_agreement": 0.99,
                },
                "sha256": {},
            }
            (out / "card.json").write_text(json.dumps(card))
            (out / "imported.json").write_text(json.dumps({"sha256": "ab", "opset": 17}))
            self.meanwhile()
            return self.code, self.said

        self.does = Behaviour(work=work)
        return super().create(spec)


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> ImportingEngine:
    monkeypatch.setattr(imported, "ensure_images", lambda *_args, **_more: None)
    return ImportingEngine()


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "graph.onnx").write_bytes(b"onnx")
    return folder / "graph.onnx"


def bring_it(engine: FakeEngine, graph: Path, name: str = "mine", **more: Any) -> Path:
    return bring(ImportOrder(model=graph, name=name, **more), engine=engine, progress=Silent())


def refusal(graph: Path, name: str = "mine", **more: Any) -> str:
    with pytest.raises(UsageError) as refused:
        check(ImportOrder(model=graph, name=name, **more))
    assert refused.value.remedy
    return refused.value.what


def test_an_imported_model_is_one_of_the_lab_s_with_archive_payload_and_origin(
    trainer: ImportingEngine, graph: Path
) -> None:
    folder = bring_it(trainer, graph)

    assert store.imported() == ("mine",)
    assert "mine" in store.models()
    assert store.find("mine", Runtime.ONNX).bytes > 0
    assert store.payload("mine").content_type == "application/json"
    origin = json.loads((folder / store.IMPORTED).read_text())
    assert (origin["file"], origin["opset"]) == (str(graph), 17)
    assert problems("mine") == []
    assert not build.stale("mine")


def test_the_trainer_sees_the_file_s_folder_and_may_not_write_to_it(
    trainer: ImportingEngine, graph: Path, tmp_path: Path
) -> None:
    payload = tmp_path / "ask.npy"
    payload.write_bytes(b"numpy")

    bring_it(trainer, graph, payload=payload)

    (made,) = trainer.made
    seen = {mount.target: mount for mount in made.spec.mounts}
    assert seen["/in"].source == str(graph.parent)
    assert seen["/payload/ask.npy"].source == str(payload)
    assert [target for target, mount in seen.items() if not mount.read_only] == ["/out"]
    words = ["-m", "models.imported", "/in/graph.onnx", "--name", "mine", "--out", "/out"]
    assert made.spec.command == [*words, "--payload", "/payload/ask.npy"]
    assert made.spec.network == "none"
    assert made.removed


def test_a_link_is_followed_with_the_files_beside_it(
    trainer: ImportingEngine, graph: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "snapshot"
    cache.mkdir()
    (graph.parent / "blob").write_bytes(b"weights")
    (cache / "model.onnx").symlink_to(graph)
    (cache / "model.onnx_data").symlink_to(graph.parent / "blob")

    bring_it(trainer, cache / "model.onnx")

    seen = {mount.target: mount.source for mount in trainer.made[0].spec.mounts}
    assert seen["/in/model.onnx"] == str(graph)
    assert seen["/in/model.onnx_data"] == str(graph.parent / "blob")


def test_without_containers_the_trainer_is_told_the_machine_s_own_paths(
    trainer: ImportingEngine, graph: Path
) -> None:
    trainer.kind = EngineKind.PROCESS

    bring_it(trainer, graph)

    (made,) = trainer.made
    assert list(made.spec.command or ())[2] == str(graph)
    assert not made.spec.mounts
    assert store.imported() == ("mine",)


def test_what_the_trainer_refuses_is_said_in_its_words_with_the_user_s_paths(
    trainer: ImportingEngine, graph: Path
) -> None:
    trainer.code = 1
    trainer.said = "checking\nrefused: /in/graph.onnx: node 'a' is custom.\nremedy: Export it anew."

    with pytest.raises(UsageError) as refused:
        bring_it(trainer, graph)

    assert refused.value.what == f"{graph}: node 'a' is custom."
    assert refused.value.remedy == "Export it anew."
    assert store.imported() == ()
    assert not list(paths.artifacts().glob(".building-*"))


def test_a_trainer_that_fails_otherwise_is_quoted(trainer: ImportingEngine, graph: Path) -> None:
    trainer.code, trainer.said = 2, "Traceback"

    with pytest.raises(BuildError, match="ended with code 2"):
        bring_it(trainer, graph)


def test_ctrl_c_leaves_nothing_and_the_model_of_before(
    trainer: ImportingEngine, graph: Path
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    bring_it(trainer, graph)
    before = store.find("mine", Runtime.ONNX).sha256
    trainer.meanwhile = interrupt

    with pytest.raises(KeyboardInterrupt):
        bring_it(trainer, graph, force=True)

    assert store.find("mine", Runtime.ONNX).sha256 == before
    assert all(made.removed for made in trainer.made)
    assert not list(paths.artifacts().glob(".building-*"))


def test_a_name_is_taken_again_only_with_force(trainer: ImportingEngine, graph: Path) -> None:
    bring_it(trainer, graph)
    assert "There is an imported model mine" in refusal(graph)

    graph.write_bytes(b"another")
    bring_it(trainer, graph, force=True)

    assert len(trainer.made) == 2
    assert store.imported() == ("mine",)


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", "a_b", "a.b", "a/b", "..", "ä", "a b", "a" * (imported.LONGEST + 1)],
)
def test_a_name_that_sagemaker_or_a_folder_would_not_take_is_refused(
    name: str, graph: Path
) -> None:
    assert "is no name for a model" in refusal(graph, name)


@pytest.mark.parametrize("name", [MODEL, MODEL.upper(), f"{MODEL}-1000"])
def test_the_names_of_the_lab_s_models_and_of_their_sizes_are_taken(name: str, graph: Path) -> None:
    assert "one of the lab's own models" in refusal(graph, name)


def test_a_folder_that_is_no_imported_model_is_not_replaced(graph: Path) -> None:
    (paths.artifacts() / "mine").mkdir(parents=True)

    assert "no imported model" in refusal(graph, force=True)


def test_files_that_cannot_be_a_model_are_refused_before_anything_is_started(
    graph: Path, tmp_path: Path
) -> None:
    empty, huge = tmp_path / "empty.onnx", tmp_path / "huge.onnx"
    empty.touch()
    with huge.open("wb") as sparse:
        sparse.truncate(imported.MOST_BYTES + 1)

    assert "does not exist" in refusal(tmp_path / "none.onnx")
    assert "is empty" in refusal(empty)
    assert "protobuf" in refusal(huge)
    assert "holds no saved_model.pb" in refusal(graph.parent)


def test_a_payload_must_be_there_have_a_size_and_a_type(graph: Path, tmp_path: Path) -> None:
    unnamed, empty = tmp_path / "payload", tmp_path / "empty.json"
    unnamed.write_bytes(b"{}")
    empty.touch()

    assert "cannot be read" in refusal(graph, payload=tmp_path / "none.json")
    assert "cannot be told from its name" in refusal(graph, payload=unnamed)
    assert "has 0 B" in refusal(graph, payload=empty)


def test_only_what_was_imported_is_removed(trainer: ImportingEngine, graph: Path) -> None:
    bring_it(trainer, graph)
    own = store.folder(MODEL)
    own.mkdir()
    write_model(own, weights="stored")

    with pytest.raises(UsageError, match="was not imported"):
        remove(MODEL, Silent())
    with pytest.raises(UsageError, match="no model 'other'"):
        remove("other", Silent())
    remove("mine", Silent())

    assert store.imported() == ()
    assert [path.name for path in paths.artifacts().iterdir() if path.is_dir()] == [MODEL]


def test_another_runtime_than_the_model_s_is_refused_with_the_variants_that_serve_it(
    trainer: ImportingEngine, graph: Path
) -> None:
    bring_it(trainer, graph)

    with pytest.raises(UsageError) as refused:
        store.check("mine", Runtime.ONNX, None, Runtime.TENSORFLOW)

    assert refused.value.what == "The model mine has no archive for tensorflow."
    assert refused.value.remedy.endswith(": onnx, onnx-slim.")
    assert [one.runtime for one in store.archives("mine")] == [Runtime.ONNX]
    store.check("mine", Runtime.ONNX, None)
    store.check(MODEL, Runtime.TENSORFLOW)  # not built: what it will have is not known


def test_nothing_is_built_for_a_variant_that_cannot_serve_it(
    trainer: ImportingEngine, graph: Path
) -> None:
    bring_it(trainer, graph)
    plan = planfile.load(
        planfile.find("smoke"),
        over={"variants": ["slim", "onnx"], "models": ["mine"]},
        variants=list(VARIANTS),
        models=store.models(),
    )
    settings = StackSettings(variant="slim", models=("mine",), env={})
    trainer.kind = EngineKind.PROCESS

    with pytest.raises(UsageError, match="no archive for tensorflow"):
        check_models(plan)
    with pytest.raises(UsageError, match="no archive for tensorflow"):
        session.up(settings, trainer, Silent())
    with pytest.raises(UsageError, match="no archive for tensorflow"):
        image_subject(ImageRequest(name="slim", model="mine"), trainer, Silent())


def test_a_saved_model_is_served_by_tensorflow_alone(
    trainer: ImportingEngine, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    trainer.served = store.SERVED[Runtime.TENSORFLOW]

    bring_it(trainer, folder)

    assert trainer.made[0].spec.command[2] == "/in/export"
    with pytest.raises(UsageError, match="baseline, twostage, slim"):
        store.find("mine", Runtime.ONNX)


def test_an_imported_model_cannot_be_built_and_a_broken_one_says_what_to_do(
    trainer: ImportingEngine, graph: Path
) -> None:
    folder = bring_it(trainer, graph)

    with pytest.raises(UsageError, match="not the lab's to build"):
        build.ensure(["mine"], engine=trainer, progress=Silent(), force=True)
    (folder / "model.onnx").unlink()
    with pytest.raises(UsageError, match="not whole any more"):
        build.ensure(["mine"], engine=trainer, progress=Silent())


def test_which_of_its_numbers_is_the_answer_nobody_knows(
    trainer: ImportingEngine, graph: Path
) -> None:
    bring_it(trainer, graph)

    with pytest.raises(UsageError, match="it was imported"):
        store.tolerance("mine")


def test_the_commands_that_follow_name_the_image_and_the_payload(
    trainer: ImportingEngine, graph: Path
) -> None:
    bring_it(trainer, graph)

    up, invoke, tune = next_steps("mine", ["onnx", "onnx-slim"])

    assert up == ("up", "--model", "mine")
    assert invoke[:3] == ("endpoint", "invoke", "mine-realtime")
    assert Path(invoke[-1]).read_text() == "{}"
    assert tune == ("tune", "onnx-slim", "--model", "mine")
    assert next_steps("mine", ["slim"])[0] == ("up", "--model", "mine", "--variant", "slim")
