"""Whether endpoints still serve what their names stand for; a change is said once, in their log."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

from lab.endpoint.clock import Clock
from lab.endpoint.launching import Drift, Launcher
from lab.endpoint.live import Fleet, VariantPlan
from lab.endpoint.log_files import LogFiles
from lab.endpoint.logged import logged
from lab.endpoint.records import EndpointRecord, Status
from lab.endpoint.store import SqliteStore

_LOG = logging.getLogger(__name__)


class VersionWatch:
    """Compares now and then, and whenever it is asked."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        fleet: Fleet,
        launcher: Launcher,
        clock: Clock,
        logs: LogFiles,
        every_s: float,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._launcher = launcher
        self._clock = clock
        self._logs = logs
        self._every_s = every_s
        self._said: set[tuple[str, int, str]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def changes(self) -> Mapping[str, Sequence[str]]:
        """By endpoint, in one line each, what it was deployed with and its names mean no more."""
        records = [row for row in self._store.endpoints() if row.status is Status.IN_SERVICE]
        lines = await asyncio.gather(*map(self._changes, records))
        return {row.name: said for row, said in zip(records, lines, strict=True) if said}

    async def _changes(self, row: EndpointRecord) -> Sequence[str]:
        live = self._fleet.live(row.name)
        plans = [] if live is None else [variant.pool.plan for variant in live.all]
        of_plans = await asyncio.gather(*(self._launcher.drift(plan) for plan in plans))
        found = [drift for drifts in of_plans for drift in drifts]
        of_config = self._of_config(row)
        if of_config is not None:
            found.insert(0, of_config)
        for drift in found:
            # Of this deployment: the next one begins with what its names stand for by then.
            mark = (row.name, row.generation, drift.now)
            if plans and mark not in self._said:
                self._said.add(mark)
                await asyncio.to_thread(self._say, plans[0], drift.text)
        return list(dict.fromkeys(drift.text for drift in found))

    def _of_config(self, row: EndpointRecord) -> Drift | None:
        known = row.origins.get(row.config_name)
        now = self._store.resource("config", row.config_name)
        if known is None or (now is not None and now.body == known.config.body):
            return None
        if now is None:
            return Drift(
                "no config",
                f'Its endpoint configuration "{row.config_name}" was deleted: SageMaker updates no '
                "such endpoint. Make one of that name again before you update it.",
            )
        return Drift(
            f"config {now.created_at}",
            f'Its endpoint configuration "{row.config_name}" was deleted and made anew: the '
            "endpoint still serves the one it was given.",
        )

    def _say(self, plan: VariantPlan, text: str) -> None:
        _LOG.warning("%s/%s: %s", plan.endpoint, plan.name, text)
        self._logs.note(plan.endpoint, plan.name, text)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(self._every_s)
            with logged(_LOG, "looking for what has changed behind endpoints"):
                await self.changes()
