import asyncio
from collections import Counter

import pytest

from lab.endpoint.live import LaunchFailed, NotReady, ServerGone, Throttled
from lab.endpoint.records import EndpointKind, Status
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.fleet_scene import FleetScene, plan, serverless

pytestmark = pytest.mark.anyio


@fidelity(
    "Containers",
    "An endpoint is InService when every container of every variant has answered /ping with 200.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html",
)
async def test_an_endpoint_is_in_service_when_all_its_servers_answer(scene: FleetScene) -> None:
    config = scene.config("one", plan(initial_count=2), DataCaptureConfig={})
    scene.create("shop", config)
    await scene.clock.advance(0.9)
    assert scene.record("shop").status is Status.CREATING
    assert scene.fleet.live("shop") is None
    await scene.clock.advance(0.1)
    record = scene.record("shop")
    assert record.status is Status.IN_SERVICE
    assert record.generation == 1
    assert record.variants["AllTraffic"].count == 2
    live = scene.fleet.live("shop")
    assert live is not None
    assert (live.kind, live.generation, live.capture) == (EndpointKind.REAL_TIME, 1, None)
    assert [one.name for one in scene.fleet.endpoints()] == ["shop"]
    assert scene.fleet.live("SHOP") is None
    scene.consistent()
    await scene.fleet.close(stop_servers=True)
    scene.consistent()
    assert not scene.launcher.containers


async def test_a_container_that_does_not_start_fails_the_endpoint_and_says_why(
    scene: FleetScene,
) -> None:
    scene.launcher.refuse("Blue", "exit code 1: ImportError: numpy")
    scene.create("shop", scene.config("one", plan("Blue", initial_count=2), plan("Green")))
    await scene.clock.advance(1)
    record = scene.record("shop")
    assert record.status is Status.FAILED
    assert record.failure_reason == (
        "The primary container for production variant Blue did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint. "
        "exit code 1: ImportError: numpy"
    )
    assert scene.fleet.live("shop") is None
    assert not scene.launcher.containers
    scene.consistent()


async def test_what_can_never_run_is_not_launched(scene: FleetScene) -> None:
    scene.launcher.unfit["model:1"] = "Image size 13494688833 is greater than supported size"
    scene.create("shop", scene.config("one", serverless()))
    await scene.clock.advance(0)
    assert scene.record("shop").status is Status.FAILED
    assert str(scene.record("shop").failure_reason).startswith("Image size 13494688833")
    assert not scene.launcher.launched


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LaunchFailed("Multi-model endpoints are not emulated."), "Multi-model"),
        (ZeroDivisionError("bug"), "The emulator itself failed: ZeroDivisionError"),
    ],
)
async def test_what_cannot_be_planned_fails_the_endpoint(
    scene: FleetScene, error: Exception, said: str
) -> None:
    scene.config("one")
    scene.plans["one"] = error
    scene.create("shop", "one")
    await scene.clock.advance(0)
    assert scene.record("shop").status is Status.FAILED
    assert said in str(scene.record("shop").failure_reason)


async def test_a_configuration_that_is_gone_fails_the_endpoint(scene: FleetScene) -> None:
    scene.create("shop", "gone")
    await scene.clock.advance(0)
    assert "it was deleted" in str(scene.record("shop").failure_reason)


@fidelity(
    "Routing",
    "A shadow variant gets copies of requests, and its answers go to nobody.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/shadow-tests.html",
)
async def test_variants_and_shadows_have_pools_of_their_own(scene: FleetScene) -> None:
    config = scene.config(
        "one",
        plan("A", weight=3.0),
        plan("B", weight=1.0),
        plan("S", weight=0.5, shadow=True),
        AsyncInferenceConfig={"OutputConfig": {}},
        DataCaptureConfig={"EnableCapture": True},
    )
    await scene.created("shop", config)
    live = scene.fleet.live("shop")
    assert live is not None
    assert [(one.name, one.weight) for one in live.variants] == [("A", 3.0), ("B", 1.0)]
    assert [(one.name, one.weight) for one in live.shadows] == [("S", 0.5)]
    assert live.capture == {"EnableCapture": True}
    assert live.asynchronous == {"OutputConfig": {}}
    assert Counter(one.variant for one in scene.launcher.running) == {"A": 1, "B": 1, "S": 1}
    assert set(scene.record("shop").variants) == {"A", "B", "S"}


