"""The containers that were launched or adopted and are not stopped yet. Blocking."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.endpoint.launch.cold import ColdPlace, remove_cold_hosts
from lab.endpoint.launch.disk import DiskWatch
from lab.endpoint.launch.failure import with_log
from lab.endpoint.launch.local import ContainerPlace, LocalPlace
from lab.endpoint.launch.log_follower import LogFollower
from lab.endpoint.launching import Vitals
from lab.endpoint.live import Death, VariantPlan
from lab.endpoint.log_files import LogFiles
from lab.endpoint.records import EndpointKind
from lab.engine.api import Container, Engine
from lab.errors import EngineError
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, EngineKind
from lab.start import cause
from lab.start.cause import CauseKind
from lab.units import format_bytes

ROLE: Final = "endpoint"
LABEL_ENDPOINT: Final = "org.inference-lab.endpoint"
LABEL_VARIANT: Final = "org.inference-lab.variant"
LABEL_SERVER: Final = "org.inference-lab.server"
LABEL_GENERATION: Final = "org.inference-lab.generation"


@dataclass(kw_only=True)
class RunningContainer:
    """A container that was made or adopted, and what is to be undone with it."""

    container: Container
    log: LogFollower
    place: ContainerPlace | None
    """None for one that was adopted."""
    killed_for: str | None = None
    """Why the platform itself killed it."""
    since_ns: int = 0
    """After the end of a start that failed, by the engine's clock; 0 where there was none."""


class RunningContainers:
    """Those of one emulator, by server id. Safe to use from several threads."""

    def __init__(self, *, engine: Engine, owner: str, logs: LogFiles, folder: Path) -> None:
        """``owner`` is on every container; ``folder`` has one for each server in it."""
        self._engine = engine
        self._owner = owner
        self._logs = logs
        self._folder = folder
        self._disks = DiskWatch()
        self._known: dict[str, RunningContainer] = {}

    def track(
        self,
        server_id: str,
        plan: VariantPlan,
        container: Container,
        place: ContainerPlace | None = None,
    ) -> RunningContainer:
        """Follow its log, once that is started, and watch what it writes."""
        writer = self._logs.writer(plan.endpoint, plan.name, server_id)
        running = RunningContainer(
            container=container, log=LogFollower(container, writer), place=place
        )
        own_tmp = self._engine.kind is not EngineKind.PROCESS and not plan.pull_cold
        most_bytes = plan.compute.disk_bytes
        if plan.kind is not EndpointKind.SERVERLESS or most_bytes is None or not own_tmp:
            return running

        def over(used_bytes: int) -> None:
            running.killed_for = (
                f"The container was killed: it had written {format_bytes(used_bytes)} to /tmp, and"
                f" a serverless container has {most_bytes / 2**30:.3g} GB of disk."
            )
            running.log.note(running.killed_for)
            with suppress(EngineError):
                container.kill()

        tmp = self._folder / server_id / "tmp"
        self._disks.add(server_id, tmp, most_bytes=most_bytes, on_over=over)
        return running

    def untrack(self, server_id: str) -> None:
        """It did not get ready, and is gone."""
        self._disks.forget(server_id)

    def add(self, server_id: str, running: RunningContainer) -> None:
        """It got ready, or was adopted."""
        self._known[server_id] = running

    @property
    def ids(self) -> Sequence[str]:
        return tuple(self._known)

    def labels(self, plan: VariantPlan, generation: int, server_id: str) -> Mapping[str, str]:
        """Of a server's container."""
        return {
            **self._whose(server_id),
            LABEL: "true",
            LABEL_ENDPOINT: plan.endpoint,
            LABEL_VARIANT: plan.name,
            LABEL_GENERATION: str(generation),
        }

    def left_by(self, server_id: str) -> Sequence[Container]:
        """A server's containers that the engine has, known or not."""
        return self._engine.containers(self._whose(server_id))

    def stop(self, server_id: str, grace_s: float) -> None:
        """Stop and remove it, with its folder. Raises ``EngineError``: to be called again."""
        running = self._known.pop(server_id, None)
        try:
            self._stop(server_id, running, grace_s)
        except EngineError:
            if running is not None:
                self._known[server_id] = running
            raise

    def _stop(self, server_id: str, running: RunningContainer | None, grace_s: float) -> None:
        self._disks.forget(server_id)
        for container in [running.container] if running else self.left_by(server_id):
            with suppress(EngineError):
                container.stop(grace_s=grace_s)
            if running is not None:
                running.log.close(drain=True)
            try:
                container.remove()
            except EngineError:
                # Its folder stays while it may run. What is in a cold host goes with that.
                if running is None or not isinstance(running.place, ColdPlace):
                    raise
        if running is not None and running.place is not None:
            running.place.close()
        shutil.rmtree(self._folder / server_id, ignore_errors=True)

    def sweep(self, keep: set[str]) -> None:
        """Remove all containers and folders of this emulator but those of ``keep``."""
        for container in self._engine.containers({LABEL_OWNER: self._owner, LABEL_ROLE: ROLE}):
            if container.labels.get(LABEL_SERVER) not in keep:
                with suppress(EngineError):
                    container.remove()
        remove_cold_hosts(self._engine, owner=self._owner, kept=keep)
        for folder in list(self._folder.iterdir()) if self._folder.is_dir() else ():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)

    def death(self, server_id: str) -> Death | None:
        """Why it no longer runs; None while it runs, or while the engine does not answer."""
        running = self._known.get(server_id)
        if running is None:
            return Death("The container was removed.")
        try:
            if running.container.state().running:
                return None
            found = cause.death(
                running.container, "while it was in service", since_ns=running.since_ns
            )
        except EngineError:
            return self._gone(server_id, running)
        message = f"{found.message} {found.cure}" if found else "The container does not run."
        return Death(
            with_log(running.killed_for or message.rstrip(), found.log if found else ""),
            oom_killed=found is not None and found.kind is CauseKind.OOM,
        )

    def _gone(self, server_id: str, running: RunningContainer) -> Death | None:
        """The engine does not know it any more, or does not answer."""
        engine = running.place.engine if running.place else self._engine
        try:
            left = engine.containers(self._whose(server_id))
        except EngineError:
            local = isinstance(running.place, LocalPlace | None)
            return None if local else Death("Its cold host ended.")
        return None if left else Death("The container was removed, and not by the emulator.")

    def vitals(self, server_id: str) -> Vitals | None:
        """Its use of resources; None when the engine cannot say."""
        running = self._known.get(server_id)
        load = None
        with suppress(EngineError):
            load = running.container.load() if running else None
        if load is None:
            return None
        return Vitals(
            memory_bytes=load.memory_bytes,
            memory_limit_bytes=load.memory_limit_bytes,
            cpu_seconds=load.cpu_seconds,
            threads=load.threads,
            oom_kills=load.oom_kills,
            disk_bytes=self._disks.used_bytes(server_id),
        )

    def close(self) -> None:
        """Watch them no more; containers stay."""
        known, self._known = self._known, {}
        for running in known.values():
            running.log.close()
        self._disks.close()

    def _whose(self, server_id: str) -> Mapping[str, str]:
        return {LABEL_OWNER: self._owner, LABEL_ROLE: ROLE, LABEL_SERVER: server_id}
