"""Traffic to endpoints that are played: its pace, its counts, and how it ends."""

import threading
import time
from collections import Counter

import pytest

from lab.endpoint.client import EmulatorClient, Reply
from lab.errors import EndpointError
from lab.progress import Silent
from lab.stack.traffic import Body, Stream, Tally, Traffic

GOOD: Body = (b"good", "image/png")
BAD: Body = (b"bad", "image/png")
REFUSED = 'invoke_endpoint: ModelError: Received client error (400) from primary with message "no".'
FAILED = (
    "invoke_endpoint: ModelError: Received server error (500) from primary with message "
    '"upstream: client error (400): ThrottlingException: no".'
)
THROTTLED = "invoke_endpoint: ThrottlingException: None"


class Model(EmulatorClient):
    """Answers what is good, refuses what is bad, and has as many places as it is given."""

    def __init__(self, *, places: int = 100, takes_s: float = 0.0, fails: bool = False) -> None:
        self.places = threading.Semaphore(places)
        self.takes_s = takes_s
        self.fails = fails
        self.seen: Counter[str] = Counter()
        self.under_way = 0

    def invoke(self, endpoint: str, body: bytes, content_type: str, **_: str) -> Reply:
        self.seen[endpoint] += 1
        if not self.places.acquire(blocking=False):
            raise EndpointError(THROTTLED, code="ThrottlingException")
        try:
            self.under_way += 1
            time.sleep(self.takes_s)
            self.under_way -= 1
        finally:
            self.places.release()
        if self.fails:
            raise EndpointError(FAILED, code="ModelError", model_status=500)
        if body == BAD[0]:
            raise EndpointError(REFUSED, code="ModelError", model_status=400)
        return Reply(body=b"{}", content_type="application/json", variant="AllTraffic")


def counts(tally: Tally) -> tuple[int, int, int, int]:
    return tally.answered, tally.refused, tally.throttled, tally.failed


def test_each_stream_keeps_its_pace() -> None:
    streams = [
        Stream(endpoint="fast", bodies=[GOOD], per_s=100),
        Stream(endpoint="slow", bodies=[GOOD], per_s=10),
    ]
    seen = []
    for _ in range(4):
        model, begun = Model(), time.monotonic()
        tally = Traffic(model).steady(streams, 0.5, Silent())
        took_s = time.monotonic() - begun
        assert counts(tally) == (model.seen.total(), 0, 0, 0)
        assert model.seen["fast"] <= 100 * took_s + 1
        assert model.seen["slow"] <= 10 * took_s + 1
        seen.append(model.seen)
        if model.seen["fast"] >= 40 and model.seen["slow"] >= 4:
            break
    # Nothing is caught up with: what a stall of the machine costs one go, another does not lose.
    assert max(one["fast"] for one in seen) >= 40
    assert max(one["slow"] for one in seen) >= 4


def test_a_model_slower_than_the_pace_gets_less_and_nothing_is_caught_up_with() -> None:
    model, begun = Model(takes_s=0.1), time.monotonic()
    Traffic(model).steady([Stream(endpoint="e", bodies=[GOOD], per_s=1000)], 0.5, Silent())
    assert model.seen["e"] <= (time.monotonic() - begun) / 0.1 + 1


def test_some_of_the_requests_are_wrong_and_are_counted_as_refused() -> None:
    stream = Stream(endpoint="e", bodies=[GOOD], per_s=200, wrong=[BAD], wrong_every=5)
    tally = Traffic(Model()).steady([stream], 0.4, Silent())
    assert tally.refused == tally.sent // 5 > 0
    assert tally.failed == 0
    assert str(tally) == f"{tally.answered} answered, {tally.refused} refused"


def test_a_burst_above_the_limit_is_throttled_and_never_stops_trying() -> None:
    model = Model(places=2, takes_s=0.05)
    tally = Traffic(model).burst("e", [GOOD], clients=6, seconds=0.8, step=Silent())
    assert tally.answered >= 10
    assert tally.throttled >= 6
    assert tally.sent == model.seen["e"]


def test_what_failed_is_told_in_its_own_words() -> None:
    tally = Traffic(Model(fails=True)).once("e", GOOD)
    assert counts(tally) == (0, 0, 0, 1)
    assert tally.last_failure == FAILED


def test_tallies_add_up() -> None:
    tally = Tally()
    tally += Traffic(Model()).once("e", GOOD)
    tally += Traffic(Model(fails=True)).once("e", GOOD)
    tally += Traffic(Model(places=0)).once("e", GOOD)
    assert counts(tally) == (1, 0, 1, 1)
    assert tally.sent == 3


class Interrupted(Silent):
    """A terminal where Ctrl-C is typed."""

    def detail(self, text: str) -> None:
        del text
        raise KeyboardInterrupt


def test_ctrl_c_ends_it_once_what_is_under_way_is_answered() -> None:
    model = Model(takes_s=0.2)
    with pytest.raises(KeyboardInterrupt):
        Traffic(model).burst("e", [GOOD], clients=4, seconds=60, step=Interrupted())
    assert model.under_way == 0
    sent = model.seen.total()
    time.sleep(0.3)
    assert model.seen.total() == sent
