"""What requests see of a fleet, alone or while it takes over from another."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.endpoint.live import (
    Lease,
    LiveEndpoint,
    LiveVariant,
    Pool,
    Server,
    ServerGone,
    VariantPlan,
)
from lab.endpoint.pools.realtime import RealTimePool
from lab.endpoint.pools.serverless import ServerlessPool
from lab.endpoint.records import Body

ServerPool = RealTimePool | ServerlessPool


@dataclass(kw_only=True)
class Deployed:
    """An endpoint's fleet: what requests see of it, and the pools themselves, shadows included."""

    live: LiveEndpoint
    pools: Mapping[str, ServerPool]

    def successor(self, variant: str) -> Pool:
        """Who answers for a variant of the fleet before; any other when it has been dropped."""
        return self.pools.get(variant) or self.live.variants[0].pool

    async def close(self, *, stop_servers: bool) -> None:
        await asyncio.gather(
            *(pool.close(stop_servers=stop_servers) for pool in self.pools.values())
        )


def deployed(
    endpoint: str,
    pools: Mapping[str, ServerPool],
    *,
    generation: int,
    capture: Mapping[str, Any] | None,
    config: Body,
) -> Deployed:
    """What requests see of these pools."""
    variants = [_variant(pool) for pool in pools.values() if not pool.plan.shadow]
    live = LiveEndpoint(
        name=endpoint,
        kind=variants[0].pool.plan.kind,
        generation=generation,
        variants=variants,
        shadows=[_variant(pool) for pool in pools.values() if pool.plan.shadow],
        capture=capture,
        asynchronous=config.get("AsyncInferenceConfig"),
    )
    return Deployed(live=live, pools=pools)


def _variant(pool: ServerPool) -> LiveVariant:
    return LiveVariant(name=pool.plan.name, pool=pool, weight=pool.plan.weight)


class BlendedPool:
    """Gives ``share`` of the requests to the new pool, and the rest to the old."""

    def __init__(self, *, old: Pool, new: Pool, share: float, rng: random.Random) -> None:
        self._old = old
        self._new = new
        self._share = share
        self._rng = rng
        self._next: Pool | None = None

    @property
    def plan(self) -> VariantPlan:
        return self._new.plan

    @property
    def servers(self) -> Sequence[Server]:
        return (*self._old.servers, *self._new.servers)

    @property
    def in_flight(self) -> int:
        return self._old.in_flight + self._new.in_flight

    @property
    def last_failure(self) -> str | None:
        return self._new.last_failure or self._old.last_failure

    async def autopsy(self, server: Server) -> str | None:
        return await self._new.autopsy(server)  # both ask the same engine

    def try_acquire(self) -> Lease | None:
        pool = self._draw()
        lease = pool.try_acquire()
        # The caller will wait, and for the pool that was drawn.
        self._next = pool if lease is None else None
        return lease

    async def acquire(self) -> Lease:
        pool, self._next = self._next or self._draw(), None
        return await pool.acquire()

    def hold(self, server_id: str) -> Lease | None:
        """Of the old pool's too: its sessions go on for as long as it does."""
        try:
            return self._new.hold(server_id)
        except ServerGone:
            return self._old.hold(server_id)

    def _draw(self) -> Pool:
        return self._new if self._rng.random() < self._share else self._old


def blended(old: Deployed, new: Deployed, share: float, rng: random.Random) -> LiveEndpoint:
    """The endpoint while the new fleet gets only a share of the requests."""
    before = {variant.name: variant for variant in old.live.variants}
    after = {variant.name: variant for variant in new.live.variants}

    def pool(name: str) -> Pool:
        if name in before and name in after:
            return BlendedPool(old=before[name].pool, new=after[name].pool, share=share, rng=rng)
        return (after.get(name) or before[name]).pool

    def weight(name: str) -> float:
        gone = before[name].weight if name in before else 0.0
        come = after[name].weight if name in after else 0.0
        return gone * (1 - share) + come * share

    names = list(dict.fromkeys((*after, *before)))
    variants = [LiveVariant(name=name, pool=pool(name), weight=weight(name)) for name in names]
    return replace(new.live, variants=variants)
