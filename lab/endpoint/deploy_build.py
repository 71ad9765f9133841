"""Building the servers of an endpoint: all variants together, all or none."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.endpoint.live import (
    Launcher,
    LaunchFailed,
    LiveEndpoint,
    LiveVariant,
    Pool,
    Server,
    VariantPlan,
)
from lab.endpoint.pools.base import Means
from lab.endpoint.pools.blended import BlendedPool
from lab.endpoint.pools.realtime import RealTimePool
from lab.endpoint.pools.serverless import ServerlessPool
from lab.endpoint.records import Body, Kind

ServerPool = RealTimePool | ServerlessPool

_LONGEST: Final = 1024
"""Characters of a ``FailureReason``."""


def failure_reason(variant: str, cause: str) -> str:
    """AWS's sentence, which says nothing, and the cause, which AWS keeps to itself."""
    return shortened(
        f"The primary container for production variant {variant} did not pass the ping health "
        f"check. Please check CloudWatch logs for this endpoint. {cause}"
    )


def shortened(reason: str) -> str:
    """To what a ``FailureReason`` may hold: the beginning and, of the log, the last lines."""
    if len(reason) <= _LONGEST:
        return reason
    head = _LONGEST // 2
    gap = " [...] "
    return reason[:head] + gap + reason[len(reason) - (_LONGEST - head - len(gap)) :]


@dataclass(kw_only=True)
class Deployed:
    """An endpoint's fleet: what requests see of it, and the pools themselves, shadows included."""

    live: LiveEndpoint
    pools: Mapping[str, ServerPool]

    def successor(self, variant: str) -> Pool:
        """Who answers for a variant of the fleet before; any other when it has been dropped."""
        return self.pools.get(variant) or self.live.variants[0].pool

    async def close(self, *, stop_servers: bool) -> None:
        """End it at once."""
        await asyncio.gather(
            *(pool.close(stop_servers=stop_servers) for pool in self.pools.values())
        )


class Builder:
    """Makes fleets out of plans."""

    def __init__(self, *, launcher: Launcher, means: Means, chance: random.Random) -> None:
        self._launcher = launcher
        self._means = means
        self._chance = chance

    def pools(self, plans: Sequence[VariantPlan], generation: int) -> Mapping[str, ServerPool]:
        """A pool for each plan, with nothing in it yet."""
        return {plan.name: self._pool(plan, generation) for plan in plans}

    def _pool(self, plan: VariantPlan, generation: int) -> ServerPool:
        if plan.kind is Kind.SERVERLESS:
            return ServerlessPool(plan, generation=generation, means=self._means)
        return RealTimePool(plan, generation=generation, means=self._means, chance=self._chance)

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


def blended(old: Deployed, new: Deployed, share: float, chance: random.Random) -> LiveEndpoint:
    """The endpoint while the new fleet gets only a share of the requests."""
    before = {variant.name: variant for variant in old.live.variants}
    after = {variant.name: variant for variant in new.live.variants}

    def pool(name: str) -> Pool:
        if name in before and name in after:
            return BlendedPool(
                old=before[name].pool, new=after[name].pool, share=share, chance=chance
            )
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
