"""How long something takes where nothing else gets in its way, and waiting for what will come."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

PATIENCE_S: Final = 300.0
"""Longer than any machine needs for what a test waits for: only what never comes takes this."""

T = TypeVar("T")


def quickest(work: Callable[[], object], *, times: int = 5) -> float:
    """The shortest of a few goes, in seconds: a stall of the machine is in one of them, not all."""

    def once() -> float:
        begun = time.monotonic()
        work()
        return time.monotonic() - begun

    return min(once() for _ in range(times))


def once_within(seconds: float, work: Callable[[], object], *, times: int = 3) -> bool:
    """Whether it takes no longer than that in one of a few goes; the first may be enough."""
    return any(quickest(work, times=1) < seconds for _ in range(times))


def wait_until(
    ask: Callable[[], T | None],
    *,
    despite: type[Exception] | tuple[type[Exception], ...] = (),
    every_s: float = 0.05,
    otherwise: Callable[[], object] = lambda: "It did not come to pass.",
) -> T:
    """What ``ask`` returns as soon as that is true; ``despite`` is raised until it can be asked.

    Raises AssertionError with what ``otherwise`` says when it does not within :data:`PATIENCE_S`.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if found := ask():
                return found
        except despite as error:
            if time.monotonic() > deadline:
                raise AssertionError(otherwise()) from error
        assert time.monotonic() < deadline, otherwise()
        time.sleep(every_s)
