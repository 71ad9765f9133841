"""Waterfalls: where the time goes, a bar per row, all bars of a panel on one time axis."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.coldstart.summary import Row
from lab.report.chunks import waited_s
from lab.report.page.scale import Scale, Whisker, linear, seconds_label, whisker
from lab.report.rows import Group
from lab.report.words import (
    BARE_MEANING,
    KIND_MEANING,
    KINDS,
    PHASE_MEANING,
    PHASES,
    percent,
    plural,
    seconds,
)
from lab.spec import Phase, StartKind


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A phase of a bar."""

    phase: Phase
    seconds: float
    share: float
    """Thousandths of the bar."""
    tip: str
    waited: float = 0.0
    """Per cent of it in which something of the image was being fetched."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A row in a waterfall."""

    path: str
    """To the row in the page's document."""
    row: Row
    segments: Sequence[Segment]
    width: float
    """Per cent of the axis."""
    whisker: Whisker

    @property
    def spoken(self) -> str:
        row = self.row
        listed = ", ".join(f"{PHASES[one.phase]} {seconds(one.seconds)}" for one in self.segments)
        start = f"{row.variant}, {KINDS[row.start_kind]}"
        return f"{start}: {seconds(row.total_s.p50)} in all; {listed}"


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """One start kind of one group."""

    kind: StartKind
    meaning: str
    bars: Sequence[Bar]
    scale: Scale


def waterfalls(group: Group, *, container: bool) -> Sequence[Waterfall]:
    """A waterfall per start kind that has samples."""
    found = []
    for kind in group.kinds:
        members = [one for one in group.of(kind) if one.row.n]
        if members:
            scale = time_axis([one.row for one in members])
            found.append(
                Waterfall(
                    kind=kind,
                    meaning=(KIND_MEANING if container else BARE_MEANING)[kind],
                    bars=[bar(one.row, f"/rows/{one.place}", scale) for one in members],
                    scale=scale,
                )
            )
    return found


def time_axis(rows: Sequence[Row]) -> Scale:
    """An axis of seconds with room for every bar and every interval."""
    tops = [max(sum(row.phases_s.values()), highest(row)) for row in rows]
    return linear(max(*tops, 1e-3), seconds_label)


def highest(row: Row) -> float:
    """The upper end of what a plot must show of a row's total."""
    total = row.total_s
    ends = (total.p50, total.p50_ci95[1] if total.p50_ci95 else total.max)
    return max((end for end in ends if end is not None), default=0.0)


def bar(row: Row, path: str, scale: Scale) -> Bar:
    """A row's phases, one after the other."""
    whole = sum(row.phases_s.values()) or 1.0
    segments = []
    for phase in Phase:
        taken = row.phases_s.get(phase)
        if not taken:
            continue
        held = row.phases_ci95.get(phase)
        between = f" ({seconds(held[0])} to {seconds(held[1])})" if held else ""
        waited = waited_s(row, phase)
        chunks = row.chunks.fetched.get(phase, 0) if row.chunks else 0
        wait = f"; {seconds(waited)} of it for {plural(chunks, 'chunk')}" if chunks else ""
        segments.append(
            Segment(
                phase=phase,
                seconds=taken,
                share=1000 * taken / whole,
                tip=f"{PHASES[phase]}: {seconds(taken)}{between}, {percent(taken / whole)} — "
                f"{PHASE_MEANING[phase]}{wait}",
                waited=100 * waited / taken,
            )
        )
    return Bar(
        path=path,
        row=row,
        segments=segments,
        width=scale.at(whole),
        whisker=whisker(row.total_s, scale),
    )
