"""An emulator per module, on the real engine, with a model container that obeys its requests."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from lab.engine.docker import DockerEngine
from lab.images.base import ensure_base
from lab.progress import Progress
from lab.spec import LABEL, Platform
from tests.docker.endpoint.site import BUCKET, Emulator, Site

_SERVER = Path(__file__).parent / "model_server.py"
_REF = "inference-lab-test/obedient:latest"


@pytest.fixture(scope="session")
def obedient(engine: DockerEngine, platform: Platform, progress: Progress) -> Iterator[str]:
    """An image that runs ``model_server.py``."""
    client = engine.client
    base = ensure_base(platform, engine, progress).ref
    container = client.create_container(base, command=["true"])["Id"]
    try:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(_SERVER, "server.py")
        client.put_archive(container, "/", packed.getvalue())
        client.commit(
            container,
            repository=_REF.partition(":")[0],
            tag="latest",
            changes=[
                f"ENTRYPOINT {json.dumps(['python3', '-u', '/server.py'])}",
                f"LABEL {LABEL}=true",
            ],
        )
    finally:
        client.remove_container(container, force=True)
    yield _REF
    client.remove_image(_REF, force=True)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """moto's server, as in the stack."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def emulator(
    engine: DockerEngine, s3_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    one = Emulator(
        state=tmp_path_factory.mktemp("emulator") / "state", engine=engine.address, s3=s3_url
    )
    one.client("s3").create_bucket(Bucket=BUCKET)
    one.start()
    yield one
    assert one.stop() == 0, one.log.read_text()


@pytest.fixture(scope="module")
def site(emulator: Emulator, obedient: str) -> Site:
    return Site(emulator, obedient)
