"""The local registry: what cold hosts pull images and model archives from.

Its content survives in a named volume. It is published on 127.0.0.1 only, where engines accept a
registry without TLS; cold hosts are told to accept it under its name on the lab's network.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from docker.errors import NotFound
from docker.utils import parse_repository_tag

from lab.engine.api import ContainerSpec, Mount
from lab.engine.container import DockerContainer
from lab.engine.distribution import REMEDY, Distribution, Manifest
from lab.engine.docker import DockerEngine
from lab.engine.foreign import from_words, translated
from lab.engine.interrupt import uninterrupted
from lab.errors import EngineError, RegistryError
from lab.progress import Progress, Step
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE

NETWORK: Final = "inference-lab"
NAME: Final = "inference-lab-registry"
INTERNAL: Final = f"{NAME}:5000"
"""The registry as a container on the network sees it."""
MODELS: Final = "inference-lab/models"
"""The repository whose blobs are model archives."""

_PORT: Final = 5000
_DATA: Final = "/var/lib/registry"
_LABELS: Final = {LABEL_ROLE: "registry", LABEL_OWNER: "registry"}
_READY_S: Final = 15.0
_POLL_S: Final = 0.02
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Registry:
    """A registry that answered when it was opened."""

    internal: Final = INTERNAL

    def __init__(self, container: DockerContainer, http: Distribution) -> None:
        self.container = container
        self.host = http.host
        """``127.0.0.1:PORT``, for pushes and from here."""
        self._http = http

    @classmethod
    def ensure(cls, engine: DockerEngine, image: str, progress: Progress) -> "Registry":
        """Find the lab's registry or start it, and wait until it answers.

        It is made anew when ``image`` has changed; its content stays.
        Raises ``RegistryError`` when it does not answer within 15 s.
        """
        engine.ensure_network(NETWORK)
        _ensure_volume(engine)
        with uninterrupted():
            container = _current(engine, image) or _make(engine, image, progress)
            if not container.state().running:
                container.start()
        return _answering(engine, container)

    def push(
        self, engine: DockerEngine, ref: str, progress: Progress, *, arch: str | None = None
    ) -> Manifest:
        """Push an image of the engine's unless it is there already; its manifest.

        The engine compresses the layers (gzip), as it does when it pushes to ECR; layers that the
        registry has are not sent again. Raises ``ImageNotFoundError``, ``DiskFullError`` or
        ``RegistryError``.
        """
        repository, tag = place_of(ref)
        image_id = engine.image(ref).image_id
        had = self._http.manifest(repository, tag, arch=arch)
        # The id is the digest of the configuration, or of the manifest in newer engines.
        if had is not None and image_id in {had.config_digest, had.digest}:
            return had
        with progress.step(f"Push {ref} to the local registry") as step:
            _push(engine, ref, f"{self.host}/{repository}", tag, step)
        return self.manifest(repository, tag, arch=arch)

    def manifest(self, repository: str, tag: str, *, arch: str | None = None) -> Manifest:
        """The manifest of an image that was pushed. Raises ``RegistryError`` if it was not."""
        found = self._http.manifest(repository, tag, arch=arch)
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

    def put_blob(self, repository: str, path: Path) -> str:
        """Upload a file unless it is there; its digest, ``sha256:...``."""
        return self._http.put_blob(repository, path)

    def blob_url(self, repository: str, digest: str) -> str:
        """Where a cold host gets a blob."""
        return f"http://{self.internal}/v2/{repository}/blobs/{digest}"

    def close(self) -> None:
        """Let go of the connections; the registry stays."""
        self._http.close()


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


def _ensure_volume(engine: DockerEngine) -> None:
    with translated():
        try:
            engine.client.inspect_volume(NAME)
        except NotFound:
            engine.client.create_volume(NAME, labels={LABEL: "true", **_LABELS})


def _current(engine: DockerEngine, image: str) -> DockerContainer | None:
    """The registry's container if it is of this image; one of an older image is removed."""
    wanted = engine.image(image).image_id
    for container in engine.containers(_LABELS):
        if container.name != NAME:
            continue
        with translated():
            seen = engine.client.inspect_container(container.id)
        if seen["Image"] == wanted:
            return container
        container.remove()
    return None


def _make(engine: DockerEngine, image: str, progress: Progress) -> DockerContainer:
    spec = ContainerSpec(
        image=image,
        name=NAME,
        command=(),
        labels=_LABELS,
        mounts=(Mount(source=NAME, target=_DATA, read_only=False),),
        port=_PORT,
        publish=0,
        network=NETWORK,
    )
    try:
        with progress.step("Start the local registry"):
            return engine.create(spec)
    except EngineError as error:
        # Another command may have made it a moment ago.
        made = _current(engine, image)
        if made is None:
            raise EngineError(
                f"The local registry cannot be made: {error.what}",
                remedy=f"If a container {NAME} is there that the lab did not make, rename or remove it.",
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
        remedy=f"See `docker logs {NAME}`; `docker rm -f {NAME}` makes the next run start anew.",
    )


def _published(engine: DockerEngine, container: DockerContainer) -> int | None:
    with translated():
        ports = engine.client.port(container.id, _PORT)
    return int(ports[0]["HostPort"]) if ports else None


def _push(engine: DockerEngine, ref: str, repository: str, tag: str, step: Step) -> None:
    with translated(), _tagged(engine, ref, repository, tag):
        # No password is needed, so none is looked for in the user's settings.
        lines = engine.client.push(
            repository, tag=tag, stream=True, decode=True, auth_config={"username": ""}
        )
        sizes: dict[str, tuple[int, int]] = {}
        for line in lines:
            if "error" in line:
                what = f"{ref} cannot be pushed: {line['error']}"
                raise from_words(what) or RegistryError(what, remedy=REMEDY)
            _show(line, sizes, step)


def _show(line: Mapping[str, Any], sizes: dict[str, tuple[int, int]], step: Step) -> None:
    detail = line.get("progressDetail") or {}
    if "id" in line and "current" in detail:
        current = int(detail["current"])
        sizes[line["id"]] = (current, max(current, int(detail.get("total") or 0)))
        step.advance(
            sum(done for done, _ in sizes.values()), sum(all_ for _, all_ in sizes.values())
        )


@contextmanager
def _tagged(engine: DockerEngine, ref: str, repository: str, tag: str) -> Iterator[None]:
    """A second name for the image, for the time of the push: engines push by name."""
    ours = f"{repository}:{tag}"
    engine.client.tag(ref, repository, tag=tag)
    try:
        yield
    finally:
        with uninterrupted():
            names = engine.client.inspect_image(ours)["RepoTags"]
            # Taking away an image's only name would remove the image.
            if set(names) != {ours}:
                engine.client.remove_image(ours, noprune=True)
