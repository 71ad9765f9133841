"""What the page draws: waterfalls, image size against time, distributions, memory against time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from lab.report.model import Row
from lab.report.page.scale import Scale, linear, megabytes_label, relative, seconds_label
from lab.report.rows import Group, Measured
from lab.report.words import KIND_MEANING, KINDS, PHASE_MEANING, PHASES, percent, seconds
from lab.spec import FLOOR, Phase, StartKind
from lab.stats.quantiles import median

_WIDTH = 2.6
_HEIGHT = 2.3
"""Pixels of a small plot for each per cent."""
_DOT = 7.0
_CHARACTER = 7.0
_LINE = 14.0
_SWARM = 5


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A phase in a waterfall."""

    phase: Phase
    name: str
    path: str
    seconds: float
    begin: float
    tip: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A variant in a waterfall; ``row`` is its place in the summary."""

    row: int
    variant: str
    measured: Measured
    segments: Sequence[Segment]
    sum_s: float
    median_at: float | None
    low_at: float | None
    high_at: float | None
    spoken: str


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """One start kind of one group; all bars on one time axis."""

    kind: StartKind
    name: str
    meaning: str
    bars: Sequence[Bar]
    scale: Scale


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


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point with its error bar, per cent of the plot; y runs downwards."""

    x: float
    y: float
    low: float
    high: float
    label: str
    anchor: Anchor
    tip: str
    floor: bool
    series: int = 0


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Points on two axes, joined within a series in the order of x."""

    name: str
    points: Sequence[Point]
    x: Scale
    y: Scale
    series: Sequence[str] = ()

    @property
    def lines(self) -> Sequence[tuple[Point, Point]]:
        """Neighbours to be joined; the floor stands alone."""
        found: list[tuple[Point, Point]] = []
        for series in range(max(len(self.series), 1)):
            mine = sorted(
                (p for p in self.points if p.series == series and not p.floor), key=lambda p: p.x
            )
            found += pairwise(mine)
        return found


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A sample."""

    x: float
    y: int
    """Lane, from -2 to 2."""
    state: str
    """``counted``, ``outlier`` or ``warm-up``."""
    tip: str


@dataclass(frozen=True, kw_only=True)
class Strip:
    """All samples of a row."""

    row: int
    variant: str
    measured: Measured
    dots: Sequence[Dot]
    median_at: float | None
    low_at: float | None
    high_at: float | None


@dataclass(frozen=True, kw_only=True)
class Strips:
    """One start kind of one group, each sample as a multiple of its row's median, on a log axis."""

    kind: StartKind
    name: str
    strips: Sequence[Strip]
    scale: Scale


def waterfalls(group: Group, places: Mapping[int, int]) -> Sequence[Waterfall]:
    """A waterfall per start kind that has samples. ``places``: ``id(row)`` to its place."""
    found = []
    for kind in group.kinds:
        members = [one for one in group.of(kind) if one.row.n]
        if not members:
            continue
        tops = [max(sum(one.row.phases_s.values()), _high(one.row)) for one in members]
        scale = linear(max(*tops, 1e-3), seconds_label)
        found.append(
            Waterfall(
                kind=kind,
                name=KINDS[kind],
                meaning=KIND_MEANING[kind],
                bars=[_bar(one, places[id(one.row)], scale) for one in members],
                scale=scale,
            )
        )
    return found


def sizes(group: Group) -> Sequence[Scatter]:
    """Image size against median total, a small plot per start kind."""
    found = []
    for kind in group.kinds:
        rows = [one.row for one in group.of(kind) if one.row.n and one.row.total_s.p50]
        known = [(size, row) for row in rows if (size := _size(row, rows)) is not None]
        if len(known) < 2:  # noqa: PLR2004 - one point shows nothing
            continue
        x = linear(max(size for size, _ in known), megabytes_label, wanted=4)
        y = linear(max(_high(row) for _, row in known), seconds_label)
        points = [_point(size, row, x, y, row.variant) for size, row in known]
        found.append(Scatter(name=KINDS[kind], points=_labelled(points), x=x, y=y))
    return found


def memory(groups: Sequence[Group]) -> Sequence[Scatter]:
    """Tier against median total, a plot per model and start kind, a line per variant."""
    found = []
    keys = dict.fromkeys(
        (one.row.model, one.row.start_kind)
        for group in groups
        for one in group.members
        if one.row.variant != FLOOR and one.row.tier.isdecimal()
    )
    for model, kind in keys:
        rows = [
            one.row
            for group in groups
            for one in group.members
            if (one.row.model, one.row.start_kind) == (model, kind)
            and one.row.total_s.p50
            and one.row.tier.isdecimal()
        ]
        if len({row.tier for row in rows}) < 2:  # noqa: PLR2004 - one point shows nothing
            continue
        x = linear(max(float(row.tier) for row in rows), lambda mb: f"{mb:g} MB", wanted=4)
        y = linear(max(_high(row) for row in rows), seconds_label)
        variants = list(dict.fromkeys(row.variant for row in rows))
        points = [
            _point(float(row.tier), row, x, y, "", series=variants.index(row.variant))
            for row in rows
        ]
        name = f"{model}, {KINDS[kind]}"
        found.append(Scatter(name=name, points=points, x=x, y=y, series=variants))
    return found


def strips(group: Group, places: Mapping[int, int]) -> Sequence[Strips]:
    """Every sample, a plot per start kind."""
    found = []
    for kind in group.kinds:
        members = [one for one in group.of(kind) if one.row.n or one.warm_up]
        values = [
            sample.total_s / _middle(one)
            for one in members
            for sample in (*one.counted, *one.warm_up)
            if sample.total_s
        ]
        if not values:
            continue
        scale = relative(min(values), max(values))
        found.append(
            Strips(
                kind=kind,
                name=KINDS[kind],
                strips=[_strip(one, places[id(one.row)], scale) for one in members],
                scale=scale,
            )
        )
    return found


