"""Where the labels of a plot's points stand, so that they cover neither points nor each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_WIDTH = 2.6
_HEIGHT = 2.3
"""Pixels of a small plot for each per cent."""
_DOT = 7.0
_CHARACTER = 7.0
_LINE = 14.0


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """Where a label stands beside its point, in pixels."""

    dx: float
    dy: float
    align: str


ANCHORS: Final = (
    Anchor(dx=10, dy=4, align="start"),
    Anchor(dx=-10, dy=4, align="end"),
    Anchor(dx=7, dy=17, align="start"),
    Anchor(dx=-7, dy=-9, align="end"),
    Anchor(dx=7, dy=-9, align="start"),
    Anchor(dx=0, dy=-12, align="middle"),
    Anchor(dx=-7, dy=17, align="end"),
    Anchor(dx=16, dy=-20, align="start"),
    Anchor(dx=-10, dy=-24, align="end"),
)
"""In order of preference."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """The area that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0)

    def outside(self) -> float:
        """How far it leaves the plot, weighed as an area."""
        over = max(-self.left, self.right - 100 * _WIDTH, -self.top, self.bottom - 100 * _HEIGHT)
        return max(over, 0.0) * _LINE


def anchors(points: Sequence[tuple[float, float, str]]) -> Sequence[Anchor]:
    """For each (x, y in per cent, label) the first place that is free, or the least covered.

    In pixels of a plot of ordinary size: on a larger one there is only more room.
    """
    dots = [
        Box(
            left=x * _WIDTH - _DOT,
            right=x * _WIDTH + _DOT,
            top=y * _HEIGHT - _DOT,
            bottom=y * _HEIGHT + _DOT,
        )
        for x, y, _ in points
    ]
    taken: list[Box] = []
    found: dict[int, Anchor] = {}
    # From the top down: a label that gives way does so upwards, where a rising curve leaves room.
    for place, (x, y, label) in sorted(enumerate(points), key=lambda pair: pair[1][1]):
        others = [dot for other, dot in enumerate(dots) if other != place] + taken
        boxes = [(_label_box(x, y, label, anchor), anchor) for anchor in ANCHORS]
        costs = [sum(box.overlap(other) for other in others) + box.outside() for box, _ in boxes]
        box, anchor = boxes[costs.index(min(costs))]
        taken.append(box)
        found[place] = anchor
    return [found[place] for place in range(len(points))]


def _label_box(x: float, y: float, label: str, anchor: Anchor) -> Box:
    wide = _CHARACTER * len(label)
    across, down = x * _WIDTH + anchor.dx, y * _HEIGHT + anchor.dy
    left = {"start": across, "middle": across - wide / 2, "end": across - wide}[anchor.align]
    return Box(left=left, right=left + wide, top=down - _LINE * 0.8, bottom=down + _LINE * 0.2)
