"""Where a trial's container lives: this machine's engine, or a cold host.

A cold host is a new machine for each trial, behind a link of a stated bandwidth; it pulls from the
local registry, which holds whatever a run's trials are to pull.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias

from lab.artifacts.archive import extract
from lab.coldstart.trial import Subject, TrialRecorder
from lab.engine.api import Engine
from lab.engine.coldhost.host import MODEL, ColdHost, cold_host
from lab.engine.coldhost.link import Link
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import Mark, Platform


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A subject, present where its container will live."""

    image: str
    model_dir: PurePosixPath | None


class Site(Protocol):
    """A place with an engine."""

    @property
    def engine(self) -> Engine:
        """What starts the container."""

    @property
    def publish(self) -> int | None:
        """How a container's port is reached from here: see ``ContainerSpec.publish``."""

    def bring(self, subject: Subject, recorder: TrialRecorder) -> Placement:
        """Get what the site lacks, and mark when: image (if it is cold), model archive."""


ColdSites: TypeAlias = Callable[[Platform], AbstractContextManager[Site]]
"""Makes a machine that has never seen a layer, gone at the end of the block. Making one is not part
of a trial."""


class LocalSite:
    """The engine of this machine. The archive is unpacked into a new folder for each trial."""

    def __init__(self, engine: Engine, *, folder: Path, publish: int | None) -> None:
        self.engine = engine
        self.publish = publish
        self._folder = folder

    def bring(self, subject: Subject, recorder: TrialRecorder) -> Placement:
        if subject.archive is None:
            return Placement(image=subject.image, model_dir=None)
        with recorder.span(Mark.FETCH_BEGIN, Mark.FETCH_END):
            self._folder.mkdir(parents=True)
            extract(subject.archive, self._folder)
        return Placement(image=subject.image, model_dir=PurePosixPath(self._folder))

    def forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class _ColdSite:
    """One cold host; ``archives`` has the URL and the digest of each model archive."""

    def __init__(
        self,
        host: ColdHost,
        registry: Registry,
        archives: Mapping[Path, tuple[str, str]],
        platform: Platform,
    ) -> None:
        self.engine = host.engine
        self.publish: int | None = host.publish
        self._host = host
        self._registry = registry
        self._archives = archives
        self._platform = platform

    def bring(self, subject: Subject, recorder: TrialRecorder) -> Placement:
        """Pull the image, then fetch and unpack the model over the same link."""
        name = self._registry.pull_ref(subject.image)
        pulled = self._host.pull(name, platform=self._platform)
        recorder.marks[Mark.PULL_BEGIN] = pulled.begin_ns
        recorder.marks[Mark.PULL_DOWNLOADED] = pulled.downloaded_ns
        recorder.marks[Mark.PULL_END] = pulled.end_ns
        recorder.pulled_layers = pulled.layers
        recorder.evidence["pulled_from"] = name
        if subject.archive is None:
            return Placement(image=name, model_dir=None)
        url, digest = self._archives[subject.archive]
        with recorder.span(Mark.FETCH_BEGIN, Mark.FETCH_END):
            self._host.fetch(url, digest, MODEL)
        return Placement(image=name, model_dir=MODEL)


@contextmanager
def cold_hosts(
    engine: DockerEngine,
    subjects: Iterable[tuple[Subject, Platform]],
    *,
    native: Platform,
    bandwidth: int,
    owner: str,
    progress: Progress,
) -> Iterator[tuple[ColdSites, Registry]]:
    """Push what is to be pulled; the link is shaped until the block ends.

    ``native`` is the engine's own platform. Raises ``RegistryError``, ``DiskFullError``, ...
    """
    helper = image_ref("coldhost", native)
    with closing(Registry.ensure(engine, image_ref("registry", native), progress)) as registry:
        archives = _fill(registry, engine, list(subjects), progress)
        with Link(engine, registry, bandwidth, image=helper, owner=owner) as link:

            @contextmanager
            def cold_site(platform: Platform) -> Iterator[Site]:
                link.check()
                with cold_host(engine, image=helper, owner=owner) as host:
                    yield _ColdSite(host, registry, archives, platform)
                    # A registry that came back in the middle answered over a link without a shape.
                    link.check()

            yield cold_site, registry


def _fill(
    registry: Registry,
    engine: DockerEngine,
    subjects: Sequence[tuple[Subject, Platform]],
    progress: Progress,
) -> Mapping[Path, tuple[str, str]]:
    """Push the images and model archives that the registry has not; where the archives are."""
    for platform in dict.fromkeys(platform for _, platform in subjects):
        images = [subject.image for subject, its in subjects if its is platform]
        registry.push_all(engine, images, progress, arch=platform.arch)
    archives = dict[Path, tuple[str, str]]()
    for archive in dict.fromkeys(one.archive for one, _ in subjects if one.archive is not None):
        archives[archive] = registry.put_archive(archive)
    return archives
