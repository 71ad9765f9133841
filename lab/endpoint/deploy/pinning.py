"""What a deployment's names stand for: resolved once, remembered, and kept while it lives."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from lab.endpoint.deploy.builder import shortened
from lab.endpoint.live import Launcher, LaunchFailed, VariantPlan
from lab.endpoint.records import EndpointRecord
from lab.endpoint.store import SqliteStore


class Pinning:
    """Of all endpoints of one emulator."""

    def __init__(self, *, store: SqliteStore, launcher: Launcher) -> None:
        self._store = store
        self._launcher = launcher
        self._retaining = asyncio.Lock()

    async def pinned(
        self, endpoint: str, config_name: str, plans: Sequence[VariantPlan]
    ) -> Sequence[VariantPlan]:
        """The plans with their images and model data as they are now.

        Remembered before anything is launched: a deployment that is begun again goes on with the
        same. Raises ``LaunchFailed``.
        """
        plans = await asyncio.gather(*map(self._pinned, plans))
        pins = {plan.name: plan.pin for plan in plans if plan.pin is not None}

        def changed(row: EndpointRecord) -> EndpointRecord | None:
            known = row.origins.get(config_name)
            if known is None or known.pins == pins:
                return None
            return replace(row, origins={**row.origins, config_name: replace(known, pins=pins)})

        self._store.change_endpoint(endpoint, changed)
        await self.let_go()
        return plans

    async def _pinned(self, plan: VariantPlan) -> VariantPlan:
        if plan.pin is not None:
            return plan
        try:
            return replace(plan, pin=await self._launcher.pin(plan))
        except LaunchFailed as failed:
            raise LaunchFailed(shortened(failed.reason)) from failed

    async def let_go(self) -> None:
        """Keep the images and model data that endpoints are deployed with, and no others."""
        async with self._retaining:  # or it would let go of what was remembered meanwhile
            await self._launcher.retain(
                [pin for row in self._store.endpoints() for pin in row.pins]
            )
