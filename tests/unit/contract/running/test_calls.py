"""One call against a server that says exactly what is written here."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.contract.running import calls
from lab.contract.running.payloads import CANDIDATES, png
from lab.contract.running.procfs import listening
from lab.engine.api import ContainerSpec
from lab.wire import connect
from tests.unit.engine.fake import Behaviour, FakeContainer, FakeEngine


@contextmanager
def server(talk: Callable[[socket.socket], object]) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        thread.join(5)


def test_an_answer_comes_with_its_times() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with server(talk) as address:
        made = calls.call(address, calls.post(b"{}", "application/json"))
    assert (made.status, made.body, made.good, made.error) == (200, b"ok", True, "")
    assert made.connect_s is not None
    assert made.sent_at is not None
    assert made.sent_at <= made.ended_at


linux = pytest.mark.skipif(
    not hasattr(socket, "TCP_INFO"), reason="this kernel does not tell how long a handshake took"
)


@linux
def test_a_client_that_did_not_get_to_run_is_not_held_against_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(address: tuple[str, int], *, timeout_s: float) -> socket.socket:
        connection = connect(address, timeout_s=timeout_s)
        time.sleep(0.4)
        return connection

    monkeypatch.setattr(calls, "connect", late)
    with server(lambda connection: connection.recv(65536)) as address:
        made = calls.call(address, calls.get("/ping"))
    assert made.seconds > 0.4
    assert made.connect_s is not None
    assert made.connect_s < 0.2


def test_a_server_that_lets_connections_wait_is_seen_to() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):  # the one that the queue has room for
            accepted: list[socket.socket] = []

            def accept() -> None:
                accepted.extend(listener.accept()[0] for _ in range(2))
                accepted[1].close()

            soon = threading.Timer(0.3, accept)
            soon.start()
            made = calls.call(address, calls.get("/ping"), timeout_s=30)
            soon.join()
        accepted[0].close()
    assert made.connect_s is not None
    assert made.connect_s >= 0.3


def test_a_refusal_that_comes_before_the_body_is_sent_is_heard() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        while connection.recv(65536):
            pass

    with server(talk) as address:
        made = calls.call(address, calls.post(b"0" * 30_000_000, "application/json"))
    assert made.status == 413


def test_a_refusal_is_heard_though_the_server_hangs_up_on_the_rest_of_the_body() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    body = calls.post(b"0" * 3_000_000, "application/json")
    for _ in range(20):
        with server(talk) as address:  # it leaves the body unread, which resets the connection
            assert calls.call(address, body).status == 413


def test_a_connection_closed_without_an_answer_is_a_result() -> None:
    with server(lambda connection: connection.recv(65536)) as address:
        made = calls.call(address, calls.get("/ping"))
    assert made.status is None
    assert made.error == "the server closed the connection"
    assert made.words.startswith("no answer after")


def test_nobody_listening_is_a_result() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    made = calls.call(address, calls.get("/ping"))
    assert (made.status, made.connect_s, made.error) == (
        None,
        None,
        "connecting: connection refused",
    )


def test_silence_is_a_result() -> None:
    done = threading.Event()

    with server(lambda _: done.wait(5)) as address:
        made = calls.call(address, calls.get("/ping"), timeout_s=0.1)
        done.set()
    assert (made.status, made.error) == (None, "timed out")


def test_a_head_request_does_not_wait_for_a_body() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")

    with server(talk) as address:
        assert calls.call(address, calls.get("/ping", method="HEAD"), timeout_s=5).status == 200


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 0 1
   1: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 0 1
   2: 0B00007F:9F31 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 0 1
   3: 0100007F:A000 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0 0 1
   4: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 0 1
"""


def test_the_kernel_s_table_tells_the_ports_and_which_are_only_for_the_container(
    tmp_path: Path,
) -> None:
    of: Any = FakeContainer(
        id="c1", spec=ContainerSpec(image="x"), does=Behaviour(), engine=FakeEngine()
    )
    assert listening(of, proc=tmp_path) is None
    process = tmp_path / "100"
    (process / "net").mkdir(parents=True)
    (process / "cgroup").write_text("0::/docker/c1")
    assert listening(of, proc=tmp_path) == []
    (process / "net" / "tcp").write_text(TABLE)
    assert [str(one) for one in listening(of, proc=tmp_path) or ()] == ["127.0.0.1:5000", "8080"]


def test_the_lab_s_own_payloads_have_a_type_each() -> None:
    assert all(body and "/" in kind for body, kind in CANDIDATES)
    assert png(8).startswith(b"\x89PNG")
