"""How long the rest of a run will take."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from lab.coldstart.record import Cell
from lab.spec import FLOOR, StartKind

_GUESS_S: Final = {
    StartKind.RESTART: 4.0,
    StartKind.FRESH: 4.0,
    StartKind.DISKCOLD: 7.0,
    StartKind.PULL: 20.0,
}
"""Before the first trial of a kind has ended; the floor takes a second."""


class Pace:
    """Learns what a trial of each cell takes, preparation and cleaning up included."""

    def __init__(self) -> None:
        self._took: dict[Cell, list[float]] = defaultdict(list)

    def learn(self, cell: Cell, seconds: float) -> None:
        """A trial has ended."""
        self._took[cell].append(seconds)

    def left_s(self, rest: Iterable[Cell]) -> float:
        """Seconds for these trials: the median of each cell's so far, of its kind's, or a guess."""
        return sum(self._expect(cell) for cell in rest)

    def _expect(self, cell: Cell) -> float:
        own = self._took.get(cell)
        if own:
            return statistics.median(own)
        alike = [
            seconds
            for other, took in self._took.items()
            if other.start_kind is cell.start_kind
            and (other.variant == FLOOR) == (cell.variant == FLOOR)
            for seconds in took
        ]
        if alike:
            return statistics.median(alike)
        return 1.0 if cell.variant == FLOOR else _GUESS_S[cell.start_kind]


def words(seconds: float) -> str:
    """``40 s left`` or ``3 min left``: no more exact than a guess can be."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5):.0f} s left"
    return f"{seconds / 60:.0f} min left"
