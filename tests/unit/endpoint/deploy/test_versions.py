"""An image's name is resolved once, at deployment: what comes later is of the same image."""

import asyncio
from pathlib import Path

import pytest

from lab.endpoint.deploy.versions import VersionWatch
from lab.endpoint.log_files import LogFiles
from lab.endpoint.records import Status
from tests.fidelity import DOCUMENTED, OURS, fidelity
from tests.unit.endpoint.fleet_scene import FleetScene, plan, serverless

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(scene: FleetScene) -> FleetScene:
    """Two instances of ``model:1``, which then comes to be another image."""
    scene.launcher.means["model:1"] = "first"
    await scene.created("shop", scene.config("one", plan(initial_count=2)))
    scene.launcher.means["model:1"] = "second"
    return scene


@pytest.fixture
def watch(scene: FleetScene, tmp_path: Path) -> VersionWatch:
    return VersionWatch(
        store=scene.store,
        fleet=scene.fleet,
        launcher=scene.launcher,
        clock=scene.clock,
        logs=LogFiles(tmp_path / "logs"),
        every_s=60.0,
    )


def images(scene: FleetScene) -> set[str]:
    return {one.image for one in scene.launcher.running}


@fidelity(
    "Versions",
    "An image's tag is resolved once, at deployment: replacements, scale-out and whatever comes "
    "after a restart are of the same image, though the tag was built anew.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeployedImage.html",
)
async def test_replacements_and_scale_out_are_of_the_image_that_was_deployed(
    scene: FleetScene,
) -> None:
    scene.launcher.kill(scene.launcher.launched[0])
    await scene.clock.advance(30)
    scene.scale("shop", AllTraffic=(1.0, 3))
    await scene.clock.advance(10)
    assert len(scene.launcher.running) == 3
    assert images(scene) == {"first"}


async def test_so_is_what_an_emulator_s_next_life_launches(scene: FleetScene) -> None:
    scene.launcher.kill(scene.launcher.launched[0])
    life = scene.next_life()
    await life.fleet.start()
    await life.clock.advance(30)
    assert len(life.launcher.running) == 2
    assert images(life) == {"first"}
    assert life.launcher.retained == ["first"]


async def test_an_update_deploys_what_the_name_stands_for_by_then(scene: FleetScene) -> None:
    scene.update("shop", scene.config("two", plan()))
    await scene.clock.advance(600)
    assert scene.record("shop").status is Status.IN_SERVICE
    assert images(scene) == {"second"}
    assert scene.launcher.retained == ["second"]


async def test_a_rollback_goes_back_to_the_image_that_was_deployed(scene: FleetScene) -> None:
    scene.launcher.refuse("AllTraffic", "no")
    scene.update("shop", scene.config("two", plan()))
    await scene.clock.advance(2)
    assert scene.record("shop").failure_reason is not None
    scene.launcher.kill(scene.launcher.launched[0])
    await scene.clock.advance(600)
    assert len(scene.launcher.running) == 2
    assert images(scene) == {"first"}
    assert scene.launcher.retained == ["first"]


async def test_a_deployment_that_is_begun_again_goes_on_with_the_same_image(
    scene: FleetScene,
) -> None:
    scene.update("shop", scene.config("two", plan()))
    await scene.clock.advance(0.5)
    life = scene.next_life()
    life.launcher.means["model:1"] = "third"
    await life.fleet.start()
    await life.clock.advance(600)
    assert life.record("shop").config_name == "two"
    assert images(life) == {"second"}


async def test_cold_starts_are_of_the_image_that_was_deployed(scene: FleetScene) -> None:
    await scene.created("less", scene.config("two", serverless()))
    scene.launcher.means["model:1"] = "third"
    pool = scene.variant("less").pool
    assert len(pool.servers) == 1
    scene.launcher.kill(pool.servers[0].id)
    await scene.clock.advance(30)
    assert pool.try_acquire() is None
    coming = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(2)
    (await coming).release()
    last = scene.launcher.containers[scene.launcher.launched[-1]]
    assert last.image == "second"


async def test_what_nobody_is_deployed_with_any_more_is_let_go_of(scene: FleetScene) -> None:
    assert scene.launcher.retained == ["first"]
    scene.delete("shop")
    await scene.clock.advance(600)
    assert scene.launcher.retained == []


@fidelity(
    "Versions",
    "A tag that was built anew is said in the endpoint's log, once per change, and by `lab "
    "endpoint list`, `lab endpoint describe` and `lab up`.",
    OURS,
    "AWS says nothing; people wondered why the old image was still served.",
)
async def test_a_change_is_said_once_in_the_log_and_whenever_it_is_asked_for(
    scene: FleetScene, watch: VersionWatch, tmp_path: Path
) -> None:
    logs = LogFiles(tmp_path / "logs")
    await watch.start()
    await scene.clock.advance(200)
    for _ in range(2):
        assert await watch.changes() == {"shop": ["model:1 is second by now"]}
    (line,) = logs.tail("shop")
    assert line.startswith("AllTraffic/lab ")
    assert line.endswith("[platform] model:1 is second by now")
    scene.launcher.means["model:1"] = "third"
    await watch.changes()
    assert len(logs.tail("shop")) == 2
    await watch.close()


@fidelity(
    "Versions",
    "That an endpoint's configuration was deleted, or made anew with other content, is said in its "
    "log before somebody tries to update it.",
    OURS,
    "AWS sends a notice that such endpoints are not patched any more: "
    "https://github.com/ministryofjustice/analytical-platform/issues/10195",
)
async def test_a_configuration_that_was_deleted_is_said(
    scene: FleetScene, watch: VersionWatch
) -> None:
    scene.launcher.means["model:1"] = "first"
    assert await watch.changes() == {}
    scene.store.delete("config", "one")
    (said,) = (await watch.changes())["shop"]
    assert '"one" was deleted: SageMaker updates no such endpoint' in said
    scene.config("one", plan(), DataCaptureConfig={})
    (said,) = (await watch.changes())["shop"]
    assert '"one" was deleted and made anew' in said


async def test_nothing_is_said_of_an_endpoint_that_was_updated(
    scene: FleetScene, watch: VersionWatch
) -> None:
    scene.update("shop", scene.config("two", plan()))
    await scene.clock.advance(600)
    assert await watch.changes() == {}
