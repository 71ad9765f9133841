"""Samples gathered into the rows of the summary."""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from lab.coldstart.plan import variant_name
from lab.coldstart.record import Cell, Chunks, ImageRecord, Outcome, Run, Sample
from lab.coldstart.summary import Pair, Row, Spread
from lab.images.variants import serving
from lab.report.recorded import Recorded
from lab.report.words import tier
from lab.spec import FLOOR, Phase, Platform, StartKind
from lab.start.boot import Boot
from lab.stats.diagnostics import outliers, relative_spread
from lab.stats.quantiles import interval, median, quantile, supported

Value = TypeVar("Value")

VARIANT_ORDER: Final = tuple(serving())
"""The order of the optimisation steps; a user's own image comes before them, the floor after."""


@dataclass(frozen=True, kw_only=True)
class MeasuredRow:
    """A row and the samples behind it, each in the order of the run."""

    place: int
    """Among the rows of the summary."""
    row: Row
    counted: Sequence[Sample]
    """Succeeded, not warm-up: what the row's figures are made of."""
    warm_up: Sequence[Sample]
    """Succeeded, in the warm-up block: shown apart, never mixed in."""
    failed: Sequence[Sample]
    skipped: Sequence[Sample]

    @property
    def totals(self) -> Sequence[float]:
        """Seconds from begin to first prediction, in the order of the run."""
        return _present(sample.total_s for sample in self.counted)

    @property
    def blocks(self) -> Mapping[int, Sequence[float]]:
        """The totals by block."""
        found: dict[int, list[float]] = defaultdict(list)
        for sample in self.counted:
            if sample.total_s is not None:
                found[sample.block].append(sample.total_s)
        return found


def gather(recorded: Recorded) -> Sequence[MeasuredRow]:
    """A row per cell that was planned or measured, in a fixed order."""
    by_cell: dict[Cell, list[Sample]] = {cell: [] for _, cell in recorded.run.order}
    for sample in recorded.samples:
        by_cell.setdefault(sample.cell, []).append(sample)
    images = {(image.variant, image.platform): image for image in recorded.run.images}
    native = recorded.run.engine.get("platform")
    # As the plan names them; a user's own model is not among those, and the order is shuffled.
    planned = recorded.run.plan.get("models")
    named = [str(model) for model in planned] if isinstance(planned, list | tuple) else []
    names = dict.fromkeys([*named, *sorted(cell.model for cell in by_cell)])
    models = {name: place for place, name in enumerate(names)}
    beside = references(recorded.run)
    return [
        _measure(
            by_cell[cell],
            cell,
            images.get((cell.variant, cell.platform)),
            native=native,
            reference=cell.variant in beside,
            place=place,
        )
        for place, cell in enumerate(sorted(by_cell, key=lambda cell: _order(cell, models)))
    ]


