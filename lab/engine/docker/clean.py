"""Remove what the lab made from an engine, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from docker.errors import NotFound

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.docker.held import HELD
from lab.engine.docker.owned import remove_owned
from lab.errors import EngineError
from lab.spec import LABEL

_NO_NAME: Final = "<none>:<none>"
_PATIENCE_S: Final = 30.0
_OURS: Final = {"label": [f"{LABEL}=true"]}


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What was removed, and what was not, in words."""

    containers: int
    images: int
    networks: int
    volumes: int
    kept: Sequence[str]


def remove_all(engine: DockerEngine, names: Callable[[str], bool]) -> Removed:
    """Remove the lab's containers, networks, volumes and images.

    Images and containers have the labels of what they are built on and made from, so that a label
    alone proves nothing: ``names`` says which image names are the lab's, and only these go, never
    by force. What else bears the label stays, and is told. Build caches stay: they carry no label.
    """
    containers = len(engine.containers({}))
    with translated():
        networks = engine.client.networks(filters=_OURS)
    kept = list(remove_owned(engine, {}, within_s=_PATIENCE_S))
    with translated():
        still = engine.client.networks(filters=_OURS)
        volumes = [one["Name"] for one in engine.client.volumes(filters=_OURS)["Volumes"] or []]
    kept_volumes = remove_stores(engine, networks=(), volumes=volumes)
    images, kept_images = _remove_images(engine, names)
    return Removed(
        containers=containers - len(engine.containers({})),
        images=images,
        networks=len(networks) - len(still),
        volumes=len(volumes) - len(kept_volumes),
        kept=[*kept, *kept_volumes, *kept_images],
    )


def _remove_images(engine: DockerEngine, names: Callable[[str], bool]) -> tuple[int, Sequence[str]]:
    """How many names were taken away, and what stays."""
    with translated():
        # What endpoints were deployed with may be anybody's; the name they hold it by is the lab's.
        found = [*engine.client.images(filters=_OURS), *engine.client.images(name=HELD)]
    images = {image["Id"]: image for image in found}.values()
    count, nameless = 0, 0
    kept = []
    for image in images:
        tags = [one for one in image.get("RepoTags") or () if one != _NO_NAME]
        nameless += not tags
        for tag in filter(names, tags):
            try:
                with translated():
                    # By its name: other names of the image stay, and so does it with them.
                    engine.client.remove_image(tag, noprune=True)
                count += 1
            except EngineError as error:
                kept.append(f"{tag} stays: {error.what}")
    if nameless:
        many = f"{nameless} images without a name stay"
        kept.append(
            f"{'An image without a name stays' if nameless == 1 else many}: whether the lab's or "
            "built on one of the lab's, cannot be told. See "
            f"`docker images --filter dangling=true --filter label={LABEL}=true`."
        )
    return count, kept


def remove_stores(
    engine: DockerEngine, *, networks: Sequence[str], volumes: Sequence[str]
) -> Sequence[str]:
    """Remove networks and volumes by name where they carry the lab's label.

    What something still uses stays; what the engine said of each is returned.
    """
    client = engine.client
    kinds = (
        (networks, client.inspect_network, client.remove_network),
        (volumes, client.inspect_volume, client.remove_volume),
    )
    kept = []
    for names, inspect, remove in kinds:
        for name in names:
            try:
                with translated():
                    try:
                        labels = inspect(name).get("Labels") or {}
                    except NotFound:
                        continue
                    if labels.get(LABEL) == "true":
                        remove(name)
            except EngineError as error:
                kept.append(f"{name} stays: {error.what}")
    return kept
