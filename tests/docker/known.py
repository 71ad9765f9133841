"""Images whose behaviour is known, made of a server on the base; and a Prometheus of one's own."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from docker.errors import ImageNotFound

from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.progress import Silent
from lab.spec import LABEL, LABEL_OWNER, LABEL_ROLE
from tests.ports import free_port

SERVER = Path(__file__).parent / "images" / "server.py"
REPOSITORY = "inference-lab-test"


def make(
    engine: DockerEngine,
    base: str,
    name: str,
    env: Mapping[str, str] | None = None,
    *,
    server: Path = SERVER,
) -> str:
    """Commit an image that runs the server with ``env``; its name. Takes a third of a second."""
    client = engine.client
    container = client.create_container(base, command=["true"])["Id"]
    try:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(server, "server.py")
        client.put_archive(container, "/", packed.getvalue())
        client.commit(
            container,
            repository=f"{REPOSITORY}/{name}",
            tag="latest",
            changes=[
                f"ENTRYPOINT {json.dumps(['python3', '/server.py'])}",
                f"LABEL {LABEL}=true",
                *(f"ENV {key}={value}" for key, value in (env or {}).items()),
            ],
        )
    finally:
        client.remove_container(container, force=True)
    return f"{REPOSITORY}/{name}:latest"


def remove(engine: DockerEngine, ref: str) -> None:
    """Forget the image, by all its names: endpoints may hold it by one of their own."""
    for name in engine.client.inspect_image(ref)["RepoTags"]:
        with suppress(ImageNotFound):  # whoever deployed it lets go of it meanwhile
            engine.client.remove_image(name, force=True)


@contextmanager
def registry(engine: DockerEngine, image: str, *, name: str) -> Iterator[Registry]:
    """A registry of a test's own; its container and its volume are gone at the end."""
    found = Registry.ensure(engine, image, Silent(), name=name)
    try:
        yield found
    finally:
        found.close()
        for container in engine.containers({}):
            if container.name == name:
                container.remove()
        engine.client.remove_volume(name)


@contextmanager
def prometheus(
    engine: DockerEngine, image: str, config: Path, *, owner: str, port: int | None = None
) -> Iterator[str]:
    """A Prometheus on this machine's network; its URL. ``config`` holds ``prometheus.yml``."""
    config.chmod(0o755)
    port = port or free_port()
    container = engine.create(
        ContainerSpec(
            image=image,
            command=[
                "--config.file=/config/prometheus.yml",
                "--storage.tsdb.path=/tmp/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            labels={LABEL_ROLE: "prometheus", LABEL_OWNER: owner},
            mounts=[Mount(source=str(config), target="/config")],
            network="host",
        )
    )
    try:
        container.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        container.remove()
