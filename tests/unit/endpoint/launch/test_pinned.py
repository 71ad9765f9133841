"""Containers of an endpoint are started from what it was deployed with, whatever came later."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.artifacts.archive import pack
from lab.endpoint.launch.images import repository_of
from lab.endpoint.live import LaunchFailed, NothingToStart, VariantPlan
from lab.endpoint.s3 import UNREACHABLE, ObjectError
from lab.engine.api import ImageFacts, LayerEvent
from lab.spec import EngineKind, Platform
from tests.fidelity import OURS, fidelity
from tests.unit.endpoint.launching import PLAN, REAL_TIME, URI, Scene
from tests.unit.engine.fake import Behaviour, FakeEngine
from tests.unit.start.servers import ready_after

pytestmark = pytest.mark.anyio

DIGEST = f"sha256:{'cd' * 32}"
PLAIN = replace(REAL_TIME, model_data="s3://models/plain/", compressed=False)


@pytest.fixture
def engine() -> FakeEngine:
    found = FakeEngine(Behaviour(answer=lambda: ready_after(0)))
    found.ids["x:1"] = "sha256:a1"
    return found


@pytest.fixture
async def scene(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(engine, tmp_path)
    made.put("s3://models/plain/code/a.py", b"first")
    yield made
    await made.close()


async def deployed(scene: Scene, plan: VariantPlan = REAL_TIME) -> VariantPlan:
    """As a deployment does: its names are resolved, and a first container is started."""
    plan = replace(plan, pin=await scene.launcher.pin(plan))
    await served(scene, plan)
    return plan


async def served(scene: Scene, plan: VariantPlan) -> bytes:
    """What a new container finds in its model's folder."""
    server = await scene.launch(plan)
    model = scene.state / "servers" / server.id / "model"
    try:
        files = [path for path in model.rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in files)
    finally:
        await scene.launcher.stop(server)


def another_archive(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.json").write_text("second")
    pack(tmp_path / "other", tmp_path / "other.tar.gz")
    scene.put(URI, (tmp_path / "other.tar.gz").read_bytes())


def kept(scene: Scene) -> list[str]:
    below = scene.state / "archives"
    return sorted(path.name for path in below.iterdir()) if below.is_dir() else []


def s3_ends(scene: Scene) -> None:
    def refuse(verb: str, uri: str) -> None:
        raise ObjectError(UNREACHABLE, f"S3 cannot be reached for {uri}.")

    scene.objects.refuse = refuse


# --- images


async def test_a_container_is_started_from_the_id_and_not_from_the_name(
    scene: Scene, engine: FakeEngine
) -> None:
    plan = await deployed(scene)
    engine.ids["x:1"] = "sha256:b2"
    assert await scene.launcher.pin(plan) == plan.pin
    await served(scene, plan)
    assert [made.spec.image for made in engine.made] == ["sha256:a1", "sha256:a1"]


async def test_the_name_may_be_gone(scene: Scene, engine: FakeEngine) -> None:
    plan = await deployed(scene)
    engine.gone.add("x:1")
    await served(scene, plan)
    (drift,) = await scene.launcher.drift(plan)
    assert "x:1 is no image any more" in drift.text


@fidelity(
    "Versions",
    "When the image of a living endpoint is gone from the engine, a container that is to come says "
    "so, with its id; the name is not resolved anew.",
    OURS,
    "AWS keeps what it deployed; an engine on this machine can be told to remove it.",
)
async def test_an_image_that_is_gone_is_named_with_its_id(scene: Scene, engine: FakeEngine) -> None:
    plan = await deployed(scene)
    engine.gone.add("sha256:a1")
    with pytest.raises(LaunchFailed) as failed:
        await scene.launch(plan)
    said = "The image x:1 that this endpoint was deployed with (sha256:a1) is gone from the engine."
    assert isinstance(failed.value, NothingToStart)  # no container of it missed a ping
    assert str(failed.value).startswith(said)
    assert "Update the endpoint" in str(failed.value)
    (line,) = scene.logs.tail("tea")
    assert line.startswith("AllTraffic/lab ")
    assert f"[platform] No container was started: {said}" in line
    assert len(engine.made) == 1
    engine.gone.add("x:1")
    (drift,) = await scene.launcher.drift(plan)
    assert "x:1 is no image any more, and the engine has not kept the one" in drift.text
    assert "cannot be replaced" in drift.text


class Registry(FakeEngine):
    """An engine whose image came from a registry, and can be had there again by digest."""

    def __init__(self) -> None:
        super().__init__(Behaviour(answer=lambda: ready_after(0)))
        self.pulled: list[str] = []

    def image(self, ref: str) -> ImageFacts:
        return replace(super().image(ref), digest=DIGEST)

    def pull(self, ref: str, *, platform: Platform | None = None) -> Sequence[LayerEvent]:
        self.pulled.append(ref)
        self.gone.clear()
        return []


async def test_an_image_of_a_registry_is_pulled_again_by_its_digest(tmp_path: Path) -> None:
    engine = Registry()
    scene = Scene(engine, tmp_path)
    plan = replace(REAL_TIME, image="registry.local:5000/team/tea:7")
    plan = replace(plan, pin=await scene.launcher.pin(plan))
    assert plan.pin is not None
    assert plan.pin.resolved_image == f"registry.local:5000/team/tea@{DIGEST}"
    engine.gone.add("sha256:1")
    await served(scene, plan)
    assert engine.pulled == [f"registry.local:5000/team/tea@{DIGEST}"]
    await scene.close()


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("tea", "tea"),
        ("team/tea:7", "team/tea"),
        ("localhost:5000/tea", "localhost:5000/tea"),
        ("localhost:5000/tea:7", "localhost:5000/tea"),
        (f"team/tea@{DIGEST}", "team/tea"),
        (f"localhost:5000/team/tea:7@{DIGEST}", "localhost:5000/team/tea"),
    ],
)
def test_a_repository_is_a_name_without_tag_and_digest(image: str, repository: str) -> None:
    assert repository_of(image) == repository


