"""What the template is handed: the summary arranged for a reader."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.coldstart.record import ImageRecord, Layer
from lab.coldstart.summary import Against, Comparison, Finding, Quantity, Severity, Summary
from lab.report.headline import NEW
from lab.report.page.scatter import Scatter, memory, sizes
from lab.report.page.strips import Strips, strips
from lab.report.page.waterfall import Waterfall, waterfalls
from lab.report.rows import Group, MeasuredRow, groups
from lab.report.summary import Results
from lab.report.words import KINDS, median_interval
from lab.spec import FLOOR, Phase, Platform, StartKind
from lab.stats.ratios import RatioVerdict

SEVERITIES: Final[Mapping[Severity, str]] = {
    Severity.SERIOUS: "Serious",
    Severity.WARNING: "Worth acting on",
    Severity.HINT: "Good to know",
}
_QUICKEST = 2
"""Tiles of seconds, with restarts if need be."""
_RATIOS: Final = (
    (Against.REFERENCE, "Your image over what was measured beside it"),
    (Against.BASELINE, "What packaging is worth: baseline over each variant"),
    (Against.SMALLEST, "Against the variant with the smallest image"),
    (Against.FLOOR, "Over the floor: a container that only answers"),
)


@dataclass(frozen=True, kw_only=True)
class GroupView:
    """A group with its plots and tables."""

    group: Group
    phases: Sequence[Phase]
    waterfalls: Sequence[Waterfall]
    skipped: Sequence[tuple[StartKind, str]]
    """Start kinds without a sample, with the reason."""
    sizes: Sequence[Scatter]
    strips: Sequence[Strips]
    ratios: Mapping[str, Mapping[str, Mapping[StartKind, int]]]
    """The places of comparisons: by why they are made, ``numerator / denominator``, start kind."""
    kinds: Sequence[StartKind]
    boots: Sequence[MeasuredRow]
    """Rows of which more is known of ``boot`` than how long it took."""
    demanded: Sequence[MeasuredRow]
    """Rows whose image came on demand."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A key figure: pointers into the summary, and what they are."""

    label: str
    path: str
    form: str
    interval: str | None = None
    fallback: str = ""
    """What to say when there is no interval of 95 %."""
    note: str


def group_views(results: Results) -> Sequence[GroupView]:
    """Every group that has samples, emulated ones aside."""
    return [
        GroupView(
            group=group,
            phases=[p for p in Phase if any(p in one.row.phases_s for one in group.members)],
            waterfalls=waterfalls(group, container=results.summary.run.container),
            skipped=_skipped(group),
            sizes=sizes(group),
            strips=strips(group),
            ratios=_ratios(results.summary.comparisons, group),
            kinds=[kind for kind in group.kinds if any(one.row.n for one in group.of(kind))],
            boots=[one for one in group.members if one.row.boot and one.row.variant != FLOOR],
            demanded=[one for one in group.members if one.row.chunks and one.row.variant != FLOOR],
        )
        for group in groups(results.native)
    ]


def memory_plots(results: Results) -> Sequence[Scatter]:
    """Memory against time, when there is more than one tier."""
    return memory(groups(results.native))


def tiles(results: Results) -> Sequence[Tile]:
    """The few figures that a reader takes away, of the first group that has any."""
    for group in groups([one for one in results.native if one.row.n and one.row.timed]):
        own = group.own
        if own:
            where = {one.row.group for one in own}
            comparisons = {
                place: one
                for place, one in enumerate(results.summary.comparisons)
                if (one.model, one.platform, one.tier) in where
                and one.numerator in {mine.row.variant for mine in own}
                and one.shown
            }
            return [*_quickest(own), *_widest(comparisons, own), *_smallest(own)[:1]]
    return []


def _quickest(own: Sequence[MeasuredRow]) -> Sequence[Tile]:
    found: list[Tile] = []
    for kind in (*NEW, StartKind.RESTART):
        here = [one for one in own if one.row.start_kind is kind]
        if here and (kind in NEW or len(found) < _QUICKEST):
            best = min(here, key=lambda one: one.row.total_s.p50 or 0.0)
            found.append(
                Tile(
                    label=f"{best.row.variant}, {KINDS[kind]}",
                    path=f"/rows/{best.place}/total_s/p50",
                    form="seconds",
                    interval=f"/rows/{best.place}/total_s/p50_ci95",
                    fallback=median_interval(best.row),
                    note="start to first prediction, median",
                )
            )
    return found


