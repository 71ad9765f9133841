import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.coldstart import prepare, subjects
from lab.coldstart.executor import ROLE_TRIAL
from lab.coldstart.plan import OwnImage
from lab.coldstart.record import Cell
from lab.coldstart.subjects import check_own, ensure_own
from lab.engine.api import ContainerSpec, ImageFacts
from lab.engine.emulation.qemu import Emulation
from lab.errors import ArchiveError, EmulationError, ImageNotFoundError, UsageError
from lab.images.base import BaseImage
from lab.progress import Silent
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Platform, StartKind
from tests.unit.coldstart.builders import cell, plan, trial
from tests.unit.engine.fake import FakeEngine

MOBILENET = "retinopathy-mobilenet"
DOCKER = FakeEngine().facts()
PROCESS = FakeEngine(kind=EngineKind.PROCESS).facts()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def built(home: Path) -> Path:
    """A model as it lies on the disk once built."""
    folder = home / "artifacts" / MOBILENET
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "photo-size.jpg").write_bytes(b"picture")
    for name, content in (("model-onnx.tar.gz", b"small"), ("model-tensorflow.tar.gz", b"larger")):
        (folder / name).write_bytes(content)
    sums = {"model-onnx.tar.gz": "1111", "model-tensorflow.tar.gz": "2222"}
    samples = {"payload": "samples/photo-size.jpg", "held_out": "samples/held-out"}
    (folder / "card.json").write_text(json.dumps({"sha256": sums, "samples": samples}))
    return folder


def test_each_variant_gets_the_archive_of_its_runtime(built: Path) -> None:
    found = subjects.resolve(plan(variants=["slim", "onnx"], models=[MOBILENET]))
    by_variant = {key[0]: one for key, one in found.by_key.items()}
    assert by_variant["slim"].archive == built / "model-tensorflow.tar.gz"
    assert by_variant["onnx"].archive == built / "model-onnx.tar.gz"
    assert by_variant["onnx"].image == "inference-lab/onnx:amd64"
    assert by_variant["onnx"].payload == b"picture"
    assert by_variant["onnx"].content_type == "image/jpeg"
    assert {(one.archive, one.sha256) for one in found.models} == {
        ("onnx", "1111"),
        ("tensorflow", "2222"),
    }


def test_the_floor_fetches_the_smallest_archive_of_its_model(built: Path) -> None:
    found = subjects.resolve(plan(variants=["slim", "onnx"], models=[MOBILENET]))
    floor = found.of(cell("floor").model_copy(update={"model": MOBILENET}))
    assert floor.image == "inference-lab/floor:amd64"
    assert floor.archive == built / "model-onnx.tar.gz"


def test_a_model_that_is_not_built_is_named() -> None:
    with pytest.raises(UsageError, match="is not built"):
        subjects.resolve(plan(models=[MOBILENET]))


def own(tmp_path: Path, **over: Any) -> Mapping[str, Any]:
    (tmp_path / "q.json").write_text("[]")
    return {
        "image": "me/x:1",
        "payload": tmp_path / "q.json",
        "content_type": "application/json",
        **over,
    }


def test_an_own_image_gets_the_user_s_files(home: Path) -> None:
    (home / "mine.tar.gz").write_bytes(b"weights")
    a_plan = plan(variants=[], models=[], own=own(home, model_data=home / "mine.tar.gz"))
    found = subjects.resolve(a_plan)
    mine = found.by_key["me-x-1", "mine", Platform.AMD64]
    floor = found.by_key["floor", "mine", Platform.AMD64]
    assert (mine.image, mine.archive) == ("me/x:1", home / "mine.tar.gz")
    assert (mine.payload, mine.content_type) == (b"[]", "application/json")
    assert floor.archive == mine.archive
    assert found.models[0].bytes == 7


def test_an_own_image_without_a_model_mounts_none(home: Path) -> None:
    found = subjects.resolve(plan(variants=[], models=[], own=own(home)))
    assert [one.archive for one in found.by_key.values()] == [None, None]
    assert found.models == ()


def test_a_payload_that_is_missing_is_named(home: Path) -> None:
    a_plan = plan(variants=[], models=[], own=own(home, payload=home / "nothing.png"))
    with pytest.raises(UsageError, match=r"payload .*nothing.png cannot be read: No such file"):
        subjects.resolve(a_plan)


