"""Filling the local registry with what cold hosts will pull, and shaping the link to it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.coldstart.coldsite import Blob, ColdHosts, Stock
from lab.coldstart.trial import Subject
from lab.engine.docker import DockerEngine
from lab.engine.link import Link
from lab.engine.registry import MODELS, Registry
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import Platform


@contextmanager
def cold_hosts(
    engine: DockerEngine,
    subjects: Iterable[tuple[Subject, Platform]],
    *,
    native: Platform,
    bandwidth: int,
    owner: str,
    progress: Progress,
) -> Iterator[tuple[ColdHosts, Registry]]:
    """Push what is to be pulled; the link is shaped until the block ends.

    ``native`` is the engine's own platform. Raises ``RegistryError``, ``DiskFullError``, ...
    """
    helper = image_ref("coldhost", native)
    registry = Registry.ensure(engine, image_ref("registry", native), progress)
    try:
        names = dict[str, str]()
        archives = dict[Path, Blob]()
        for subject, platform in subjects:
            registry.push(engine, subject.image, progress, arch=platform.arch)
            names[subject.image] = registry.pull_ref(subject.image)
            if subject.archive is not None and subject.archive not in archives:
                digest = registry.put_blob(MODELS, subject.archive)
                archives[subject.archive] = Blob(
                    url=registry.blob_url(MODELS, digest), digest=digest
                )
        with Link.shape(engine, registry, bandwidth, image=helper, owner=owner) as link:
            yield (
                ColdHosts(
                    engine,
                    image=helper,
                    owner=owner,
                    stock=Stock(names=names, archives=archives),
                    link=link,
                ),
                registry,
            )
    finally:
        registry.close()
