"""The local registry: what cold hosts pull images and model archives from.

Its content survives in a named volume. It is published on 127.0.0.1 only, where engines accept a
registry without TLS; cold hosts are told to accept it under its name on the lab's network.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from docker.utils import parse_repository_tag

from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.errors import translated
from lab.engine.interrupt import uninterrupted
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.manifests import Manifest
from lab.engine.registry.push import push_together
from lab.engine.registry.upload import can_send, send
from lab.errors import EngineError, RegistryError
from lab.progress import Progress
from lab.services import PROJECT
from lab.spec import LABEL_OWNER, LABEL_ROLE

NETWORK: Final = PROJECT
NAME: Final = f"{PROJECT}-registry"
INTERNAL: Final = f"{NAME}:5000"
_MODELS: Final = "inference-lab/models"
"""The repository whose blobs are model archives."""

_PORT: Final = 5000
_DATA: Final = "/var/lib/registry"
_LABELS: Final = {LABEL_ROLE: "registry", LABEL_OWNER: "registry"}
_READY_S: Final = 15.0
_POLL_S: Final = 0.02
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Registry:
    """A registry that answered when it was opened."""

    def __init__(self, container: DockerContainer, http: Distribution) -> None:
        self.container = container
        self.internal = f"{container.name}:{_PORT}"
        """As a container on the network sees it."""
        self.host = http.host
        """``127.0.0.1:PORT``, for pushes and from here."""
        self.http = http

    @classmethod
    def ensure(
        cls, engine: DockerEngine, image: str, progress: Progress, *, name: str = NAME
    ) -> "Registry":
        """Find the lab's registry or start it, and wait until it answers.

        It is made anew when ``image`` has changed; its content stays in the volume ``name``.
        Raises ``RegistryError`` when it does not answer within 15 s.
        """
        engine.ensure_network(NETWORK)
        ensure_volume(engine, name)
        with uninterrupted():
            container = _current(engine, image, name) or _make(engine, image, name, progress)
            if not container.state().running:
                container.start()
        return _answering(engine, container)

    def push(
        self, engine: DockerEngine, ref: str, progress: Progress, *, arch: str | None = None
    ) -> Manifest:
        """Push one image: see ``push_all``."""
        return self.push_all(engine, [ref], progress, arch=arch)[ref]

    def push_all(
        self,
        engine: DockerEngine,
        refs: Sequence[str],
        progress: Progress,
        *,
        arch: str | None = None,
    ) -> Mapping[str, Manifest]:
        """Push images of the engine's unless they are there already; their manifests.

        Layers that the registry has are not sent again. Together is quicker than one after the
        other. Raises ``ImageNotFoundError``, ``DiskFullError``, ``RegistryError``.
        """
        missing = [ref for ref in dict.fromkeys(refs) if not self._has(engine, ref, arch)]
        if missing:
            what = missing[0] if len(missing) == 1 else f"{len(missing)} images"
            with progress.step(f"Push {what} to the local registry") as step:
                places = {ref: place_of(ref) for ref in missing}
                if can_send(engine):
                    send(engine, self.http, places, step)
                else:
                    hosted = {ref: (f"{self.host}/{at}", tag) for ref, (at, tag) in places.items()}
                    push_together(engine, hosted, step)
        return {ref: self.manifest(*place_of(ref), arch=arch) for ref in refs}

    def _has(self, engine: DockerEngine, ref: str, arch: str | None) -> bool:
        image_id = engine.image(ref).image_id
        had = self.http.manifest(*place_of(ref), arch=arch)
        return had is not None and had.is_of(image_id)

    def manifest(self, repository: str, tag: str, *, arch: str | None = None) -> Manifest:
        """The manifest of an image that was pushed. Raises ``RegistryError`` if it was not."""
        found = self.http.manifest(repository, tag, arch=arch)
        if found is None:
            raise RegistryError(
                f"{repository}:{tag} is not in the local registry.",
                remedy="Run it again: images are pushed before the trials begin.",
            )
        return found

    def pull_ref(self, ref: str) -> str:
        """The name by which a cold host pulls what ``push(ref)`` pushed."""
        repository, tag = place_of(ref)
        return f"{self.internal}/{repository}:{tag}"

    def put_archive(self, path: Path) -> tuple[str, str]:
        """Upload a model archive unless it is there: where a cold host gets it, and its digest."""
        digest = self.http.put_blob(_MODELS, path)
        return f"http://{self.internal}/v2/{_MODELS}/blobs/{digest}", digest

    def close(self) -> None:
        """Let go of the connections; the registry stays."""
        self.http.close()


def place_of(ref: str) -> tuple[str, str]:
    """Repository and tag of an image in the local registry, whatever name the engine gives it.

    ``inference-lab/onnx:amd64`` stays; another registry's host becomes the first part of the
    repository; an image by digest or id gets a tag made of it.
    """
    if re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", ref):
        return "inference-lab/by-id", ref.removeprefix("sha256:")
    repository, tag = parse_repository_tag(ref)
    tag = (tag or "latest").replace(":", "-")
    # Upper case and a port are for hosts only; the rest is as strict as ours.
    repository = re.sub(r"[^a-z0-9._/-]+", "-", repository.lower())
    if not _TAG.fullmatch(tag):
        tag = hashlib.sha256(tag.encode()).hexdigest()[:16]
    return repository, tag


def ensure_volume(engine: DockerEngine, name: str = NAME) -> None:
    """Make the volume that holds the registry's content, labelled as the lab's, if it is absent."""
    engine.ensure_volume(name, _LABELS)


def make_way(engine: DockerEngine, owner: str) -> bool:
    """Remove the registry's container unless it carries the label ``owner``; its content stays.

    For Compose, which starts no container under a name that one of another's making has. Says
    whether one was removed.
    """
    removed = False
    for container in engine.containers(_LABELS):
        if container.name == NAME and owner not in container.labels:
            container.remove()
            removed = True
    return removed


def _current(engine: DockerEngine, image: str, name: str) -> DockerContainer | None:
    """The registry's container if it is of this image; one of an older image is removed."""
    wanted = engine.image(image).image_id
    for container in engine.containers(_LABELS):
        if container.name != name:
            continue
        with translated():
            seen = engine.client.inspect_container(container.id)
        if seen["Image"] == wanted:
            return container
        container.remove()
    return None


