"""The one-sentence answer."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

from lab.coldstart.summary import Against, Comparison, Headline, Quantity, Row
from lab.images.variants import BASELINE, DEFAULT
from lab.report.rows import MeasuredRow, floor_of, groups
from lab.report.words import (
    KINDS,
    PHASES,
    percent,
    plural,
    ratio_interval,
    seconds,
    tier,
    times,
)
from lab.spec import StartKind
from lab.stats.ratios import RatioVerdict

When = Mapping[StartKind, str]

_WHEN: Final[When] = {
    StartKind.RESTART: "when its container is restarted",
    StartKind.FRESH: "from a fresh container",
    StartKind.DISKCOLD: "from a cold disk",
    StartKind.ONDEMAND: "when its image comes on demand",
    StartKind.PULL: "when it must be pulled",
}
_BARE: Final[When] = {
    **_WHEN,
    StartKind.RESTART: "when its process is restarted",
    StartKind.FRESH: "from a fresh process",
}
TELLING: Final = (
    StartKind.FRESH,
    StartKind.ONDEMAND,
    StartKind.PULL,
    StartKind.DISKCOLD,
    StartKind.RESTART,
)

NEW: Final = (StartKind.FRESH, StartKind.ONDEMAND, StartKind.PULL)
"""A new container of an image that is there, comes as it is read, or must come first."""


def headline(
    measured: Sequence[MeasuredRow], comparisons: Sequence[Comparison], *, container: bool
) -> Headline:
    """What the run found, of its first model and tier that has samples to say it with."""
    when = _WHEN if container else _BARE
    # The floor alone is spoken of where nothing else was planned.
    own = [one for one in measured if not one.row.reference] or measured
    usable = [one for one in measured if one.row.n and one.row.timed]
    group = next((one for one in groups(usable) if any(m in own for m in one.members)), None)
    if group is None:
        return _nothing([one.row for one in (own if usable else measured)], named=bool(usable))
    rows = [one.row for one in group.members]
    here = [one.row for one in group.members if one in own]
    variants = list(dict.fromkeys(row.variant for row in here))
    pair = _pair(here, variants)
    if pair is None:
        first = [row for row in here if row.variant == variants[0]]
        return _single(first, rows, comparisons, when)
    return _versus(pair, here, comparisons, when)


def _nothing(rows: Sequence[Row], *, named: bool) -> Headline:
    failures = sum(row.failures for row in rows)
    skipped = sum(row.skipped for row in rows)
    of = f" of {', '.join(dict.fromkeys(row.variant for row in rows))}" if named else ""
    if any(row.n and row.emulated for row in rows):
        text = "Only emulated timings were taken: they say that it starts, not how fast."
    elif any(row.n and row.busy for row in rows):
        text = "The machine was busy with other work: its times say nothing of the images."
    elif failures:
        text = f"No start{of} succeeded: {plural(failures, 'trial')} failed."
    elif skipped:
        text = f"Nothing was measured: {plural(skipped, 'trial')} skipped."
    else:
        text = "Nothing has been measured yet."
    warm_up = sum(row.warm_up for row in rows)
    detail = "The findings say why." if failures or skipped else ""
    if warm_up and not any(row.n for row in rows):
        detail = f"{plural(warm_up, 'warm-up trial')} ended; they are never counted. {detail}"
    return Headline(text=text, detail=detail.strip())


def _single(
    here: Sequence[Row], timed: Sequence[Row], comparisons: Sequence[Comparison], when: When
) -> Headline:
    by_kind = {row.start_kind: row for row in here}
    row, *others = [by_kind[kind] for kind in _told(by_kind)]
    text = (
        f"{row.variant} answers its first prediction {seconds(row.total_s.p50)} "
        f"after a start {when[row.start_kind]}"
    )
    for other in others:
        text += f", {seconds(other.total_s.p50)} {when[other.start_kind]}"
    details = []
    if row.phases_s:
        phase, longest = max(row.phases_s.items(), key=lambda item: item[1])
        share = longest / sum(row.phases_s.values())
        details.append(f"The longest phase is {PHASES[phase]} with {percent(share)} of it.")
    floor = floor_of(row, timed)
    if floor is not None and floor is not row:
        details.append(f"The engine alone takes {seconds(floor.total_s.p50)}.")
    details += [
        _beside(one, f"{other.variant} ({seconds(other.total_s.p50)})")
        for other in timed
        for one in _between(other.variant, row.variant, comparisons)
        if one.against is Against.REFERENCE
        and (other.start_kind, other.group[1:]) == (row.start_kind, row.group[1:])
        and (one.start_kind, one.platform, one.tier) == (row.start_kind, *row.group[1:])
        and (one.model, one.denominator_model) == (other.model, row.model)
    ]
    return Headline(text=f"{text}.", detail=" ".join(details))


def _beside(one: Comparison, reference: str) -> str:
    """Of a reference over the image that the run is about."""
    if one.shown:
        return f"It is ready {_times(one)} than {reference}: {ratio_interval(one)}."
    if one.verdict is RatioVerdict.SAME:
        return f"No difference shown from {reference}."
    return f"Too few samples to tell it from {reference}."


def _told(kinds: Container[StartKind]) -> Sequence[StartKind]:
    """The kinds of start to speak of: new containers, of others the most telling."""
    there = [kind for kind in TELLING if kind in kinds]
    return [kind for kind in there if kind in NEW] or there[:1]


def _pair(here: Sequence[Row], variants: Sequence[str]) -> tuple[str, str] | None:
    """The slower and the quicker variant to speak of: the lab's own ends of the scale first."""
    if BASELINE in variants and DEFAULT in variants:
        return BASELINE, DEFAULT
    for kind in TELLING:
        medians = {
            row.variant: row.total_s.p50
            for row in here
            if row.start_kind is kind and row.total_s.p50 is not None
        }
        if len(medians) > 1:
            ordered = sorted(medians, key=lambda variant: medians[variant] or 0.0)
            return ordered[-1], ordered[0]
    return None


