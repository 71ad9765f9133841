"""Images whose start-up is known, or fails in a known way: ``images/server.py`` on the base."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from lab.engine.docker import DockerEngine
from lab.spec import LABEL

SERVER = Path(__file__).parent / "images" / "server.py"
REPOSITORY = "inference-lab-test"


def make(engine: DockerEngine, base: str, name: str, env: Mapping[str, str] | None = None) -> str:
    """Commit an image that runs the server with ``env``; its name. Takes a third of a second."""
    client = engine.client
    container = client.create_container(base, command=["true"])["Id"]
    try:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(SERVER, "server.py")
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
    """Forget the image."""
    engine.client.remove_image(ref, force=True)
