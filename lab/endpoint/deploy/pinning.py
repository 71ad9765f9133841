"""What a deployment's names stand for: resolved once, remembered, and kept while it lives."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from lab.endpoint.deploy.builder import shortened
from lab.endpoint.launching import Launcher
from lab.endpoint.live import LaunchFailed, VariantPlan
from lab.endpoint.records import EndpointRecord, Pin
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
        same. Raises ``LaunchFailed``, also for what can never run.
        """
        found = await asyncio.gather(*map(self._launcher.pin, plans), return_exceptions=True)
        pins: dict[str, Pin] = {}
        for plan, pin in zip(plans, found, strict=True):
            if isinstance(pin, LaunchFailed):
                raise LaunchFailed(shortened(pin.reason)) from pin
            if isinstance(pin, BaseException):
                raise pin
            pins[plan.name] = pin

        def changed(row: EndpointRecord) -> EndpointRecord | None:
            known = row.origins.get(config_name)
            if known is None or known.pins == pins:
                return None
            return replace(row, origins={**row.origins, config_name: replace(known, pins=pins)})

        self._store.change_endpoint(endpoint, changed)
        await self.let_go()
        return [replace(plan, pin=pins[plan.name]) for plan in plans]

    async def let_go(self) -> None:
        """Keep the images and model data that endpoints are deployed with, and no others."""
        async with self._retaining:  # or it would let go of what was remembered meanwhile
            await self._launcher.retain(
                [pin for row in self._store.endpoints() for pin in row.pins]
            )
