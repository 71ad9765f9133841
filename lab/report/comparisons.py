"""The ratios that a run can answer for, each with its interval."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product

from lab.coldstart.summary import Against, Comparison, Quantity, Row, ratio_fields
from lab.images.variants import BASELINE
from lab.report.rows import Group, MeasuredRow, groups
from lab.spec import FLOOR, Platform
from lab.stats.ratios import Method, RatioVerdict, ratio_of_medians


def compare(measured: Sequence[MeasuredRow], *, seed: int) -> Sequence[Comparison]:
    """All comparisons within the run, in the order in which the report tells them.

    Emulated timings are left out: they say nothing of the machine that they emulate. So are those
    of a machine that was busy with other work.
    """
    usable = [one for one in measured if one.row.n and one.row.timed]
    totals: list[Comparison] = []
    for group in groups(usable):
        # A user's own image stands in several groups: each of its ratios is told once.
        totals += [one for one in _totals(group, seed) if one not in totals]
    return [*totals, *_bytes(measured), *_tiers(usable, seed), *_platforms(measured)]


def smallest_image(measured: Iterable[MeasuredRow]) -> str | None:
    """The variant with the fewest bytes: compressed if all are known, else unpacked."""
    rows = [one.row for one in measured if one.row.variant != FLOOR]
    for quantity in (Quantity.COMPRESSED, Quantity.UNPACKED):
        sizes = {row.variant: getattr(row, quantity) for row in rows}
        if sizes and None not in sizes.values():
            return min(sizes, key=lambda variant: int(sizes[variant]))
    return None


def _totals(group: Group, seed: int) -> Iterator[Comparison]:
    for kind in group.kinds:
        for against, over, under in _pairs(group.of(kind)):
            yield _total(against, over, under, seed)


def _pairs(members: Sequence[MeasuredRow]) -> Iterator[tuple[Against, MeasuredRow, MeasuredRow]]:
    variants = [one for one in members if one.row.variant != FLOOR]
    own = [one for one in variants if not one.row.reference]
    beside = [one for one in variants if one.row.reference]
    for pair in product(own, beside):
        yield Against.REFERENCE, *pair
    # What packaging is worth is said of the lab's own variants.
    steps = beside or own
    base = next((one for one in steps if one.row.variant == BASELINE), None)
    if base:
        yield from ((Against.BASELINE, base, one) for one in steps if one is not base)
    for floor in members:
        if floor.row.variant == FLOOR:
            yield from ((Against.FLOOR, one, floor) for one in variants)
    least = None if beside else smallest_image(own)
    for small in own:
        if small.row.variant == least:
            # Never twice: what the baseline is over the smallest has been said above.
            others = (one for one in own if one is not small and one is not base)
            yield from ((Against.SMALLEST, one, small) for one in others)


def _total(against: Against, over: MeasuredRow, under: MeasuredRow, seed: int) -> Comparison:
    ratio = ratio_of_medians(over.blocks, under.blocks, seed=seed)
    tiers = against is Against.TIER
    return Comparison(
        against=against,
        quantity=Quantity.TOTAL,
        numerator=over.row.tier if tiers else over.row.variant,
        denominator=under.row.tier if tiers else under.row.variant,
        variant=over.row.variant if tiers else None,
        model=over.row.model,
        denominator_model=under.row.model,
        platform=over.row.platform,
        tier=None if tiers else over.row.tier,
        start_kind=over.row.start_kind,
        **ratio_fields(ratio),
    )


def _bytes(measured: Sequence[MeasuredRow]) -> Iterator[Comparison]:
    platforms = dict.fromkeys(one.row.platform for one in measured)
    for platform in platforms:
        here = [one for one in measured if one.row.platform is platform]
        rows = {one.row.variant: one.row for one in here if one.row.variant != FLOOR}
        beside = [row for row in rows.values() if row.reference]
        below = beside or [row for row in rows.values() if row.variant == smallest_image(here)]
        for quantity, over, under in product(
            (Quantity.COMPRESSED, Quantity.UNPACKED), rows.values(), below
        ):
            sizes = getattr(over, quantity), getattr(under, quantity)
            if all(sizes) and over not in below:
                pair = over.variant, under.variant
                yield _exact(quantity, pair, sizes[0] / sizes[1], platform)


def _platforms(measured: Sequence[MeasuredRow]) -> Iterator[Comparison]:
    """What arm64 costs in bytes, which nobody's emulation changes."""
    sizes: dict[str, dict[Platform, Row]] = {}
    for one in measured:
        sizes.setdefault(one.row.variant, {})[one.row.platform] = one.row
    for variant, rows in sizes.items():
        over, under = rows.get(Platform.ARM64), rows.get(Platform.AMD64)
        if over is None or under is None:
            continue
        for quantity in (Quantity.COMPRESSED, Quantity.UNPACKED):
            first, second = getattr(over, quantity), getattr(under, quantity)
            if first and second:
                pair = Platform.ARM64.value, Platform.AMD64.value
                yield _exact(quantity, pair, first / second, Platform.ARM64, of=variant)


def _exact(
    quantity: Quantity,
    pair: tuple[str, str],
    ratio: float,
    platform: Platform,
    *,
    of: str | None = None,
) -> Comparison:
    return Comparison(
        against=Against.BYTES if of is None else Against.PLATFORM,
        quantity=quantity,
        numerator=pair[0],
        denominator=pair[1],
        variant=of,
        platform=platform,
        ratio=ratio,
        method=Method.NONE,
        verdict=RatioVerdict.SAME if ratio == 1 else RatioVerdict.DIFFERENT,
    )


def _tiers(usable: Sequence[MeasuredRow], seed: int) -> Iterator[Comparison]:
    """Each tier over the next larger one: what the next step up in memory buys."""
    ladders: dict[tuple[str, ...], list[MeasuredRow]] = {}
    for one in usable:
        row = one.row
        if row.tier.isdecimal() and row.variant != FLOOR:
            key = (row.model, row.platform, row.start_kind, row.variant)
            ladders.setdefault(key, []).append(one)
    for ladder in ladders.values():
        for less, more in pairwise(sorted(ladder, key=lambda one: float(one.row.tier))):
            yield _total(Against.TIER, less, more, seed)
