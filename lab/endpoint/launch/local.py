"""Where a container comes to live, and how it is reached: the engine itself, or a cold host."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from lab.endpoint.launch.archives import KeptModels, Say
from lab.endpoint.launch.images import ImageResolver
from lab.endpoint.launch.model import Deadline
from lab.endpoint.live import Address, VariantPlan
from lab.endpoint.records import EndpointKind
from lab.endpoint.settings import EmulatorSettings
from lab.engine.api import Container, ContainerSpec, Engine, Mount
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.reach import connected
from lab.services import ISOLATED_NETWORK
from lab.spec import PORT, SERVERLESS_USER, EngineKind, Mark, Platform

_TMP: Final = "/tmp"  # noqa: S108  # inside the container


@dataclass(frozen=True, kw_only=True)
class LaunchContext:
    """What places work with."""

    engine: Engine
    images: ImageResolver
    models: KeptModels
    settings: EmulatorSettings
    within: bool
    """Whether the emulator runs in a container of the engine."""
    say: Say
    """Into the log of the container that is to come."""


class ContainerPlace(Protocol):
    """One place for one container."""

    @property
    def engine(self) -> Engine:
        """What starts the container."""

    @property
    def overlaps(self) -> bool:
        """Whether the container may be made while its model is still coming."""

    def prepare(self) -> None:
        """What comes before the launch's own time begins."""

    def image(self, marks: dict[Mark, int]) -> str:
        """The image's name at this place; pulled, with marks, if the place is cold."""

    def forget_image(self) -> None:
        """What was known of it is not true any more."""

    def fetch(self, until: Deadline) -> None:
        """Fetch and unpack the model."""

    def spec(self, image: str, labels: Mapping[str, str], name: str) -> ContainerSpec:
        """How to make the container."""

    def address(self, container: Container) -> Address:
        """Where it is reached from here."""

    def close(self) -> None:
        """Delete what lies here for the container, once it is gone."""


class LocalPlace:
    """The engine itself, with a folder of its own for each server."""

    overlaps = True

    def __init__(self, plan: VariantPlan, context: LaunchContext, folder: Path) -> None:
        self.engine = context.engine
        self._plan = plan
        self._context = context
        self._folder = folder
        self._tmp = folder / "tmp"
        self._model = folder / "model"
        self._processes = context.engine.kind is EngineKind.PROCESS

    def prepare(self) -> None:
        """A new folder, and the network if it is one that nothing leaves."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        if self._plan.model_data is not None:
            self._model.mkdir()
            self._model.chmod(0o755)
        if self._own_tmp:
            self._tmp.mkdir()
            self._tmp.chmod(0o1777)
        if self._plan.isolated and isinstance(self.engine, DockerEngine):
            self.engine.ensure_network(self._network or ISOLATED_NETWORK, internal=True)

    def image(self, marks: dict[Mark, int]) -> str:
        del marks
        return self._context.images.of(self._plan).ref

    def forget_image(self) -> None:
        self._context.images.forget(self._plan)

    def fetch(self, until: Deadline) -> None:
        self._context.models.fetch(self._plan, self._model, until, self._context.say)

    def spec(self, image: str, labels: Mapping[str, str], name: str) -> ContainerSpec:
        """Real time as on an instance: root, writable. Serverless: neither."""
        plan = self._plan
        tmp = Mount(source=str(self._tmp), target=_TMP, read_only=False)
        return container_spec(
            plan,
            image=image,
            labels=labels,
            name=name,
            model_dir=None if plan.model_data is None else PurePosixPath(self._model),
            mounts=(tmp,) if self._own_tmp else (),
            network=self._network,
            publish=self._publish,
            platform=self._context.images.of(plan).facts.platform,
            processes=self._processes,
        )

    def address(self, container: Container) -> Address:
        """Its own address where that can be reached; from a container on its network always."""
        if self._context.within and not self._processes:
            ip = getattr(container, "ip", lambda: "")()
            if connected(ip):
                return ip, PORT
        return container.address(None if self._processes else PORT)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _own_tmp(self) -> bool:
        return self._plan.kind is EndpointKind.SERVERLESS and not self._processes

    @property
    def _network(self) -> str | None:
        if self._processes:
            return None
        if self._plan.isolated:
            return self._context.settings.isolated_network or ISOLATED_NETWORK
        return self._context.settings.network

    @property
    def _publish(self) -> int | None:
        near = self._context.within or (
            isinstance(self.engine, DockerEngine) and self.engine.bridged
        )
        return None if near or self._processes else 0


def container_spec(  # noqa: PLR0913 - all keyword-only, each a field of the spec
    plan: VariantPlan,
    *,
    image: str,
    labels: Mapping[str, str],
    name: str | None,
    model_dir: PurePosixPath | None,
    mounts: tuple[Mount, ...] = (),
    network: str | None = None,
    publish: int | None = None,
    platform: Platform | None = None,
    processes: bool = False,
) -> ContainerSpec:
    """The plan as the engine takes it."""
    serverless = plan.kind is EndpointKind.SERVERLESS
    return ContainerSpec(
        image=image,
        name=name,
        env=plan.env,
        labels=labels,
        model_dir=model_dir,
        mounts=mounts,
        network=network,
        publish=publish,
        memory_bytes=plan.compute.memory_bytes,
        cpus=plan.compute.cpus,
        user=SERVERLESS_USER if serverless and not processes else None,
        read_only_root=serverless,
        hostname=plan.hostname,
        platform=platform,
    )