def _versus(
    pair: tuple[str, str], here: Sequence[Row], comparisons: Sequence[Comparison], when: When
) -> Headline:
    slow, quick = pair
    models = {row.model for row in here}
    found = {
        one.start_kind: one
        for one in _between(slow, quick, comparisons)
        if one.start_kind and one.model in models
        if (one.platform, one.tier) == here[0].group[1:]
    }
    if not found:
        return _single([row for row in here if row.variant == quick], here, comparisons, when)
    told = [found[kind] for kind in _told(found)]
    first, *others = [(one, when[one.start_kind]) for one in told if one.start_kind]
    one, start = first
    if one.shown:
        text = f"{quick} is ready {_times(one)} than {slow} {start}{_sure(one)}"
    elif one.verdict is RatioVerdict.SAME:
        text = f"No difference shown between {slow} and {quick} {start}"
    else:
        text = f"Too few samples to tell {slow} and {quick} apart {start}"
    said = one.verdict
    for one, start in others:
        if one.shown:
            text += f", {_times(one)} {start}{_sure(one)}"
        else:
            # What is not known is said once of all kinds of start in a row.
            text += f", {start}" if one.verdict is said else f"; {one.verdict} {start}"
        said = one.verdict
    return Headline(text=text + ".", detail=_detail(pair, here, told))


def _between(over: str, under: str, comparisons: Iterable[Comparison]) -> Iterator[Comparison]:
    """What is known of two variants' totals, the first over the second whichever way it stood."""
    for one in comparisons:
        if one.quantity is Quantity.TOTAL and one.against is not Against.TIER:
            if (one.numerator, one.denominator) == (over, under):
                yield one
            elif (one.numerator, one.denominator) == (under, over):
                yield one.turned()


def _times(one: Comparison) -> str:
    sooner = one.ratio >= 1
    return f"{times(one.ratio)} sooner" if sooner else f"{times(1 / one.ratio)} later"


def _sure(one: Comparison) -> str:
    return " (few samples)" if one.verdict is RatioVerdict.LIKELY else ""


def _detail(pair: tuple[str, str], here: Sequence[Row], told: Sequence[Comparison]) -> str:
    slow, quick = pair
    parts = []
    for one in told:
        medians = {row.variant: row for row in here if row.start_kind is one.start_kind}
        if one.start_kind is None or slow not in medians or quick not in medians:
            continue
        interval = ratio_interval(one)
        parts.append(
            f"{KINDS[one.start_kind].capitalize()}: {seconds(medians[quick].total_s.p50)} "
            f"against {seconds(medians[slow].total_s.p50)}"
            + (f", ratio {interval}." if one.interval else f", {interval} for an interval.")
        )
    row = here[0]
    models = " and ".join(dict.fromkeys(each.model for each in here))
    where = f"{models} on {row.platform}, {tier(row.tier)}. Start to first prediction, medians."
    return " ".join([*parts, where])
