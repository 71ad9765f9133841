"""Where a trial's container lives: this machine's engine, or a cold host.

A cold host is a new machine for each trial, behind a link of a stated bandwidth; it pulls from the
local registry, which holds whatever a run's trials are to pull.
"""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias

from lab.artifacts.archive import extract
from lab.coldstart import checks
from lab.coldstart.record import Chunks
from lab.coldstart.trial import Subject, TrialRecorder
from lab.engine.api import Engine
from lab.engine.coldhost.blocklog import CHUNK_BYTES, chunks
from lab.engine.coldhost.flat import FlatImage, NoDeviceError, flatten
from lab.engine.coldhost.host import MODEL, ColdHost, cold_host
from lab.engine.coldhost.link import Link
from lab.engine.coldhost.ondemand import OnDemandImage, Speed, on_demand
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import Mark, Platform, StartKind
from lab.start import timeline


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


class OnDemandSite(Site, Protocol):
    """A cold host where the image is mounted, and comes as it is read."""

    def fetched(self, recorder: TrialRecorder, offset_ns: int) -> str | None:
        """Keep what was fetched in which phase, once the container is gone; what speaks against
        that all of it was. ``offset_ns`` is by how much the engine's clock is ahead of ours.
        """


OnDemandSites: TypeAlias = Callable[[Subject], AbstractContextManager[OnDemandSite]]
"""Makes a machine that has a subject's image flattened behind a link, and has read nothing of it.
"""


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
        return _with_model(name, subject, recorder, self._host, self._archives)


class _OnDemandSite:
    """One cold host, and the image behind its link."""

    def __init__(
        self,
        host: ColdHost,
        image: OnDemandImage,
        archives: Mapping[Path, tuple[str, str]],
        speed: Speed,
    ) -> None:
        self.engine = host.engine
        self.publish: int | None = host.publish
        self._host = host
        self._image = image
        self._archives = archives
        self._speed = speed
        self._before = 0

    def bring(self, subject: Subject, recorder: TrialRecorder) -> Placement:
        """Mount the image, then fetch and unpack the model over a link as fast."""
        with recorder.span(Mark.MOUNT_BEGIN, Mark.MOUNT_END):
            self._image.mount()
        return _with_model(self._image.name, subject, recorder, self._host, self._archives)

    def fetched(self, recorder: TrialRecorder, offset_ns: int) -> str | None:
        reads = self._image.reads()
        counted = self._image.close()
        begin_ns = recorder.marks[Mark.BEGIN] + offset_ns
        before = sum(read.end_ns < begin_ns for read in reads)
        asked = [
            (phase, begin + offset_ns, end + offset_ns)
            for phase, begin, end in timeline.spans(recorder.marks)
        ]
        by_phase = chunks(reads, asked)
        recorder.chunks = Chunks(
            chunk_bytes=CHUNK_BYTES,
            bandwidth_bits_per_s=self._speed.bandwidth,
            latency_s=self._speed.latency_s,
            image_bytes=self._image.flat.used_bytes,
            fetched={phase: one.chunks for phase, one in by_phase.items()},
            waited_s={phase: one.waited_s for phase, one in by_phase.items()},
        )
        recorder.evidence |= {
            "device_reads_before": before,
            "device_bytes": counted.device_bytes,
            "fetched_chunks": counted.fetched_chunks,
        }
        return checks.on_demand(before, reads, counted)


def _with_model(
    image: str,
    subject: Subject,
    recorder: TrialRecorder,
    host: ColdHost,
    archives: Mapping[Path, tuple[str, str]],
) -> Placement:
    if subject.archive is None:
        return Placement(image=image, model_dir=None)
    url, digest = archives[subject.archive]
    with recorder.span(Mark.FETCH_BEGIN, Mark.FETCH_END):
        host.fetch(url, digest, MODEL)
    return Placement(image=image, model_dir=MODEL)


@dataclass(frozen=True, kw_only=True)
class Cold:
    """What a run's cold trials need, while the link is shaped."""

    pulled: ColdSites
    demanded: OnDemandSites | None
    registry: Registry
    why_not: str = ""
    """Why images cannot be served on demand here, where that was asked for."""


@contextmanager
def cold_hosts(
    engine: DockerEngine,
    subjects: Iterable[tuple[Subject, Platform]],
    *,
    kinds: Collection[StartKind],
    native: Platform,
    speed: Speed,
    owner: str,
    progress: Progress,
) -> Iterator[Cold]:
    """Push the images, and flatten those that are to come on demand; the link is shaped until the
    block ends.

    ``native`` is the engine's own platform. Raises ``RegistryError``, ``DiskFullError``, ...
    """
    helper = image_ref("coldhost", native)
    subjects = list(subjects)
    with closing(Registry.ensure(engine, image_ref("registry", native), progress)) as registry:
        archives = _fill(registry, engine, subjects, progress)
        flat: dict[str, FlatImage] = {}
        why_not = ""
        if StartKind.ONDEMAND in kinds:
            try:
                for ref in dict.fromkeys(subject.image for subject, _ in subjects):
                    flat[ref] = flatten(engine, ref, image=helper, owner=owner, progress=progress)
            except NoDeviceError as error:
                why_not = error.what
        with Link(engine, registry, speed.bandwidth, image=helper, owner=owner) as link:

            @contextmanager
            def cold_site(platform: Platform) -> Iterator[Site]:
                link.check()
                with cold_host(engine, image=helper, owner=owner) as host:
                    yield _ColdSite(host, registry, archives, platform)
                    # A registry that came back in the middle answered over a link without a shape.
                    link.check()

            @contextmanager
            def demanded_site(subject: Subject) -> Iterator[OnDemandSite]:
                link.check()
                with (
                    cold_host(engine, image=helper, owner=owner, flat=True) as host,
                    on_demand(host, flat[subject.image], speed) as image,
                ):
                    yield _OnDemandSite(host, image, archives, speed)
                    link.check()

            yield Cold(
                pulled=cold_site,
                demanded=demanded_site if flat and not why_not else None,
                registry=registry,
                why_not=why_not,
            )


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
