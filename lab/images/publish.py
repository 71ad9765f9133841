"""Images of several platforms under one name in the local registry.

Each platform keeps a tag of its own, ``inference-lab/onnx-slim:arm64``: a Docker schema 2 manifest
of that platform alone, for SageMaker and Lambda refuse everything else. ``:latest`` is a manifest
list that joins them, so that a pull gets what the machine, or ``--platform``, asks for.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from lab.engine.api import find_image
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry, place_of
from lab.engine.registry.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    ListEntry,
    Manifest,
)
from lab.errors import ImageNotFoundError, RegistryError
from lab.images.build import ensure
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import Platform

JOINED: Final = "latest"
"""The tag of the manifest lists."""

_REMEDY: Final = (
    "Build it without attestations (`--provenance=false --sbom=false`) and push it from an engine "
    "with the classic image store: in Docker's settings, turn off containerd for storing images."
)


@dataclass(frozen=True, kw_only=True)
class PublishedImage:
    """One platform's image in the registry."""

    platform: Platform
    name: str
    """Repository and tag, without the registry's host."""
    digest: str
    compressed_bytes: int
    layers: int
    kept: bool = False
    """It was there before, and this time only the other platforms were pushed."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A variant in the registry: its images, and the name that joins them."""

    variant: str
    name: str
    """Repository and tag of the manifest list, without the registry's host."""
    digest: str
    images: Sequence[PublishedImage]


@contextmanager
def local_registry(engine: DockerEngine, progress: Progress) -> Iterator[Registry]:
    """The lab's registry, started if need be. It serves any platform and runs on the engine's."""
    own = engine.facts().platform
    ensure(["registry"], platform=own, engine=engine, progress=progress)
    with closing(Registry.ensure(engine, image_ref("registry", own), progress)) as registry:
        yield registry


def join(
    engine: DockerEngine,
    registry: Registry,
    variants: Sequence[str],
    platforms: Sequence[Platform],
    progress: Progress,
) -> Sequence[Published]:
    """Push each variant for each of the platforms, and join a variant's images in a list.

    What the registry has is not sent again. A platform that was joined before and is not among
    ``platforms`` stays in the list. Raises ``ImageNotFoundError`` for what is not built, and
    ``RegistryError`` when what arrived is no Docker schema 2 image of its platform.
    """
    for platform in platforms:
        for variant in variants:
            _refuse_another(engine, variant, platform)
        refs = [image_ref(variant, platform) for variant in variants]
        registry.push_all(engine, refs, progress, arch=platform.arch)
    return [_join(registry, variant, platforms) for variant in variants]


def refuse_unfit(manifest: Manifest, *, held_as: str | None) -> None:
    """Raise ``RegistryError`` unless it is what SageMaker and Lambda take.

    ``held_as`` is the media type of what the tag itself names: a list or an index, which engines
    also make to attach an attestation, is refused as much as an OCI manifest is.
    """
    name = f"{manifest.repository}:{manifest.tag}"
    if held_as in {DOCKER_LIST, OCI_INDEX}:
        what = f"{name} is an index of manifests ({held_as}), not an image of one platform."
    elif (held_as or manifest.media_type) != DOCKER_MANIFEST:
        what = f"The manifest of {name} is {held_as or manifest.media_type or 'of no stated type'}."
    elif manifest.config_media_type != DOCKER_CONFIG:
        what = f"The configuration of {name} is {manifest.config_media_type or 'of no type'}."
    else:
        strange = {one.media_type for one in manifest.layers} - {DOCKER_LAYER}
        if not strange:
            return
        what = f"A layer of {name} is {min(strange) or 'of no stated type'}."
    raise RegistryError(f"{what} SageMaker and Lambda take Docker schema 2 only.", remedy=_REMEDY)


def _refuse_another(engine: DockerEngine, variant: str, platform: Platform) -> None:
    """Refuse what is not built, and an image whose name tells another platform than it is for."""
    ref = image_ref(variant, platform)
    remedy = f"Build it: `lab images build {variant} --platform {platform}`."
    facts = find_image(engine, ref)
    if facts is None:
        raise ImageNotFoundError(f"{variant} is not built for {platform}.", remedy=remedy)
    if facts.platform is not platform:
        raise ImageNotFoundError(f"{ref} is an image for {facts.platform}.", remedy=remedy)


def _join(registry: Registry, variant: str, platforms: Sequence[Platform]) -> Published:
    repository, _ = place_of(image_ref(variant, platforms[0]))
    entries = {one.platform: one for one in registry.http.list_entries(repository, JOINED)}
    images = []
    for platform in Platform:
        pushed = platform in platforms
        if not pushed and platform not in entries:
            continue
        _, tag = place_of(image_ref(variant, platform))
        held_as = registry.http.media_type(repository, tag)
        if not pushed and held_as is None:
            del entries[platform]
            continue
        manifest = registry.manifest(repository, tag, arch=platform.arch)
        refuse_unfit(manifest, held_as=held_as)
        entries[platform] = _entry(registry, manifest, platform)
        images.append(
            PublishedImage(
                platform=platform,
                name=f"{repository}:{tag}",
                digest=manifest.digest,
                compressed_bytes=manifest.compressed_bytes,
                layers=len(manifest.layers),
                kept=not pushed,
            )
        )
    digest = registry.http.put_list(repository, JOINED, list(entries.values()))
    return Published(
        variant=variant, name=f"{repository}:{JOINED}", digest=digest, images=tuple(images)
    )


def _entry(registry: Registry, manifest: Manifest, platform: Platform) -> ListEntry:
    """Its part of the list. The platform is the one that the image itself states."""
    config = registry.http.config(manifest.repository, manifest.config_digest)
    states = f"{config.get('os')}/{config.get('architecture')}"
    if states != platform:
        raise RegistryError(
            f"{manifest.repository}:{manifest.tag} in the local registry is for {states}.",
            remedy=f"Build it again: `lab images build --platform {platform}`.",
        )
    return ListEntry(
        platform=platform,
        digest=manifest.digest,
        manifest_bytes=manifest.manifest_bytes,
        media_type=manifest.media_type,
        variant=config.get("variant") or None,
    )
