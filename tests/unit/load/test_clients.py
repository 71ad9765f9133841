"""Load by arrivals: what is sent when, by whom, and what is kept of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from lab.load.clients import ClosedLoop, Load, OpenLoop, paced


class Server:
    """Counts its clients and requests; each takes its time."""

    def __init__(self, *, takes_s: float = 0.0, fails_at: int | None = None) -> None:
        self.takes_s = takes_s
        self.fails_at = fails_at
        self.connected = 0
        self.under_way = self.most = 0
        self._lock = threading.Lock()
        self._asked = 0

    @contextmanager
    def client(self) -> Iterator[Callable[[], int]]:
        with self._lock:
            self.connected += 1
        yield self.answer

    def answer(self) -> int:
        with self._lock:
            self._asked += 1
            number = self._asked
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        time.sleep(self.takes_s)
        with self._lock:
            self.under_way -= 1
        if number == self.fails_at:
            raise ConnectionError("gone")
        return number


def test_a_closed_loop_shares_its_requests_among_its_clients() -> None:
    assert [len(list(turns)) for turns in ClosedLoop(clients=4, requests=21).turns()] == [
        6,
        5,
        5,
        5,
    ]
    server = Server(takes_s=0.001)
    with Load(server.client, ClosedLoop(clients=4, requests=21)) as load:
        load.wait()
    assert sorted(load.results) == list(range(1, 22))
    assert server.connected == 4
    assert server.most <= 4
    assert load.errors == []
    assert {one.due_s for one in load.sent} == {None}
    assert load.seconds >= max(one.ended_s for one in load.sent)


def test_a_closed_loop_without_a_number_goes_on_until_it_is_stopped() -> None:
    server = Server(takes_s=0.01)
    with Load(server.client, ClosedLoop(clients=2)) as load:
        time.sleep(0.1)
    assert server.under_way == 0
    sent = len(load.sent)
    assert sent > 2
    time.sleep(0.05)
    assert len(load.sent) == sent


def test_an_open_loop_sends_at_its_instants_and_not_before() -> None:
    instants = [0.0, 0.05, 0.06, 0.15]
    with Load(Server().client, OpenLoop(instants=instants, clients=4)) as load:
        load.wait()
    assert sorted(one.due_s or 0.0 for one in load.sent) == instants
    assert all(one.due_s is not None and one.sent_s >= one.due_s for one in load.sent)


def test_what_is_sent_late_says_since_when_it_was_due() -> None:
    with Load(Server(takes_s=0.05).client, OpenLoop(instants=[0.0, 0.0, 0.0])) as load:
        load.wait()
    last = load.sent[-1]
    assert last.due_s == 0.0
    assert last.sent_s >= 0.1
    assert last.ended_s - last.due_s >= 0.15


def test_an_open_loop_does_not_wait_for_answers_as_long_as_a_client_is_free() -> None:
    together = threading.Barrier(3, timeout=20)
    open_loop = OpenLoop(instants=[0.0, 0.01, 0.02], clients=3)
    with Load(lambda: nullcontext(together.wait), open_loop) as load:
        load.wait()
    assert sorted(load.results) == [0, 1, 2]


def test_a_pace_catches_up_with_nothing() -> None:
    with Load(Server(takes_s=0.05).client, OpenLoop(instants=paced(1000))) as load:
        time.sleep(0.25)
    assert 1 <= len(load.sent) <= load.seconds / 0.05 + 1


def test_an_endless_schedule_ends_when_it_is_stopped_even_while_it_waits() -> None:
    begun = time.monotonic()
    with Load(Server().client, OpenLoop(instants=[0.0, 60.0])) as load:
        time.sleep(0.05)
    assert time.monotonic() - begun < 30
    assert len(load.sent) == 1


def test_a_client_pauses_after_results_that_ask_for_it() -> None:
    with Load(
        Server().client,
        ClosedLoop(clients=1, requests=3),
        pause_s=lambda number: 0.1 * (number == 1),
    ) as load:
        load.wait()
    first, second, third = (one.sent_s for one in load.sent)
    assert second - first >= 0.1
    assert third >= second


def test_an_exception_ends_its_client_alone_and_is_kept() -> None:
    server = Server(takes_s=0.001, fails_at=3)
    with Load(server.client, ClosedLoop(clients=2, requests=20)) as load:
        load.wait()
    (error,) = load.errors
    assert str(error) == "gone"
    assert len(load.results) >= 10
    assert len(load.sent) < 20


@pytest.mark.parametrize("clients", [1, 3])
def test_nobody_begins_when_one_cannot_connect(clients: int) -> None:
    server = Server()
    count = iter(range(clients))

    def client() -> AbstractContextManager[Callable[[], int]]:
        if next(count) == clients - 1:
            raise ConnectionRefusedError("nobody there")
        return nullcontext(server.answer)

    with Load(client, ClosedLoop(clients=clients, requests=9)) as load:
        load.wait()
    assert [str(one) for one in load.errors] == ["nobody there"]
    assert list(load.results) == []
