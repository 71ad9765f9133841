"""Changing the capacity of a fleet that is in service: all of what was asked, or none of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from lab.endpoint.deploy.policy import concurrency
from lab.endpoint.deploy.reasons import failure_reason
from lab.endpoint.deploy.views import ServerPool
from lab.endpoint.live import LaunchFailed
from lab.endpoint.pools.realtime import RealTimePool
from lab.endpoint.records import VariantState


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
            *(_set(self._pools[name], state) for name, state in states.items()),
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
    try:
        if isinstance(pool, RealTimePool):
            await pool.resize(state.count)
        else:
            limit, provisioned = concurrency(pool.plan, state)
            await pool.resize(limit=limit, provisioned=provisioned)
    except LaunchFailed as failed:
        raise LaunchFailed(failure_reason(pool.plan.name, failed.reason)) from failed
