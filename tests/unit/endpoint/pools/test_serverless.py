import asyncio
from typing import Any

import pytest

from lab.endpoint.live import LaunchFailed, Lease, NotReady, Throttled
from tests.fidelity import ABSENT, DOCUMENTED, OURS, fidelity
from tests.unit.endpoint.fleet_scene import PoolScene

pytestmark = pytest.mark.anyio


@fidelity(
    "Serverless",
    "Creating an endpoint starts one container to see that it works, and keeps it for the "
    "idle time.",
    OURS,
    "AWS says only that creation fails for a container that does not start",
)
async def test_one_container_is_launched_to_see_that_it_works(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(5))
    [server] = pool.servers
    assert server.id.count("-") == 4
    await pool.close(stop_servers=True)
    assert not scene.launcher.containers
    assert not scene.store.servers()


async def test_a_container_that_does_not_start_is_said_so(scene: PoolScene) -> None:
    scene.launcher.refuse("AllTraffic", "read-only file system")
    starting = asyncio.ensure_future(scene.serverless().start())
    await scene.clock.advance(1)
    with pytest.raises(LaunchFailed, match="read-only"):
        await starting
    assert not scene.launcher.containers


async def test_a_warm_container_answers_at_once_and_is_no_cold_start(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless())
    lease = pool.try_acquire()
    assert lease is not None
    assert lease.setup is None


async def test_a_container_that_may_still_work_on_a_lost_request_is_given_to_nobody(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.serverless(1))
    lease = pool.try_acquire()
    assert lease is not None
    lease.server.tainted = True
    lease.release()
    coming = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(1)
    assert (await coming).server is not lease.server
    assert lease.server.id not in scene.launcher.containers


@fidelity(
    "Serverless",
    "A container takes one request at a time; another request has another container.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html",
)
async def test_a_container_takes_one_request_at_a_time(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(2))
    first = pool.try_acquire()
    assert pool.try_acquire() is None
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0.5)
    assert not waiting.done()
    await scene.clock.advance(0.5)
    second = await waiting
    assert second.server is not first.server
    assert second.setup is second.server.setup
    assert second.setup.total_s == 1.0
    with pytest.raises(Throttled):
        pool.try_acquire()
    first.release()
    assert pool.try_acquire().server is first.server


@fidelity(
    "Serverless",
    "Above MaxConcurrency a request is refused with ThrottlingException at once.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html",
)
@pytest.mark.parametrize("warm", [0, 1])
@pytest.mark.parametrize("trying", [True, False])
async def test_of_fifty_requests_against_a_concurrency_of_two_exactly_48_are_throttled(
    scene: PoolScene, warm: int, *, trying: bool
) -> None:
    pool = await scene.started(scene.serverless(2))
    if not warm:
        await pool.scale_to_zero()

    async def request() -> Lease:
        lease: Lease = (trying and pool.try_acquire()) or await pool.acquire()
        return lease

    requests = [asyncio.ensure_future(request()) for _ in range(50)]
    await scene.clock.advance(0)
    throttled = [one for one in requests if one.done() and one.exception()]
    assert len(throttled) == 48
    await scene.clock.advance(1)
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    leases = [one for one in outcomes if isinstance(one, Lease)]
    assert sum(isinstance(one, Throttled) for one in outcomes) == 48
    assert len({lease.server.id for lease in leases}) == 2
    assert pool.in_flight == 2
    for lease in leases:
        lease.release()
    assert pool.in_flight == 0
    assert scene.launcher.most["AllTraffic"] == 2


async def test_a_cold_start_that_fails_fails_the_request_that_waits_for_it_and_no_other(
    scene: PoolScene,
) -> None:
    pool = await scene.emptied(2)
    scene.launcher.refuse("AllTraffic", "killed for memory")
    requests = [asyncio.ensure_future(pool.acquire()) for _ in range(2)]
    await scene.clock.advance(1)
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["LaunchFailed", "Lease"]
    assert pool.in_flight == 1
    assert len(scene.launcher.containers) == len(scene.store.servers()) == 1


async def test_a_container_whose_request_went_away_stays_for_the_next(scene: PoolScene) -> None:
    pool = await scene.emptied(1)
    request = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0.5)
    request.cancel()
    await scene.clock.advance(0.5)
    assert pool.in_flight == 0
    assert len(pool.servers) == 1
    assert pool.try_acquire() is not None


async def test_a_launch_whose_request_went_away_is_taken_over_rather_than_throttled(
    scene: PoolScene,
) -> None:
    pool = await scene.emptied(1)
    request = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0.5)
    request.cancel()
    await scene.clock.advance(0)
    other = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0.5)
    assert (await other).setup is not None
    assert len(scene.launcher.launched) == 2


async def test_a_request_cancelled_in_the_instant_its_container_comes_gives_it_back(
    scene: PoolScene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = await scene.emptied(1)
    request = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0.5)
    deliver = pool._deliver

    def delivered_and_cancelled(*args: Any, **kwargs: Any) -> None:
        deliver(*args, **kwargs)
        request.cancel()

    monkeypatch.setattr(pool, "_deliver", delivered_and_cancelled)
    await scene.clock.advance(0.5)
    assert request.cancelled()
    assert pool.in_flight == 0
    assert pool.try_acquire() is not None


