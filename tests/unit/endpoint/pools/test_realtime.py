import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from lab.endpoint.live import LaunchFailed, NotReady, ServerGone
from lab.endpoint.records import EndpointKind
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.unit.endpoint.fleet_scene import PoolScene

pytestmark = pytest.mark.anyio

LEAST = "LEAST_OUTSTANDING_REQUESTS"


async def test_all_instances_are_launched_at_the_same_time(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(3))
    assert scene.clock.monotonic() == 1.0
    assert len(pool.servers) == 3
    assert {row.id for row in scene.store.servers()} == {one.id for one in pool.servers}
    assert scene.counted("container_starts_total") == 3


async def test_an_instance_is_named_as_aws_names_one_and_recorded_before_it_is_launched(
    scene: PoolScene,
) -> None:
    starting = asyncio.ensure_future(scene.real_time().start())
    await scene.clock.advance(0.5)
    [row] = scene.store.servers()
    assert row.id.startswith("i-")
    assert len(row.id) == 19
    assert not scene.launcher.running
    starting.cancel()
    await asyncio.wait({starting})
    assert not scene.store.servers()
    assert not scene.launcher.containers


async def test_one_instance_that_fails_takes_the_others_with_it(scene: PoolScene) -> None:
    pool = scene.real_time(3)
    scene.launcher.refuse("AllTraffic", "no such model")
    starting = asyncio.ensure_future(pool.start())
    await scene.clock.advance(1)
    with pytest.raises(LaunchFailed, match="no such model"):
        await starting
    assert not scene.launcher.containers
    assert not scene.store.servers()


async def drawn(scene: PoolScene, **plan: object) -> list[str]:
    """The instances of 400 requests, one after the other."""
    pool = await scene.started(scene.real_time(2, **plan))
    found = []
    for _ in range(400):
        lease = pool.try_acquire()
        found.append(lease.server.id)
        lease.release()
    return found


@fidelity(
    "Routing",
    "Without a RoutingConfig each request goes to an instance that is drawn at random.",
    SEEN,
    "https://aws.amazon.com/blogs/machine-learning/"
    "minimize-real-time-inference-latency-by-using-amazon-sagemaker-routing-strategies/",
)
async def test_an_instance_is_drawn_at_random_where_nothing_is_asked_for(scene: PoolScene) -> None:
    found = await drawn(scene)
    assert min(Counter(found).values()) > 150
    again = sum(one == two for one, two in pairwise(found))
    assert 150 < again < 250


async def test_requests_one_by_one_alternate_only_where_the_fewest_are_asked_for(
    scene: PoolScene,
) -> None:
    found = await drawn(scene, routing=LEAST)
    assert not any(one == two for one, two in pairwise(found))


@fidelity(
    "Routing",
    "RANDOM is the same as no RoutingConfig.",
    DOCUMENTED,
    "botocore: ProductionVariantRoutingConfig.RoutingStrategy",
)
async def test_random_may_be_asked_for(scene: PoolScene) -> None:
    other = PoolScene(scene.store)
    asked, default = await drawn(scene, routing="RANDOM"), await drawn(other)
    names = dict(zip(asked, default, strict=True))
    assert [names[one] for one in asked] == default
    await other.close()


@fidelity(
    "Routing",
    "An asynchronous request goes to an instance with room, whatever the RoutingConfig.",
    OURS,
    "a queue is emptied as fast as there is room: chance would leave instances idle",
)
async def test_asynchronous_requests_go_where_there_is_room(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(4, kind=EndpointKind.ASYNC, routing="RANDOM"))
    assert len({pool.try_acquire().server for _ in range(4)}) == 4


@fidelity(
    "Routing",
    "LEAST_OUTSTANDING_REQUESTS sends each request to the instance with the fewest under way.",
    DOCUMENTED,
    "botocore: ProductionVariantRoutingConfig.RoutingStrategy",
)
async def test_requests_go_to_the_instance_with_the_fewest(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(3, routing=LEAST))
    leases = [pool.try_acquire() for _ in range(6)]
    assert [one.in_flight for one in pool.servers] == [2, 2, 2]
    gone = leases[0].server
    for lease in leases:
        if lease.server is gone:
            lease.release()
    assert pool.try_acquire().server is gone


async def test_equals_share_a_load_of_one_request_at_a_time(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(3, routing=LEAST))
    used = set()
    for _ in range(3):
        lease = pool.try_acquire()
        used.add(lease.server.id)
        lease.release()
    assert len(used) == 3


