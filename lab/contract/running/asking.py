"""Asking the same again: until a server that still loads answers, and whether it goes on answering.

A server may say 200 to ``/ping`` and answer invocations with errors until its model is there; one
of several workers may still load; and a process may die at its third request. Each is one cause.
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
_LOADING: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that say: later. A 500 may mean it, too, but mostly is a fault."""

_LATE_AT_MOST: Final = 2
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.0
_LOADS_CPU: Final = 0.2
"""Cores in use while nothing is asked, from which something is being loaded."""


@dataclass(frozen=True, kw_only=True)
class AskingPatience:
    """How long a server that answers with errors is asked again."""

    loading_s: float
    """While it shows signs of loading: as long as a start may take."""
    steady_s: float
    """While it shows none."""


def worth_asking_again(
    answers: Sequence[HttpCall], *, asked_s: float, unchanged_s: float, patience: AskingPatience
) -> bool:
    """Whether the last answer may be another one later.

    ``unchanged_s``: for how long there was no sign of loading: another answer, CPU in use.
    """
    last = answers[-1]
    if last.good or (last.status is not None and last.status < 500 and last.status not in _LOADING):
        return False  # what is wrong with the request stays wrong
    if last.late:
        return sum(one.late for one in answers) < _LATE_AT_MOST
    if asked_s >= patience.loading_s:
        return False
    return last.status in _LOADING or unchanged_s < patience.steady_s


def ask_until_good(
    ask: Callable[[], HttpCall],
    patience: AskingPatience,
    *,
    cpu_s: Callable[[], float | None],
    alive: Callable[[], bool],
) -> Sequence[HttpCall]:
    """Every answer up to the first good one, or to the one at which it is given up.

    ``cpu_s``: the processor's seconds that the container has used; None where nobody can tell.
    """
    begin = sign_at = time.monotonic()
    answers: list[HttpCall] = []
    pause_s = _FIRST_PAUSE_S
    while True:
        answers.append(ask())
        now = time.monotonic()
        if len(answers) > 1 and answers[-1].status != answers[-2].status:
            sign_at = now
        again = worth_asking_again(
            answers, asked_s=now - begin, unchanged_s=now - sign_at, patience=patience
        )
        if not again or not alive():
            return answers
        used_s, paused_at = cpu_s(), time.monotonic()
        time.sleep(pause_s)
        after_s = cpu_s()
        if used_s is not None and after_s is not None:
            wall_s = time.monotonic() - paused_at
            sign_at = time.monotonic() if after_s - used_s > _LOADS_CPU * wall_s else sign_at
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)


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
