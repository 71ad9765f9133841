"""What the join's page, Markdown and terminal show: ``join.json`` arranged for a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.coldstart.summary import Against, Quantity, Row
from lab.report.join.model import Joined, Machines
from lab.report.page.scale import Scale
from lab.report.page.waterfall import Bar, bar, time_axis
from lab.report.rows import variant_place
from lab.report.words import KINDS, tier
from lab.spec import StartKind


@dataclass(frozen=True, kw_only=True)
class Line:
    """A variant: its native row in each run that has one, and what is divided."""

    variant: str
    bars: Mapping[int, Bar]
    """By run."""
    quotients: Mapping[int, int]
    """By run: the place of the quotient over the first run."""


@dataclass(frozen=True, kw_only=True)
class JoinPanel:
    """One model, tier and start kind: every variant, a bar for each run, on one axis of time."""

    title: str
    lines: Sequence[Line]
    scale: Scale
    different: bool
    """Whether it holds times of more than one machine."""


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
        scale = time_axis([row for cells in by_variant.values() for _, row in cells.values()])
        lines = [
            Line(
                variant=variant,
                bars={
                    run: bar(row, f"/runs/{run}/rows/{place}", scale)
                    for run, (place, row) in by_variant[variant].items()
                },
                quotients={
                    run: quotients[(*key, variant, member.letter)]
                    for run, member in enumerate(joined.runs)
                    if (*key, variant, member.letter) in quotients
                },
            )
            for variant in sorted(by_variant, key=lambda variant: (variant_place(variant), variant))
        ]
        runs = {run for cells in by_variant.values() for run in cells}
        found.append(
            JoinPanel(
                title=f"{KINDS[key[2]]} · {key[0]} · {tier(key[1])}",
                lines=lines,
                scale=scale,
                different=len(runs) > 1
                and any(joined.runs[run].against_first is Machines.DIFFERENT for run in runs),
            )
        )
    return found


def within(joined: Joined) -> Mapping[str, Mapping[str, Mapping[int, int]]]:
    """Ratios of images, each of one run and its own interval, the runs side by side.

    By start kind, model and tier, by ``numerator / denominator`` and by run: the place of the run's
    comparison.
    """
    found: dict[str, dict[str, dict[int, int]]] = {}
    for run, member in enumerate(joined.runs):
        for place, one in enumerate(member.comparisons):
            if one.quantity is Quantity.TOTAL and one.against is not Against.TIER:
                kind = KINDS[one.start_kind] if one.start_kind else ""
                block = found.setdefault(f"{kind} · {one.model} · {tier(one.tier or '')}", {})
                block.setdefault(f"{one.numerator} / {one.denominator}", {})[run] = place
    return found