def _widest(comparisons: Mapping[int, Comparison], own: Sequence[MeasuredRow]) -> Iterator[Tile]:
    """The largest ratio of variants for each kind of start, and how near the floor is.

    None is among them that shows no difference.
    """

    def of(kind: StartKind, *against: Against) -> list[int]:
        return [
            place
            for place, one in comparisons.items()
            if one.against in against and one.start_kind is kind
        ]

    def tile(place: int, kind: StartKind, note: str) -> Tile:
        one = comparisons[place]
        return Tile(
            label=f"{one.numerator} / {one.denominator}, {KINDS[kind]}",
            path=f"/comparisons/{place}/ratio",
            form="times",
            interval=f"/comparisons/{place}/interval",
            note=note,
        )

    for kind in NEW:
        ratios = of(kind, Against.REFERENCE, Against.BASELINE, Against.SMALLEST)
        if ratios:
            place = max(ratios, key=lambda place: comparisons[place].ratio)
            yield tile(place, kind, comparisons[place].verdict)
    for place in of(StartKind.FRESH, Against.FLOOR):
        if comparisons[place].numerator == own[-1].row.variant:
            few = comparisons[place].verdict is RatioVerdict.LIKELY
            note = "how near to the floor, which only answers" + ": few samples" * few
            yield tile(place, StartKind.FRESH, note)
            return


def _smallest(own: Sequence[MeasuredRow]) -> Sequence[Tile]:
    found = []
    for key, word in (
        ("image_compressed_bytes", "compressed"),
        ("image_unpacked_bytes", "unpacked"),
    ):
        known = [one for one in own if getattr(one.row, key)]
        if known:
            least = min(known, key=lambda one: int(getattr(one.row, key)))
            images = {one.row.variant for one in own}
            found.append(
                Tile(
                    label=f"{least.row.variant}, image",
                    path=f"/rows/{least.place}/{key}",
                    form="bytes",
                    note=word + ", the smallest measured" * (len(images) > 1),
                )
            )
    return found


def images(results: Results) -> Sequence[ImageRecord]:
    """The measured images: what the run is about first, the largest of those, the floor last."""
    found = results.recorded.run.images
    beside = {row.variant for row in results.summary.rows if row.reference}
    largest: dict[str, int] = {}
    for image in found:
        largest[image.variant] = max(image.unpacked_bytes, largest.get(image.variant, 0))

    def place(image: ImageRecord) -> tuple[bool, bool, int, str, str]:
        floor = image.variant == FLOOR
        return (
            floor,
            image.variant in beside,
            -largest[image.variant],
            image.variant,
            image.platform,
        )

    return sorted(found, key=place)


def layer_share(layer: Layer, image: ImageRecord) -> float:
    """A layer's part of its image: of the compressed bytes if they are known."""
    if layer.compressed_bytes is not None and image.compressed_bytes:
        return layer.compressed_bytes / image.compressed_bytes
    return layer.unpacked_bytes / image.unpacked_bytes if image.unpacked_bytes else 0.0


def first_to_mend(findings: Sequence[Finding]) -> int | None:
    """The place of what a reader should look at first: what is serious, or costs most seconds."""
    for place, one in enumerate(findings):
        serious = one.severity is Severity.SERIOUS
        if serious or (one.severity is Severity.WARNING and one.stake_s):
            return place
    return None


def byte_ratios(comparisons: Sequence[Comparison]) -> Mapping[str, Mapping[Quantity, int]]:
    """Ratios of image sizes: the places of comparisons, by pair of images and by quantity."""
    lines: dict[str, dict[Quantity, int]] = {}
    for place, one in enumerate(comparisons):
        if one.against is Against.BYTES:
            name = f"{one.numerator} / {one.denominator}, {one.platform.arch}"
            lines.setdefault(name, {})[one.quantity] = place
    return lines


def platform_sizes(
    summary: Summary,
) -> Mapping[str, Mapping[tuple[Quantity, Platform | None], str]]:
    """Pointers to each variant's sizes by platform, and (None) to arm64 over amd64.

    Nothing when there is but one platform.
    """
    if len({row.platform for row in summary.rows}) == 1:
        return {}
    found: dict[str, dict[tuple[Quantity, Platform | None], str]] = {}
    for place, row in enumerate(summary.rows):
        for quantity in (Quantity.COMPRESSED, Quantity.UNPACKED):
            if getattr(row, quantity) is not None:
                mine = found.setdefault(row.variant, {})
                mine.setdefault((quantity, row.platform), f"/rows/{place}/{quantity}")
    for place, one in enumerate(summary.comparisons):
        if one.against is Against.PLATFORM and one.variant is not None:
            found[one.variant][one.quantity, None] = f"/comparisons/{place}/ratio"
    return found


def _skipped(group: Group) -> Sequence[tuple[StartKind, str]]:
    found = {
        (kind, sample.skipped or "no reason given"): None
        for kind in group.kinds
        for one in group.of(kind)
        if not one.row.n
        for sample in one.skipped
    }
    return list(found)


def _ratios(
    comparisons: Sequence[Comparison], group: Group
) -> Mapping[str, Mapping[str, Mapping[StartKind, int]]]:
    variants = {one.row.variant for one in group.members}
    blocks: dict[str, dict[str, dict[StartKind, int]]] = {}
    for against, title in _RATIOS:
        for place, one in enumerate(comparisons):
            here = one.model in group.models and one.numerator in variants
            where = (one.platform, one.tier) == (group.platform, group.tier)
            if one.against is against and here and where and one.start_kind:
                lines = blocks.setdefault(title, {})
                pair = f"{one.numerator} / {one.denominator}"
                lines.setdefault(pair, {})[one.start_kind] = place
    return blocks
