"""Load: requests from several clients at once, and what became of each.

How requests arrive is a parameter. In a closed loop every client sends again as soon as it is
answered: that shows what a server can do at most. In an open loop requests are due at given
instants, whatever has become of those before them; one that is sent late, because every client was
busy, has waited since it was due, and a latency that is to include that counts from there.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Generic, Self, TypeVar

from lab import wire
from lab.errors import ContainerFailedError

TIMEOUT_S: Final = 60.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ClosedLoop:
    """``clients`` that each send again as soon as they are answered."""

    clients: int
    requests: int | None = None
    """Of all of them together, in equal shares; None is until they are stopped."""

    def turns(self) -> Sequence[Iterator[float | None]]:
        """For each client, whether it is to send again."""
        if self.requests is None:
            return [repeat(None) for _ in range(self.clients)]
        least, more = divmod(self.requests, self.clients)
        return [repeat(None, least + (client < more)) for client in range(self.clients)]


@dataclass(frozen=True, kw_only=True)
class OpenLoop:
    """Requests at given instants: seconds from the beginning, in order; may be without an end."""

    instants: Iterable[float]
    clients: int = 1
    """The most requests that are under way at once."""

    def turns(self) -> Sequence[Iterator[float | None]]:
        """For each client, when the next request that nobody else has taken is due."""
        lock, instants = threading.Lock(), iter(self.instants)

        def take() -> Iterator[float]:
            while True:
                with lock:
                    due_s = next(instants, None)
                if due_s is None:
                    return
                yield due_s

        return [take() for _ in range(self.clients)]


def paced(per_s: float) -> Iterator[float]:
    """Instants for one client at a pace; what a slow answer kept it from sending is not sent."""
    begin = time.perf_counter()
    due_s = 0.0
    while True:
        yield due_s
        due_s = max(due_s + 1 / per_s, time.perf_counter() - begin)


@dataclass(frozen=True, kw_only=True)
class SentRequest(Generic[T]):
    """One request; seconds since the load began."""

    due_s: float | None
    """When it was to be sent; None in a closed loop."""
    sent_s: float
    ended_s: float
    result: T | None
    error: Exception | None = None
    """What ended the client instead of an answer."""


class Load(Generic[T]):
    """Clients in threads, from the beginning of the block to its end, and what they have sent."""

    def __init__(
        self,
        client: Callable[[], AbstractContextManager[Callable[[], T]]],
        arrivals: ClosedLoop | OpenLoop,
        *,
        pause_s: Callable[[T], float] = lambda _: 0.0,
    ) -> None:
        """``client`` connects, and gives what sends one request. All begin once all are connected.

        A client whose request raises an exception sends no more, and one that cannot connect keeps
        all from beginning. ``pause_s``: for how long a client waits after such a result.
        """
        self.sent: list[SentRequest[T]] = []
        self._client = client
        self._pause_s = pause_s
        self._stop = threading.Event()
        turns = arrivals.turns()
        self._ready = threading.Barrier(len(turns) + 1, action=self._begins)
        self._threads = [
            threading.Thread(target=self._run, args=(own,), daemon=True, name=f"client-{number}")
            for number, own in enumerate(turns)
        ]
        self._begin = self._end = 0.0

    @property
    def seconds(self) -> float:
        """From the beginning to the end of the last client."""
        return self._end - self._begin

    @property
    def results(self) -> Sequence[T]:
        """What was answered, in the order in which the answers came."""
        return [one.result for one in self.sent if one.result is not None]

    @property
    def errors(self) -> Sequence[Exception]:
        return [one.error for one in self.sent if one.error is not None]

    @property
    def alive(self) -> bool:
        """Whether some client has not ended."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()

    def wait(self) -> None:
        """Until every request has been sent and answered."""
        for thread in self._threads:
            thread.join()
        self._end = self._end or time.perf_counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        with suppress(threading.BrokenBarrierError):
            self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more, and wait for the answers that are under way."""
        self.stop()
        self.wait()

    def _begins(self) -> None:
        self._begin = time.perf_counter()

    def _now(self) -> float:
        return time.perf_counter() - self._begin

    def _run(self, turns: Iterator[float | None]) -> None:
        due_s, sent_s = None, 0.0
        try:
            with self._client() as send:
                self._ready.wait()
                for due_s in turns:
                    if due_s is not None and self._stop.wait(max(0.0, due_s - self._now())):
                        return
                    if self._stop.is_set():
                        return
                    sent_s = self._now()
                    result = send()
                    ended_s = self._now()
                    self.sent.append(
                        SentRequest(due_s=due_s, sent_s=sent_s, ended_s=ended_s, result=result)
                    )
                    if pause_s := self._pause_s(result):
                        self._stop.wait(pause_s)
        except threading.BrokenBarrierError:
            return
        except Exception as error:  # noqa: BLE001 - whoever reads the results judges it
            self._ready.abort()
            self.sent.append(
                SentRequest(
                    due_s=due_s, sent_s=sent_s, ended_s=self._now(), result=None, error=error
                )
            )


# --- invocations ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Block:
    """What one block of requests took."""

    latencies_s: tuple[float, ...]
    requests_per_s: float
    answer_bytes: int = 0
    """The longest answer's, without its headers."""


@dataclass(frozen=True, kw_only=True)
class LoadTarget:
    """Where to send what."""

    address: tuple[str, int]
    payload: bytes
    content_type: str
    accept: str = "application/json"
    timeout_s: float = TIMEOUT_S


@contextmanager
def kept_alive(
    address: tuple[str, int], prepared: bytes, *, timeout_s: float
) -> Iterator[Callable[[], wire.Response]]:
    """A client that sends the same over one connection, again and again."""
    with wire.connect(address, timeout_s=timeout_s) as connection:
        yield lambda: wire.exchange(connection, prepared)


def run_block(target: LoadTarget, *, requests: int, clients: int) -> Block:
    """Send ``requests`` invocations over ``clients`` kept-alive connections, each in series.

    Raises ``ContainerFailedError`` with the answer when one is not a 200.
    """
    prepared = wire.request(
        "POST",
        "/invocations",
        host=target.address[0],
        body=target.payload,
        headers={"Content-Type": target.content_type, "Accept": target.accept},
    )

    @contextmanager
    def client() -> Iterator[Callable[[], wire.Response]]:
        with kept_alive(target.address, prepared, timeout_s=target.timeout_s) as send:

            def invoke() -> wire.Response:
                answer = send()
                if answer.status != 200:
                    excerpt = answer.body[:300].decode("utf-8", "replace")
                    raise ContainerFailedError(f"/invocations answered {answer.status}: {excerpt}")
                return answer

            yield invoke

    with Load(client, ClosedLoop(clients=clients, requests=requests)) as load:
        load.wait()
    if load.errors:
        raise ContainerFailedError(f"An invocation failed: {load.errors[0]}") from load.errors[0]
    latencies = tuple(one.ended_s - one.sent_s for one in load.sent)
    return Block(
        latencies_s=latencies,
        requests_per_s=len(latencies) / load.seconds,
        answer_bytes=max(len(one.body) for one in load.results),
    )