@fidelity(
    "DescribeEndpoint",
    "A local image that no registry has is described by the engine's own id in place of a "
    "registry's digest.",
    OURS,
    "AWS takes images of registries only.",
)
async def test_a_local_image_is_described_by_its_id(scene: Scene) -> None:
    pin = await scene.launcher.pin(REAL_TIME)
    assert (pin.resolved_image, pin.pull_from) == ("x@sha256:a1", None)
    pin = await scene.launcher.pin(replace(REAL_TIME, image="sha256:a1"))
    assert pin.resolved_image == "sha256:a1"


async def test_what_a_local_image_is_described_by_can_be_deployed(
    scene: Scene, engine: FakeEngine
) -> None:
    engine.gone.add("x@sha256:a1")  # as an engine says of a digest that no registry gave it
    plan = await deployed(scene, replace(REAL_TIME, image="x@sha256:a1"))
    assert plan.pin is not None
    assert plan.pin.image_id == "sha256:a1"
    assert await scene.launcher.drift(plan) == []


async def test_a_name_that_stands_for_another_image_is_said(
    scene: Scene, engine: FakeEngine
) -> None:
    plan = await deployed(scene)
    assert await scene.launcher.drift(plan) == []
    engine.ids["x:1"] = "sha256:b2"
    (drift,) = await scene.launcher.drift(plan)
    assert drift.now == "image sha256:b2"
    assert "x:1 is another image by now (sha256:b2)" in drift.text
    assert "still serves the one it was deployed with, sha256:a1" in drift.text


async def test_a_process_is_started_by_its_name_and_that_is_said(tmp_path: Path) -> None:
    engine = FakeEngine(Behaviour(answer=lambda: ready_after(0)), kind=EngineKind.PROCESS)
    engine.ids["x:1"] = "sha256:a1"
    scene = Scene(engine, tmp_path)
    plan = await deployed(scene)
    engine.ids["x:1"] = "sha256:b2"
    await served(scene, plan)
    assert engine.made[-1].spec.image == "x:1"
    (drift,) = await scene.launcher.drift(plan)
    assert "installed anew" in drift.text
    await scene.close()