def _make(engine: DockerEngine, image: str, name: str, progress: Progress) -> DockerContainer:
    spec = ContainerSpec(
        image=image,
        name=name,
        command=(),
        labels=_LABELS,
        mounts=(Mount(source=name, target=_DATA, read_only=False),),
        port=_PORT,
        publish=0,
        network=NETWORK,
    )
    try:
        with progress.step("Start the local registry"):
            return engine.create(spec)
    except EngineError as error:
        # Another command may have made it a moment ago.
        made = _current(engine, image, name)
        if made is None:
            raise EngineError(
                f"The local registry cannot be made: {error.what}",
                remedy=f"If a container {name} is there that the lab did not make, "
                "rename or remove it.",
            ) from error
        return made


def _answering(engine: DockerEngine, container: DockerContainer) -> Registry:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        port = _published(engine, container)
        if port is None:
            break
        http = Distribution(f"127.0.0.1:{port}")
        if http.answers():
            return Registry(container, http)
        http.close()
        time.sleep(_POLL_S)
    raise RegistryError(
        f"The local registry does not answer.\n{container.logs(tail=8)}",
        remedy=f"See `docker logs {container.name}`; "
        f"`docker rm -f {container.name}` makes the next run start anew.",
    )


def _published(engine: DockerEngine, container: DockerContainer) -> int | None:
    with translated():
        ports = engine.client.port(container.id, _PORT)
    return int(ports[0]["HostPort"]) if ports else None
