"""Scatter plots: image size against time, memory against time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lab.coldstart.summary import Row
from lab.report.chunks import within
from lab.report.page.labels import ANCHORS, Anchor, anchors
from lab.report.page.scale import Scale, linear, megabytes_label, seconds_label
from lab.report.page.waterfall import highest
from lab.report.rows import Group
from lab.report.words import KINDS, seconds
from lab.spec import FLOOR, StartKind


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
    shipped: float | None = None
    """Where x is what was read of an image: all that there is of it."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Points on two axes, joined within a series in the order of x."""

    name: str
    points: Sequence[Point]
    x: Scale
    y: Scale
    series: Sequence[str] = ()
    note: str = ""
    """What x is, where it is not the size of the image."""

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


def sizes(group: Group) -> Sequence[Scatter]:
    """Image size against median total, a small plot per start kind."""
    found = []
    for kind in group.kinds:
        rows = [one.row for one in group.of(kind) if one.row.n and one.row.total_s.p50]
        known = [(size, row) for row in rows if (size := _size(row, rows)) is not None]
        if sum(row.variant != FLOOR for _, row in known) < 2:
            continue
        whole = [row.chunks.image_bytes for _, row in known if row.chunks]
        x = linear(max(*whole, *(size for size, _ in known)), megabytes_label, wanted=4)
        y = linear(max(highest(row) for _, row in known), seconds_label)
        points = [_point(size, row, x, y, row.variant) for size, row in known]
        note = "\u25cf bytes read, \u25a1 all, unpacked" if whole else ""
        found.append(Scatter(name=KINDS[kind], points=_labelled(points), x=x, y=y, note=note))
    return found


def memory(groups: Sequence[Group]) -> Sequence[Scatter]:
    """Tier against median total, a plot per model and start kind, a line per variant."""
    found = []
    tiered = [one.row for group in groups for one in group.members if one.row.tier.isdecimal()]
    variants = list(dict.fromkeys(row.variant for row in tiered))
    keys = dict.fromkeys((row.model, row.start_kind) for row in tiered if row.variant != FLOOR)
    for key in keys:
        rows = [row for row in tiered if (row.model, row.start_kind) == key and row.total_s.p50]
        if len({row.tier for row in rows}) < 2:
            continue
        x = linear(max(float(row.tier) for row in rows), lambda mb: f"{mb:g} MB", wanted=4)
        y = linear(max(highest(row) for row in rows), seconds_label)
        points = [
            _point(float(row.tier), row, x, y, "", series=variants.index(row.variant))
            for row in rows
        ]
        name = f"{key[0]}, {KINDS[key[1]]}"
        found.append(Scatter(name=name, points=points, x=x, y=y, series=variants))
    return found


def _point(across: float, row: Row, x: Scale, y: Scale, label: str, *, series: int = 0) -> Point:
    total = row.total_s
    middle = total.p50 or 0.0
    low, high = total.p50_ci95 or (total.min or middle, total.max or middle)
    size = megabytes_label(across) if label else f"{across:g} MB of memory"
    told = row.chunks if label else None
    shipped = told.image_bytes if told and within(told) else None
    if shipped is not None:
        size += f" read of {megabytes_label(shipped)}"
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
        shipped=None if shipped is None else x.at(shipped),
    )


def _size(row: Row, rows: Sequence[Row]) -> int | None:
    """What was read, on demand. Else compressed if all are known (the floor aside), or unpacked.

    Never a mix.
    """
    if row.start_kind is StartKind.ONDEMAND:
        return row.image_read_bytes
    packed = all(other.image_compressed_bytes for other in rows if other.variant != FLOOR)
    return row.image_compressed_bytes if packed else row.image_unpacked_bytes


def _labelled(points: Sequence[Point]) -> Sequence[Point]:
    marks = [(point.x, point.y, point.label) for point in points]
    marks += [(point.shipped, point.y, "") for point in points if point.shipped is not None]
    chosen = anchors(marks)[: len(points)]
    return [replace(point, anchor=anchor) for point, anchor in zip(points, chosen, strict=True)]
