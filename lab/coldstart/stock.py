"""Filling the local registry with what cold hosts will pull, and shaping the link to it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.coldstart.coldsite import Blob, ColdHosts, RegistryContents
from lab.coldstart.trial import Subject
from lab.engine.coldhost.link import Link
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
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
        subjects = list(subjects)
        for platform in dict.fromkeys(platform for _, platform in subjects):
            images = [subject.image for subject, its in subjects if its is platform]
            registry.push_all(engine, images, progress, arch=platform.arch)
        names = dict[str, str]()
        archives = dict[Path, Blob]()
        for subject, _ in subjects:
            names[subject.image] = registry.pull_ref(subject.image)
            if subject.archive is not None and subject.archive not in archives:
                url, digest = registry.put_archive(subject.archive)
                archives[subject.archive] = Blob(url=url, digest=digest)
        with Link(engine, registry, bandwidth, image=helper, owner=owner) as link:
            yield (
                ColdHosts(
                    engine,
                    image=helper,
                    owner=owner,
                    stock=RegistryContents(names=names, archives=archives),
                    link=link,
                ),
                registry,
            )
    finally:
        registry.close()