async def test_routing_at_random_does_not_look_at_the_load(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(2, routing="RANDOM"))
    for _ in range(100):
        pool.try_acquire()
    loads = [one.in_flight for one in pool.servers]
    assert sum(loads) == pool.in_flight == 100
    assert loads != [50, 50]


async def test_a_lease_is_released_once(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    lease = pool.try_acquire()
    lease.release()
    with pytest.raises(RuntimeError, match="released twice"):
        lease.release()
    assert pool.in_flight == pool.servers[0].in_flight == 0


@fidelity(
    "Containers",
    "An instance whose container died is replaced by another, which starts anew.",
    OURS,
    "AWS restores instances that fail, and does not say whether the container or the instance is "
    "new; a new one has nothing of what the first left behind",
)
@pytest.mark.parametrize("oom_killed", [True, False])
async def test_a_dead_instance_is_replaced(scene: PoolScene, oom_killed: bool) -> None:  # noqa: FBT001
    pool = await scene.started(scene.real_time(2))
    dead, well = pool.servers
    reason = "exit code 1; its last lines: classroom model loaded, out of memory of today"
    scene.launcher.kill(dead.id, reason, oom_killed=oom_killed)
    await scene.clock.advance(5)
    assert pool.servers == (well,)
    assert dead.id in scene.launcher.stopped
    await scene.clock.advance(1)
    assert len(pool.servers) == 2
    assert dead not in pool.servers
    assert scene.losses == (1, int(oom_killed))
    await pool.close(stop_servers=True)
    assert not scene.store.servers()


async def test_an_instance_that_pings_badly_is_spared_then_replaced(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(2))
    sick, well = pool.servers
    scene.launcher.sicken(sick.id)
    await scene.clock.advance(5)
    assert {pool.try_acquire().server for _ in range(4)} == {well}
    await scene.clock.advance(5)
    assert sick in pool.servers
    await scene.clock.advance(5)
    assert sick not in pool.servers
    await scene.clock.advance(1)
    assert len(pool.servers) == 2
    assert scene.losses == (1, 0)


# --- busy, or hung -----------------------------------------------------------------------------


@fidelity(
    "Containers",
    "An instance whose /ping is late while a request is under way is not replaced before that "
    "request's own limit is over; it is suspect meanwhile, and others are preferred.",
    OURS,
    "AWS documents 2 s for an attempt and nothing of a busy worker; to replace it would lose the "
    "same long request again and again",
)
async def test_a_busy_worker_whose_ping_is_late_keeps_its_request(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(2, kind=EndpointKind.ASYNC))
    lease = pool.try_acquire()
    lease.server.asked(900)
    scene.launcher.stall(lease.server.id)
    await scene.clock.advance(890)
    assert lease.server in pool.servers
    assert lease.server.suspect
    assert lease.server not in {pool.try_acquire().server for _ in range(4)}
    assert scene.losses == (0, 0)
    lease.server.heard(scene.clock.monotonic())
    lease.release()
    scene.launcher.heal(lease.server.id)
    await scene.clock.advance(5)
    assert not lease.server.suspect
    assert lease.server in {pool.try_acquire().server for _ in range(9)}


@fidelity(
    "Containers",
    "An instance that answers nothing for as long as a request may take hangs, and is replaced, "
    "however many requests it was given meanwhile.",
    OURS,
    "otherwise a steady flow of requests would keep a dead instance in service",
)
async def test_a_hung_worker_is_replaced_though_requests_keep_coming(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    [hung] = pool.servers
    scene.launcher.stall(hung.id)
    for second in range(90):
        if hung in pool.servers:
            lease = pool.try_acquire()
            lease.server.asked(60)
            assert second < 80
        await scene.clock.advance(1)
    assert hung not in pool.servers
    assert scene.losses == (1, 0)


async def test_a_worker_that_works_off_a_queue_is_busy_for_as_long_as_it_answers(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time())
    [server] = pool.servers
    scene.launcher.stall(server.id)
    for _ in range(20):
        lease, following = pool.try_acquire(), pool.try_acquire()
        server.asked(60)
        await scene.clock.advance(50)
        server.heard(scene.clock.monotonic())
        lease.release()
        following.release()
    assert pool.servers == (server,)


async def test_what_a_worker_does_for_a_caller_that_has_gone_is_waited_for(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time())
    lease = pool.try_acquire()
    lease.server.asked(60)
    lease.server.left(until=scene.clock.monotonic() + 60)
    lease.release()
    scene.launcher.stall(lease.server.id)
    await scene.clock.advance(50)
    assert pool.servers == (lease.server,)
    await scene.clock.advance(30)
    assert lease.server not in pool.servers


@fidelity(
    "Containers",
    "An instance that answers /ping with another status than 200 is replaced after three times, "
    "busy or not.",
    OURS,
    "an answer is not a late one; AWS documents that such an instance is replaced, not when",
)
async def test_a_busy_worker_that_says_it_is_ill_is_replaced(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    lease = pool.try_acquire()
    lease.server.asked(900)
    scene.launcher.sicken(lease.server.id)
    await scene.clock.advance(15)
    assert lease.server not in pool.servers


async def test_an_idle_worker_that_hangs_is_replaced_after_three_pings(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    [server] = pool.servers
    scene.launcher.stall(server.id)
    await scene.clock.advance(14)
    assert pool.servers == (server,)
    await scene.clock.advance(1)
    assert server not in pool.servers


async def test_shrinking_spares_a_busy_worker_whose_ping_is_late(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(2))
    lease = pool.try_acquire()
    lease.server.asked(900)
    scene.launcher.stall(lease.server.id)
    await scene.clock.advance(5)
    await pool.resize(1)
    assert pool.servers == (lease.server,)


# --- one instance by name ----------------------------------------------------------------------


async def test_an_instance_may_be_asked_for_by_name_sick_or_well(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(3))
    wanted = pool.servers[1]
    scene.launcher.sicken(wanted.id)
    await scene.clock.advance(5)
    assert {pool.hold(wanted.id).server for _ in range(9)} == {wanted}


async def test_an_instance_that_could_not_be_reached_is_looked_at_before_it_is_held(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time(2))
    well, dead = pool.servers
    well.healthy = dead.healthy = False
    scene.launcher.kill(dead.id)
    assert pool.hold(well.id) is pool.hold(dead.id) is None
    await scene.clock.advance(0)
    assert pool.hold(well.id).server is well
    with pytest.raises(ServerGone):
        pool.hold(dead.id)


async def test_an_instance_that_leaves_cannot_be_held(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    lease = pool.try_acquire()
    await pool.resize(0)
    assert lease.server.id in scene.launcher.containers
    with pytest.raises(ServerGone):
        pool.hold(lease.server.id)
    lease.release()


async def test_an_instance_that_recovers_is_kept(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    [server] = pool.servers
    for _ in range(3):
        scene.launcher.sicken(server.id)
        await scene.clock.advance(10)
        scene.launcher.heal(server.id)
        await scene.clock.advance(5)
    assert pool.servers == (server,)


@fidelity(
    "Routing",
    "An instance whose /ping fails gets a request only where there is no better one.",
    OURS,
    "AWS documents that such an instance gets none; with one instance, a wait would help nobody",
)
async def test_a_sick_instance_answers_when_there_is_no_other(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    scene.launcher.sicken(pool.servers[0].id)
    await scene.clock.advance(5)
    assert pool.try_acquire() is not None


async def test_an_instance_that_could_not_be_reached_is_looked_at_before_the_next_request(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time())
    lease = pool.try_acquire()
    scene.launcher.kill(lease.server.id)
    lease.release()
    lease.server.healthy = False
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0)
    assert not waiting.done()
    assert pool.try_acquire() is None
    assert pool.in_flight == 1
    await scene.clock.advance(1)
    assert (await waiting).server is not lease.server


async def test_an_instance_that_was_suspected_and_is_well_goes_on(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    [server] = pool.servers
    server.healthy = False
    lease = await pool.acquire()
    assert lease.server is server
    assert server.healthy
    assert scene.losses == (0, 0)


@fidelity(
    "Routing",
    "Where no instance answers, a request waits for one as long as an invocation may take.",
    OURS,
    "AWS says nothing of it; a replacement is often there in time",
)
async def test_a_request_waits_for_an_instance_as_long_as_an_invocation_may_take(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time())
    scene.launcher.launch_s = 1000
    scene.launcher.kill(pool.servers[0].id)
    await scene.clock.advance(5)
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(59)
    assert not waiting.done()
    await scene.clock.advance(1)
    with pytest.raises(NotReady, match="AllTraffic of endpoint shop"):
        await waiting
    assert pool.in_flight == 0
    await pool.close(stop_servers=True)
    assert not scene.launcher.containers


async def test_replacements_that_fail_are_tried_ever_more_slowly(scene: PoolScene) -> None:
    scene.launcher.launch_s = 0.0
    pool = await scene.started(scene.real_time())
    scene.launcher.refuse("AllTraffic", "no", times=1000)
    scene.launcher.kill(pool.servers[0].id)
    await scene.clock.advance(5)
    first = len(scene.launcher.launched)
    await scene.clock.advance(60)
    assert len(scene.launcher.launched) - first <= 6
    await scene.clock.advance(600)
    assert 9 <= len(scene.launcher.launched) - first <= 16
    assert not scene.launcher.containers


async def test_an_instance_that_keeps_dying_is_replaced_ever_more_slowly(scene: PoolScene) -> None:
    scene.launcher.launch_s = 0.0
    pool = await scene.started(scene.real_time())
    for _ in range(200):
        for server in pool.servers:
            scene.launcher.kill(server.id)
        await scene.clock.advance(5)
    assert 15 < len(scene.launcher.launched) < 30


async def test_growing_returns_when_the_new_instances_answer(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    growing = asyncio.ensure_future(pool.resize(3))
    await scene.clock.advance(0.5)
    assert len(pool.servers) == 1
    await scene.clock.advance(0.5)
    await growing
    assert len(pool.servers) == 3


async def test_growing_that_fails_leaves_as_many_as_before(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    scene.launcher.refuse("AllTraffic", "machine is full")
    growing = asyncio.ensure_future(pool.resize(3))
    await scene.clock.advance(1)
    with pytest.raises(LaunchFailed, match="machine is full"):
        await growing
    await scene.clock.advance(60)
    assert len(pool.servers) == len(scene.launcher.containers) == pool.wanted == 1


@fidelity(
    "Routing",
    "Scaling in lets requests end, and takes the instances with the least to do.",
    OURS,
    "AWS does not say which ones go",
)
async def test_shrinking_lets_requests_end_and_takes_the_instances_with_the_least_to_do(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time(3))
    busy = [pool.try_acquire() for _ in range(2)]
    await pool.resize(1)
    await scene.clock.advance(0)
    assert len(pool.servers) == 1
    assert pool.servers[0] in {lease.server for lease in busy}
    leaving = next(one for one in busy if one.server is not pool.servers[0])
    assert leaving.server.id in scene.launcher.containers
    assert len(scene.launcher.containers) == 2
    leaving.release()
    await scene.clock.advance(0)
    assert leaving.server.id not in scene.launcher.containers


async def test_an_asynchronous_variant_may_have_no_instance_and_grow_for_those_who_wait(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time(0))
    assert pool.try_acquire() is None
    waiting = [asyncio.ensure_future(pool.acquire()) for _ in range(3)]
    await scene.clock.advance(0)
    growing = asyncio.ensure_future(pool.resize(1))
    await scene.clock.advance(1)
    await growing
    leases = await asyncio.gather(*waiting)
    assert {lease.server for lease in leases} == set(pool.servers)


async def test_a_retired_pool_passes_on_who_waits_and_stops_when_the_last_request_ended(
    scene: PoolScene,
) -> None:
    old = await scene.started(scene.real_time())
    new = await scene.started(scene.real_time())
    held = old.try_acquire()
    retiring = asyncio.ensure_future(old.retire(new))
    await scene.clock.advance(0)
    late = old.try_acquire()
    assert late.server in new.servers
    assert (await old.acquire()).server in new.servers
    await scene.clock.advance(60)
    assert held.server.id in scene.launcher.containers
    held.release()
    await retiring
    assert held.server.id not in scene.launcher.containers
    assert old.try_acquire().server in new.servers


async def test_who_waits_for_a_broken_fleet_gets_the_new_one(scene: PoolScene) -> None:
    old = await scene.started(scene.real_time())
    new = await scene.started(scene.real_time())
    scene.launcher.launch_s = 1000
    scene.launcher.kill(old.servers[0].id)
    await scene.clock.advance(5)
    waiting = asyncio.ensure_future(old.acquire())
    await scene.clock.advance(1)
    retiring = asyncio.ensure_future(old.retire(new))
    await scene.clock.advance(0)
    assert (await waiting).server in new.servers
    await retiring
    assert set(scene.launcher.containers) == {one.id for one in new.servers}


async def test_a_request_that_never_ends_does_not_hold_a_retired_pool_for_ever(
    scene: PoolScene,
) -> None:
    pool = await scene.started(scene.real_time())
    lease = pool.try_acquire()
    retiring = asyncio.ensure_future(pool.retire(None))
    await scene.clock.advance(479)
    assert not retiring.done()
    await scene.clock.advance(2)
    await retiring
    assert not scene.launcher.containers
    lease.release()


async def test_closing_turns_away_who_waits(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(0))
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0)
    await pool.close(stop_servers=True)
    with pytest.raises(NotReady):
        await waiting
    with pytest.raises(NotReady):
        pool.try_acquire()


async def test_closing_may_leave_the_servers_to_the_next_life(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(2))
    await pool.close(stop_servers=False)
    assert len(scene.launcher.running) == len(scene.store.servers()) == 2


async def test_resuming_takes_what_there_is_and_launches_the_rest_in_the_background(
    scene: PoolScene,
) -> None:
    before = await scene.started(scene.real_time(1))
    await before.close(stop_servers=False)
    pool = scene.real_time(2)
    pool.resume(before.servers)
    assert len(pool.servers) == 1
    await scene.clock.advance(1)
    assert len(pool.servers) == 2
    await pool.close(stop_servers=True)
    assert not scene.launcher.containers


# --- what is known of a failure ------------------------------------------------------------------


@fidelity(
    "Containers",
    "A call to a variant without an instance is answered at once with the cause when the last "
    "start failed.",
    OURS,
    "waiting 60 s for what will not come tells nobody anything",
)
async def test_nobody_waits_for_an_instance_whose_start_has_failed(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    scene.launcher.refuse("AllTraffic", "the model data is gone", times=100)
    scene.launcher.kill(pool.servers[0].id)
    await scene.clock.advance(5)
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(10)
    with pytest.raises(NotReady, match="The last start failed: the model data is gone"):
        await waiting
    with pytest.raises(NotReady, match="the model data is gone"):
        await pool.acquire()
    assert pool.last_failure == "the model data is gone"


async def test_a_failure_is_forgotten_once_a_start_succeeds(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    scene.launcher.refuse("AllTraffic", "S3 was away")
    scene.launcher.kill(pool.servers[0].id)
    await scene.clock.advance(60)
    assert pool.last_failure is None
    assert (await pool.acquire()).server in pool.servers


async def test_others_answer_while_a_start_fails(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(2))
    scene.launcher.refuse("AllTraffic", "no", times=100)
    scene.launcher.kill(pool.servers[0].id)
    await scene.clock.advance(20)
    assert pool.last_failure == "no"
    assert (await pool.acquire()).server in pool.servers


async def test_the_engine_is_given_a_moment_to_notice_a_death(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    asked = asyncio.ensure_future(pool.autopsy(pool.servers[0]))
    await scene.clock.advance(0.3)
    assert not asked.done()
    scene.launcher.kill(pool.servers[0].id, "exit code 3")
    await scene.clock.advance(0.3)
    assert await asked == "exit code 3"


@fidelity(
    "Routing",
    "A request of a session whose instance was found dead is refused, and reaches no other that "
    "has its address now.",
    OURS,
    "a container that starts gets an address that is free",
)
async def test_nobody_is_sent_to_a_server_that_was_found_dead(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time(2))
    dead, well = pool.servers
    scene.launcher.kill(dead.id, "exit code 3")
    assert await pool.autopsy(dead) == "exit code 3"
    assert pool.hold(dead.id) is None
    assert {(await pool.acquire()).server for _ in range(9)} == {well}
    await scene.clock.advance(1)
    with pytest.raises(ServerGone):
        pool.hold(dead.id)


async def test_of_one_that_lives_on_nothing_is_said(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    asked = asyncio.ensure_future(pool.autopsy(pool.servers[0]))
    await scene.clock.advance(2)
    assert await asked is None


async def test_what_a_server_was_replaced_for_is_known_when_it_is_gone(scene: PoolScene) -> None:
    pool = await scene.started(scene.real_time())
    gone = pool.servers[0]
    scene.launcher.kill(gone.id, "exit code 3")
    await scene.clock.advance(10)
    assert gone not in pool.servers
    assert await pool.autopsy(gone) == "exit code 3"