def references(run: Run) -> Container[str]:
    """The variants that a run measures only to compare with, which it never gives advice on.

    The floor always; where the run is about an image of the user's, all variants of the lab's.
    """
    variants = {cell.variant for _, cell in run.order}
    own = run.plan.get("own")
    if isinstance(own, Mapping):
        mine = {variant_name(str(own.get("image")))} & variants
    elif "own" in run.plan:
        mine = set()
    else:  # An old run, whose plan does not say: what is not the lab's is the user's.
        mine = variants - {*VARIANT_ORDER, FLOOR}
    return variants - mine if mine else {FLOOR}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that may be compared: one platform, one tier, one model (or a user's own beside ours).

    The floor serves no model, so it belongs to every group of its platform and tier.
    """

    models: Sequence[str]
    platform: Platform
    tier: str
    members: Sequence[MeasuredRow]

    @property
    def title(self) -> str:
        return f"{' and '.join(self.models)} · {self.platform} · {tier(self.tier)}"

    @property
    def kinds(self) -> Sequence[StartKind]:
        """The start kinds that were planned, least cold first."""
        there = {one.row.start_kind for one in self.members}
        return [kind for kind in StartKind if kind in there]

    @property
    def own(self) -> Sequence[MeasuredRow]:
        """What the run is about: all rows that are no references."""
        return [one for one in self.members if not one.row.reference]

    def of(self, kind: StartKind) -> Sequence[MeasuredRow]:
        """The rows of one start kind, in the order of the summary."""
        return [one for one in self.members if one.row.start_kind is kind]


def groups(measured: Sequence[MeasuredRow]) -> Sequence[Group]:
    """The run's rows by what may be compared, in the order of the summary.

    A user's own image serves a model of its own; where there is no row of ours with that model,
    it stands beside ours of the same platform and tier.
    """
    ours = dict.fromkeys(one.row.group for one in measured if one.row.variant in VARIANT_ORDER)
    foreign = dict.fromkeys(
        one.row.group
        for one in measured
        if one.row.variant not in (*VARIANT_ORDER, FLOOR)
        and not any(group[1:] == one.row.group[1:] for group in ours)
    )
    keys = [*ours, *foreign] or list(dict.fromkeys(one.row.group for one in measured))
    found = []
    for key in keys:
        members = [one for one in measured if _belongs(one.row, key, ours)]
        floors = {one.row.model for one in members if one.row.variant == FLOOR}
        if key[0] in floors:
            members = [m for m in members if m.row.variant != FLOOR or m.row.model == key[0]]
        members.sort(key=lambda one: variant_place(one.row.variant))
        models = [one.row.model for one in members if one.row.variant != FLOOR] or [key[0]]
        found.append(
            Group(models=list(dict.fromkeys(models)), platform=key[1], tier=key[2], members=members)
        )
    return found


def _belongs(
    row: Row, key: tuple[str, Platform, str], ours: Container[tuple[str, Platform, str]]
) -> bool:
    if row.group[1:] != key[1:]:
        return False
    alone = row.variant not in VARIANT_ORDER and row.group not in ours
    return row.model == key[0] or row.variant == FLOOR or alone


def floor_of(row: Row, rows: Iterable[Row]) -> Row | None:
    """The floor measured under the same conditions; it serves no model, so any model's will do."""
    found = [
        other
        for other in rows
        if other.variant == FLOOR
        and other.n
        and (other.platform, other.tier, other.start_kind)
        == (row.platform, row.tier, row.start_kind)
    ]
    return min(found, key=lambda other: other.model != row.model, default=None)


def spread(values: Sequence[float]) -> Spread:
    """What n values say of a quantity, and no more."""
    if not values:
        return Spread()
    found: dict[str, float | Pair | None] = {}
    for q in supported(len(values)):
        name = f"p{round(q * 100)}"
        held = interval(values, q)
        found[name] = quantile(values, q)
        found[f"{name}_ci95"] = (held.low, held.high) if held and held.confident else None
    middle = interval(values)
    widest = 1 - 0.5 ** (len(values) - 1)
    return Spread.model_validate(
        found
        | {
            "min": min(values),
            "max": max(values),
            "range_coverage": widest if middle else None,
            "relative_spread": relative_spread(values) if len(values) > 1 else None,
        }
    )


def _order(cell: Cell, models: Mapping[str, int]) -> tuple[int, str, float, int, int, str]:
    variant = variant_place(cell.variant)
    tier = float(cell.tier) if cell.tier.isdecimal() else float("inf")
    kind = list(StartKind).index(cell.start_kind)
    return models[cell.model], cell.platform, tier, kind, variant, cell.variant


def variant_place(variant: str) -> int:
    """A user's own image comes before the optimisation steps, the floor after."""
    if variant == FLOOR:
        return len(VARIANT_ORDER)
    return VARIANT_ORDER.index(variant) if variant in VARIANT_ORDER else -1


def _measure(
    samples: Sequence[Sample],
    cell: Cell,
    image: ImageRecord | None,
    *,
    native: object,
    reference: bool,
    place: int,
) -> MeasuredRow:
    by_outcome = {kind: [one for one in samples if one.outcome is kind] for kind in Outcome}
    done, failed, skipped = (by_outcome[kind] for kind in Outcome)
    counted = [sample for sample in done if not sample.warm_up]
    warm_up = [sample for sample in done if sample.warm_up]
    totals = _present(sample.total_s for sample in counted)
    phases = {
        phase: [sample.phases_s.get(phase, 0.0) for sample in counted]
        for phase in Phase
        if any(phase in sample.phases_s for sample in counted)
    }
    chunks = _typical_chunks(counted)
    row = Row(
        **dict(cell),
        n=len(counted),
        failures=len(failed),
        skipped=len(skipped),
        warm_up=len(warm_up),
        total_s=spread(totals),
        second_prediction_s=spread(_present(sample.second_prediction_s for sample in counted)),
        phases_s={phase: median(values) for phase, values in phases.items()},
        phases_ci95={phase: _ci95(values) for phase, values in phases.items()},
        peak_memory_bytes=max(_present(one.peak_memory_bytes for one in done), default=None),
        throttled_s=_median(sample.throttled_seconds for sample in counted),
        cpu_s=_median(sample.cpu_seconds for sample in counted),
        outliers=[counted[far].trial for far in outliers(totals)],
        probe_interval_s=max(_present(one.probe_interval_s for one in done), default=None),
        image_compressed_bytes=image.compressed_bytes if image else None,
        image_unpacked_bytes=image.unpacked_bytes if image else None,
        emulated=_emulated(samples, cell, native),
        reference=reference,
        disturbed=sum(sample.disturbed for sample in counted),
        chunks=chunks,
        image_read_bytes=chunks.bytes if chunks else None,
        chunk_wait_s=chunks.wait_s if chunks else None,
        boot=_typical_boot(counted),
    )
    return MeasuredRow(
        place=place, row=row, counted=counted, warm_up=warm_up, failed=failed, skipped=skipped
    )


def _typical_chunks(counted: Sequence[Sample]) -> Chunks | None:
    seen = sorted(_present(sample.chunks for sample in counted), key=lambda one: one.count)
    return seen[len(seen) // 2] if seen else None


def _typical_boot(counted: Sequence[Sample]) -> Boot | None:
    told = [(sample.phases_s.get(Phase.BOOT, 0.0), sample.boot) for sample in counted]
    seen = sorted(((taken, boot) for taken, boot in told if boot), key=lambda pair: pair[0])
    return seen[len(seen) // 2][1] if seen else None


def _emulated(samples: Sequence[Sample], cell: Cell, native: object) -> bool:
    """Whether the row's trials run, or would have run, under QEMU: also those that failed."""
    if samples:
        return any(sample.emulated for sample in samples)
    return bool(native) and cell.platform.value != native


def _present(values: Iterable[Value | None]) -> list[Value]:
    return [value for value in values if value is not None]


def _median(values: Iterable[float | None]) -> float | None:
    found = _present(values)
    return median(found) if found else None


def _ci95(values: Sequence[float]) -> Pair | None:
    held = interval(values)
    return (held.low, held.high) if held and held.confident else None


def container(run: Run) -> bool:
    """Whether the run used containers at all."""
    return str(run.engine.get("kind", "docker")) != "process"
