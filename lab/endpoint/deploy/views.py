"""What requests see of a fleet, alone or while it takes over from another."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.endpoint.live import (
    LiveEndpoint,
    LiveVariant,
    Pool,
)
from lab.endpoint.pools.blended import BlendedPool
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


def blended(old: Deployed, new: Deployed, share: float, rng: random.Random) -> LiveEndpoint:
    """The endpoint while the new fleet gets only a share of the requests."""
    before = {variant.name: variant for variant in old.live.variants}
    after = {variant.name: variant for variant in new.live.variants}

    def pool(name: str) -> Pool:
        if name in before and name in after:
            return BlendedPool(old=before[name].pool, new=after[name].pool, share=share, rng=rng)
        return (after.get(name) or before[name]).pool

    def weight(name: str, of: Callable[[LiveVariant], float] = lambda one: one.weight) -> float:
        gone = of(before[name]) if name in before else 0.0
        come = of(after[name]) if name in after else 0.0
        return gone * (1 - share) + come * share

    names = list(dict.fromkeys((*after, *before)))
    variants = [LiveVariant(name=name, pool=pool(name), weight=weight(name)) for name in names]
    return LiveEndpoint(
        name=new.live.name,
        kind=new.live.kind,
        generation=new.live.generation,
        variants=variants,
        shadows=new.live.shadows,
        capture=new.live.capture,
        asynchronous=new.live.asynchronous,
    )