@fidelity(
    "DeleteEndpoint",
    "A deleted endpoint takes no more requests; those under way end.",
    OURS,
    "AWS documents neither",
)
async def test_deleting_takes_no_more_requests_and_lets_those_under_way_end(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", plan()))
    scene.store.set_tags("arn:endpoint/shop", {"team": "a"})
    lease = scene.lease("shop")
    scene.delete("shop")
    await scene.clock.advance(10)
    assert scene.fleet.live("shop") is None
    assert scene.record("shop").status is Status.DELETING
    assert scene.launcher.running
    lease.release()
    await scene.clock.advance(0)
    assert scene.store.endpoint("shop") is None
    assert not scene.store.tags("arn:endpoint/shop")
    assert not scene.launcher.containers
    scene.consistent()
    assert not scene.fleet._workers


@fidelity(
    "DeleteEndpoint",
    "The name of a deleted endpoint may be used again at once.",
    OURS,
    "AWS says only that deletion takes a moment",
)
async def test_a_name_may_be_used_again_at_once(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    scene.delete("shop")
    await scene.clock.advance(0)
    await scene.created("shop", "one")
    assert scene.fleet.live("shop") is not None


async def test_deleting_an_endpoint_that_failed(scene: FleetScene) -> None:
    scene.launcher.refuse("AllTraffic", "no")
    scene.create("shop", scene.config("one", plan()))
    await scene.clock.advance(1)
    scene.delete("shop")
    await scene.clock.advance(0)
    assert scene.store.endpoint("shop") is None


async def test_deleting_while_creating_cancels_the_launches(scene: FleetScene) -> None:
    scene.create("shop", scene.config("one", plan(initial_count=3)))
    await scene.clock.advance(0.5)
    assert len(scene.launcher.containers) == 3
    scene.delete("shop")
    await scene.clock.advance(0)
    assert scene.store.endpoint("shop") is None
    assert not scene.launcher.containers
    scene.consistent()


@fidelity(
    "Updates",
    "An update loses no request: the old fleet serves until the new one does.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html",
)
async def test_an_update_loses_no_request(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan(initial_count=2)))
    scene.config("two", plan(image="model:2"))
    held = [scene.lease("shop") for _ in range(4)]
    scene.update("shop", "two")
    await scene.clock.advance(0.5)
    assert scene.lease("shop").server.generation == 1
    await scene.clock.advance(0.5)
    record = scene.record("shop")
    assert (record.status, record.config_name, record.generation) == (
        Status.IN_SERVICE,
        "two",
        2,
    )
    assert record.pending_config is None
    assert scene.lease("shop").server.generation == 2
    assert {one.server.id for one in held} <= set(scene.launcher.containers)
    for one in held:
        one.release()
    await scene.clock.advance(0)
    # One more was leased in the middle of it, and is still under way.
    assert [one.image for one in scene.launcher.running].count("model:1") == 1
    await scene.clock.advance(1000)
    assert {one.image for one in scene.launcher.running} == {"model:2"}
    scene.consistent()


@fidelity(
    "Updates",
    "An update that fails leaves the old fleet in service, with its configuration and a "
    "FailureReason.",
    SEEN,
    "https://github.com/hashicorp/terraform-provider-aws/issues/40048",
)
async def test_an_update_that_fails_leaves_the_old_fleet_and_says_why(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    seen: list[Status] = []
    scene.store.on_write = lambda: seen.append(scene.record("shop").status)
    scene.launcher.refuse("AllTraffic", "out of memory")
    scene.update("shop", scene.config("two", plan(initial_count=2)))
    await scene.clock.advance(1)
    record = scene.record("shop")
    assert record.status is Status.IN_SERVICE
    assert record.config_name == "one"
    assert record.pending_config is None
    assert "did not pass the ping health check" in str(record.failure_reason)
    assert Status.ROLLING_BACK in seen
    assert scene.lease("shop").server.generation == 1
    assert len(scene.launcher.containers) == 1
    scene.consistent()
    scene.update("shop", "two")
    await scene.clock.advance(1)
    assert scene.record("shop").failure_reason is None
    assert scene.record("shop").config_name == "two"


async def test_an_update_that_meets_a_bug_leaves_the_old_fleet(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    scene.config("two")
    scene.plans["two"] = ZeroDivisionError("bug")
    scene.update("shop", "two")
    await scene.clock.advance(0)
    assert scene.record("shop").status is Status.IN_SERVICE
    assert "ZeroDivisionError" in str(scene.record("shop").failure_reason)
    assert scene.lease("shop").server.healthy


def held(scene: FleetScene, server_id: str) -> str:
    lease = scene.variant("shop").pool.hold(server_id)
    assert lease is not None
    lease.release()
    return lease.server.id


@fidelity(
    "Updates",
    "A session goes on with its instance of the old fleet for as long as that gets traffic.",
    OURS,
    "AWS says nothing of it; the instance still has what it remembers",
)
async def test_a_canary_gets_its_share_before_the_rest_goes_over(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    deployment = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 100,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20},
            },
            "TerminationWaitInSeconds": 50,
        }
    }
    scene.update("shop", scene.config("two", plan()), deployment=deployment)

    def share() -> float:
        leases = [scene.lease("shop") for _ in range(400)]
        for lease in leases:
            lease.release()
        return sum(one.server.generation == 2 for one in leases) / 400

    await scene.clock.advance(0.5)
    assert share() == 0
    [known] = [one.id for one in scene.variant("shop").pool.servers]
    await scene.clock.advance(50)
    assert share() == pytest.approx(0.2, abs=0.06)
    [new] = {one.id for one in scene.variant("shop").pool.servers} - {known}
    # Who is bound to an instance of either fleet finds it.
    assert [held(scene, one) for one in (known, new)] == [known, new]
    await scene.clock.advance(100)
    assert share() == 1
    with pytest.raises(ServerGone):
        held(scene, known)
    assert scene.record("shop").status is Status.UPDATING
    assert len(scene.launcher.running) == 2
    await scene.clock.advance(150)
    assert scene.record("shop").status is Status.IN_SERVICE
    assert len(scene.launcher.running) == 1