def _bar(one: Measured, place: int, scale: Scale) -> Bar:
    row = one.row
    whole = sum(row.phases_s.values()) or 1.0
    segments = []
    begin = 0.0
    for phase in Phase:
        taken = row.phases_s.get(phase)
        if not taken:
            continue
        held = row.phases_ci95.get(phase)
        between = f" ({seconds(held[0])} to {seconds(held[1])})" if held else ""
        segments.append(
            Segment(
                phase=phase,
                name=PHASES[phase],
                path=f"/rows/{place}/phases_s/{phase}",
                seconds=taken,
                begin=begin,
                tip=f"{PHASES[phase]}: {seconds(taken)}{between}, {percent(taken / whole)} — "
                f"{PHASE_MEANING[phase]}",
            )
        )
        begin += taken
    total = row.total_s
    listed = ", ".join(f"{segment.name} {seconds(segment.seconds)}" for segment in segments)
    return Bar(
        row=place,
        variant=row.variant,
        measured=one,
        segments=segments,
        sum_s=whole,
        median_at=None if total.p50 is None else scale.at(total.p50),
        low_at=None if total.p50_ci95 is None else scale.at(total.p50_ci95[0]),
        high_at=None if total.p50_ci95 is None else scale.at(total.p50_ci95[1]),
        spoken=f"{row.variant}, {KINDS[row.start_kind]}: {seconds(total.p50)} in all; {listed}",
    )


def _middle(one: Measured) -> float:
    """The row's median; a row with nothing but warm-up goes by that."""
    warm_up = [sample.total_s for sample in one.warm_up if sample.total_s]
    return one.row.total_s.p50 or (median(warm_up) if warm_up else 1.0)


def _strip(one: Measured, place: int, scale: Scale) -> Strip:
    total = one.row.total_s
    middle = _middle(one)
    dots = []
    for lane, sample in enumerate((*one.counted, *one.warm_up)):
        if not sample.total_s:
            continue
        state = "counted"
        if sample.warm_up:
            state = "warm-up"
        elif sample.trial in one.row.outliers:
            state = "outlier"
        dots.append(
            Dot(
                x=scale.at(sample.total_s / middle),
                y=lane * 2 % _SWARM - _SWARM // 2,
                state=state,
                tip=f"trial {sample.trial}, block {sample.block}: {seconds(sample.total_s)}"
                + ("" if state == "counted" else f" ({state})"),
            )
        )
    return Strip(
        row=place,
        variant=one.row.variant,
        measured=one,
        dots=dots,
        median_at=None if total.p50 is None else scale.at(1.0),
        low_at=None if total.p50_ci95 is None else scale.at(total.p50_ci95[0] / middle),
        high_at=None if total.p50_ci95 is None else scale.at(total.p50_ci95[1] / middle),
    )


def _point(across: float, row: Row, x: Scale, y: Scale, label: str, *, series: int = 0) -> Point:
    total = row.total_s
    middle = total.p50 or 0.0
    low, high = total.p50_ci95 or (total.min or middle, total.max or middle)
    size = megabytes_label(across) if label else f"{across:g} MB of memory"
    at = x.at(across)
    return Point(
        x=at,
        y=100 - y.at(middle),
        low=100 - y.at(low),
        high=100 - y.at(high),
        label=label,
        anchor=ANCHORS[0],
        tip=f"{row.variant}: {size}, {seconds(middle)} ({seconds(low)} to {seconds(high)})",
        floor=row.variant == FLOOR,
        series=series,
    )


def _labelled(points: Sequence[Point]) -> Sequence[Point]:
    """Give each label the first place where it covers no point and no other label.

    In pixels of a plot of ordinary size: on a larger one there is only more room.
    """
    dots = [
        Box(
            left=p.x * _WIDTH - _DOT,
            right=p.x * _WIDTH + _DOT,
            top=p.y * _HEIGHT - _DOT,
            bottom=p.y * _HEIGHT + _DOT,
        )
        for p in points
    ]
    taken: list[Box] = []
    found = []
    for place, point in sorted(enumerate(points), key=lambda pair: pair[1].y):
        others = [dot for other, dot in enumerate(dots) if other != place]
        boxes = [(_label_box(point, anchor), anchor) for anchor in ANCHORS]
        box, anchor = min(
            boxes,
            key=lambda pair: sum(pair[0].overlap(o) for o in (*others, *taken)) + pair[0].outside(),
        )
        taken.append(box)
        found.append(replace(point, anchor=anchor))
    return found


def _label_box(point: Point, anchor: Anchor) -> Box:
    wide = _CHARACTER * len(point.label)
    x, y = point.x * _WIDTH + anchor.dx, point.y * _HEIGHT + anchor.dy
    left = {"start": x, "middle": x - wide / 2, "end": x - wide}[anchor.align]
    return Box(left=left, right=left + wide, top=y - _LINE * 0.8, bottom=y + _LINE * 0.2)


def _high(row: Row) -> float:
    total = row.total_s
    ends: Iterable[float | None] = (
        total.p50,
        total.p50_ci95[1] if total.p50_ci95 else total.max,
    )
    return max((end for end in ends if end is not None), default=0.0)


def _size(row: Row, rows: Sequence[Row]) -> int | None:
    """Compressed if all are known (the floor aside), else unpacked: never a mix."""
    packed = all(other.image_compressed_bytes for other in rows if other.variant != FLOOR)
    return row.image_compressed_bytes if packed else row.image_unpacked_bytes
