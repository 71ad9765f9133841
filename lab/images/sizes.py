"""How large an image is: layer by layer, with the command that made each, and by what is in it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.engine.api import ContainerSpec, Engine
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.owned import of_this_process
from lab.engine.docker.tar import tar_of
from lab.engine.registry.local import Registry, place_of
from lab.errors import RegistryError
from lab.images.layers.credentials import redacted
from lab.images.variants import image_ref
from lab.spec import Platform

_RULES: Final = (
    # (what a path looks like, what it is counted as); the first that fits counts.
    (r".*/(?:PIL|pillow\.libs|[Pp]illow-[^/]*)/.*", "python: pillow"),
    (r".*/(?:site|dist)-packages/([A-Za-z0-9]\w*)(?:\.libs|-\d[^/]*-info)?[./].*", r"python: \1"),
    (r"usr/lib/python3[.\d]*/prometheus_client/.*", "python: prometheus_client"),
    (r"usr/lib/python3[.\d]*/.*", "Python's standard library"),
    (r"usr/bin/python3[.\d]*", "Python's interpreter"),
    (r"opt/program/.*", "the app"),
    (r"root/\.cache/pip/.*", "pip's cache"),
    (r"var/(?:cache/apt|lib/apt)/.*", "apt's lists and archives"),
    (r"usr/(?:lib/gcc|libexec/gcc|include)/.*", "the C compiler and its headers"),
    (r"usr/share/(\w+)/.*", r"/usr/share/\1"),
    (r"usr/lib/(?:.*/)?(lib[\w+-]+)\.so[.\d]*", r"\1"),
)
_COMPILED: Final = [(re.compile(pattern), name) for pattern, name in _RULES]
_DEPTH: Final = 3


@dataclass(frozen=True, kw_only=True)
class LayerSize:
    """A layer with the command that made it."""

    compressed_bytes: int | None
    unpacked_bytes: int
    created_by: str


@dataclass(frozen=True, kw_only=True)
class ImageSize:
    """An image; ``compressed_bytes`` None where no registry holds it."""

    variant: str
    platform: Platform
    ref: str
    digest: str | None
    compressed_bytes: int | None
    unpacked_bytes: int
    layers: Sequence[LayerSize] = ()


def image_record(
    engine: Engine,
    registry: Registry | None,
    variant: str,
    platform: Platform,
    *,
    ref: str | None = None,
) -> ImageSize:
    """An image's sizes; ``ref`` is for images that the lab did not build.

    Compressed sizes come from the manifest in the registry, which is what is downloaded. Without
    one, or when the registry holds another build, they are None. Raises ``ImageNotFoundError``.
    """
    name = ref or image_ref(variant, platform)
    facts = engine.image(name)
    steps: Sequence[dict[str, Any]] = ()
    if isinstance(engine, DockerEngine):
        with translated():
            history = engine.client.history(name)
            count = len(engine.client.inspect_image(name)["RootFS"].get("Layers") or ())
        steps = layer_steps(history, count)
    digest, compressed = _in_registry(registry, name, facts.image_id, platform)
    sizes: Sequence[int | None] = compressed or [None] * len(steps)
    if len(sizes) != len(steps):  # cannot be told apart: the total is still right
        sizes = [None] * len(steps)
    return ImageSize(
        variant=variant,
        platform=platform,
        ref=name,
        digest=digest or facts.digest,
        compressed_bytes=sum(compressed) if compressed else None,
        unpacked_bytes=facts.unpacked_bytes,
        layers=tuple(
            LayerSize(compressed_bytes=size, unpacked_bytes=step["Size"], created_by=_command(step))
            for size, step in zip(sizes, steps, strict=True)
        ),
    )


def layer_steps(history: Sequence[dict[str, Any]], count: int) -> Sequence[dict[str, Any]]:
    """Those ``count`` entries of an image's history that made a layer, oldest first.

    The engine does not say which did. What has a size did; of the others, commands that change
    files come before those that only set a property.
    """
    oldest_first = list(reversed(history))
    made = [entry for entry in oldest_first if entry["Size"] > 0]
    if len(made) < count:
        empty = [entry for entry in oldest_first if entry["Size"] == 0 and _changes_files(entry)]
        chosen = empty[: count - len(made)]
        made = [entry for entry in oldest_first if entry["Size"] > 0 or entry in chosen]
    return made


def _changes_files(entry: dict[str, Any]) -> bool:
    return _command(entry).startswith(("RUN ", "COPY ", "ADD ", "WORKDIR ", "/bin/sh -c "))


def _command(entry: dict[str, Any]) -> str:
    return quoted(str(entry.get("CreatedBy") or entry.get("Comment") or "")) or "imported"


def quoted(command: str) -> str:
    """A step of an image's history as it may be shown: nothing that might be a secret is left."""
    return one_line(redacted(command))


def one_line(command: str) -> str:
    """A step of an image's history on one line, as it stood in the Dockerfile."""
    command = " ".join(command.split()).removesuffix("# buildkit").strip()
    command = re.sub(r"^RUN (\|\d+ .*? )?/bin/sh -c ", "RUN ", command)
    return re.sub(r"^/bin/sh -c #\(nop\) +", "", command)


def _in_registry(
    registry: Registry | None, ref: str, image_id: str, platform: Platform
) -> tuple[str | None, Sequence[int]]:
    """The digest, and the compressed bytes of each layer, bottom first."""
    if registry is None:
        return None, ()
    repository, tag = place_of(ref)
    try:
        manifest = registry.manifest(repository, tag, arch=platform.arch)
    except RegistryError:
        return None, ()
    if not manifest.is_of(image_id):
        return None, ()
    return manifest.digest, [layer.compressed_bytes for layer in manifest.layers]


def contents(engine: DockerEngine, ref: str) -> Mapping[str, int]:
    """Bytes by what they belong to, the largest first. Exports the image: seconds for a large one.

    Files that a later layer replaced or removed are not in it. Raises ``ImageNotFoundError``.
    """
    engine.image(ref)
    counted: Counter[str] = Counter()
    made = engine.create(ContainerSpec(image=ref, labels=of_this_process()))
    try:
        with translated(), tar_of(engine.client.export(made.id)) as archive:
            for member in archive:
                if member.isfile() and member.size:
                    counted[belongs_to(member.name)] += member.size
    finally:
        made.remove()
    return dict(counted.most_common())


def belongs_to(path: str) -> str:
    """What a file is counted as: a Python package, a cache, a library, else its folder."""
    for pattern, name in _COMPILED:
        found = pattern.fullmatch(path)
        if found:
            return found.expand(name)
    parts = path.split("/")[:-1][:_DEPTH]
    return "/" + "/".join(parts)
