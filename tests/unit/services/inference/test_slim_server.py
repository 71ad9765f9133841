"""The slim server on real sockets: connections, time-outs and what hostile clients try."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app import backends, card, slim_server, tasks
from app.predictor import Predictor
from app.service import Service
from app.settings import Settings
from tests.docker.contract_client import PNG
from tests.timing import wait_until


@pytest.fixture
def service(model_dir: Path, ort_library: Path) -> Service:
    service = Service(Settings({"LAB_HTTP": "slim", "LAB_MAX_BODY_BYTES": "2000000"}))
    model = card.read(str(model_dir))
    backend = backends.module("onnx-capi").load(
        str(model_dir), model, threads=1, library=str(ort_library)
    )
    task = tasks.fit(tasks.task_class(model, str(model_dir)), model, service.settings)
    service.predictor = Predictor(backend, task)
    return service


@pytest.fixture
def server(service: Service) -> Iterator[slim_server.Server]:
    server = slim_server.Server(service, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    server.stop()
    thread.join(30)
    assert not thread.is_alive()


@contextmanager
def connected(server: slim_server.Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        yield sock


def receive(sock: socket.socket, until: bytes) -> bytes:
    data = b""
    while until not in data:
        part = sock.recv(65536)
        if not part:
            break
        data += part
    return data


def post(body: bytes = PNG, extra: str = "") -> bytes:
    return (
        f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n{extra}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_connection_serves_one_request_after_the_other(server: slim_server.Server) -> None:
    with connected(server) as sock:
        for _ in range(3):
            sock.sendall(post())
            answer = receive(sock, b'"tiny"}')
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"connection: keep-alive" in answer


def test_requests_sent_ahead_are_answered_in_order(server: slim_server.Server) -> None:
    with connected(server) as sock:
        sock.sendall(post() + PING + post(b"x") + PING.replace(b"/ping", b"/nope"))
        answers = receive(sock, b"no such route")
    statuses = [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"400", b"404"]


def test_a_request_in_single_bytes_is_still_a_request(server: slim_server.Server) -> None:
    with connected(server) as sock:
        for byte in PING:
            sock.sendall(bytes([byte]))
        assert receive(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_an_empty_line_before_a_request_is_overlooked(server: slim_server.Server) -> None:
    with connected(server) as sock:
        sock.sendall(b"\r\n\r\n" + PING)
        assert receive(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_close_is_obeyed(server: slim_server.Server) -> None:
    with connected(server) as sock:
        sock.sendall(PING.replace(b"Host: x", b"Connection: close"))
        answer = receive(sock, b"never")
    assert b"connection: close" in answer


def test_http_1_0_is_answered_and_closed(server: slim_server.Server) -> None:
    with connected(server) as sock:
        sock.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        assert receive(sock, b"never").startswith(b"HTTP/1.1 200")


def test_head_has_the_length_but_no_body(server: slim_server.Server) -> None:
    with connected(server) as sock:
        sock.sendall(PING.replace(b"GET /ping", b"HEAD /execution-parameters") + PING)
        first, second = receive(sock, b"content-length: 0").split(b"HTTP/1.1 ")[1:]
    assert b"content-length: 0" not in first
    assert first.endswith(b"\r\n\r\n")
    assert second.startswith(b"200")


def test_a_head_that_never_ends_gets_431(server: slim_server.Server) -> None:
    with connected(server) as sock:
        sock.sendall(b"GET /ping HTTP/1.1\r\nX: " + b"a" * 40_000)
        assert receive(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 431")


def test_what_is_no_text_is_refused_at_once(server: slim_server.Server) -> None:
    with connected(server) as sock:
        sock.sendall(b"\x16\x03\x01")  # TLS, without any line's end
        assert receive(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_client_that_waits_for_continue_is_refused_without_its_body(
    server: slim_server.Server,
) -> None:
    with connected(server) as sock:
        head, _, _ = post(extra="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        sock.sendall(head.replace(b"image/png", b"text/csv_") + b"\r\n\r\n")
        assert receive(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 415")


def test_a_client_too_slow_for_its_head_or_body_gets_408(
    server: slim_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim_server, "_HEAD_S", 0.2)
    monkeypatch.setattr(slim_server, "_STALL_S", 0.2)
    with connected(server) as no_head, connected(server) as no_body:
        no_head.sendall(b"GET /pi")
        no_body.sendall(post()[:-1000])
        assert receive(no_head, b"\r\n\r\n").startswith(b"HTTP/1.1 408")
        assert receive(no_body, b"\r\n\r\n").startswith(b"HTTP/1.1 408")


def test_an_idle_connection_is_closed(
    server: slim_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim_server, "_IDLE_S", 0.2)
    with connected(server) as sock:
        sock.sendall(PING)
        receive(sock, b"\r\n\r\n")
        assert sock.recv(10) == b""


def test_an_answer_that_nobody_reads_is_given_up(
    server: slim_server.Server, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience_s = slim_server._STALL_S
    monkeypatch.setattr(slim_server, "_STALL_S", 0.2)
    monkeypatch.setattr(service.metrics, "page", lambda: ("text/plain", bytes(50_000_000)))
    with connected(server) as sock:
        sock.sendall(PING.replace(b"/ping", b"/metrics"))
        assert sock.recv(1) == b"H"
        begun = time.monotonic()
        wait_until(lambda: not server._connections)
        assert time.monotonic() - begun < patience_s, "after the time set above"


def test_many_connections_do_not_shut_out_the_next(
    server: slim_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim_server, "_MAX_CONNECTIONS", 20)
    crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    try:
        with connected(server) as sock:
            sock.sendall(PING)
            assert receive(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert len(server._connections) <= 20
    finally:
        for sock in crowd:
            sock.close()


def test_a_full_house_gets_503_and_is_told_to_come_again(
    server: slim_server.Server, service: Service
) -> None:
    assert service.gate.enter(service.settings.max_waiting_bytes)
    with connected(server) as sock:
        sock.sendall(post())
        answer = receive(sock, b"try again")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer
        service.gate.leave(service.settings.max_waiting_bytes)
        sock.sendall(post())
        assert receive(sock, b'"tiny"}').startswith(b"HTTP/1.1 200")


def test_before_the_model_is_loaded_everything_waits_politely(
    server: slim_server.Server, service: Service
) -> None:
    service.predictor = None
    for request in (PING, post(), PING.replace(b"/ping", b"/startup")):
        with connected(server) as sock:
            sock.sendall(request)
            assert receive(sock, b"}").startswith(b"HTTP/1.1 503")


def test_the_gate_is_left_whatever_becomes_of_a_request(
    server: slim_server.Server, service: Service
) -> None:
    free = service.settings.max_waiting_bytes
    with connected(server) as sock:
        sock.sendall(post()[:-10])  # goes away in the middle of its body
    with connected(server) as sock:
        sock.sendall(post())  # goes away before its answer
    with connected(server) as sock:
        head = b"POST /invocations HTTP/1.1\r\nContent-Type: image/png\r\n"
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        assert receive(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    begun = time.monotonic()
    wait_until(lambda: service.gate.enter(free))
    assert time.monotonic() - begun < slim_server._STALL_S, "it is not the time-out that lets go"
