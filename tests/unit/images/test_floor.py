import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from lab.paths import SERVICES
from tests.timing import wait_until

Floor = tuple[subprocess.Popen[bytes], str]


@contextmanager
def running(*command: str) -> Iterator[Floor]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "SAGEMAKER_BIND_TO_PORT": str(port), "LAB_BIND_HOST": "127.0.0.1"}
    with subprocess.Popen(command, env=env) as child:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: httpx.get(f"{address}/ping"), despite=httpx.TransportError)
        yield child, address
        child.kill()


@pytest.fixture
def floor() -> Iterator[Floor]:
    with running(sys.executable, "-S", str(SERVICES / "floor" / "floor.py"), "serve") as started:
        yield started


@pytest.fixture
def compiled_floor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Floor]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: the floor's image is tried by the docker tests only")
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", *getattr(request, "param", ())]
    program = str(tmp_path / "serve")
    source = str(SERVICES / "floor" / "floor.c")
    subprocess.run([compiler, *flags, "-o", program, source], check=True)
    with running(program) as started:
        yield started


@pytest.mark.parametrize("which", ["floor", "compiled_floor"])
def test_the_floor_without_containers_answers_as_the_image_does(
    request: pytest.FixtureRequest, which: str
) -> None:
    child, url = request.getfixturevalue(which)
    with httpx.Client(base_url=url, trust_env=False) as client:
        ping = client.get("/ping")
        assert (ping.status_code, ping.content) == (200, b"")
        for size in (0, 10, 3_000_000):
            assert client.post("/invocations", content=b"x" * size).json() == {"floor": True}
        assert client.get("/startup").status_code == 404
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 0


def test_what_was_sent_before_sigterm_is_answered_even_when_it_was_not_read_yet(
    compiled_floor: Floor,
) -> None:
    child, url = compiled_floor
    request = b"POST /invocations HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"
    place = ("127.0.0.1", int(url.rpartition(":")[2]))
    child.send_signal(signal.SIGSTOP)  # so that connections and requests pile up
    with ExitStack() as open_sockets:
        clients = [open_sockets.enter_context(socket.create_connection(place)) for _ in range(20)]
        for client in clients:
            client.sendall(request + b"x" * 50_000)
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGCONT)
        for client in clients:
            client.sendall(b"x" * 50_000)
        for client in clients:
            answer = client.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert answer.endswith(b'{"floor":true}')
    assert child.wait() == 0


@pytest.mark.parametrize("compiled_floor", [["-DLAST_ROUNDS=5"]], indirect=True)
def test_a_client_that_never_ends_its_request_does_not_keep_the_floor(
    compiled_floor: Floor,
) -> None:
    child, url = compiled_floor
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\nContent-Le")
        child.send_signal(signal.SIGTERM)
        assert child.wait() == 0
