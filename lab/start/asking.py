"""Asking the same again until a server that still loads answers, and for how long.

A server may say 200 to ``/ping`` and answer invocations with errors until its model is there.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from lab.engine.api import Container
from lab.errors import EngineError

_LOADING: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that say: later. A 500 may mean it, too, but mostly is a fault."""

_LATE_AT_MOST: Final = 2
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.0
_LOADS_CPU: Final = 0.2
"""Cores in use while nothing is asked, from which something is being loaded."""


class Asked(Protocol):
    """What is to be known of an answer."""

    @property
    def status(self) -> int | None:
        """None where there was none."""

    @property
    def good(self) -> bool:
        """Whether it is 2xx."""

    @property
    def late(self) -> bool:
        """Whether nobody waited for it any longer."""


_A = TypeVar("_A", bound=Asked)


@dataclass(frozen=True, kw_only=True)
class AskingPatience:
    """How long a server that answers with errors is asked again."""

    loading_s: float
    """While it shows signs of loading: as long as a start may take."""
    steady_s: float
    """While it shows none."""


def worth_asking_again(
    answers: Sequence[Asked], *, asked_s: float, unchanged_s: float, patience: AskingPatience
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
    ask: Callable[[], _A],
    patience: AskingPatience,
    *,
    cpu_s: Callable[[], float | None],
    alive: Callable[[], bool],
) -> Sequence[_A]:
    """Every answer up to the first good one, or to the one at which it is given up.

    ``cpu_s``: the processor's seconds that the container has used; None where nobody can tell.
    """
    begin = sign_at = time.monotonic()
    answers: list[_A] = []
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


def cpu_seconds(container: Container) -> float | None:
    """The processor's seconds that it has used; None where nobody can tell."""
    try:
        load = container.load()
    except EngineError:
        return None
    return None if load is None else load.cpu_seconds
