"""Whether a server goes on answering the same, and what it answered before it was warm.

One of several workers may still load, and a process may die at its third request.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.contract.running.calls import HttpCall
from lab.start.cause import Cause
from lab.units import format_seconds

COUNT: Final = 20
"""So many answers in a row are a server that goes on answering."""

_FEWEST: Final = 2
_FIRST_PAUSE_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Endurance:
    """What came of many identical requests, one after the other."""

    answers: Sequence[HttpCall] = ()
    death: Cause | None = None
    """What the container died of, if it did."""
    in_a_row: int = 0
    """Good answers at the end."""
    before: int = 0
    """Invocations that the container had answered before."""

    @property
    def broken(self) -> bool:
        """Whether the last answer was not good: it died, or never came to rest."""
        return not self.answers[-1].good if self.answers else False

    @property
    def bad(self) -> Sequence[HttpCall]:
        return [one for one in self.answers if not one.good]

    @property
    def unsettled(self) -> Sequence[HttpCall]:
        """Answers that went wrong before it came to rest."""
        return [] if self.broken else self.bad

    @property
    def usual_s(self) -> float | None:
        """What an answer takes; None where there was none."""
        good = sorted(one.seconds for one in self.answers if one.good)
        return good[len(good) // 2] if good else None


def endure(
    ask: Callable[[], HttpCall],
    *,
    death: Callable[[], Cause | None],
    steady_s: float,
    enough_s: float,
) -> Endurance:
    """Ask until ``COUNT`` answers in a row are good; fewer are enough once ``enough_s`` are past.

    An error is asked again for ``steady_s``; one that is no answer at all is the end of a process.
    """
    answers: list[HttpCall] = []
    begin, row = time.monotonic(), 0
    give_up_at: float | None = None
    while row < COUNT and (row < _FEWEST or time.monotonic() < begin + enough_s):
        answers.append(ask())
        if answers[-1].good:
            row += 1
            continue
        row = 0
        now = time.monotonic()
        give_up_at = now + steady_s if give_up_at is None else give_up_at
        killed = death()
        if killed is not None or _cut_off(answers[-1]) or now >= give_up_at:
            return Endurance(answers=answers, death=killed)
        time.sleep(_FIRST_PAUSE_S)
    return Endurance(answers=answers, in_a_row=row)


def _cut_off(answer: HttpCall) -> bool:
    return answer.status is None and not answer.late


@dataclass(frozen=True, kw_only=True)
class Warming:
    """What was answered between the first 200 of ``/ping`` and the first good answer."""

    ready_at: float
    """When /ping said 200 (monotonic clock)."""
    bad: Sequence[HttpCall] = field(default=())

    @property
    def seconds(self) -> float:
        """For how long it answered with errors after the first 200."""
        return self.bad[-1].ended_at - self.ready_at if self.bad else 0.0

    @property
    def words(self) -> str:
        """``answered 500 for 8.1 s after the first 200 of /ping: still loading``."""
        last = self.bad[-1]
        what = f"answered {last.status}" if last.status is not None else f"gave {last.words}"
        said = f": {last.said}" if last.said else ""
        return f"{what} for {format_seconds(self.seconds)} after the first 200 of /ping{said}"
