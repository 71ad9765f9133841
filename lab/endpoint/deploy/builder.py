"""Building the servers of an endpoint, and changing their number: of all variants, or of none."""

import asyncio
import random
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from lab.endpoint.deploy.policy import concurrency
from lab.endpoint.deploy.views import ServerPool
from lab.endpoint.live import LaunchFailed, NothingToStart, Server, VariantPlan
from lab.endpoint.pools.base import PoolContext
from lab.endpoint.pools.realtime import RealTimePool
from lab.endpoint.pools.serverless import ServerlessPool
from lab.endpoint.records import EndpointKind, VariantState

_LONGEST: Final = 1024
"""Characters of a ``FailureReason``."""


def failure_reason(variant: str, failed: LaunchFailed) -> str:
    """AWS's sentence, which says nothing, and the cause, which AWS keeps to itself."""
    sentence = (
        "CannotStartContainerError. Please ensure the model container for variant "
        f"{variant} starts correctly when invoked with 'docker run <image> serve'."
        if failed.refused
        else f"The primary container for production variant {variant} did not pass the ping "
        "health check. Please check CloudWatch logs for this endpoint."
    )
    return shortened(f"{sentence} {failed.reason}")


def shortened(reason: str) -> str:
    """To what a ``FailureReason`` may hold: the beginning and, of the log, the last lines."""
    if len(reason) <= _LONGEST:
        return reason
    head = _LONGEST // 2
    gap = " [...] "
    return reason[:head] + gap + reason[len(reason) - (_LONGEST - head - len(gap)) :]


class Builder:
    """Makes fleets out of plans."""

    def __init__(self, *, context: PoolContext, rng: random.Random) -> None:
        self._context = context
        self._rng = rng

    def pools(self, plans: Sequence[VariantPlan], generation: int) -> Mapping[str, ServerPool]:
        """A pool for each plan, with nothing in it yet."""
        return {plan.name: self._pool(plan, generation) for plan in plans}

    def _pool(self, plan: VariantPlan, generation: int) -> ServerPool:
        if plan.kind is EndpointKind.SERVERLESS:
            return ServerlessPool(plan, generation=generation, context=self._context)
        return RealTimePool(plan, generation=generation, context=self._context, rng=self._rng)

    async def start(self, pools: Mapping[str, ServerPool]) -> None:
        """Bring up all. Raises ``LaunchFailed`` with the ``FailureReason``; then none is left."""
        starts = [asyncio.ensure_future(_explained(pool, pool.start())) for pool in pools.values()]
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


async def _explained(pool: ServerPool, work: Awaitable[None]) -> None:
    """Do it; that it fails is said with the ``FailureReason``."""
    try:
        await work
    except NothingToStart as failed:
        raise LaunchFailed(shortened(failed.reason)) from failed
    except LaunchFailed as failed:
        raise LaunchFailed(failure_reason(pool.plan.name, failed)) from failed


class Capacity:
    """Of each variant of a fleet: what it is, and what it was when this was made."""

    def __init__(self, pools: Mapping[str, ServerPool]) -> None:
        self._pools = pools
        self._before = {name: _state(name, pool) for name, pool in pools.items()}

    async def change(self, wanted: Mapping[str, VariantState]) -> None:
        """To what is wanted. Raises ``LaunchFailed`` with the ``FailureReason``."""
        known = {name: state for name, state in wanted.items() if name in self._pools}
        # Grow first: when one variant cannot, nothing has been taken from another yet.
        await self._set(
            {
                name: replace(state, count=max(state.count, self._before[name].count))
                for name, state in known.items()
            }
        )
        await self._set(known)

    async def restore(self) -> None:
        """To what it was."""
        await self._set(self._before)

    async def _set(self, states: Mapping[str, VariantState]) -> None:
        outcomes = await asyncio.gather(
            *(
                _explained(self._pools[name], _set(self._pools[name], state))
                for name, state in states.items()
            ),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome


def _state(name: str, pool: ServerPool) -> VariantState:
    if isinstance(pool, RealTimePool):
        return VariantState(name=name, weight=0.0, count=pool.wanted)
    return VariantState(
        name=name,
        weight=0.0,
        count=0,
        max_concurrency=pool.plan.max_concurrency,
        provisioned_concurrency=pool.plan.initial_count,
    )


async def _set(pool: ServerPool, state: VariantState) -> None:
    if isinstance(pool, RealTimePool):
        await pool.resize(state.count)
    else:
        limit, provisioned = concurrency(pool.plan, state)
        await pool.resize(limit=limit, provisioned=provisioned)
