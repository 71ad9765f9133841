"""The sizes of a model, found among a run's rows."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from lab.artifacts import fits, store
from lab.coldstart.catalogue import Catalogue, Crossing, Median, SizeFigures
from lab.coldstart.record import FailureKind, Run, Sample
from lab.images.variants import VARIANTS
from lab.report.catalogue.crossing import crossing
from lab.report.rows import MeasuredRow
from lab.spec import HOST_TIER, Phase, Platform, StartKind

FEWEST: Final = 3
"""Sizes."""
GROWS: Final = frozenset({Phase.MODEL_FETCH, Phase.MODEL_LOAD, Phase.FIRST_PREDICTION})
"""What grows with the table; the rest is the engine, the image, the interpreter, its imports."""

_MB: Final = 1024 * 1024

_Key = tuple[str, str, Platform, StartKind]


def catalogues(run: Run, measured: Sequence[MeasuredRow]) -> Sequence[Catalogue]:
    """Of every model that was measured in at least three sizes, packaged and started alike."""
    found: dict[_Key, dict[str, dict[int, MeasuredRow]]] = defaultdict(lambda: defaultdict(dict))
    for one in measured:
        row = one.row
        base, items = store.base(row.model)
        if items is not None and not row.reference and not row.emulated:
            key = (base, row.variant, row.platform, row.start_kind)
            found[key][row.tier][items] = one
    told = []
    for (base, variant, platform, kind), by_tier in found.items():
        tier = max(by_tier, key=lambda tier: (_good(by_tier[tier]), _room(tier)))
        if _good(by_tier[tier]) < FEWEST:
            continue
        rows = sorted(by_tier[tier].items())
        sizes = [_size(items, one, run, _tried(one, measured)) for items, one in rows]
        told.append(
            Catalogue(
                base=base,
                variant=variant,
                platform=platform,
                tier=tier,
                start_kind=kind,
                sizes=sizes,
                crossing=_crossing(rows, sizes),
            )
        )
    return told


def _good(rows: Mapping[int, MeasuredRow]) -> int:
    return sum(bool(one.row.n) for one in rows.values())


def _room(tier: str) -> float:
    return float("inf") if tier == HOST_TIER.name else float(tier)


def _size(
    items: int,
    one: MeasuredRow,
    run: Run,
    tried: tuple[Sequence[int], Sequence[int]],
) -> SizeFigures:
    started, killed = tried
    return SizeFigures(
        place=one.place,
        items=items,
        archive_bytes=_archive_bytes(one, run),
        grows=_of(one, _grows),
        rest=_of(one, _rest),
        lead=_of(one, _lead),
        memory_mb=_smallest(one.row.peak_memory_bytes, started, killed),
        started=started,
        killed=killed,
    )


def _of(one: MeasuredRow, seconds: Callable[[Sample], float]) -> Median | None:
    return Median.of([seconds(sample) for sample in one.counted]) if one.counted else None


def _grows(sample: Sample) -> float:
    return sum(seconds for phase, seconds in sample.phases_s.items() if phase in GROWS)


def _rest(sample: Sample) -> float:
    return sum(seconds for phase, seconds in sample.phases_s.items() if phase not in GROWS)


def _lead(sample: Sample) -> float:
    return _grows(sample) - _rest(sample)


def _crossing(
    rows: Sequence[tuple[int, MeasuredRow]], sizes: Sequence[SizeFigures]
) -> Crossing | None:
    """None where most starts were disturbed, or nothing is known of what is inside them."""
    good = [one for _, one in rows if one.row.n]
    if any(one.row.busy or Phase.MODEL_LOAD not in one.row.phases_s for one in good):
        return None
    leads = [(size.items, size.lead) for size in sizes if size.lead]
    grown = [(size.items, size.grows.s) for size in sizes if size.grows]
    (first, least), (last, most) = grown[0], grown[-1]
    return crossing(leads, per_item_s=(most - least) / (last - first))


def _archive_bytes(one: MeasuredRow, run: Run) -> int | None:
    runtime = VARIANTS[one.row.variant].runtime if one.row.variant in VARIANTS else None
    wanted = (one.row.model, runtime)
    return next((had.bytes for had in run.models if (had.name, had.archive) == wanted), None)


# --- memory --------------------------------------------------------------------------------------


def _alike(one: MeasuredRow, measured: Sequence[MeasuredRow]) -> Iterator[MeasuredRow]:
    """The same model in the same image, however much memory it had and however it was started."""
    mine = (one.row.model, one.row.variant, one.row.platform)
    for other in measured:
        if (other.row.model, other.row.variant, other.row.platform) == mine:
            yield other


def _tried(
    one: MeasuredRow, measured: Sequence[MeasuredRow]
) -> tuple[Sequence[int], Sequence[int]]:
    """Memory sizes in which it started, and those in which it was killed."""
    started, killed = set[int](), set[int]()
    for other in _alike(one, measured):
        if other.row.tier.isdecimal():
            failed = [sample.failure for sample in other.failed]
            if any(why is not None and why.kind is FailureKind.OOM for why in failed):
                killed.add(int(other.row.tier))
            elif other.row.n and not failed:
                started.add(int(other.row.tier))
    return sorted(started - killed), sorted(killed)


def _smallest(peak: int | None, started: Sequence[int], killed: Sequence[int]) -> int | None:
    """What started counts before what a peak says; no size in which one was killed holds it."""
    enough = [*([] if peak is None else [peak]), *(one * _MB for one in started[:1])]
    if not enough:
        return None
    least = max(min(enough), *(one * _MB + 1 for one in killed), 0)
    tier = fits.smallest(least)
    return None if tier is None else tier.memory_mb
