"""A place that has never seen a layer: the image is pulled, too, on a cold host made for it.

The host lives as long as the server. Making it, and filling the local registry with the image and
the model it will fetch, is not part of the launch's own time: on AWS the machine is there, and so
is ECR. What the launch measures is the pull, the fetch, and the start. On a cold host ``/tmp`` is
in memory, and network isolation is not kept.
"""

import math
import shutil
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from lab.artifacts.archive import MOST_BYTES, extract, pack
from lab.endpoint.launch.local import LaunchContext, container_spec
from lab.endpoint.launch.model import Deadline, failures
from lab.endpoint.live import Address, VariantPlan
from lab.engine.api import Container, ContainerSpec, Engine
from lab.engine.coldhost.host import MODEL, ROLE, ColdHost, cold_host
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.local import INTERNAL, NAME, NETWORK, Registry
from lab.errors import EngineError
from lab.images.variants import image_ref
from lab.progress import Silent
from lab.spec import LABEL_OWNER, LABEL_ROLE, PORT, Mark, Platform

_FILLING: Final = threading.Lock()
"""Two pushes of one image would take its name from each other."""


class ColdPlace:
    """One cold host, for one container."""

    overlaps = False

    def __init__(
        self,
        plan: VariantPlan,
        context: LaunchContext,
        folder: Path,
        *,
        owner: str,
        cold_image: str | None,
    ) -> None:
        """``owner`` is the emulator's; ``folder`` is for what is on its way into the registry."""
        self._plan = plan
        self._context = context
        self._folder = folder
        self._owner = owner
        self._cold_image = cold_image
        self._made = ExitStack()
        self._host: ColdHost | None = None
        self._platform: Platform | None = None
        self._name = ""
        self._blob: tuple[str, str] | None = None

    @property
    def engine(self) -> Engine:
        return self._cold.engine

    def prepare(self) -> None:
        """Fill the registry and make the host."""
        engine = self._context.engine
        if not isinstance(engine, DockerEngine) or self._cold_image is None:
            raise EngineError(
                "A cold pull needs a Docker Engine and the cold host's image.",
                remedy="`lab up` builds it; or leave out the tag inference-lab:pull.",
            )
        found = self._context.images.of(self._plan)
        self._platform = found.facts.platform
        with _FILLING:
            registry = self._registry(engine)
            try:
                registry.push(engine, found.ref, Silent(), arch=self._platform.arch)
                self._name = registry.pull_ref(found.ref)
                self._blob = self._model_in(registry)
            finally:
                registry.close()
        doors = None
        if self._context.within:
            doors = self._context.settings.state / "doors"
            doors.mkdir(parents=True, exist_ok=True)
        engine.ensure_network(NETWORK)
        self._host = self._made.enter_context(
            cold_host(
                engine,
                image=self._cold_image,
                owner=f"{self._owner}/{self._folder.name}",
                doors=doors,
            )
        )

    def image(self, marks: dict[Mark, int]) -> str:
        pulled = self._cold.pull(self._name, platform=self._platform)
        marks[Mark.PULL_BEGIN] = pulled.begin_ns
        marks[Mark.PULL_DOWNLOADED] = pulled.downloaded_ns
        marks[Mark.PULL_END] = pulled.end_ns
        return self._name

    def forget_image(self) -> None:
        """It was pulled a moment ago: nothing to look for again."""

    def fetch(self, until: Deadline) -> None:
        until.check()
        if self._blob is not None:
            self._cold.fetch(*self._blob, MODEL)
        until.check()

    def spec(self, image: str, labels: Mapping[str, str], name: str) -> ContainerSpec:
        """As on the engine itself, but for ``/tmp`` and the network."""
        return container_spec(
            self._plan,
            image=image,
            labels=labels,
            name=name,
            model_dir=None if self._blob is None else MODEL,
            publish=self._cold.publish,
            platform=self._platform,
        )

    def address(self, container: Container) -> Address:
        return container.address(PORT)

    def close(self) -> None:
        self._made.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _cold(self) -> ColdHost:
        if self._host is None:
            raise EngineError("The cold host was not made.")
        return self._host

    def _registry(self, engine: DockerEngine) -> Registry:
        where = self._context.settings.registry
        running = [one for one in engine.containers({}) if one.name == NAME]
        if where is None or not running:
            # The registry runs on the engine's own processor, whatever the images in it are for.
            own = image_ref("registry", engine.facts().platform)
            return Registry.ensure(engine, own, Silent())
        registry = Registry(running[0], Distribution(INTERNAL if self._context.within else where))
        registry.host = where  # as the engine reaches it, which does the pushing
        return registry

    def _model_in(self, registry: Registry) -> tuple[str, str] | None:
        """URL and digest of the model's archive in the registry."""
        uri = self._plan.model_data
        if uri is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        archive, plain = self._folder / "model.tar.gz", self._folder / "plain"
        models, say = self._context.models, self._context.say
        if self._plan.compressed:
            with failures(uri):
                models.archive(self._plan, say).download(uri, archive, etag=self._plan.etag)
                # What unpacks it on the cold host knows fewer reasons to refuse it.
                most = self._plan.compute.disk_bytes or MOST_BYTES
                extract(archive, plain, most_bytes=most)
        else:
            patient = Deadline(at=math.inf, cancelled=threading.Event(), what="")
            models.fetch(self._plan, plain, patient, say)
            pack(plain, archive)
        blob = registry.put_archive(archive)
        shutil.rmtree(self._folder, ignore_errors=True)
        return blob


def remove_cold_hosts(engine: Engine, *, owner: str, kept: set[str]) -> None:
    """Remove those of this emulator's earlier lives."""
    for container in engine.containers({LABEL_ROLE: ROLE}):
        ours, _, server = container.labels.get(LABEL_OWNER, "").partition("/")
        if ours == owner and server not in kept:
            container.remove()
