"""The picture: what grows with the table, and what does not, by the number of items."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from lab.coldstart.catalogue import Catalogue, Median
from lab.report.catalogue.out import rounded
from lab.report.load.plots import Curve, Mark, Plot
from lab.report.page.scale import Scale, logarithmic, seconds_label
from lab.report.words import KINDS, seconds, seconds_pair

_GROWS: Final = "cold"
_REST: Final = "every"
_TURN: Final = "failed"
"""Looks of the style sheet."""
_STEPS: Final = 12
"""Between two sizes: what is affine is no straight line on these axes."""

_Points = Sequence[tuple[int, Median]]


def plots(found: Sequence[Catalogue]) -> Sequence[Plot]:
    """One for each that has times."""
    return [plot for one in found if (plot := _plot(one)) is not None]


def _plot(one: Catalogue) -> Plot | None:
    grows = [(size.items, size.grows) for size in one.sizes if size.grows]
    rest = [(size.items, size.rest) for size in one.sizes if size.rest]
    if one.crossing is None:
        return None
    ends = [end for _, one in (*grows, *rest) for end in (one.s, *(one.interval or ()))]
    x = logarithmic(grows[0][0], grows[-1][0], _items_label)
    y = logarithmic(min(ends), max(ends), seconds_label)
    lines = [(_GROWS, "fetch, load, first prediction", grows), (_REST, "all the rest", rest)]
    marks = [mark for look, word, points in lines for mark in _marks(points, x, y, look, word)]
    if one.crossing.items is not None:
        told, at = f"{rounded(one.crossing.items)} items", one.crossing.items
        level = 100 - y.at(_between(rest, at))
        tip = f"they cross at {told}"
        marks.append(Mark(x=x.at(at), y=level, look=_TURN, tip=tip, label=told))
    return Plot(
        name=f"{one.variant}, {KINDS[one.start_kind]}",
        x=x,
        y=y,
        spoken="; ".join(mark.tip for mark in marks),
        curves=[Curve(points=_curve(points, x, y), look=look) for look, _, points in lines],
        marks=marks,
        legend=[(look, word) for look, word, _ in lines],
    )


def _items_label(items: float) -> str:
    """``1k``, ``300k``, ``1M``."""
    return f"{items / 1e6:g}M" if items >= 1e6 else f"{items / 1e3:g}k"


def _marks(points: _Points, x: Scale, y: Scale, look: str, word: str) -> Sequence[Mark]:
    return [
        Mark(
            x=x.at(items),
            y=100 - y.at(one.s),
            look=look,
            tip=f"{items:,} items: {word} {seconds(one.s)} ({seconds_pair(one.interval)})",
            low=100 - y.at(one.interval[0]) if one.interval else None,
            high=100 - y.at(one.interval[1]) if one.interval else None,
        )
        for items, one in points
    ]


def _curve(points: _Points, x: Scale, y: Scale) -> str:
    places = [
        first * (last / first) ** (step / _STEPS)
        for (first, _), (last, _) in pairwise(points)
        for step in range(_STEPS)
    ]
    return " ".join(
        f"{x.at(items):g},{100 - y.at(_between(points, items)):g}"
        for items in (*places, points[-1][0])
    )


def _between(points: _Points, items: float) -> float:
    """Seconds at a size within the points: affine between the two beside it."""
    for (x0, one), (x1, two) in pairwise(points):
        if x0 <= items <= x1:
            return one.s + (two.s - one.s) * (items - x0) / (x1 - x0)
    return points[-1][1].s
