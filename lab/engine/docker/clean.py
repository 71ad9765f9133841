"""Remove what carries the lab's label from an engine, and nothing else."""

from collections.abc import Mapping, Sequence

from docker.errors import NotFound

from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.errors import EngineError
from lab.spec import LABEL

_OURS = {"label": [f"{LABEL}=true"]}


def remove_all(engine: DockerEngine) -> Mapping[str, int]:
    """Remove the lab's containers, images, networks and volumes; how many of each there were.

    Build caches stay: they carry no label, so they cannot be told from the user's own.
    """
    containers = engine.containers({})
    for container in containers:
        container.remove()
    client = engine.client
    with translated():
        images = client.images(filters=_OURS)
        for image in images:
            client.remove_image(image["Id"], force=True)
        networks = client.networks(filters=_OURS)
        for network in networks:
            client.remove_network(network["Id"])
        volumes = client.volumes(filters=_OURS)["Volumes"] or []
        for volume in volumes:
            client.remove_volume(volume["Name"])
    return {
        "containers": len(containers),
        "images": len(images),
        "networks": len(networks),
        "volumes": len(volumes),
    }


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
