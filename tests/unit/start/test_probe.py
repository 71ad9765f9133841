import itertools
import socket
import threading
import time

import pytest

from lab.start.probe import Probes, probe
from tests.ports import free_port
from tests.unit.start.servers import ready_after, serving


def ask(
    address: tuple[str, int],
    *,
    give_up_s: float = 60.0,
    interval_s: float = 0.01,
    times: int | None = None,
) -> Probes:
    going = iter(itertools.count() if times is None else range(times))
    return probe(
        address,
        interval_s=interval_s,
        give_up_at=time.monotonic() + give_up_s,
        gone=lambda: next(going, None) is None,
    )


def test_ready_is_seen_within_the_interval() -> None:
    began = time.time_ns()
    with serving(ready_after(0.2)) as address:
        seen = ask(address)
    assert seen.ready_ns is not None
    assert seen.accepting_ns is not None
    assert seen.last_status == 200
    assert (seen.ready_ns - began) / 1e9 >= 0.2
    assert seen.accepting_ns < seen.ready_ns
    assert seen.count >= 2
    assert seen.late_s > 0


def test_nobody_there_is_said_so() -> None:
    began = time.monotonic()
    seen = ask(("127.0.0.1", free_port()), give_up_s=0.5)
    assert seen.ready_ns is None
    assert seen.accepting_ns is None
    assert "nothing listens on its port" in seen.last_answer
    assert "refused" in seen.last_answer
    assert time.monotonic() - began >= 0.5
    assert seen.count >= 2


def test_packets_that_are_lost_are_sent_again_soon_and_the_time_is_owned_up_to() -> None:
    room_ns = []

    def answer(full: socket.socket, waiting: socket.socket) -> None:
        time.sleep(0.4)
        room_ns.append(time.time_ns())
        first, _ = full.accept()
        waiting.close()
        first.close()
        asked, _ = full.accept()
        with asked:
            asked.recv(4096)
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # room for one that waits: the packets of others are dropped
        waiting.connect(full.getsockname())
        answering = threading.Thread(target=answer, args=(full, waiting))
        answering.start()
        seen = ask(full.getsockname(), give_up_s=60)
        answering.join()
    assert seen.accepting_ns is not None
    assert seen.ready_ns is not None
    assert (seen.accepting_ns - room_ns[0]) / 1e9 <= seen.late_s + 0.001


def test_a_server_that_never_gets_ready_is_quoted() -> None:
    with serving(lambda *_: (500, b"no model")) as address:
        seen = ask(address, times=2)
    assert (seen.ready_ns, seen.last_status) == (None, 500)
    assert seen.last_answer == "/ping last answered 500"
    assert seen.accepting_ns is not None


def test_a_forwarder_that_hangs_up_is_not_yet_accepting() -> None:
    with serving(lambda *_: None) as address:
        seen = ask(address, times=2)
    assert seen.accepting_ns is None


def test_a_server_that_accepts_and_is_silent_is_accepting() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        seen = ask(silent.getsockname(), give_up_s=0.5)
    assert seen.accepting_ns is not None
    assert seen.last_answer.startswith("it accepts connections, but /ping did not answer")
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
        seen = ask(other.getsockname(), times=1)
        speaker.join()
    assert seen.ready_ns is None
    assert "not HTTP" in seen.last_error


def test_a_container_that_is_gone_is_not_asked_again() -> None:
    assert ask(("127.0.0.1", free_port()), times=2).count == 2


@pytest.mark.parametrize("interval_s", [0.005, 0.02])
def test_probes_keep_their_interval(interval_s: float) -> None:
    seen = ask(("127.0.0.1", free_port()), give_up_s=0.2, interval_s=interval_s)
    assert seen.count <= 0.2 / interval_s + 2
