"""Building the servers of an endpoint: all variants together, all or none."""

import asyncio
import random
from collections.abc import Mapping, Sequence

from lab.endpoint.deploy.reasons import failure_reason, shortened
from lab.endpoint.deploy.views import ServerPool
from lab.endpoint.live import (
    Launcher,
    LaunchFailed,
    Server,
    VariantPlan,
)
from lab.endpoint.pools.base import PoolContext
from lab.endpoint.pools.realtime import RealTimePool
from lab.endpoint.pools.serverless import ServerlessPool
from lab.endpoint.records import EndpointKind


class Builder:
    """Makes fleets out of plans."""

    def __init__(self, *, launcher: Launcher, means: PoolContext, rng: random.Random) -> None:
        self._launcher = launcher
        self._means = means
        self._rng = rng

    def pools(self, plans: Sequence[VariantPlan], generation: int) -> Mapping[str, ServerPool]:
        """A pool for each plan, with nothing in it yet."""
        return {plan.name: self._pool(plan, generation) for plan in plans}

    def _pool(self, plan: VariantPlan, generation: int) -> ServerPool:
        if plan.kind is EndpointKind.SERVERLESS:
            return ServerlessPool(plan, generation=generation, means=self._means)
        return RealTimePool(plan, generation=generation, means=self._means, rng=self._rng)

    async def check(self, plans: Sequence[VariantPlan]) -> None:
        """Raises ``LaunchFailed`` for what can never run, before anything is launched."""
        for reason in await asyncio.gather(*(self._launcher.check(plan) for plan in plans)):
            if reason is not None:
                raise LaunchFailed(shortened(reason))

    async def start(self, pools: Mapping[str, ServerPool]) -> None:
        """Bring up all. Raises ``LaunchFailed`` with the ``FailureReason``; then none is left."""
        starts = [asyncio.ensure_future(_start(pool)) for pool in pools.values()]
        try:
            done, _ = await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
            for start in done:
                start.result()
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await asyncio.gather(*(pool.close(stop_servers=True) for pool in pools.values()))
            raise

    def adopt(
        self, pools: Mapping[str, ServerPool], adopted: Mapping[str, Sequence[Server]]
    ) -> None:
        """Go on with servers of an earlier life, by variant."""
        for name, pool in pools.items():
            pool.resume(adopted.get(name, ()))


async def _start(pool: ServerPool) -> None:
    try:
        await pool.start()
    except LaunchFailed as failed:
        raise LaunchFailed(
            failure_reason(pool.plan.name, failed.reason),
            exit_code=failed.exit_code,
            oom_killed=failed.oom_killed,
        ) from failed
