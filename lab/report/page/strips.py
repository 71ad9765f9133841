"""Distributions: every sample a dot, set against its own row's median."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.coldstart.summary import Row
from lab.report.page.scale import Scale, Whisker, relative, whisker
from lab.report.rows import Group, MeasuredRow
from lab.report.words import seconds
from lab.spec import StartKind
from lab.stats.quantiles import median

_LANES = 5


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

    path: str
    row: Row
    dots: Sequence[Dot]
    whisker: Whisker


@dataclass(frozen=True, kw_only=True)
class Strips:
    """One start kind of one group, each sample as a multiple of its row's median, on a log axis."""

    kind: StartKind
    strips: Sequence[Strip]
    scale: Scale


def strips(group: Group) -> Sequence[Strips]:
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
        if values:
            scale = relative(min(values), max(values))
            drawn = [_strip(one, scale) for one in members]
            found.append(Strips(kind=kind, strips=drawn, scale=scale))
    return found


def _middle(one: MeasuredRow) -> float:
    """The row's median; a row with nothing but warm-up goes by that."""
    warm_up = [sample.total_s for sample in one.warm_up if sample.total_s]
    return one.row.total_s.p50 or (median(warm_up) if warm_up else 1.0)


def _strip(one: MeasuredRow, scale: Scale) -> Strip:
    middle = _middle(one)
    dots = []
    for lane, sample in enumerate((*one.counted, *one.warm_up)):
        if not sample.total_s:
            continue
        outlier = "outlier" if sample.trial in one.row.outliers else "counted"
        state = "warm-up" if sample.warm_up else outlier
        dots.append(
            Dot(
                x=scale.at(sample.total_s / middle),
                y=lane * 2 % _LANES - _LANES // 2,
                state=state,
                tip=f"trial {sample.trial}, block {sample.block}: {seconds(sample.total_s)}"
                + ("" if state == "counted" else f" ({state})"),
            )
        )
    return Strip(
        path=f"/rows/{one.place}",
        row=one.row,
        dots=dots,
        whisker=whisker(one.row.total_s, scale, unit_s=middle),
    )