# --- model data


@fidelity(
    "Versions",
    "A model's object is fixed at deployment: a container that comes later gets the same, though "
    "it was overwritten or deleted meanwhile.",
    OURS,
    "AWS: 'unpredictable results' "
    "(https://docs.aws.amazon.com/sagemaker/latest/dg/how-it-works-hosting.html).",
)
async def test_an_overwritten_archive_is_not_what_a_later_container_gets(
    scene: Scene, tmp_path: Path
) -> None:
    plan = await deployed(scene)
    another_archive(scene, tmp_path)
    assert await served(scene, plan) == b"{}"
    (line,) = [one for one in scene.logs.tail("tea") if "[platform]" in one]
    assert "comes from the lab's copy of what was deployed" in line
    assert "has the ETag" in line
    (drift,) = await scene.launcher.drift(plan)
    assert f"{URI} was overwritten" in drift.text
    del scene.objects.kept[URI]
    assert await served(scene, plan) == b"{}"
    (drift,) = await scene.launcher.drift(plan)
    assert f"{URI} is not in S3 any more" in drift.text


@pytest.mark.parametrize("plan", [PLAN, REAL_TIME, PLAIN])
async def test_a_container_that_comes_later_needs_no_s3(scene: Scene, plan: VariantPlan) -> None:
    plan = await deployed(scene, plan)
    before = await served(scene, plan)
    s3_ends(scene)
    for _ in range(2):
        assert await served(scene, plan) == before
    assert await scene.launcher.drift(plan) == []


async def test_what_is_in_s3_is_fetched_from_there(scene: Scene) -> None:
    plan = await deployed(scene)
    (name,) = kept(scene)
    (scene.state / "archives" / name).write_bytes(b"x" * (plan.pin.data_bytes if plan.pin else 0))
    assert await served(scene, plan) == b"{}"
    assert [one for one in scene.logs.tail("tea") if "[platform]" in one] == []


async def test_a_copy_that_was_cut_off_is_made_anew(scene: Scene) -> None:
    plan = await deployed(scene)
    (name,) = kept(scene)
    (scene.state / "archives" / name).write_bytes(b"x")
    await served(scene, plan)
    s3_ends(scene)
    assert await served(scene, plan) == b"{}"


async def test_what_neither_s3_nor_the_lab_has_is_said(scene: Scene, tmp_path: Path) -> None:
    plan = await deployed(scene)
    await scene.launcher.retain([])
    another_archive(scene, tmp_path)
    with pytest.raises(LaunchFailed) as failed:
        await scene.launch(plan)
    assert "update the endpoint" in str(failed.value)
    assert URI in str(failed.value)


async def test_a_changed_prefix_is_not_what_a_later_container_gets(scene: Scene) -> None:
    plan = await deployed(scene, PLAIN)
    scene.put("s3://models/plain/code/a.py", b"second")
    assert await served(scene, plan) == b"first"
    scene.put("s3://models/plain/code/b.py", b"more")
    assert await served(scene, plan) == b"first"
    assert len(await scene.launcher.drift(plan)) == 1


async def test_a_copy_is_kept_once_for_all_and_as_long_as_somebody_needs_it(scene: Scene) -> None:
    first = await deployed(scene)
    second = await deployed(scene, replace(PLAN, endpoint="coffee"))
    assert first.pin is not None
    assert second.pin is not None
    assert len(kept(scene)) == 1
    await scene.launcher.retain([second.pin])
    assert len(kept(scene)) == 1
    await scene.launcher.retain([])
    assert kept(scene) == []


async def test_a_copy_that_cannot_be_written_is_no_reason_not_to_start(scene: Scene) -> None:
    scene.state.mkdir(exist_ok=True)
    (scene.state / "archives").write_text("a file where a folder should be")
    plan = await deployed(scene)
    assert await served(scene, plan) == b"{}"
