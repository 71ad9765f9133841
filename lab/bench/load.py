"""Requests to a warm server: one client in series, or several at once without a pause."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass

from lab import wire
from lab.errors import ContainerFailedError

TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Block:
    """What one block of requests took."""

    latencies_s: tuple[float, ...]
    requests_per_s: float


@dataclass(frozen=True, kw_only=True)
class LoadTarget:
    """Where to send what."""

    address: tuple[str, int]
    payload: bytes
    content_type: str
    timeout_s: float = TIMEOUT_S

    def prepared(self) -> bytes:
        """The invocation as it goes over the wire."""
        return wire.request(
            "POST",
            "/invocations",
            host=self.address[0],
            body=self.payload,
            headers={"Content-Type": self.content_type, "Accept": "application/json"},
        )


def run_block(target: LoadTarget, *, requests: int, clients: int) -> Block:
    """Send ``requests`` invocations over ``clients`` kept-alive connections, each in series.

    Raises ``ContainerFailedError`` with the answer when one is not a 200.
    """
    latencies: list[float] = []
    failures: list[BaseException] = []
    barrier = threading.Barrier(clients + 1)
    shares = [requests // clients + (number < requests % clients) for number in range(clients)]

    def client(share: int) -> None:
        try:
            with wire.connect(target.address, timeout_s=target.timeout_s) as connection:
                prepared = target.prepared()
                barrier.wait()
                mine = [_one(connection, prepared) for _ in range(share)]
            latencies.extend(mine)
        except threading.BrokenBarrierError:
            pass
        except (OSError, ContainerFailedError) as error:
            barrier.abort()
            failures.append(error)

    threads = [threading.Thread(target=client, args=(share,), daemon=True) for share in shares]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):
        barrier.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    if failures:
        raise ContainerFailedError(f"An invocation failed: {failures[0]}") from failures[0]
    return Block(latencies_s=tuple(latencies), requests_per_s=len(latencies) / took)


def _one(connection: socket.socket, prepared: bytes) -> float:
    begin = time.perf_counter()
    answer = wire.exchange(connection, prepared)
    took = time.perf_counter() - begin
    if answer.status != 200:
        excerpt = answer.body[:300].decode("utf-8", "replace")
        raise ContainerFailedError(f"/invocations answered {answer.status}: {excerpt}")
    return took
