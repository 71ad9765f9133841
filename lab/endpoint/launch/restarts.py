"""A container that ends before it is ready is started again, as on SageMaker: for how long, and
what is said of it meanwhile. Pure: who starts it tells the times.
"""

import re
from dataclasses import dataclass
from typing import Final

from lab.endpoint.live import STARTED_AGAIN
from lab.start.cause import Cause
from lab.start.deaths import IN_THE_IMAGE
from lab.units import format_seconds

LONGEST_PAUSE_S: Final = 15.0
MOST_WAITED_FOR: Final = 3
"""Starts of a container while a request waits for it: nobody waits for minutes on a connection."""
_SAME: Final = 2
"""Deaths in a row of the same cause that is in the image: no further start mends that."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What comes of an end before the first 200."""

    pause_s: float | None
    """How long to wait before the next start; None is the end."""
    note: str
    """For the endpoint's log."""
    status: str
    """For who asks how far it is."""
    verdict: str
    """For the failure, if this is the end: what is known of all its starts."""


class Restarts:
    """The starts of one container."""

    def __init__(
        self,
        *,
        endpoint: str,
        most: int | None,
        first_pause_s: float,
        waited_for: bool = False,
    ) -> None:
        """``most`` is the lab's own limit of starts; ``waited_for``: by a request."""
        self._endpoint = endpoint
        self._waited_for = waited_for
        self._most = most
        self._pause_s = first_pause_s
        self._first: Cause | None = None
        self._last: Cause | None = None
        self._in_a_row = 0
        self.ends = 0
        """How often it has ended."""
        self.given_up = False
        """Whether it is not to be started again: set from any thread."""

    def ended(self, found: Cause, *, after_s: float, left_s: float, limit_s: float) -> Ending:
        """It ended ``after_s`` after it was started, ``left_s`` before SageMaker's ``limit_s``."""
        self.ends += 1
        known = self._last is not None and _alike(self._last, found)
        self._in_a_row = self._in_a_row + 1 if known else 1
        self._first = self._first or found
        self._last = found
        pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2.0 ** min(self.ends - 1, 10))
        left = _duration(max(0.0, left_s))
        over = "" if pause_s < left_s else self._over(limit_s)
        why = over or self._stops(found, left)
        start = f"(start {self.ends}, {format_seconds(after_s)} after it began)"
        note = (
            f"It ended again, of the same {start}; {left} left."
            if known
            else f"{_told(found)} {start} As on AWS it is started again, on the same file system, "
            f"until it answers /ping or {limit_s:g} s are over: {left} left, in which AWS "
            f"refuses to delete the endpoint. Here `lab endpoint delete {self._endpoint}` ends it."
        )
        times = "once" if self.ends == 1 else f"{self.ends} times"
        return Ending(
            pause_s=None if why else pause_s,
            note=note,
            status=f"{STARTED_AGAIN}, as on AWS, until it answers /ping or {limit_s:g} s "
            f"are over ({left} left). So far it has ended {times}: {_told(found)}",
            verdict=f"{why}{self._before(found)}",
        )

    def unready(self, *, left_s: float) -> str:
        """The verdict on one that has not ended this time: what came of the starts before."""
        said = [self._given_up(_duration(max(0.0, left_s)))] if self.given_up else []
        if self._last is not None:
            before = _lowered(self._last.message)
            said.append(f"This was start {self.ends + 1}; the one before: {before}")
        return " ".join(said)

    @staticmethod
    def _given_up(left: str) -> str:
        return f"It was given up by `lab endpoint delete`: AWS would go on for {left}."

    def _over(self, limit_s: float) -> str:
        if self.ends == 1:
            return f"The {limit_s:g} s for its start are over."
        return f"It ended at each of {self.ends} starts within {limit_s:g} s."

    def _stops(self, found: Cause, left: str) -> str:
        """Why it is not started again though there is time; empty if it is."""
        if self.given_up:
            return self._given_up(left)
        on_aws = f"AWS would go on starting it for {left}."
        kind = None if found.explanation is None else found.explanation.kind
        if kind in IN_THE_IMAGE and self._in_a_row >= _SAME:
            return (
                f"Start {self.ends - 1} ended of the same, and no further one can mend it. {on_aws}"
            )
        if self._waited_for and self.ends >= MOST_WAITED_FOR:
            return f"A request waits for it: the lab starts it {MOST_WAITED_FOR} times and no more."
        if self._most is not None and self.ends >= self._most:
            return f"LAB_START_TRIES={self._most} ends it here. {on_aws}"
        return ""

    def _before(self, found: Cause) -> str:
        if self._first is None or _alike(self._first, found):
            return ""
        return f" The first start ended otherwise: {_lowered(self._first.message)}"


def _told(found: Cause) -> str:
    return f"{found.message} {found.cure}".rstrip()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else format_seconds(seconds)


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _alike(one: Cause, other: Cause) -> bool:
    return (one.kind, one.exit_code, _words(one)) == (other.kind, other.exit_code, _words(other))


def _words(cause: Cause) -> tuple[str, str] | None:
    found = cause.explanation
    # Whatever it counts or stamps, it is the same.
    return None if found is None else (found.kind, re.sub(r"\d+", "0", found.what))
