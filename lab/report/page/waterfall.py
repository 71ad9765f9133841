"""Waterfalls: where the time goes, a bar per variant, a panel per start kind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.coldstart.summary import Row
from lab.report.page.scale import Scale, linear, seconds_label
from lab.report.rows import Group, MeasuredRow
from lab.report.words import (
    BARE_MEANING,
    KIND_MEANING,
    KINDS,
    PHASE_MEANING,
    PHASES,
    percent,
    seconds,
)
from lab.spec import Phase, StartKind


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
    measured: MeasuredRow
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


def waterfalls(group: Group, places: Mapping[int, int], *, container: bool) -> Sequence[Waterfall]:
    """A waterfall per start kind that has samples. ``places``: ``id(row)`` to its place."""
    found = []
    for kind in group.kinds:
        members = [one for one in group.of(kind) if one.row.n]
        if not members:
            continue
        tops = [max(sum(one.row.phases_s.values()), highest(one.row)) for one in members]
        scale = linear(max(*tops, 1e-3), seconds_label)
        found.append(
            Waterfall(
                kind=kind,
                name=KINDS[kind],
                meaning=(KIND_MEANING if container else BARE_MEANING)[kind],
                bars=[_bar(one, places[id(one.row)], scale) for one in members],
                scale=scale,
            )
        )
    return found


def highest(row: Row) -> float:
    """The upper end of what a plot must show of a row's total."""
    total = row.total_s
    ends: Iterable[float | None] = (
        total.p50,
        total.p50_ci95[1] if total.p50_ci95 else total.max,
    )
    return max((end for end in ends if end is not None), default=0.0)


def _bar(one: MeasuredRow, place: int, scale: Scale) -> Bar:
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
