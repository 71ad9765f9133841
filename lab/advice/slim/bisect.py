"""Which of many things are needed: found by halving, with few tries."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Unit = TypeVar("Unit", bound=Hashable)


class TriesUsedUp(Exception):  # noqa: N818 - an outcome, not an error of the lab
    """The bound is reached before the answer."""


class Budget:
    """How many tries are left, over several searches."""

    def __init__(self, tries: int) -> None:
        self.tries = tries
        self.used = 0

    def take(self) -> None:
        """Take one. Raises ``TriesUsedUp``."""
        if self.used >= self.tries:
            raise TriesUsedUp
        self.used += 1


def needed(
    units: Sequence[Unit], enough: Callable[[Sequence[Unit]], bool], budget: Budget
) -> Sequence[Unit] | None:
    """A smallest set of units that is enough; None where all of them are not.

    More must never be less: what is enough stays so with others beside it. Each unit that is
    needed takes as many tries as the number of units can be halved; put what is suspected first.
    Raises ``TriesUsedUp``.
    """

    def ask(chosen: Sequence[Unit]) -> bool:
        budget.take()
        return enough(chosen)

    found: list[Unit] = []
    left = list(units)
    if not left or not ask(left):
        return None
    # Suspects stand first: double the number until it is enough, then halve between.
    while True:
        low, high = 0, min(1, len(left))
        while high < len(left) and not ask([*found, *left[:high]]):
            low, high = high, min(2 * high, len(left))
        while high - low > 1:
            middle = (low + high) // 2
            if ask([*found, *left[:middle]]):
                high = middle
            else:
                low = middle
        found.append(left[high - 1])
        left = left[: high - 1]
        if not left or ask(found):
            return found
