"""A pool that has lost its last server, and gets no other."""

import asyncio

import pytest

from lab.endpoint.live import NotReady
from lab.endpoint.store import SqliteStore
from tests.fidelity import OURS, fidelity
from tests.unit.endpoint.fleet_scene import PoolScene

pytestmark = pytest.mark.anyio

WHY = "the image is gone"


@fidelity(
    "Answers",
    "A caller of an endpoint that has no container left, and whose last attempt to start one "
    "failed, is told why at once; the lab goes on trying.",
    OURS,
    "SageMaker says that it could not get a response; here the reason is known.",
)
async def test_whoever_waits_is_told_why_as_soon_as_it_is_known(store: SqliteStore) -> None:
    scene = PoolScene(store)
    pool = await scene.started(scene.real_time())
    scene.launcher.refuse("AllTraffic", WHY, times=2)
    scene.launcher.kill(scene.launcher.launched[0])
    await scene.clock.advance(5)
    waiting = asyncio.ensure_future(pool.acquire())
    await scene.clock.advance(0.5)
    assert not waiting.done()
    await scene.clock.advance(1)
    with pytest.raises(NotReady, match=WHY):
        await waiting
    with pytest.raises(NotReady, match=WHY):
        await pool.acquire()
    await scene.clock.advance(10)
    (await pool.acquire()).release()
    await scene.close()


async def test_while_another_answers_nobody_is_told(store: SqliteStore) -> None:
    scene = PoolScene(store)
    pool = await scene.started(scene.real_time(2))
    scene.launcher.refuse("AllTraffic", WHY)
    scene.launcher.kill(scene.launcher.launched[0])
    await scene.clock.advance(7)
    (await pool.acquire()).release()
    await scene.close()
