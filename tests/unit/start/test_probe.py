import socket
import threading
import time

import pytest

from lab.start.probe import Probes, probe
from tests.ports import free_port
from tests.unit.start.servers import ready_after, serving


def ask(address: tuple[str, int], *, give_up_s: float = 2.0, interval_s: float = 0.01) -> Probes:
    return probe(
        address,
        interval_s=interval_s,
        give_up_at=time.monotonic() + give_up_s,
        gone=lambda: False,
    )


def test_ready_is_seen_within_the_interval() -> None:
    with serving(ready_after(0.2)) as address:
        began = time.time_ns()
        seen = ask(address)
    assert seen.ready_ns is not None
    assert seen.accepting_ns is not None
    assert seen.last_status == 200
    assert 0.2 <= (seen.ready_ns - began) / 1e9 < 0.35
    assert seen.accepting_ns < seen.ready_ns
    assert seen.count >= 8
    assert 0 < seen.late_s <= seen.longest_gap_s


def test_nobody_there_is_said_so() -> None:
    began = time.monotonic()
    seen = ask(("127.0.0.1", free_port()), give_up_s=0.1)
    assert seen.ready_ns is None
    assert seen.accepting_ns is None
    assert "nothing listens on its port" in seen.seen()
    assert "refused" in seen.seen()
    assert 0.1 <= time.monotonic() - began < 0.4
    assert seen.count >= 4


def test_a_server_that_never_gets_ready_is_quoted() -> None:
    with serving(lambda *_: (500, b"no model")) as address:
        seen = ask(address, give_up_s=0.1)
    assert (seen.ready_ns, seen.last_status) == (None, 500)
    assert seen.seen() == "/ping last answered 500"
    assert seen.accepting_ns is not None


def test_a_forwarder_that_hangs_up_is_not_yet_accepting() -> None:
    with serving(lambda *_: None) as address:
        seen = ask(address, give_up_s=0.1)
    assert seen.accepting_ns is None


def test_a_server_that_accepts_and_is_silent_is_accepting() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        seen = ask(silent.getsockname(), give_up_s=0.1)
    assert seen.accepting_ns is not None
    assert seen.seen().startswith("it accepts connections, but /ping did not answer")
    assert seen.count == 1


def test_what_is_not_http_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def speak() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
                connection.recv(1000)

        speaker = threading.Thread(target=speak)
        speaker.start()
        seen = ask(other.getsockname(), give_up_s=0.01)
        speaker.join()
    assert seen.ready_ns is None
    assert "not HTTP" in seen.last_error


def test_a_container_that_is_gone_is_not_asked_again() -> None:
    gone = iter([False, False, True])
    seen = probe(
        ("127.0.0.1", free_port()),
        interval_s=0.001,
        give_up_at=time.monotonic() + 5,
        gone=lambda: next(gone),
    )
    assert seen.count == 2


@pytest.mark.parametrize("interval_s", [0.005, 0.02])
def test_probes_keep_their_interval(interval_s: float) -> None:
    seen = ask(("127.0.0.1", free_port()), give_up_s=0.2, interval_s=interval_s)
    assert seen.count <= 0.2 / interval_s + 2
