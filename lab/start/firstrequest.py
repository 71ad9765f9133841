"""What the first request after the first 200 of ``/ping`` took beside later ones, judged alike by
the contract check and by a bench's report.
"""

from enum import StrEnum, unique
from typing import Final

LOAD_FIRST: Final = "Load the model before listening, or answer /ping with 503 until it is loaded."

WAITED_S, WAITED_TIMES = 2.0, 5.0
"""From here on more than a framework's warm-up was left to the first request."""
SLOW_S, SLOW_TIMES = 0.25, 3.0
"""Below this nobody would notice."""


@unique
class FirstRequest(StrEnum):
    """How the first request went."""

    WARM = "as later ones"
    SLOW = "the first request was slow (framework warm-up)"
    WAITED = "the first request waited for the model: /ping answered 200 before it was loaded"


FIRST_REQUEST_LINES: Final = {
    FirstRequest.SLOW: "The first request was slow (framework warm-up)",
    FirstRequest.WAITED: "The first request waited for the model",
}
"""The same as titles."""


def judge_first_request(
    first_s: float, later_s: float, *, cpus: float | None = None
) -> FirstRequest:
    """What the first request's time says of the model.

    ``cpus``: the container's quota, where it has one: with half a processor the same warm-up takes
    twice as long, and says no more.
    """
    stretch = 1 / min(1.0, cpus) if cpus else 1.0
    more, times = first_s - later_s, first_s / max(later_s, 1e-6)
    if more >= WAITED_S * stretch and times >= WAITED_TIMES:
        return FirstRequest.WAITED
    if more >= SLOW_S * stretch and times >= SLOW_TIMES:
        return FirstRequest.SLOW
    return FirstRequest.WARM
