import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from lab.paths import SERVICES
from tests.timing import wait_until


@pytest.fixture
def floor() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-S", str(SERVICES / "floor" / "floor.py"), "serve"]
    env = {**os.environ, "SAGEMAKER_BIND_TO_PORT": str(port), "LAB_BIND_HOST": "127.0.0.1"}
    with subprocess.Popen(command, env=env) as child:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: httpx.get(f"{address}/ping"), despite=httpx.TransportError)
        yield child, address
        child.kill()


def test_the_floor_without_containers_answers_as_the_image_does(
    floor: tuple[subprocess.Popen[bytes], str],
) -> None:
    child, url = floor
    with httpx.Client(base_url=url, trust_env=False) as client:
        ping = client.get("/ping")
        assert (ping.status_code, ping.content) == (200, b"")
        for size in (0, 10, 3_000_000):
            assert client.post("/invocations", content=b"x" * size).json() == {"floor": True}
        assert client.get("/startup").status_code == 404
    child.send_signal(signal.SIGTERM)
    assert child.wait(5) == 0
