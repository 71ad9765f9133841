"""A launcher without an engine: it takes the clock's time, and fails and dies on order.

Ships with the package for tests, as ``ManualClock`` does.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.endpoint.clock import Clock
from lab.endpoint.launching import Drift, Vitals
from lab.endpoint.live import Death, LaunchFailed, Ping, Server, Setup, VariantPlan
from lab.endpoint.records import Pin, ServerRecord
from lab.spec import Phase


@dataclass(kw_only=True)
class ScriptedContainer:
    """What the pretended engine knows of a container."""

    id: str
    endpoint: str
    variant: str
    generation: int
    port: int
    image: str = ""
    ready: bool = False
    ping: Ping = Ping.WELL
    death: Death | None = None


class ScriptedLauncher:
    """Pretends that an engine runs what it is asked to."""

    def __init__(
        self,
        clock: Clock,
        *,
        launch_s: float = 1.0,
        stop_s: float = 0.0,
        containers: Mapping[str, ScriptedContainer] | None = None,
    ) -> None:
        self._clock = clock
        self._ports = itertools.count(40_000)
        self.launch_s = launch_s
        """What a launch takes; may be changed at any time."""
        self.stop_s = stop_s
        self.containers = dict(containers or {})
        """All that the engine has, by server id."""
        self.launched: list[str] = []
        """Server ids of the launches that were asked for, in their order."""
        self.stopped: list[str] = []
        self.unfit: dict[str, str] = {}
        """Why an image can never run, by its name."""
        self.most: dict[str, int] = {}
        """The most containers that a variant had at a time."""
        self.means: dict[str, str] = {}
        """What an image's name stands for; itself unless it is here."""
        self.retained: Sequence[str] = ()
        """Ids of the images that were kept last."""
        self._refusals: dict[str, list[LaunchFailed]] = {}
        self.trouble: dict[str, str] = {}
        """By variant, why its container has to be started again."""
        self.closed = False

    # --- orders ------------------------------------------------------------------------------

    def refuse(self, variant: str, reason: str, *, times: int = 1) -> None:
        """Let the next launches of a variant end in failure, after the time they take."""
        self._refusals.setdefault(variant, []).extend([LaunchFailed(reason)] * times)

    def kill(
        self, server_id: str, reason: str = "exit code 137", *, oom_killed: bool = False
    ) -> None:
        """Let a container die."""
        self.containers[server_id].death = Death(reason, oom_killed=oom_killed)

    def sicken(self, server_id: str) -> None:
        """Let it run on and answer ``/ping`` with 500."""
        self.containers[server_id].ping = Ping.SICK

    def stall(self, server_id: str) -> None:
        """Let it run on and take no notice of ``/ping``, as a busy worker does."""
        self.containers[server_id].ping = Ping.LATE

    def heal(self, server_id: str) -> None:
        """Let it answer again."""
        self.containers[server_id].ping = Ping.WELL

    def after_kill(self, clock: Clock) -> "ScriptedLauncher":
        """The same engine as the emulator's next life finds it."""
        kept = {key: replace(value) for key, value in self.containers.items()}
        next_life = ScriptedLauncher(clock, launch_s=self.launch_s, containers=kept)
        next_life.means = dict(self.means)
        return next_life

    @property
    def running(self) -> Sequence[ScriptedContainer]:
        """Those that are ready and alive."""
        return [one for one in self.containers.values() if one.ready and one.death is None]

    # --- Launcher ----------------------------------------------------------------------------

    async def launch(self, plan: VariantPlan, *, generation: int, server_id: str) -> Server:
        """A server after ``launch_s``."""
        container = ScriptedContainer(
            id=server_id,
            endpoint=plan.endpoint,
            variant=plan.name,
            generation=generation,
            port=next(self._ports),
            image=self._id(plan.image) if plan.pin is None else plan.pin.image_id,
        )
        self.launched.append(server_id)
        self.containers[server_id] = container
        present = sum(one.variant == plan.name for one in self.containers.values())
        self.most[plan.name] = max(self.most.get(plan.name, 0), present)
        launch_s = self.launch_s
        try:
            await self._clock.sleep(launch_s)
            refusals = self._refusals.get(plan.name)
            if refusals:
                raise refusals.pop(0)  # noqa: TRY301 - the container goes as on any other end
        except BaseException:
            self.containers.pop(server_id, None)
            raise
        container.ready = True
        phases = {Phase.START: launch_s}
        return _server(container, Setup(total_s=launch_s, phases_s=phases))

    async def pin(self, plan: VariantPlan) -> Pin:
        """What the image's name stands for; what ``unfit`` says of it is why it can never run."""
        if plan.image in self.unfit:
            raise LaunchFailed(self.unfit[plan.image])
        if plan.pin is not None:
            return plan.pin
        found = self._id(plan.image)
        return Pin(image_id=found, resolved_image=f"x@{found}", resolved_at=self._clock.time())

    async def retain(self, pins: Sequence[Pin]) -> None:
        """Remembers them."""
        self.retained = sorted({pin.image_id for pin in pins})

    async def drift(self, plan: VariantPlan) -> Sequence[Drift]:
        """Of the image."""
        now = self._id(plan.image)
        if plan.pin is None or plan.pin.image_id == now:
            return ()
        return [Drift(now, f"{plan.image} is {now} by now")]

    def _id(self, image: str) -> str:
        return self.means.get(image, image)

    async def adopt(self, record: ServerRecord, plan: VariantPlan) -> Server | None:
        """A container that is ready, alive and well."""
        container = self.containers.get(record.id)
        if container is None or not container.ready or container.death:
            return None
        if container.ping is not Ping.WELL:
            return None
        return _server(container, None)

    async def stop(self, server: Server, *, grace_s: float = 30.0) -> None:
        """Gone after ``stop_s``."""
        await self._clock.sleep(min(self.stop_s, grace_s))
        self.containers.pop(server.id, None)
        self.stopped.append(server.id)

    async def sweep(self, keep: Sequence[str]) -> None:
        """All others go."""
        for server_id in self.containers.keys() - set(keep):
            del self.containers[server_id]
            self.stopped.append(server_id)

    async def ping(self, server: Server) -> Ping:
        """As it was told, as long as it lives."""
        container = self.containers.get(server.id)
        return Ping.SICK if container is None or container.death else container.ping

    async def died(self, server: Server) -> Death | None:
        """What it died of."""
        container = self.containers.get(server.id)
        return Death("it is gone") if container is None else container.death

    def troubles(self, endpoint: str) -> Mapping[str, str]:
        """What it was told to say, of every endpoint."""
        del endpoint
        return self.trouble

    def give_up(self, endpoint: str) -> None:
        """Nothing waits without an end."""

    async def vitals(self, server: Server) -> Vitals | None:
        """Nothing to see."""
        return None

    async def close(self) -> None:
        """Containers stay."""
        self.closed = True


def _server(container: ScriptedContainer, setup: Setup | None) -> Server:
    return Server(
        id=container.id,
        endpoint=container.endpoint,
        variant=container.variant,
        generation=container.generation,
        container=container.id,
        address=("127.0.0.1", container.port),
        setup=setup,
    )