@pytest.mark.parametrize("name", ["../../evil", None])
def test_an_archive_that_is_hostile_or_corrupt_is_refused_at_once(
    home: Path, name: str | None
) -> None:
    path = home / "mine.tar.gz"
    path.write_bytes(b"no archive")
    if name is not None:
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(ArchiveError):
        check_own(OwnImage.model_validate(own(home, model_data=path)))


class Registry(FakeEngine):
    """An engine that has no image until it pulls it."""

    def __init__(self, platform: Platform = Platform.AMD64, *, there: bool = True) -> None:
        super().__init__(platform=platform)
        self.there = there
        self.pulled: list[str] = []

    def image(self, ref: str) -> ImageFacts:
        if ref not in self.pulled:
            raise ImageNotFoundError(f"There is no image {ref}.")
        return super().image(ref)

    def pull(self, ref: str, *, platform: Platform | None = None) -> list[Any]:
        if not self.there:
            raise ImageNotFoundError(f"{ref} is nowhere.", remedy="Check its name.")
        self.pulled.append(ref)
        return []


def test_an_own_image_is_pulled_if_it_is_not_here(home: Path) -> None:
    engine = Registry()
    mine = OwnImage.model_validate(own(home))
    ensure_own(mine, Platform.AMD64, engine, Silent())
    ensure_own(mine, Platform.AMD64, engine, Silent())
    assert engine.pulled == ["me/x:1"]


def test_an_own_image_that_is_nowhere_is_named(home: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=r"no image me/x:1. me/x:1 is nowhere"):
        ensure_own(
            OwnImage.model_validate(own(home)), Platform.AMD64, Registry(there=False), Silent()
        )


def test_an_own_image_for_another_processor_is_refused_with_the_way_out(home: Path) -> None:
    with pytest.raises(UsageError, match="is for linux/arm64") as caught:
        ensure_own(
            OwnImage.model_validate(own(home)), Platform.AMD64, Registry(Platform.ARM64), Silent()
        )
    assert "--platform linux/arm64" in caught.value.remedy


def test_processes_cannot_pull() -> None:
    unable = prepare.impossible(plan(start_kinds=["fresh", "pull"]), PROCESS)
    assert unable == {StartKind.PULL: "no container: there is no image to pull"}
    assert prepare.impossible(plan(start_kinds=["fresh", "pull"]), DOCKER) == {}


def test_the_page_cache_of_an_engine_elsewhere_stays() -> None:
    far = replace(DOCKER, address="tcp://10.0.0.1:2375")
    unable = prepare.impossible(plan(start_kinds=["diskcold"]), far)
    assert "another kernel" in unable[StartKind.DISKCOLD]


def test_what_is_degraded_is_said() -> None:
    a_plan = plan(
        tiers=[1024, 4096, 16384, "host"],
        platforms=["linux/amd64", "linux/arm64"],
        start_kinds=["fresh", "pull"],
    )
    said = prepare.notes(
        a_plan,
        replace(DOCKER, notes=("old kernel",)),
        {StartKind.PULL: "no"},
        [Emulation(platform=Platform.ARM64, runs=True, detail="QEMU 10.0.2")],
    )
    assert said == (
        "old kernel",
        "pull trials are skipped: no.",
        "Tier 4096, 16384 MB: the CPU quota is capped at this machine's 2 CPUs.",
        "Tier 16384 MB is more memory than this machine has.",
        (
            "linux/arm64 is emulated (QEMU 10.0.2): its times say nothing of real hardware, "
            "and its containers are waited for 5 times as long."
        ),
    )


def test_a_memory_size_that_will_kill_a_model_is_said_and_measured_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    tiers = [1024, 2048, 3072, "host"]
    a_plan = plan(variants=["onnx-slim"], models=["retinopathy-vgg19"], tiers=tiers)
    folder = tmp_path / "artifacts" / a_plan.models[0]
    folder.mkdir(parents=True)
    (folder / "card.json").write_text('{"memory": {"peak_bytes": 2200000000}}')
    (said,) = prepare.misfits(a_plan)
    assert "does not fit into 2048 MB" in said
    assert said.endswith("Its starts there are measured all the same.")
    (folder / "card.json").write_text("{}")
    assert not [*prepare.misfits(a_plan)]


