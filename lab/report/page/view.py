"""What the template is handed: the summary arranged for a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.coldstart.record import ImageRecord
from lab.coldstart.summary import Against, Comparison, Quantity, Row, Severity, Summary
from lab.report.page.scatter import Scatter, memory, sizes
from lab.report.page.strips import Strips, strips
from lab.report.page.waterfall import Waterfall, waterfalls
from lab.report.rows import Group, groups
from lab.report.summary import Results
from lab.report.words import KINDS, median_interval, tier
from lab.spec import FLOOR, Phase, Platform, StartKind


@dataclass(frozen=True, kw_only=True)
class RatioLine:
    """A pair of variants, with the places of its comparisons by start kind."""

    numerator: str
    denominator: str
    cells: Mapping[StartKind, int]


@dataclass(frozen=True, kw_only=True)
class RatioBlock:
    """Pairs that are compared for the same reason."""

    title: str
    lines: Sequence[RatioLine]


@dataclass(frozen=True, kw_only=True)
class GroupView:
    """A group with its plots and tables."""

    id: str
    title: str
    group: Group
    rows: Sequence[tuple[int, Row]]
    phases: Sequence[Phase]
    waterfalls: Sequence[Waterfall]
    skipped: Sequence[tuple[str, str]]
    """Start kinds without a sample, with the reason."""
    sizes: Sequence[Scatter]
    strips: Sequence[Strips]
    ratios: Sequence[RatioBlock]
    kinds: Sequence[StartKind]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A key figure: pointers into the summary, and what they are."""

    label: str
    path: str
    form: str
    interval: str | None
    fallback: str
    """What to say when there is no interval of 95 %."""
    note: str


def group_views(results: Results) -> Sequence[GroupView]:
    """Every group that has samples, emulated ones aside."""
    places = {id(one.row): place for place, one in enumerate(results.measured)}
    timed = [one for one in results.measured if not one.row.emulated]
    found = []
    for number, group in enumerate(groups(timed)):
        rows = [(places[id(one.row)], one.row) for one in group.members]
        kinds = [kind for kind in group.kinds if any(one.row.n for one in group.of(kind))]
        found.append(
            GroupView(
                id=f"group-{number}",
                title=f"{' and '.join(group.models)} · {group.platform} · {tier(group.tier)}",
                group=group,
                rows=rows,
                phases=[p for p in Phase if any(p in row.phases_s for _, row in rows)],
                waterfalls=waterfalls(group, places, container=results.summary.run.container),
                skipped=_skipped(group),
                sizes=sizes(group),
                strips=strips(group, places),
                ratios=_ratios(results.summary.comparisons, group),
                kinds=kinds,
            )
        )
    return found


def memory_plots(results: Results) -> Sequence[Scatter]:
    """Memory against time, when there is more than one tier."""
    return memory(groups([one for one in results.measured if not one.row.emulated]))


def tiles(results: Results) -> Sequence[Tile]:
    """The few figures that a reader takes away."""
    comparisons = list(enumerate(results.summary.comparisons))
    places = {id(one.row): place for place, one in enumerate(results.measured)}
    timed = [one for one in results.measured if one.row.n and not one.row.emulated]
    own = next(
        (
            members
            for group in groups(timed)
            if (members := [m.row for m in group.members if m.row.variant != FLOOR])
        ),
        [],
    )
    return _tiles([(places[id(row)], row) for row in own], comparisons) if own else []


def _tiles(
    own: Sequence[tuple[int, Row]], comparisons: Sequence[tuple[int, Comparison]]
) -> Sequence[Tile]:
    found: list[Tile] = []
    for kind in (StartKind.FRESH, StartKind.PULL, StartKind.RESTART):
        here = [(i, row) for i, row in own if row.start_kind is kind]
        if here and len(found) < 2:
            place, best = min(here, key=lambda pair: pair[1].total_s.p50 or 0.0)
            found.append(
                Tile(
                    label=f"{best.variant}, {KINDS[kind]}",
                    path=f"/rows/{place}/total_s/p50",
                    form="seconds",
                    interval=f"/rows/{place}/total_s/p50_ci95",
                    fallback=median_interval(best),
                    note="start to first prediction, median",
                )
            )
    for kind in (StartKind.FRESH, StartKind.PULL):
        told = [(i, one) for i, one in comparisons if _telling(one, own, kind)]
        if told:
            place, widest = max(told, key=lambda pair: pair[1].ratio)
            found.append(
                Tile(
                    label=f"{widest.numerator} / {widest.denominator}, {KINDS[kind]}",
                    path=f"/comparisons/{place}/ratio",
                    form="times",
                    interval=f"/comparisons/{place}/interval",
                    fallback="",
                    note=widest.verdict,
                )
            )
    for i, one in comparisons:
        over_floor = one.against is Against.FLOOR and one.start_kind is StartKind.FRESH
        if over_floor and one.numerator == own[-1][1].variant and _here(one, own):
            found.append(
                Tile(
                    label=f"{one.numerator} / floor, {KINDS[StartKind.FRESH]}",
                    path=f"/comparisons/{i}/ratio",
                    form="times",
                    interval=f"/comparisons/{i}/interval",
                    fallback="",
                    note="how near to the floor, which only answers",
                )
            )
            break
    return [*found, *_size_tile(own)]