async def test_who_waits_while_traffic_shifts_gets_a_server_of_the_fleet_that_was_drawn(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", serverless(1)))
    routing = {
        "Type": "LINEAR",
        "WaitIntervalInSeconds": 100,
        "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    }
    deployment = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    scene.update("shop", scene.config("two", serverless(50)), deployment=deployment)
    await scene.clock.advance(2)
    pool = scene.variant("shop").pool
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(1)
    lease = await waiting
    assert pool.in_flight == 1
    assert pool.plan.max_concurrency == 50
    lease.release()


async def test_a_deployment_that_takes_too_long_is_rolled_back(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    scene.launcher.launch_s = 10_000
    deployment = {"BlueGreenUpdatePolicy": {"MaximumExecutionTimeoutInSeconds": 600}}
    scene.update("shop", scene.config("two", plan()), deployment=deployment)
    await scene.clock.advance(599)
    assert scene.record("shop").status is Status.UPDATING
    await scene.clock.advance(1)
    record = scene.record("shop")
    assert record.status is Status.IN_SERVICE
    assert "MaximumExecutionTimeoutInSeconds (600 s)" in str(record.failure_reason)
    assert len(scene.launcher.containers) == 1
    scene.consistent()


async def test_an_update_may_retain_what_was_scaled(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan()))
    scene.scale("shop", AllTraffic=(5.0, 3))
    await scene.clock.advance(1)
    scene.update("shop", scene.config("two", plan()), retain={"RetainAllVariantProperties": True})
    await scene.clock.advance(1)
    assert scene.variant("shop").weight == 5.0
    assert len(scene.variant("shop").pool.servers) == 3
    assert len(scene.launcher.running) == 3


async def test_a_variant_that_an_update_drops_passes_on_who_waits_for_it(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan("Old")))
    old = scene.variant("shop", "Old").pool
    scene.update("shop", scene.config("two", plan("New")))
    await scene.clock.advance(1)
    lease = old.try_acquire()
    assert lease is not None
    assert lease.server.variant == "New"


@fidelity(
    "UpdateEndpointWeightsAndCapacities",
    "Weights and counts change without another configuration; the status is Updating meanwhile.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpointWeightsAndCapacities.html",
)
async def test_weights_change_at_once_and_counts_when_the_servers_answer(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan("A", initial_count=2), plan("B")))
    scene.scale("shop", A=(0.0, 1), B=(2.0, 3))
    await scene.clock.advance(0.5)
    assert scene.variant("shop", "A").weight == 0.0
    assert scene.record("shop").status is Status.UPDATING
    assert len(scene.variant("shop", "A").pool.servers) == 2
    await scene.clock.advance(0.5)
    record = scene.record("shop")
    assert record.status is Status.IN_SERVICE
    assert record.pending is None
    assert record.generation == 1
    assert {one.name: (one.weight, one.count) for one in record.variants.values()} == {
        "A": (0.0, 1),
        "B": (2.0, 3),
    }
    assert Counter(one.variant for one in scene.launcher.running) == {"A": 1, "B": 3}
    scene.consistent()


