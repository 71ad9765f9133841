"""Asking a starting container, over and over, whether it is ready.

One thread and plain sockets. Until the container listens, a probe is a refused connection
(about 40 microseconds here, and nothing in the container: the kernel answers). From then on it is
a ``GET /ping`` on a connection of its own, waiting up to 2 s for its answer as SageMaker does: a
server that accepts and is busy loading holds one probe, not a hundred. Only a server that answers
and says that it is not ready is asked again after the interval, and pays for each answer.

A connection that is closed without an answer counts as not yet accepting: port forwarders accept
before the container behind them listens.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lab.wire import WireError, connect, exchange, request

ATTEMPT_TIMEOUT_S: Final = 2.0
"""SageMaker's limit for one ``/ping``."""

CONNECT_TIMEOUT_S: Final = 0.25
"""SageMaker's limit for accepting a connection. A packet that was lost while the container's
network came up would be sent again after a second only: a new attempt is sooner."""


@dataclass(kw_only=True)
class Refusal:
    """Answers other than 200, one after the other, that were alike."""

    status: int | None
    """None: accepted, and not answered in time."""
    first_ns: int
    last_ns: int


@dataclass(kw_only=True)
class Probes:
    """What the probes have seen so far."""

    address: tuple[str, int]
    first_ns: int | None = None
    """When the first one was sent."""
    accepting_ns: int | None = None
    ready_ns: int | None = None
    last_status: int | None = None
    last_error: str = ""
    count: int = 0
    longest_gap_s: float = 0.0
    """The longest time from the end of a probe (or its beginning, if it did not connect) to the
    next: what the interval came to."""
    late_s: float = 0.0
    """By how much ``accepting`` or ``ready`` may have been seen late: the longer of the gaps
    before the probes that saw them, with what it took to connect. Of the time before a first
    probe nothing is known."""

    refusals: list[Refusal] = field(default_factory=list)

    def refused(self, status: int | None, asked_ns: int) -> None:
        """It answered, and not 200, what it was asked at ``asked_ns``."""
        now_ns = time.time_ns()
        if self.refusals and self.refusals[-1].status == status:
            self.refusals[-1].last_ns = now_ns
        else:
            self.refusals.append(Refusal(status=status, first_ns=asked_ns, last_ns=now_ns))

    @property
    def last_answer(self) -> str:
        """The last answer in words."""
        if self.last_status is not None:
            return f"/ping last answered {self.last_status}"
        if self.accepting_ns is not None:
            return f"it accepts connections, but /ping did not answer ({self.last_error})"
        return f"nothing listens on its port ({self.last_error or 'not asked yet'})"


def probe(
    address: tuple[str, int],
    *,
    interval_s: float,
    give_up_at: float,
    gone: Callable[[], bool],
) -> Probes:
    """Ask until ``/ping`` answers 200, ``gone()`` says so, or ``give_up_at`` (monotonic) is past.

    The caller's thread asks, so that nothing lies between the 200 and what the caller does next.
    """
    seen = Probes(address=address)
    ping = request("GET", "/ping", host=address[0], headers={"Connection": "close"})
    ended = time.monotonic()
    gap_s = 0.0
    while not gone():
        begin = time.monotonic()
        if begin >= give_up_at:
            break
        if seen.count:
            gap_s = begin - ended
            seen.longest_gap_s = max(seen.longest_gap_s, gap_s)
        accepted = seen.accepting_ns is not None
        connecting_s = _attempt(address, ping, seen, give_up_at)
        if seen.ready_ns is not None or (seen.accepting_ns is not None and not accepted):
            seen.late_s = max(seen.late_s, gap_s + connecting_s)
        if seen.ready_ns is not None:
            break
        # What did not connect tells nothing of the time that it took to find that out.
        ended = time.monotonic() if connecting_s else begin
        time.sleep(max(0.0, begin + interval_s - time.monotonic()))
    return seen


def _attempt(address: tuple[str, int], ping: bytes, seen: Probes, give_up_at: float) -> float:
    """How long it took to connect, in seconds; 0 when it did not."""
    seen.count += 1
    begin = time.monotonic()
    connecting_s = 0.0
    seen.first_ns = seen.first_ns or time.time_ns()
    left = max(give_up_at - time.monotonic(), 0.001)
    try:
        with connect(address, timeout_s=min(CONNECT_TIMEOUT_S, left)) as connection:
            connected_ns = time.time_ns()
            connecting_s = time.monotonic() - begin
            try:
                connection.settimeout(min(ATTEMPT_TIMEOUT_S, left))
                answer = exchange(connection, ping)
            except TimeoutError:
                seen.accepting_ns = seen.accepting_ns or connected_ns
                seen.refused(None, connected_ns)
                raise
            answered_ns = time.time_ns()
    except (WireError, ConnectionError, ValueError) as error:
        seen.last_error = str(error) or type(error).__name__
    except TimeoutError:
        seen.last_error = f"no answer within {ATTEMPT_TIMEOUT_S:g} s"
    except OSError as error:
        seen.last_error = str(error)
    else:
        seen.accepting_ns = seen.accepting_ns or connected_ns
        seen.last_status = answer.status
        seen.last_error = ""
        if answer.status == 200:
            seen.ready_ns = answered_ns
        else:
            seen.refused(answer.status, connected_ns)
    return connecting_s
