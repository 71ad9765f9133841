"""Remove what carries the lab's label from an engine, and nothing else."""

from dataclasses import dataclass

from lab.engine.docker import DockerEngine
from lab.engine.foreign import translated
from lab.spec import LABEL

_OURS = {"label": [f"{LABEL}=true"]}


@dataclass(frozen=True, kw_only=True)
class Removed:
    """How many of each kind are gone."""

    containers: int
    images: int
    networks: int
    volumes: int


def remove_all(engine: DockerEngine, *, images: bool = True) -> Removed:
    """Remove the lab's containers, networks and volumes, and its images unless they shall stay.

    Build caches stay: they carry no label, so they cannot be told from the user's own.
    """
    containers = engine.containers({})
    for container in containers:
        container.remove()
    client = engine.client
    with translated():
        unwanted = client.images(filters=_OURS) if images else []
        for image in unwanted:
            client.remove_image(image["Id"], force=True)
        networks = client.networks(filters=_OURS)
        for network in networks:
            client.remove_network(network["Id"])
        volumes = client.volumes(filters=_OURS)["Volumes"] or []
        for volume in volumes:
            client.remove_volume(volume["Name"])
    return Removed(
        containers=len(containers),
        images=len(unwanted),
        networks=len(networks),
        volumes=len(volumes),
    )