def images(results: Results) -> Sequence[ImageRecord]:
    """The measured images, the variant with the largest first, the floor last."""
    found = results.recorded.run.images
    largest: dict[str, int] = {}
    for image in found:
        largest[image.variant] = max(image.unpacked_bytes, largest.get(image.variant, 0))
    return sorted(
        found,
        key=lambda image: (
            image.variant == FLOOR,
            -largest[image.variant],
            image.variant,
            image.platform,
        ),
    )


def severity_words() -> Mapping[Severity, str]:
    """What the page calls each severity."""
    return {
        Severity.SERIOUS: "Serious",
        Severity.WARNING: "Worth acting on",
        Severity.HINT: "Good to know",
    }


def _skipped(group: Group) -> Sequence[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for kind in group.kinds:
        for one in group.of(kind):
            for sample in one.skipped:
                if not one.row.n:
                    found[KINDS[kind], sample.skipped or "no reason given"] = None
    return list(found)


def _telling(one: Comparison, own: Sequence[tuple[int, Row]], kind: StartKind) -> bool:
    wanted = one.against in (Against.BASELINE, Against.SMALLEST) and one.start_kind is kind
    return wanted and _here(one, own)


def _here(one: Comparison, own: Sequence[tuple[int, Row]]) -> bool:
    return any((one.model, one.platform, one.tier) == row.group for _, row in own)


def _size_tile(own: Sequence[tuple[int, Row]]) -> Sequence[Tile]:
    for key, word in (
        ("image_compressed_bytes", "compressed"),
        ("image_unpacked_bytes", "unpacked"),
    ):
        known = [(i, row) for i, row in own if getattr(row, key)]
        if known:
            place, least = min(known, key=lambda pair: int(getattr(pair[1], key)))
            return [
                Tile(
                    label=f"{least.variant}, image",
                    path=f"/rows/{place}/{key}",
                    form="bytes",
                    interval=None,
                    fallback="",
                    note=f"{word}, the smallest measured",
                )
            ]
    return []


def _ratios(comparisons: Sequence[Comparison], group: Group) -> Sequence[RatioBlock]:
    variants = {one.row.variant for one in group.members}
    blocks = []
    for against, title in (
        (Against.BASELINE, "What packaging is worth: baseline over each variant"),
        (Against.SMALLEST, "Against the variant with the smallest image"),
        (Against.FLOOR, "Over the floor: a container that only answers"),
    ):
        lines: dict[tuple[str, str], dict[StartKind, int]] = {}
        for place, one in enumerate(comparisons):
            here = one.model in group.models and one.numerator in variants
            where = (one.platform, one.tier) == (group.platform, group.tier)
            if one.against is against and here and where and one.start_kind:
                pair = (one.numerator, one.denominator)
                lines.setdefault(pair, {})[one.start_kind] = place
        if lines:
            blocks.append(
                RatioBlock(
                    title=title,
                    lines=[
                        RatioLine(numerator=over, denominator=under, cells=cells)
                        for (over, under), cells in lines.items()
                    ],
                )
            )
    return blocks


@dataclass(frozen=True, kw_only=True)
class BytesLine:
    """A pair of images, with the places of its comparisons by quantity."""

    name: str
    cells: Mapping[Quantity, int]


def byte_ratios(comparisons: Sequence[Comparison]) -> Sequence[BytesLine]:
    """Ratios of image sizes."""
    lines: dict[str, dict[Quantity, int]] = {}
    for place, one in enumerate(comparisons):
        if one.against is Against.BYTES:
            name = f"{one.numerator} / {one.denominator}, {one.platform.arch}"
            lines.setdefault(name, {})[one.quantity] = place
    return [BytesLine(name=name, cells=cells) for name, cells in lines.items()]


@dataclass(frozen=True, kw_only=True)
class SizeLine:
    """A variant's image on every platform: pointers into the summary, absent where not measured."""

    variant: str
    sizes: Mapping[tuple[Quantity, Platform], str]
    ratios: Mapping[Quantity, str]
    """arm64 over amd64."""


def platform_sizes(summary: Summary) -> Sequence[SizeLine]:
    """Sizes of each variant by platform; nothing when there is but one platform."""
    if len({row.platform for row in summary.rows}) == 1:
        return []
    sizes: dict[str, dict[tuple[Quantity, Platform], str]] = {}
    for place, row in enumerate(summary.rows):
        for quantity in (Quantity.COMPRESSED, Quantity.UNPACKED):
            if getattr(row, quantity) is not None:
                mine = sizes.setdefault(row.variant, {})
                mine.setdefault((quantity, row.platform), f"/rows/{place}/{quantity}")
    ratios: dict[str, dict[Quantity, str]] = {}
    for place, one in enumerate(summary.comparisons):
        if one.against is Against.PLATFORM and one.variant is not None:
            ratios.setdefault(one.variant, {})[one.quantity] = f"/comparisons/{place}/ratio"
    return [
        SizeLine(variant=variant, sizes=found, ratios=ratios.get(variant, {}))
        for variant, found in sizes.items()
    ]
