"""Makes and removes model containers on a real engine: the emulator's ``Launcher``."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from lab.endpoint.clock import Clock
from lab.endpoint.launch.archives import ARCHIVES, KeptModels
from lab.endpoint.launch.cold import ColdPlace
from lab.endpoint.launch.images import ImageResolver, refusal
from lab.endpoint.launch.local import ContainerPlace, LaunchContext, LocalPlace
from lab.endpoint.launch.pinged import pinged
from lab.endpoint.launch.pins import Pins
from lab.endpoint.launch.running import RunningContainers
from lab.endpoint.launch.start import Launch
from lab.endpoint.launching import Drift, Vitals
from lab.endpoint.live import Address, Death, LaunchFailed, Ping, Server, Setup, VariantPlan
from lab.endpoint.log_files import LogFiles
from lab.endpoint.records import EndpointKind, Pin, ServerRecord
from lab.endpoint.s3 import S3Objects
from lab.endpoint.settings import EmulatorSettings
from lab.engine.api import Container, Engine, EngineFacts
from lab.engine.docker.reach import in_container
from lab.errors import EngineError
from lab.spec import EngineKind
from lab.start.cause import EXEC_FORMAT_ERROR
from lab.start.emulated import emulated

SERVERS: Final = "servers"
"""Below the state folder: a folder for each server, with its model and what it may write."""

_AT_A_TIME: Final = 64
_T = TypeVar("_T")


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
        self._folder = settings.state / SERVERS
        self._images = ImageResolver(engine, registry=settings.registry)
        self._models = KeptModels(
            objects, settings.state / ARCHIVES, shared=engine.kind is not EngineKind.PROCESS
        )
        self._models.begin()
        self._pins = Pins(
            engine=engine,
            images=self._images,
            objects=objects,
            models=self._models,
            owner=owner,
            clock=clock,
        )
        self._running = RunningContainers(
            engine=engine, owner=owner, logs=logs, folder=self._folder
        )
        self._starting: dict[str, Launch] = {}
        self._proven: set[tuple[str, str, int]] = set()
        """Of which endpoint, variant and generation one has been ready: it is in service."""
        self._at: dict[Address, Server] = {}
        self._troubles: dict[str, tuple[VariantPlan, str]] = {}
        self._without_report: set[str] = set()
        self._known_facts: EngineFacts | None = None
        self._runs_within: bool | None = None
        self._starts = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="launch")
        self._helpers = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="create")
        self._stops = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="stop")
        self._questions = ThreadPoolExecutor(8, thread_name_prefix="ask")

    async def launch(self, plan: VariantPlan, *, generation: int, server_id: str) -> Server:
        if self._runs_within is None:
            await self._in(self._questions, self._learn)
        start = self._start(plan, generation, server_id)
        self._starting[server_id] = start
        try:
            address, setup = await self._run(start)
        except BaseException as error:
            self._running.untrack(server_id)
            if isinstance(error, LaunchFailed) and start.running is None:
                # Beside the containers' own streams: there would be a new one with each attempt.
                said = f"No container was started: {error.reason}"
                self._logs.note(plan.endpoint, plan.name, said)
            raise
        finally:
            del self._starting[server_id]
            self._troubles.pop(server_id, None)
        running = start.running
        assert running is not None  # noqa: S101 - run has returned
        self._running.add(server_id, running)
        self._proven.add((plan.endpoint, plan.name, generation))
        server = self._at[address] = Server(
            id=server_id,
            endpoint=plan.endpoint,
            variant=plan.name,
            generation=generation,
            container=running.container.name,
            address=address,
            setup=setup,
            emulated=start.emulated,
            idle_since=self._clock.monotonic(),
        )
        return server

    async def pin(self, plan: VariantPlan) -> Pin:
        return await self._in(self._starts, lambda: self._pin(plan))

    async def retain(self, pins: Sequence[Pin]) -> None:
        await self._in(self._stops, lambda: self._pins.retain(pins))

    async def drift(self, plan: VariantPlan) -> Sequence[Drift]:
        return await self._in(self._starts, lambda: self._pins.drift(plan))

    async def adopt(self, record: ServerRecord, plan: VariantPlan) -> Server | None:
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
        if await self.ping(server) is not Ping.WELL:
            return None
        running = self._running.track(record.id, plan, container)
        running.log.start()
        self._running.add(record.id, running)
        self._at[server.address] = server
        self._proven.add((record.endpoint, record.variant, record.generation))
        return server

    async def stop(self, server: Server, *, grace_s: float = 30.0) -> None:
        """Raises ``EngineError`` when the engine does not remove it: to be called again."""
        await self._in(self._stops, lambda: self._running.stop(server.id, grace_s))
        if self._at.get(server.address) is server:
            del self._at[server.address]

    async def sweep(self, keep: Sequence[str]) -> None:
        """Remove this emulator's containers but those whose server ids are in ``keep``.

        So are the folders of those that are gone. What is being launched or runs is kept, too.
        """
        kept = {*keep, *self._running.ids, *self._starting}
        await self._in(self._stops, lambda: self._running.sweep(kept))

    async def ping(self, server: Server) -> Ping:
        return Ping.SICK if server.displaced else await pinged(server.address)

    async def died(self, server: Server) -> Death | None:
        return await self._in(self._questions, lambda: self._running.death(server.id))

    async def vitals(self, server: Server) -> Vitals | None:
        return await self._in(self._questions, lambda: self._running.vitals(server.id))

    def troubles(self, endpoint: str) -> Mapping[str, str]:
        found = tuple(self._troubles.values())
        return {plan.name: said for plan, said in found if plan.endpoint == endpoint}

    def give_up(self, endpoint: str) -> None:
        for start in tuple(self._starting.values()):
            if start.endpoint == endpoint:
                start.give_up()

    async def close(self) -> None:
        await self._in(self._stops, self._running.close)
        for pool in (self._starts, self._helpers, self._stops, self._questions):
            pool.shutdown(wait=False)
        self._engine.close()

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        # Shielded: what has begun is finished, though nobody waits for it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(pool, work))

    # --- one start -----------------------------------------------------------------------------

    def _start(self, plan: VariantPlan, generation: int, server_id: str) -> Launch:
        place = self._place(plan, server_id)

        def tell(status: str) -> None:
            self._troubles[server_id] = plan, status

        return Launch(
            plan,
            place=place,
            name=f"inference-lab-{plan.endpoint}-{plan.name}-{server_id[-12:]}",
            labels=self._running.labels(plan, generation, server_id),
            check_architecture=lambda: self._check_architecture(plan, server_id),
            track=lambda made: self._running.track(server_id, plan, made, place),
            claim=self._claim,
            helper=self._helpers,
            settings=self._settings,
            tell=tell,
            waited_for=plan.kind is EndpointKind.SERVERLESS
            and (plan.endpoint, plan.name, generation) in self._proven,
            offset_ns=lambda: round(self._facts().clock_offset_s * 1e9),
            without_report=self._without_report,
        )

    def _claim(self, address: Address) -> None:
        """A container has it: the address of one that ends is given to the next one at once."""
        before = self._at.pop(address, None)
        if before is not None:
            before.displaced, before.healthy = True, False

    def _place(self, plan: VariantPlan, server_id: str) -> ContainerPlace:
        folder = self._folder / server_id
        context = LaunchContext(
            engine=self._engine,
            images=self._images,
            models=self._models,
            settings=self._settings,
            within=self._within(),
            say=partial(self._logs.note, plan.endpoint, plan.name, stream=server_id),
        )
        if plan.pull_cold:
            return ColdPlace(plan, context, folder, owner=self._owner, cold_image=self._cold_image)
        return LocalPlace(plan, context, folder)

    async def _run(self, start: Launch) -> tuple[Address, Setup]:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._starts, start.run)
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
            # To its end, whoever else cancels.
            undone = loop.run_in_executor(self._stops, start.undo)
            while not undone.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({undone})
        raise cancelled

    # --- in threads ----------------------------------------------------------------------------

    def _pin(self, plan: VariantPlan) -> Pin:
        if plan.pull_cold and self._cold_image is None:
            msg = "There is no cold host here: `lab up` builds its image on a Docker Engine."
            raise LaunchFailed(msg)
        return self._pins.resolve(plan)

    def _emulated(self, plan: VariantPlan) -> bool:
        """Whether a server that runs has another processor than the machine."""
        with suppress(EngineError):
            platform = self._images.of(plan).facts.platform
            return emulated(platform, native=self._facts().platform)
        return False

    def _check_architecture(self, plan: VariantPlan, server_id: str) -> bool:
        """Whether its processor is emulated.

        Raises ``LaunchFailed``, and files what SageMaker would file, for an image that is not for
        the processor of its instance.
        """
        platform = self._images.of(plan).facts.platform
        machine = self._facts().platform
        why = refusal(plan, platform, machine=machine)
        if why is None:
            return emulated(platform, native=machine)
        said = f"exec serve: {EXEC_FORMAT_ERROR}"
        self._logs.line(plan.endpoint, plan.name, server_id, said)
        raise LaunchFailed(why)

    def _find(self, record: ServerRecord, plan: VariantPlan) -> tuple[Container, Address] | None:
        if plan.pull_cold:
            return None
        with suppress(EngineError):
            for container in self._running.left_by(record.id):
                if container.state().running:
                    return container, self._place(plan, record.id).address(container)
        return None

    def _learn(self) -> None:
        """What is asked of the engine once. Its own error comes with the launch itself."""
        with suppress(EngineError):
            self._within()
            self._facts()

    def _within(self) -> bool:
        if self._runs_within is None:
            self._runs_within = in_container(self._engine)
        return self._runs_within

    def _facts(self) -> EngineFacts:
        if self._known_facts is None:
            self._known_facts = self._engine.facts()
        return self._known_facts
