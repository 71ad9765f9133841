"""What the join's page, Markdown and terminal show: ``join.json`` arranged for a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.coldstart.summary import Against, Comparison, Quantity, Row
from lab.report.join.model import Joined, Machines
from lab.report.page.scale import Scale, linear, seconds_label
from lab.report.page.waterfall import highest
from lab.report.rows import VARIANT_ORDER
from lab.report.words import KINDS, PHASES, percent, seconds, tier
from lab.spec import FLOOR, Phase, StartKind


@dataclass(frozen=True, kw_only=True)
class JoinSegment:
    """A phase of a bar."""

    phase: Phase
    share: float
    """Thousandths of the bar."""
    tip: str


@dataclass(frozen=True, kw_only=True)
class JoinCell:
    """A run's native row of a variant."""

    run: int
    path: str
    """To the row in ``join.json``."""
    row: Row
    segments: Sequence[JoinSegment]
    width: float
    median_at: float | None
    low_at: float | None
    high_at: float | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A variant: its row in each run that has one, and what is divided."""

    variant: str
    cells: Mapping[int, JoinCell]
    quotients: Mapping[int, int]
    """By run: the place of the quotient over the first run."""


@dataclass(frozen=True, kw_only=True)
class JoinPanel:
    """One model, tier and start kind: every variant, a bar for each run, on one axis of time."""

    title: str
    kind: StartKind
    lines: Sequence[Line]
    scale: Scale
    different: bool
    """Whether it holds times of more than one machine."""


@dataclass(frozen=True, kw_only=True)
class Within:
    """A ratio of images that each run answers for itself: the place of each run's comparison."""

    name: str
    cells: Mapping[int, int]


@dataclass(frozen=True, kw_only=True)
class Block:
    """The ratios of one start kind, model and tier."""

    where: str
    lines: Sequence[Within]


def panels(joined: Joined) -> Sequence[JoinPanel]:
    """Everything that was measured natively, by model, tier and start kind."""
    rows: dict[tuple[str, str, StartKind], dict[str, dict[int, tuple[int, Row]]]] = {}
    for run, member in enumerate(joined.runs):
        for place, row in enumerate(member.rows):
            if row.n and not row.emulated:
                key = row.model, row.tier, row.start_kind
                rows.setdefault(key, {}).setdefault(row.variant, {})[run] = place, row
    quotients = {
        (one.model, one.tier, one.start_kind, one.variant, one.run): place
        for place, one in enumerate(joined.quotients)
    }
    found = []
    order = {model: place for place, model in enumerate(dict.fromkeys(key[0] for key in rows))}
    for key in sorted(rows, key=lambda key: (order[key[0]], key[1], list(StartKind).index(key[2]))):
        by_variant = rows[key]
        every = [row for cells in by_variant.values() for _, row in cells.values()]
        tops = [max(sum(row.phases_s.values()), highest(row)) for row in every]
        scale = linear(max(*tops, 1e-3), seconds_label)
        lines = [
            Line(
                variant=variant,
                cells={
                    run: _cell(run, place, row, scale)
                    for run, (place, row) in by_variant[variant].items()
                },
                quotients={
                    run: quotients[(*key, variant, member.letter)]
                    for run, member in enumerate(joined.runs)
                    if (*key, variant, member.letter) in quotients
                },
            )
            for variant in sorted(by_variant, key=_variant_place)
        ]
        runs = {run for cells in by_variant.values() for run in cells}
        found.append(
            JoinPanel(
                title=f"{KINDS[key[2]]} · {key[0]} · {tier(key[1])}",
                kind=key[2],
                lines=lines,
                scale=scale,
                different=_different(joined, runs),
            )
        )
    return found


def within(joined: Joined) -> Sequence[Block]:
    """Ratios of images, each of one run and its own interval, the runs side by side."""
    found: dict[str, dict[str, dict[int, int]]] = {}
    for run, member in enumerate(joined.runs):
        for place, one in enumerate(member.comparisons):
            if one.quantity is Quantity.TOTAL and one.against is not Against.TIER:
                block = found.setdefault(_where(one), {})
                block.setdefault(f"{one.numerator} / {one.denominator}", {})[run] = place
    return [
        Block(where=where, lines=[Within(name=name, cells=cells) for name, cells in lines.items()])
        for where, lines in found.items()
    ]


def _where(one: Comparison) -> str:
    kind = KINDS[one.start_kind] if one.start_kind else ""
    return f"{kind} · {one.model} · {tier(one.tier or '')}"


def _different(joined: Joined, runs: set[int]) -> bool:
    return len(runs) > 1 and any(
        joined.runs[run].against_first is Machines.DIFFERENT for run in runs
    )


def _variant_place(variant: str) -> tuple[int, str]:
    if variant == FLOOR:
        return len(VARIANT_ORDER), variant
    return (VARIANT_ORDER.index(variant) if variant in VARIANT_ORDER else -1), variant


def _cell(run: int, place: int, row: Row, scale: Scale) -> JoinCell:
    whole = sum(row.phases_s.values()) or 1.0
    total = row.total_s
    held = total.p50_ci95
    return JoinCell(
        run=run,
        path=f"/runs/{run}/rows/{place}",
        row=row,
        segments=[
            JoinSegment(
                phase=phase,
                share=1000 * taken / whole,
                tip=f"{PHASES[phase]}: {seconds(taken)}, {percent(taken / whole)}",
            )
            for phase in Phase
            if (taken := row.phases_s.get(phase))
        ],
        width=scale.at(whole),
        median_at=None if total.p50 is None else scale.at(total.p50),
        low_at=None if held is None else scale.at(held[0]),
        high_at=None if held is None else scale.at(held[1]),
    )
