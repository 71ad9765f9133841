"""The constants and the figures of a prediction, each with its error and its interval."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from lab.images.variants import BASELINE
from lab.report.predict.constants import (
    MEANING,
    OF_THE_STUDY,
    PER_SECOND,
    Constant,
    value,
)
from lab.report.predict.figures import Figure, Span
from lab.report.predict.model import ConstantLine, FigureLine
from lab.report.predict.reasons import BOUND, UNKNOWN, reason
from lab.report.predict.worlds import World, Worlds
from lab.report.study.published import BY_IMAGE, LARGEST_MB, NAMES

_PARTS: Final = (Span.SETUP, Span.COLD_PREDICTION, Span.WARM_PREDICTION)
_DIVIDED: Final = (1024, 2048)
STUDY: Final = "fitted to the study's MobileNet figures"


def constant_lines(found: Worlds, own: Sequence[str]) -> Sequence[ConstantLine]:
    """``own``: the ids of the measurements that the constants were fitted to as well."""
    theirs = f"{STUDY}, then to {', '.join(own)}" if own else STUDY

    def of(constant: Constant) -> Callable[[World], float]:
        return lambda world: value(world.constants, constant)

    return [
        ConstantLine(
            constant=one,
            means=MEANING[one],
            value=of(one)(found.measured),
            unit="x" if one in PER_SECOND else "s",
            interval=found.interval(of(one)),
            source=STUDY if one in OF_THE_STUDY else theirs,
        )
        for one in Constant
    ]


def figure_lines(figures: Sequence[Figure], found: Worlds) -> Sequence[FigureLine]:
    """Each figure, then the ratios of the study's headline that can be made of them."""
    return [*(_line(one, found) for one in figures), *_ratios(figures, found)]


def _line(figure: Figure, found: Worlds) -> FigureLine:
    error = _error(lambda world: world.predicted(figure), lambda world: world.seconds[figure])
    point = error(found.measured)
    largest = ", largest image" if figure.key[0] == BASELINE and not figure.own else ""
    return FigureLine(
        what=f"{figure.span}{largest}",
        model=NAMES.get(figure.key[1], figure.key[1]),
        where=figure.where,
        goal=figure.span not in _PARTS,
        predicted=found.measured.predicted(figure),
        published=figure.seconds,
        unit="s",
        error=point,
        error_interval=found.interval(error),
        reason=reason(figure, point),
    )


def _ratios(figures: Sequence[Figure], found: Worlds) -> Iterator[FigureLine]:
    cold = {(one.key, one.size): one for one in figures if one.span is Span.COLD and not one.own}
    for (key, size), over in cold.items():
        more = cold.get((key, _DIVIDED[1])) if size == _DIVIDED[0] else None
        if more is not None:
            what = f"cold request, {_DIVIDED[0]} MB over {_DIVIDED[1]} MB"
            yield _ratio(what, over, more, found, published=over.seconds / more.seconds)
        if key[0] == BASELINE:
            under = next(
                one
                for (other, memory), one in cold.items()
                if other[0] != BASELINE and other[1] == key[1] and memory == LARGEST_MB
            )
            what = "cold request, largest image over smallest"
            yield _ratio(what, over, under, found, published=BY_IMAGE[key[1]])


def _ratio(
    what: str, over: Figure, under: Figure, found: Worlds, *, published: float
) -> FigureLine:
    def predicted(world: World) -> float:
        return world.predicted(over) / world.predicted(under)

    error = _error(predicted, lambda world: world.seconds[over] / world.seconds[under])
    point = predicted(found.measured) / published - 1
    return FigureLine(
        what=what,
        model=NAMES[over.key[1]],
        where="ratio",
        goal=True,
        predicted=predicted(found.measured),
        published=published,
        unit="x",
        error=point,
        error_interval=found.interval(error),
        reason="" if abs(point) <= BOUND else UNKNOWN,
    )


def _error(
    predicted: Callable[[World], float], told: Callable[[World], float]
) -> Callable[[World], float]:
    """The relative error in a world."""
    return lambda world: predicted(world) / told(world) - 1
