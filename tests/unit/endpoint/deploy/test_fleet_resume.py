"""kill -9 of the emulator, at every instant: the next life finds and leaves a consistent state."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lab.endpoint.live import LaunchFailed
from lab.endpoint.records import Status
from tests.fidelity import OURS, fidelity
from tests.unit.endpoint.fleet_scene import FleetScene, plan, serverless

pytestmark = pytest.mark.anyio

Story = Callable[[FleetScene], Awaitable[None]]


async def _creates(scene: FleetScene) -> None:
    scene.create("shop", scene.config("one", plan(initial_count=2)))
    await scene.clock.advance(2)


async def _updates(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan(initial_count=2)))
    scene.update("shop", scene.config("two", plan(image="model:2")))
    await scene.clock.advance(2)


async def _shifts(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    routing = {
        "Type": "LINEAR",
        "WaitIntervalInSeconds": 10,
        "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    }
    deployment = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 10,
        }
    }
    scene.update("shop", scene.config("two", plan()), deployment=deployment)
    for _ in range(8):
        await scene.clock.advance(5)
        scene.store.on_write()


async def _fails_to_update(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    scene.launcher.refuse("AllTraffic", "no")
    scene.update("shop", scene.config("two", plan()))
    await scene.clock.advance(2)


async def _scales(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan(initial_count=2)))
    scene.scale("shop", AllTraffic=(2.0, 3))
    await scene.clock.advance(2)
    scene.scale("shop", AllTraffic=(1.0, 1))
    await scene.clock.advance(2)


async def _deletes(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan(initial_count=2)))
    scene.launcher.stop_s = 1.0
    scene.delete("shop")
    await scene.clock.advance(3)


async def _is_serverless(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", serverless(2)))
    lease = scene.lease("shop")
    waiting = asyncio.ensure_future(scene.variant("shop").pool.acquire())
    await scene.clock.advance(2)
    (await waiting).release()
    lease.release()
    await scene.clock.advance(700)


@pytest.mark.parametrize(
    "story",
    [_creates, _updates, _shifts, _fails_to_update, _scales, _deletes, _is_serverless],
    ids=lambda story: str(story.__name__).strip("_"),
)
async def test_a_kill_at_any_instant_is_survived(scene: FleetScene, story: Story) -> None:
    lives: list[FleetScene] = []
    scene.store.on_write = lambda: lives.append(scene.next_life())
    await story(scene)
    lives.append(scene.next_life())
    await scene.fleet.close(stop_servers=False)
    assert len(lives) > 3
    for life in lives:
        before = life.store.endpoint("shop")
        await life.fleet.start()
        if before is not None and before.status not in {Status.CREATING, Status.DELETING}:
            assert life.fleet.live("shop") is not None
        await life.clock.advance(120)
        after = life.store.endpoint("shop")
        if before is None or before.status is Status.DELETING:
            assert after is None
            assert not life.launcher.containers
        else:
            assert after is not None
            assert after.status is Status.IN_SERVICE
            servers = {one.id for one in life.variant("shop").pool.servers}
            assert servers == set(life.launcher.containers)
            assert all(one.ready for one in life.launcher.containers.values())
            if life.variant("shop").pool.plan.max_concurrency is None:
                assert len(servers) == after.variants["AllTraffic"].count
        life.consistent()
        await life.fleet.close(stop_servers=True)
        life.consistent()


@fidelity(
    "Containers",
    "The emulator's next life goes on with the containers that still answer, and replaces the "
    "others.",
    OURS,
    "SageMaker has no such thing as its own restart.",
)
async def test_servers_that_still_answer_are_adopted_and_not_launched_again(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", plan(initial_count=2)))
    life = scene.next_life()
    await life.fleet.start()
    assert not life.launcher.launched
    assert {one.id for one in life.variant("shop").pool.servers} == set(scene.launcher.containers)
    assert life.lease("shop").server.setup is None


async def test_servers_that_died_meanwhile_are_replaced_while_requests_wait(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", plan()))
    await scene.fleet.close(stop_servers=False)
    life = scene.next_life()
    [dead] = life.launcher.containers
    life.launcher.kill(dead)
    await life.fleet.start()
    waiting = asyncio.ensure_future(life.variant("shop").pool.acquire())
    await life.clock.advance(1)
    assert (await waiting).server.id != dead
    life.consistent()


async def test_servers_that_were_stopped_with_the_emulator_come_back(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan(initial_count=2)))
    await scene.fleet.close(stop_servers=True)
    life = scene.next_life()
    await life.fleet.start()
    assert life.record("shop").status is Status.IN_SERVICE
    await life.clock.advance(1)
    assert len(life.launcher.running) == 2


async def test_an_endpoint_whose_configuration_is_gone_is_failed_and_its_servers_removed(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", plan()))
    await scene.fleet.close(stop_servers=False)
    life = scene.next_life()
    life.plans["one"] = LaunchFailed("model is gone")
    await life.fleet.start()
    await life.clock.advance(0)
    assert life.record("shop").status is Status.FAILED
    assert "could not be resumed: model is gone" in str(life.record("shop").failure_reason)
    assert not life.launcher.containers
    life.delete("shop")
    await life.clock.advance(0)
    assert life.store.endpoint("shop") is None


async def test_a_container_without_an_endpoint_is_removed(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    await scene.fleet.close(stop_servers=False)
    life = scene.next_life()
    life.store.delete_endpoint("shop")
    await life.fleet.start()
    assert not life.launcher.containers
    life.consistent()
