"""The fit, and how far it can be trusted: the same with everything measured drawn again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lab.coldstart.summary import Pair
from lab.report.predict.constants import Vector
from lab.report.predict.figures import Figure
from lab.report.predict.fit import fit
from lab.report.predict.work import Evidence, Key, Work
from lab.stats.quantiles import CONFIDENCE

DRAWS: Final = 200


@dataclass(frozen=True, kw_only=True)
class World:
    """Constants, with the works and the figures that they follow from."""

    constants: Vector
    fitted: Mapping[Key, Work]
    """Of the run that stands for the study."""
    run: Mapping[Key, Work]
    """Of the run that is predicted."""
    seconds: Mapping[Figure, float]

    def predicted(self, figure: Figure) -> float:
        works = self.run if figure.own else self.fitted
        return float(figure.factors(works) @ self.constants)


@dataclass(frozen=True, kw_only=True)
class Worlds:
    """As it was measured, and as it might have been."""

    measured: World
    drawn: Sequence[World]

    def interval(self, of: Callable[[World], float]) -> Pair:
        """95 % of what a number is over the draws, what it is of the measured world inside."""
        tail = (1 - CONFIDENCE) / 2
        values, point = [of(world) for world in self.drawn], of(self.measured)
        low, high = (float(end) for end in np.quantile(values, [tail, 1 - tail]))
        return min(low, point), max(high, point)


def worlds(
    *,
    targets: Sequence[Figure],
    tried: Sequence[Figure],
    own: Sequence[Figure],
    fitted: Mapping[Key, Evidence],
    run: Mapping[Key, Evidence],
    seed: int,
) -> Worlds:
    """Fit to ``targets``, then to ``own`` as far as those tell; ``tried`` is only drawn beside.

    The draws are parametric for published figures, whose single values are not known, and a
    bootstrap of the samples here.
    """

    def world(rng: np.random.Generator | None) -> World:
        theirs = {key: one.work(rng) for key, one in fitted.items()}
        # The same starts are the same in a world, whatever they stand for.
        mine = {
            key: theirs[key] if fitted.get(key) == one else one.work(rng)
            for key, one in run.items()
        }
        seconds = {
            one: one.seconds if rng is None else one.draw(rng) for one in (*targets, *tried, *own)
        }
        constants = fit([one.factors(theirs) for one in targets], [seconds[one] for one in targets])
        if own:
            factors = [one.factors(mine) for one in own]
            constants = fit(factors, [seconds[one] for one in own], held_at=constants)
        return World(constants=constants, fitted=theirs, run=mine, seconds=seconds)

    rng = np.random.default_rng(seed)
    return Worlds(measured=world(None), drawn=[world(rng) for _ in range(DRAWS)])
