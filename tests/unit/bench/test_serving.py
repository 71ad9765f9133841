"""The serve bench with scripted arms: exact numbers through rounds and ratios."""

import socket
import threading
from collections.abc import Iterator

import pytest

from lab.bench.serving import ServeBenchOptions, ServingArm, measure, summarise
from lab.errors import ContainerFailedError
from lab.load.clients import Block, LoadTarget, run_block

BLOCKS = {
    ServingArm.HTTP_SERIAL: Block(latencies_s=(0.010, 0.012, 0.090), requests_per_s=80),
    ServingArm.INPROCESS_SERIAL: Block(latencies_s=(0.011, 0.009, 0.011), requests_per_s=95),
    ServingArm.HTTP_CONCURRENT: Block(latencies_s=(0.05,), requests_per_s=120),
    ServingArm.INPROCESS_CONCURRENT: Block(latencies_s=(0.05,), requests_per_s=125),
}


def test_a_round_compares_the_medians_of_its_own_blocks() -> None:
    options = ServeBenchOptions(rounds=1, requests=3, clients=8, seed=1)
    (only,) = measure(BLOCKS.__getitem__, options, lambda _: None)
    assert only.overhead_s == pytest.approx(0.001)
    assert only.throughput_ratio == pytest.approx(0.96)


def test_the_first_round_is_warm_up_and_thrown_away() -> None:
    ran: list[ServingArm] = []

    def run_arm(arm: ServingArm) -> Block:
        ran.append(arm)
        return BLOCKS[arm]

    rounds = measure(
        run_arm, ServeBenchOptions(rounds=3, requests=3, clients=8, seed=1), lambda _: None
    )
    assert len(rounds) == 3
    assert len(ran) == 4 * len(ServingArm)


def test_every_round_runs_every_arm_in_an_order_that_the_seed_decides() -> None:
    def order(seed: int) -> list[ServingArm]:
        ran: list[ServingArm] = []

        def run_arm(arm: ServingArm) -> Block:
            ran.append(arm)
            return BLOCKS[arm]

        measure(
            run_arm, ServeBenchOptions(rounds=5, requests=3, clients=8, seed=seed), lambda _: None
        )
        return ran

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    assert all(set(first[at : at + 4]) == set(ServingArm) for at in range(0, len(first), 4))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Answers every request of every connection: 200 to ``good``, else 400."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    stop = threading.Event()
    threads = []

    def talk(peer: socket.socket) -> None:
        with peer:
            while data := peer.recv(65536):
                good = data.endswith(b"good")
                peer.sendall(
                    b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nok"
                    % (b"200 OK" if good else b"400 Bad Request")
                )

    def accept() -> None:
        while not stop.is_set():
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                continue
            peer.settimeout(5)
            threads.append(threading.Thread(target=talk, args=(peer,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    yield listener
    stop.set()
    acceptor.join()
    for thread in threads:
        thread.join()
    listener.close()


def test_requests_are_shared_among_the_clients_and_all_are_counted(server: socket.socket) -> None:
    target = LoadTarget(address=server.getsockname(), payload=b"good", content_type="text/plain")
    block = run_block(target, requests=21, clients=4)
    assert len(block.latencies_s) == 21
    assert block.requests_per_s > 0
    assert block.answer_bytes == len(b"ok")


def test_an_invocation_that_is_refused_ends_the_block_with_the_answer(
    server: socket.socket,
) -> None:
    target = LoadTarget(address=server.getsockname(), payload=b"bad", content_type="text/plain")
    with pytest.raises(ContainerFailedError, match="answered 400: ok"):
        run_block(target, requests=8, clients=4)


def test_a_server_that_is_not_there_is_an_error_and_does_not_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    with pytest.raises(ContainerFailedError, match="invocation failed"):
        run_block(LoadTarget(address=address, payload=b"", content_type="x"), requests=4, clients=2)


def test_what_was_emulated_is_held_against_no_promise() -> None:
    options = ServeBenchOptions(rounds=2, requests=3, clients=8, seed=1)
    rounds = measure(BLOCKS.__getitem__, options, lambda _: None)
    native, emulated = summarise(rounds), summarise(rounds, emulated=True)
    assert (native.overhead_reached, native.throughput_reached) == (True, True)
    assert (emulated.overhead_reached, emulated.throughput_reached) == (None, None)
