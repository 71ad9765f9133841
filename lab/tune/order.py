"""The order of a tuning's steps, fixed by a seed before the first, so that one can go on with it.

Every round holds each size, in an order of its own; a size's new container and its resized one are
next to each other, in an order drawn by lot: drift hits all sizes alike, and cancels in the ratio
of the two.
"""

import math
import random
from collections.abc import Sequence
from typing import Final

from lab.coldstart.schedule import spread
from lab.tune.record import Part, TunedSize

ROUNDS: Final = 6
"""From six pairs a ratio has an interval of 95 %, and six starts give one of their median."""
QUICK_ROUNDS: Final = 2
ONDEMAND_STARTS: Final = 3
"""Of each size: each takes some ten times as long as a fresh one."""
PILOT: Final = 0
"""The round of the first start, which is not counted: of the largest size, for what does not start
there starts nowhere."""

Order = tuple[tuple[int, str, Part], ...]


def order(
    sizes: Sequence[TunedSize], *, rounds: int, seed: int, resizable: bool, on_demand: bool
) -> Order:
    """Round, size and part of each step."""
    largest = max(sizes, key=lambda one: (one.given_memory_bytes, one.given_cpus))
    rows = [(PILOT, largest.name, Part.NEW)]
    demanded = spread(min(ONDEMAND_STARTS, rounds), rounds) if on_demand else ()
    for number in range(1, rounds + 1):
        lots = random.Random(f"{seed}/{number}")
        for size in lots.sample(sizes, len(sizes)):
            parts = [Part.NEW, *([Part.RESIZED] if resizable else [])]
            lots.shuffle(parts)
            if number in demanded and size.serverless:
                parts.append(Part.ONDEMAND)
            rows += [(number, size.name, part) for part in parts]
    rows += [(rounds, size.name, Part.CAPACITY) for size in sizes if not size.serverless]
    return tuple(rows)


def groups(sizes: Sequence[TunedSize]) -> Sequence[Sequence[TunedSize]]:
    """Sizes that one running container can have in turn, the smallest first in each.

    Servers choose their threads and workers by the whole CPUs that they see at their start, rounded
    down or up: only sizes that are alike in both can stand for each other. (What follows the memory
    limit, as a JVM's heap does, is not told by the sizes: the ratio to new containers tells it.)
    """
    by_cpus: dict[tuple[int, int], list[TunedSize]] = {}
    for size in sorted(sizes, key=lambda one: (one.given_memory_bytes, one.given_cpus)):
        cpus = size.given_cpus
        by_cpus.setdefault((max(1, int(cpus)), math.ceil(cpus)), []).append(size)
    return list(by_cpus.values())
