"""Makes and removes model containers on a real engine: the emulator's ``Launcher``."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from lab.endpoint.clock import Clock
from lab.endpoint.launch.cold import ColdPlace, remove_cold_hosts
from lab.endpoint.launch.disk import DiskWatch
from lab.endpoint.launch.failure import with_log
from lab.endpoint.launch.images import ImageResolver, one_line, refusal, too_large
from lab.endpoint.launch.local import ContainerPlace, LocalPlace
from lab.endpoint.launch.log_follower import LogFollower
from lab.endpoint.launch.model import download_failure
from lab.endpoint.launch.start import Launch
from lab.endpoint.live import Address, Death, LaunchFailed, Server, Setup, VariantPlan, Vitals
from lab.endpoint.log_files import LogFiles
from lab.endpoint.records import EndpointKind, ServerRecord
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.endpoint.settings import EmulatorSettings
from lab.engine.api import Container, Engine, EngineFacts
from lab.engine.within import runs_within
from lab.errors import EngineError, LabError
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE, EngineKind
from lab.start import cause
from lab.start.cause import EXEC_FORMAT_ERROR, CauseKind
from lab.start.emulated import emulated
from lab.units import format_bytes

ROLE: Final = "endpoint"
LABEL_ENDPOINT: Final = "org.inference-lab.endpoint"
LABEL_VARIANT: Final = "org.inference-lab.variant"
LABEL_SERVER: Final = "org.inference-lab.server"
LABEL_GENERATION: Final = "org.inference-lab.generation"

SERVERS: Final = "servers"
"""Below the state folder: a folder for each server, with its model and what it may write."""

_PING: Final = b"GET /ping HTTP/1.1\r\nHost: container\r\nConnection: close\r\n\r\n"
_PING_S: Final = 2.0
_AT_A_TIME: Final = 64
_T = TypeVar("_T")


@dataclass(kw_only=True)
class _Running:
    """A server that was launched or adopted, and what is to be undone with it."""

    container: Container
    filing: LogFollower
    place: ContainerPlace | None
    """None for one that was adopted."""
    killed_for: Callable[[], str | None]


class EngineLauncher:
    """Works in threads of its own; whatever is asked of it comes from one event loop."""

    def __init__(
        self,
        *,
        engine: Engine,
        objects: S3Objects,
        settings: EmulatorSettings,
        owner: str,
        clock: Clock,
        logs: LogFiles,
        cold_image: str | None = None,
    ) -> None:
        """``owner`` is on every container; ``cold_image`` is the cold host's, if there is one."""
        self._engine = engine
        self._objects = objects
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self._logs = logs
        self._cold_image = cold_image
        self._images = ImageResolver(engine, registry=settings.registry)
        self._disks = DiskWatch()
        self._running: dict[str, _Running] = {}
        self._starting: dict[str, Launch] = {}
        self._silent: set[str] = set()
        self._known_facts: EngineFacts | None = None
        self._runs_within: bool | None = None
        self._starts = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="launch")
        self._helpers = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="create")
        self._stops = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="stop")
        self._questions = ThreadPoolExecutor(8, thread_name_prefix="ask")
        self.over_disk: Counter[tuple[str, str]] = Counter()
        """Containers killed for what they had written, by endpoint and variant."""

    async def launch(self, plan: VariantPlan, *, generation: int, server_id: str) -> Server:
        """Fetch the model, create, start, and wait for ``/ping`` 200. Raises ``LaunchFailed``.

        When cancelled, what was made is removed before this returns.
        """
        if self._runs_within is None:
            await self._in(self._questions, self._learn)
        start = self._start(plan, generation, server_id)
        self._starting[server_id] = start
        try:
            address, setup = await self._run(start)
        finally:
            del self._starting[server_id]
        container, filing = start.container, start.filing
        assert container is not None  # noqa: S101 - run has returned
        assert filing is not None  # noqa: S101
        self._running[server_id] = _Running(
            container=container,
            filing=filing,
            place=start.place,
            killed_for=lambda: start.killed_for,
        )
        return Server(
            id=server_id,
            endpoint=plan.endpoint,
            variant=plan.name,
            generation=generation,
            container=container.name,
            address=address,
            setup=setup,
            emulated=start.emulated,
            idle_since=self._clock.monotonic(),
        )

    async def check(self, plan: VariantPlan) -> str | None:
        """Why this plan can never run (no such image, too large, ...); None if it may."""
        return await self._in(self._starts, lambda: self._check(plan))

    async def adopt(self, record: ServerRecord, plan: VariantPlan) -> Server | None:
        """A server of an earlier life if it still runs and answers ``/ping``; else None."""
        found = await self._in(self._questions, lambda: self._find(record, plan))
        if found is None:
            return None
        container, address = found
        server = Server(
            id=record.id,
            endpoint=record.endpoint,
            variant=record.variant,
            generation=record.generation,
            container=container.name,
            address=address,
            setup=None,
            emulated=await self._in(self._questions, lambda: self._emulated(plan)),
            idle_since=self._clock.monotonic(),
        )
        if not await self.ping(server):
            return None
        filing = self._filing(container, record.endpoint, record.variant, record.id)
        filing.start()
        killed: list[str] = []
        if self._limits_disk(plan):
            self._watch_disk(record.id, plan, container, filing, killed.append)
        self._running[record.id] = _Running(
            container=container,
            filing=filing,
            place=None,
            killed_for=lambda: killed[0] if killed else None,
        )
        return server

    async def stop(self, server: Server, *, grace_s: float = 30.0) -> None:
        """SIGTERM, SIGKILL after ``grace_s``, then gone. No error if it is gone already.

        Raises ``EngineError`` when the engine does not remove it: to be called again.
        """
        running = self._running.pop(server.id, None)
        try:
            await self._in(self._stops, lambda: self._stop(server.id, running, grace_s))
        except EngineError:
            if running is not None:
                self._running[server.id] = running
            raise

    async def sweep(self, keep: Sequence[str]) -> None:
        """Remove this emulator's containers but those whose server ids are in ``keep``.

        So are the folders of those that are gone. What is being launched or runs is kept, too.
        """
        kept = {*keep, *self._running, *self._starting}
        await self._in(self._stops, lambda: self._sweep(kept))

    async def ping(self, server: Server) -> bool:
        """Whether ``/ping`` answers 200 within 2 s."""
        try:
            async with asyncio.timeout(_PING_S):
                reader, writer = await asyncio.open_connection(*server.address)
                try:
                    writer.write(_PING)
                    words = (await reader.readline()).split()
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return False
        return len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1] == b"200"

    async def died(self, server: Server) -> Death | None:
        """Why it no longer runs: exit code, OOM, last lines; None while it runs."""
        running = self._running.get(server.id)
        if running is None:
            return Death("The container was removed.")
        return await self._in(self._questions, lambda: self._died(server.id, running))

    async def vitals(self, server: Server) -> Vitals | None:
        """Its use of resources; None when the engine cannot say."""
        running = self._running.get(server.id)
        if running is None:
            return None
        try:
            load = await self._in(self._questions, running.container.load)
        except EngineError:
            return None
        if load is None:
            return None
        return Vitals(
            memory_bytes=load.memory_bytes,
            memory_limit_bytes=load.memory_limit_bytes,
            cpu_seconds=load.cpu_seconds,
            threads=load.threads,
            oom_kills=load.oom_kills,
            disk_bytes=self._disks.used_bytes(server.id),
        )

    async def close(self) -> None:
        """Let go of the engine; containers stay."""
        running, self._running = list(self._running.values()), {}
        await self._in(self._stops, lambda: _end(running))
        await self._in(self._stops, self._disks.close)
        for pool in (self._starts, self._helpers, self._stops, self._questions):
            pool.shutdown(wait=False)
        self._engine.close()

    # --- in threads ----------------------------------------------------------------------------

    def _start(self, plan: VariantPlan, generation: int, server_id: str) -> Launch:
        def filing(start: Launch) -> LogFollower:
            assert start.container is not None  # noqa: S101 - it was just made
            made = self._filing(start.container, plan.endpoint, plan.name, server_id)
            if self._limits_disk(plan):

                def killed(why: str) -> None:
                    start.killed_for = why

                self._watch_disk(server_id, plan, start.container, made, killed)
            return made

        labels = self._labels(plan, generation, server_id)
        return Launch(
            plan,
            place=self._place(plan, server_id),
            name=f"inference-lab-{plan.endpoint}-{plan.name}-{server_id[-12:]}",
            labels=labels,
            suit=lambda: self._check_architecture(plan, server_id),
            filing=filing,
            helper=self._helpers,
            probe_interval_s=self._settings.probe_interval_s,
            offset_ns=lambda: round(self._facts().clock_offset_s * 1e9),
            reports=self._silent,
        )

    def _place(self, plan: VariantPlan, server_id: str) -> ContainerPlace:
        folder = self._folder / server_id
        if plan.pull_cold:
            return ColdPlace(
                plan,
                engine=self._engine,
                images=self._images,
                objects=self._objects,
                settings=self._settings,
                owner=self._owner,
                cold_image=self._cold_image,
                folder=folder,
                within=self._within(),
            )
        return LocalPlace(
            plan,
            engine=self._engine,
            images=self._images,
            objects=self._objects,
            settings=self._settings,
            folder=folder,
            within=self._within(),
        )

    async def _run(self, start: Launch) -> tuple[Address, Setup]:
        work = asyncio.get_running_loop().run_in_executor(self._starts, start.run)
        cancelled: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError as error:
                cancelled = error
                start.cancel()
        if cancelled is None:
            return work.result()
        if work.exception() is None:
            await self._settled(self._stops, start.undo)
        raise cancelled

    async def _settled(self, pool: ThreadPoolExecutor, work: Callable[[], object]) -> None:
        """To its end, whoever else cancels."""
        done = asyncio.get_running_loop().run_in_executor(pool, work)
        while not done.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({done})

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        # Shielded: what has begun is finished, though nobody waits for it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(pool, work))

    def _check(self, plan: VariantPlan) -> str | None:
        self._images.forget(plan.image)
        try:
            found = self._images.resolve(plan.image)
            self._facts()
        except LabError as error:
            return one_line(error)
        if plan.kind is EndpointKind.SERVERLESS:
            large = too_large(found)
            if large is not None:
                return large
            if plan.model_data is not None and not plan.compressed:
                return "Uncompressed model data cannot be used on a serverless endpoint."
        if plan.pull_cold and self._cold_image is None:
            return "There is no cold host here: `make up` builds its image on a Docker Engine."
        if plan.model_data is not None and plan.compressed:
            try:
                self._objects.size(plan.model_data)
            except ObjectError as error:
                return download_failure(plan.model_data, error)
        return None

    def _emulated(self, plan: VariantPlan) -> bool:
        """Whether a server that runs has another processor than the machine."""
        with suppress(EngineError):
            platform = self._images.resolve(plan.image).facts.platform
            return emulated(platform, native=self._facts().platform)
        return False

    def _check_architecture(self, plan: VariantPlan, server_id: str) -> bool:
        """Whether its processor is emulated.

        Raises ``LaunchFailed``, and files what SageMaker would file, for an image that is not for
        the processor of its instance.
        """
        platform = self._images.resolve(plan.image).facts.platform
        machine = self._facts().platform
        why = refusal(plan, platform, machine=machine)
        if why is None:
            return emulated(platform, native=machine)
        writer = self._logs.writer(plan.endpoint, plan.name, server_id)
        writer.write(f"exec serve: {EXEC_FORMAT_ERROR}")
        writer.write(f"[platform] The container was not started: {why}")
        writer.close()
        raise LaunchFailed(why)

    def _find(self, record: ServerRecord, plan: VariantPlan) -> tuple[Container, Address] | None:
        with suppress(EngineError):
            for container in self._engine.containers(self._mine(record.id)):
                if container.state().running and not plan.pull_cold:
                    place = self._place(plan, record.id)
                    return container, place.address(container)
        return None

    def _stop(self, server_id: str, running: _Running | None, grace_s: float) -> None:
        self._disks.forget(server_id)
        found = [running.container] if running else self._left(server_id)
        for container in found:
            with suppress(EngineError):
                container.stop(grace_s=grace_s)
            if running is not None:
                running.filing.close(drain=True)
            try:
                container.remove()
            except EngineError:
                # Its folder stays while it may run. What is in a cold host goes with that.
                if running is None or not isinstance(running.place, ColdPlace):
                    raise
        if running is not None and running.place is not None:
            running.place.close()
        shutil.rmtree(self._folder / server_id, ignore_errors=True)

    def _left(self, server_id: str) -> Sequence[Container]:
        return self._engine.containers(self._mine(server_id))

    def _sweep(self, kept: set[str]) -> None:
        containers = self._engine.containers({LABEL_OWNER: self._owner, LABEL_ROLE: ROLE})
        for container in containers:
            if container.labels.get(LABEL_SERVER) not in kept:
                with suppress(EngineError):
                    container.remove()
        remove_cold_hosts(self._engine, owner=self._owner, kept=kept)
        folders = list(self._folder.iterdir()) if self._folder.is_dir() else []
        for folder in folders:
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _died(self, server_id: str, running: _Running) -> Death | None:
        container = running.container
        try:
            if container.state().running:
                return None
            found = cause.death(container, "while it was in service")
        except EngineError:
            return self._gone(server_id, running)
        said = running.killed_for() or (found.message if found else "The container does not run.")
        return Death(
            with_log(said, found.log_tail if found else ""),
            oom_killed=found is not None and found.kind is CauseKind.OOM,
        )

    def _gone(self, server_id: str, running: _Running) -> Death | None:
        """The engine does not know it any more, or does not answer."""
        engine = running.place.engine if running.place else self._engine
        try:
            left = engine.containers(self._mine(server_id))
        except EngineError:
            local = isinstance(running.place, LocalPlace | None)
            return None if local else Death("Its cold host ended.")
        return None if left else Death("The container was removed, and not by the emulator.")

    def _filing(
        self, container: Container, endpoint: str, variant: str, server_id: str
    ) -> LogFollower:
        return LogFollower(container, self._logs.writer(endpoint, variant, server_id))

    def _limits_disk(self, plan: VariantPlan) -> bool:
        own_tmp = self._engine.kind is not EngineKind.PROCESS and not plan.pull_cold
        return (
            plan.kind is EndpointKind.SERVERLESS and plan.compute.disk_bytes is not None and own_tmp
        )

    def _watch_disk(
        self,
        server_id: str,
        plan: VariantPlan,
        container: Container,
        filing: LogFollower,
        killed: Callable[[str], None],
    ) -> None:
        most = plan.compute.disk_bytes
        folder = self._folder / server_id / "tmp"

        def over(used: int) -> None:
            why = (
                f"The container was killed: it had written {format_bytes(used)} to /tmp, and a "
                f"serverless container has {(most or 0) / 2**30:.3g} GB of disk."
            )
            killed(why)
            filing.note(why)
            self.over_disk[plan.endpoint, plan.name] += 1
            with suppress(EngineError):
                container.kill()

        if most is not None:
            self._disks.add(server_id, folder, most_bytes=most, on_over=over)

    def _learn(self) -> None:
        """What is asked of the engine once. Its own error comes with the launch itself."""
        with suppress(EngineError):
            self._within()
            self._facts()

    def _within(self) -> bool:
        if self._runs_within is None:
            self._runs_within = runs_within(self._engine)
        return self._runs_within

    def _facts(self) -> EngineFacts:
        if self._known_facts is None:
            self._known_facts = self._engine.facts()
        return self._known_facts

    def _labels(self, plan: VariantPlan, generation: int, server_id: str) -> Mapping[str, str]:
        return {
            **self._mine(server_id),
            LABEL: "true",
            LABEL_ENDPOINT: plan.endpoint,
            LABEL_VARIANT: plan.name,
            LABEL_GENERATION: str(generation),
        }

    def _mine(self, server_id: str) -> Mapping[str, str]:
        return {LABEL_OWNER: self._owner, LABEL_ROLE: ROLE, LABEL_SERVER: server_id}

    @property
    def _folder(self) -> Path:
        return self._settings.state / SERVERS


def _end(running: Sequence[_Running]) -> None:
    for one in running:
        one.filing.close()