class Preparing:
    """What ``prepared`` asks of the rest of the lab, on an engine of some platform."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> None:
        self.built: list[tuple[str, Platform]] = []
        self.made_to_run: list[Platform] = []
        monkeypatch.setattr(prepare, "open_engine", lambda _: engine)
        monkeypatch.setattr(prepare, "ensure_runs", self._ensure_runs)
        monkeypatch.setattr(prepare, "ensure_base", self._ensure_base)
        monkeypatch.setattr("lab.coldstart.prepare.images.ensure", self._ensure)
        monkeypatch.setattr("lab.coldstart.prepare.models.ensure", lambda *_, **__: None)
        monkeypatch.setattr(prepare, "_image_records", lambda *_: ())

    def _ensure_runs(self, platform: Platform, *_: Any) -> Emulation:
        self.made_to_run.append(platform)
        return Emulation(platform=platform, runs=True, detail="QEMU 10.0.2")

    def _ensure_base(self, platform: Platform, *_: Any) -> BaseImage:
        return BaseImage(ref=f"base:{platform.arch}", source="packages", detail="", digest="")

    def _ensure(self, targets: list[str], *, platform: Platform, **_: Any) -> None:
        self.built += [(name, platform) for name in targets]


@pytest.mark.parametrize("machine", list(Platform))
@pytest.mark.usefixtures("built")
def test_one_plan_is_native_on_a_machine_and_emulated_on_the_other(
    monkeypatch: pytest.MonkeyPatch, machine: Platform
) -> None:
    scene = Preparing(monkeypatch, FakeEngine(platform=machine))
    a_plan = plan(variants=["onnx"], models=[MOBILENET], platforms=["linux/arm64"])
    with prepare.prepared(a_plan, "a-run", Silent()) as ready:
        sample = ready.run_trial(
            trial(
                of=Cell(**{**cell().model_dump(), "model": MOBILENET, "platform": Platform.ARM64})
            )
        )
    assert ready.engine["platform"] is machine
    assert {platform for _, platform in scene.built} == {Platform.ARM64}
    native = machine is Platform.ARM64
    assert sample.emulated is not native
    assert scene.made_to_run == ([] if native else [Platform.ARM64])
    assert any("emulated" in note for note in ready.notes) is not native


@pytest.mark.usefixtures("built")
def test_without_containers_only_the_machine_s_own_platform_can_be_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine(kind=EngineKind.PROCESS)
    monkeypatch.setattr(prepare, "open_engine", lambda _: engine)
    a_plan = plan(variants=["onnx"], models=[MOBILENET], platforms=["linux/arm64"])
    with (
        pytest.raises(EmulationError, match="linux/arm64"),
        prepare.prepared(a_plan, "a-run", Silent()),
    ):
        pass
    assert engine.made == []


def labelled(engine: FakeEngine, owner: str, role: str = ROLE_TRIAL) -> None:
    engine.create(ContainerSpec(image="x", labels={LABEL_OWNER: owner, LABEL_ROLE: role}))


def test_a_run_removes_its_own_containers_and_no_others() -> None:
    engine = FakeEngine()
    labelled(engine, "mine")
    labelled(engine, "other")
    prepare.remove_all_of(engine, "mine", Silent())
    assert [one.removed for one in engine.made] == [True, False]


def test_what_a_killed_run_left_is_removed_at_the_next_start(home: Path) -> None:
    (home / "runs" / "killed").mkdir(parents=True)
    (home / "runs" / "killed" / "run.json").write_text("{}")
    (home / ".cache" / "trials" / "killed").mkdir(parents=True)
    engine = FakeEngine()
    labelled(engine, "killed")
    labelled(engine, "killed", "coldhost")
    labelled(engine, "registry", "registry")
    labelled(engine, "a-run-of-another-checkout")
    progress = Silent()
    prepare.remove_leftovers(engine, progress)
    assert [one.removed for one in engine.made] == [True, True, False, False]
    assert progress.notes == ["Removed 2 containers that a killed run had left behind."]
    assert not (home / ".cache" / "trials").exists()
