"""An image: a container of it, started for the load at a size, gone at the end."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from lab import wire
from lab.artifacts import archive
from lab.coldstart.trial import Subject
from lab.engine.api import Container, ContainerSpec, Engine, EngineFacts, find_image
from lab.errors import EngineError
from lab.loadtest.record import TargetKind, TargetRecord
from lab.loadtest.targets.api import LoadPayload, WireRoute
from lab.loadtest.targets.sizes import HOST, GivenSize, Size, machine_of
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, Platform
from lab.start.cause import death
from lab.start.emulated import emulated, environment, patience
from lab.start.serving import serving

READY_S: Final = 480.0
"""How long a container may take to be ready: SageMaker's limit for real-time endpoints."""
ROLE: Final = "load"

_numbers = count()


@dataclass(kw_only=True)
class ImageTarget:
    """One container that serves."""

    record: TargetRecord
    route: WireRoute
    container: Container
    facts: EngineFacts
    """The engine's."""
    _engine: Engine
    _labels: Mapping[str, str]

    def resize(self, size: Size) -> GivenSize:
        """Give the running container another size; what it gets of it.

        Raises ``EngineError`` where the engine cannot, ``UsageError`` for what the machine has not.
        """
        given = size.given(machine_of(self.facts))
        self.container.resize(memory_bytes=given.compute.memory_bytes, cpus=given.compute.cpus)
        self.record = _sized(self.record, size, given)
        return given

    def pool(self) -> tuple[int, int, int | None] | None:
        """The one container, while it runs."""
        try:
            load = self.container.load()
        except EngineError:
            if self._engine.containers(self._labels):
                raise
            load = None  # somebody removed it
        return (0, 0, None) if load is None else (1, 0, load.memory_bytes)

    def containers(self) -> Sequence[str]:
        """The one."""
        return (self.container.id,)

    def cause(self) -> str | None:
        """What ended it, or killed a process of it, in a line."""
        try:
            found = death(self.container, "under load")
        except EngineError as error:
            return error.what
        return None if found is None else found.message


@contextmanager
def image_target(
    engine: Engine,
    subject: Subject,
    *,
    name: str,
    size: Size = HOST,
    model: str | None = None,
    platform: Platform | None = None,
    env: Mapping[str, str] = MappingProxyType({}),
    progress: Progress,
) -> Iterator[ImageTarget]:
    """Start it with its model mounted, and wait until it is ready.

    ``env`` is set beside the image's own. Raises ``UsageError`` for a size that the machine has
    not, ``ContainerFailedError`` with its last log lines.
    """
    facts = engine.facts()
    native = facts.platform
    platform = platform or native
    given = size.given(machine_of(facts))
    for note in given.notes:
        progress.note(note)
    found = find_image(engine, subject.image)
    record = TargetRecord(
        kind=TargetKind.IMAGE,
        name=name,
        image=subject.image,
        image_digest=None if found is None else found.digest or found.image_id,
        model=model,
        platform=platform,
        emulated=emulated(platform, native=native),
    )
    with ExitStack() as stack:
        folder = None
        if subject.archive is not None:
            folder = PurePosixPath(stack.enter_context(archive.unpacked(subject.archive)))
        labels = {LABEL_ROLE: ROLE, LABEL_OWNER: f"{ROLE}-{os.getpid()}-{next(_numbers)}"}
        spec = ContainerSpec(
            image=subject.image,
            platform=platform,
            env={**environment(platform, native=native), **env},
            model_dir=folder,
            labels=labels,
            publish=0,
            memory_bytes=given.compute.memory_bytes,
            cpus=given.compute.cpus,
            # As on a SageMaker instance: an image that the lab did not make may need to write.
            read_only_root=False,
        )
        longer = patience(platform, native=native)
        with progress.step(f"Start {name}"):
            served = stack.enter_context(serving(engine, spec, within_s=READY_S * longer))
        yield ImageTarget(
            record=_sized(record, size, given),
            route=_route(served.address),
            container=served.container,
            facts=facts,
            _engine=engine,
            _labels=labels,
        )


def _sized(record: TargetRecord, size: Size, given: GivenSize) -> TargetRecord:
    return record.model_copy(
        update={
            "size": size.name,
            "memory_mb": size.memory_mb,
            "cpus": given.compute.cpus,
            "serverless": size.serverless,
            "notes": given.notes,
        }
    )


def _route(address: tuple[str, int]) -> WireRoute:
    def prepare(payload: LoadPayload) -> bytes:
        headers = {"Content-Type": payload.content_type, "Accept": "*/*"}
        return wire.request(
            "POST", "/invocations", host=address[0], body=payload.body, headers=headers
        )

    return WireRoute(address=address, prepare=prepare)
