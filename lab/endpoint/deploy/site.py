"""What one endpoint's deployment works on, and the time that it may take."""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.endpoint.clock import Clock
from lab.endpoint.deploy.policy import Policy
from lab.endpoint.deploy.views import Deployed, ServerPool
from lab.endpoint.live import LaunchFailed, LiveEndpoint, VariantPlan
from lab.endpoint.pools.base import Background
from lab.endpoint.records import Resource


@dataclass(kw_only=True, eq=False)
class DeploymentSite:
    """An endpoint as far as it is built."""

    name: str
    live: LiveEndpoint | None = None
    """What requests get to see; a single assignment swaps it."""
    deployed: Deployed | None = None
    """The fleet that is in service."""
    retiring: set[ServerPool] = field(default_factory=set)
    """Pools whose last requests are still under way."""
    background: Background = field(default_factory=Background)


@dataclass(frozen=True, kw_only=True)
class InService:
    """What an endpoint's servers are made from."""

    config: Resource
    plans: Sequence[VariantPlan]


async def within(policy: Policy, clock: Clock, deployment: Coroutine[Any, Any, None]) -> None:
    """Do it within the policy's limit. However it ends, it has cleaned up.

    Raises ``LaunchFailed`` when the time is over.
    """
    work = asyncio.ensure_future(deployment)
    limit = math.inf if policy.limit_s is None else policy.limit_s
    timers = []
    if policy.limit_s is not None:
        timers.append(asyncio.ensure_future(clock.sleep(limit)))
    try:
        await asyncio.wait({work, *timers}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for timer in timers:
            timer.cancel()
        work.cancel()
        await asyncio.wait({work})
    if work.cancelled():
        msg = (
            f"The deployment did not end within MaximumExecutionTimeoutInSeconds "
            f"({limit:g} s) and was rolled back."
        )
        raise LaunchFailed(msg)
    work.result()
