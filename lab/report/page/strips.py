"""Distributions: every sample a dot, set against its own row's median."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.report.page.scale import Scale, relative
from lab.report.rows import Group, MeasuredRow
from lab.report.words import KINDS, seconds
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

    row: int
    variant: str
    measured: MeasuredRow
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


def _middle(one: MeasuredRow) -> float:
    """The row's median; a row with nothing but warm-up goes by that."""
    warm_up = [sample.total_s for sample in one.warm_up if sample.total_s]
    return one.row.total_s.p50 or (median(warm_up) if warm_up else 1.0)


def _strip(one: MeasuredRow, place: int, scale: Scale) -> Strip:
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
                y=lane * 2 % _LANES - _LANES // 2,
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