@fidelity(
    "Serverless",
    "A container that is idle for LAB_IDLE_S (600 s) goes, so that the next request starts cold.",
    OURS,
    "AWS publishes no figure",
)
async def test_idle_containers_go_after_the_idle_time_and_not_before(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(2))
    await scene.clock.advance(300)
    lease = pool.try_acquire()
    await scene.clock.advance(700)
    assert len(pool.servers) == 1
    lease.release()
    await scene.clock.advance(599)
    assert len(pool.servers) == 1
    await scene.clock.advance(1)
    assert not pool.servers
    assert not scene.launcher.containers
    assert not scene.store.servers()


@fidelity(
    "Serverless",
    "Of idle containers the one used last is used next.",
    OURS,
    "AWS publishes nothing",
)
async def test_the_container_used_last_is_used_next_so_that_the_others_go(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(2))
    first = pool.try_acquire()
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(1)
    (await waiting).release()
    first.release()
    for _ in range(7):
        await scene.clock.advance(100)
        lease = pool.try_acquire()
        assert lease.server is first.server
        lease.release()
    assert pool.servers == (first.server,)


@fidelity(
    "Serverless",
    "Provisioned concurrency stays warm.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html",
)
async def test_provisioned_concurrency_stays_warm_and_the_rest_does_not(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.serverless(3, provisioned=2))
    assert len(pool.servers) == 2
    held = [pool.try_acquire() for _ in range(2)]
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(1)
    for lease in (*held, await waiting):
        lease.release()
    await scene.clock.advance(10_000)
    assert len(pool.servers) == 2
    assert await pool.scale_to_zero() == 0


async def test_provisioned_concurrency_that_died_is_launched_again(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(2, provisioned=1))
    scene.launcher.kill(pool.servers[0].id)
    scene.launcher.refuse("AllTraffic", "once more")
    await scene.clock.advance(5)
    assert not pool.servers
    await scene.clock.advance(4)
    assert len(pool.servers) == 1
    assert scene.losses == (1, 0)


@fidelity(
    "Serverless",
    "`lab endpoint cool` drops idle containers; nothing of AWS's does.",
    ABSENT,
    "AWS has no such call",
)
async def test_a_cold_start_on_demand(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(2))
    assert await pool.scale_to_zero() == 1
    assert not scene.launcher.containers
    request = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(1)
    assert (await request).setup is not None
    assert await pool.scale_to_zero() == 0


async def test_a_container_that_died_while_idle_is_not_leased(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(1))
    scene.launcher.kill(pool.servers[0].id)
    await scene.clock.advance(5)
    assert not pool.servers
    request = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(1)
    assert (await request).setup is not None


@pytest.mark.parametrize("before_release", [True, False])
async def test_a_container_that_could_not_be_reached_makes_room_for_another(
    scene: PoolScene,
    *,
    before_release: bool,
) -> None:
    pool = await scene.started(scene.serverless(1))
    lease = pool.try_acquire()
    scene.launcher.kill(lease.server.id)
    if before_release:
        lease.server.healthy = False
        lease.release()
    else:
        lease.release()
        lease.server.healthy = False
    request = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(1)
    fresh = await request
    assert fresh.server is not lease.server
    assert fresh.setup is not None
    assert scene.launcher.most["AllTraffic"] <= 2
    await pool.close(stop_servers=True)
    assert not scene.store.servers()


async def test_a_container_that_was_suspected_and_is_well_goes_on(scene: PoolScene) -> None:
    pool = await scene.started(scene.serverless(1))
    [server] = pool.servers
    server.healthy = False
    lease = await pool.acquire()
    assert lease.server is server
    assert lease.setup is None


async def test_a_retired_pool_serves_the_cold_starts_under_way_and_passes_on_the_rest(
    scene: PoolScene,
) -> None:
    old = await scene.started(scene.serverless(3))
    new = await scene.started(scene.serverless(3))
    held = old.try_acquire()
    cold = asyncio.ensure_future(old.acquire())
    await scene.clock.advance(0.5)
    retiring = asyncio.ensure_future(old.retire(new))
    await scene.clock.advance(0)
    assert old.try_acquire().server in new.servers
    await scene.clock.advance(0.5)
    late = await cold
    held.release()
    await scene.clock.advance(0)
    assert not retiring.done()
    late.release()
    await retiring
    assert set(scene.launcher.containers) == {one.id for one in new.servers}


async def test_deleting_turns_away_who_waits_for_a_cold_start(scene: PoolScene) -> None:
    pool = await scene.emptied(1)
    request = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0.5)
    await pool.retire(None)
    with pytest.raises(NotReady):
        await request
    assert not scene.launcher.containers
    assert not scene.store.servers()


async def test_closing_in_the_instant_a_launch_was_asked_for_leaves_nobody_waiting(
    scene: PoolScene,
) -> None:
    pool = await scene.emptied(1)
    request = asyncio.ensure_future(pool.acquire())
    await asyncio.sleep(0)
    await pool.close(stop_servers=False)
    with pytest.raises(NotReady):
        await request
    assert not scene.launcher.containers


async def test_resuming_adopts_and_launches_only_what_is_provisioned(scene: PoolScene) -> None:
    before = await scene.started(scene.serverless(2))
    await before.close(stop_servers=False)
    pool = scene.serverless(2)
    pool.resume(before.servers)
    await scene.clock.advance(1)
    assert len(pool.servers) == 1
    await pool.close(stop_servers=False)
    provisioned = scene.serverless(2, provisioned=2)
    provisioned.resume(before.servers)
    await scene.clock.advance(1)
    assert len(provisioned.servers) == 2