async def test_capacity_that_cannot_be_had_leaves_all_as_it_was(scene: FleetScene) -> None:
    await scene.created("shop", scene.config("one", plan("A", initial_count=2), plan("B")))
    scene.launcher.refuse("B", "machine is full")
    scene.scale("shop", A=(7.0, 1), B=(7.0, 3))
    await scene.clock.advance(1)
    record = scene.record("shop")
    assert record.status is Status.IN_SERVICE
    assert "machine is full" in str(record.failure_reason)
    assert record.variants["A"].weight == scene.variant("shop", "A").weight == 1.0
    assert Counter(one.variant for one in scene.launcher.running) == {"A": 2, "B": 1}


async def test_concurrency_of_a_serverless_variant_changes_and_survives_a_restart(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", serverless(2)))
    scene.scale_serverless("shop", limit=5, provisioned=3)
    await scene.clock.advance(0.5)
    assert scene.record("shop").status is Status.UPDATING
    await scene.clock.advance(0.5)
    assert scene.record("shop").status is Status.IN_SERVICE
    pool = scene.variant("shop").pool
    assert len(pool.servers) == pool.plan.initial_count == 3
    assert pool.plan.max_concurrency == 5
    life = scene.next_life()
    await life.fleet.start()
    assert life.variant("shop").pool.plan == pool.plan
    await life.fleet.close(stop_servers=True)
    held = [scene.lease("shop") for _ in range(3)]
    scene.scale_serverless("shop", limit=1, provisioned=0)
    await scene.clock.advance(0)
    with pytest.raises(Throttled):
        scene.lease("shop")
    for lease in held:
        lease.release()
    await scene.clock.advance(0)
    assert len(pool.servers) == 1
    scene.consistent()


async def test_provisioned_concurrency_that_cannot_be_had_leaves_all_as_it_was(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", serverless(2)))
    scene.launcher.refuse("AllTraffic", "machine is full")
    scene.scale_serverless("shop", limit=5, provisioned=4)
    await scene.clock.advance(1)
    assert "machine is full" in str(scene.record("shop").failure_reason)
    assert scene.variant("shop").pool.plan.max_concurrency == 2
    assert len(scene.launcher.containers) == 2


async def test_endpoints_do_not_wait_for_each_other(scene: FleetScene) -> None:
    scene.launcher.launch_s = 100
    scene.create("slow", scene.config("one", plan()))
    await scene.clock.advance(0)
    scene.launcher.launch_s = 1
    await scene.created("quick", "one")
    assert scene.record("slow").status is Status.CREATING
    await scene.fleet.close(stop_servers=True)
    assert not scene.launcher.containers


async def test_closing_the_fleet_turns_away_who_waits_and_stops_the_servers(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", serverless(2)))
    scene.lease("shop")
    waiting = asyncio.ensure_future(scene.variant("shop").pool.acquire())
    await scene.clock.advance(0.5)
    await scene.fleet.close(stop_servers=True)
    with pytest.raises(NotReady):
        await waiting
    assert scene.fleet.live("shop") is None
    assert not scene.launcher.containers
    scene.consistent()
    assert scene.record("shop").status is Status.IN_SERVICE


async def test_closing_in_the_middle_of_an_update_leaves_it_to_the_next_life(
    scene: FleetScene,
) -> None:
    await scene.created("shop", scene.config("one", plan()))
    scene.update("shop", scene.config("two", plan(image="model:2")))
    await scene.clock.advance(0.5)
    await scene.fleet.close(stop_servers=False)
    assert [one.image for one in scene.launcher.containers.values()] == ["model:1"]
    scene.consistent()
    next_life = scene.next_life()
    await next_life.fleet.start()
    await next_life.clock.advance(1)
    assert next_life.record("shop").config_name == "two"
    assert [one.image for one in next_life.launcher.running] == ["model:2"]
