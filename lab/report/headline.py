"""The one-sentence answer."""

from collections.abc import Iterable, Mapping, Sequence
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
from lab.spec import FLOOR, StartKind
from lab.stats.ratios import RatioVerdict

When = Mapping[StartKind, str]

_WHEN: Final[When] = {
    StartKind.RESTART: "when its container is restarted",
    StartKind.FRESH: "from a fresh container",
    StartKind.DISKCOLD: "from a cold disk",
    StartKind.PULL: "when it must be pulled",
}
_BARE: Final[When] = {
    **_WHEN,
    StartKind.RESTART: "when its process is restarted",
    StartKind.FRESH: "from a fresh process",
}
TELLING: Final = (StartKind.FRESH, StartKind.PULL, StartKind.DISKCOLD, StartKind.RESTART)


def headline(
    measured: Sequence[MeasuredRow], comparisons: Sequence[Comparison], *, container: bool
) -> Headline:
    """What the run found, of its first model and tier that has samples to say it with."""
    when = _WHEN if container else _BARE
    found = groups([one for one in measured if one.row.n and not one.row.emulated])
    if not found:
        return _nothing([one.row for one in measured])
    # The floor alone is spoken of where nothing else was measured.
    group = next((one for one in found if any(map(_own, one.members))), found[0])
    rows = [one.row for one in group.members]
    own = [one.row for one in group.members if _own(one)] or rows
    variants = list(dict.fromkeys(row.variant for row in own))
    pair = _pair(own, variants)
    if pair is None:
        return _single([row for row in own if row.variant == variants[0]], rows, when)
    return _versus(pair, own, comparisons, when)


def _own(one: MeasuredRow) -> bool:
    return one.row.variant != FLOOR


def _nothing(rows: Sequence[Row]) -> Headline:
    failures = sum(row.failures for row in rows)
    skipped = sum(row.skipped for row in rows)
    if any(row.n and row.emulated for row in rows):
        text = "Only emulated timings were taken: they say that it starts, not how fast."
    elif failures:
        text = f"No start succeeded: {plural(failures, 'trial')} failed."
    elif skipped:
        text = f"Nothing was measured: {plural(skipped, 'trial')} skipped."
    else:
        text = "Nothing has been measured yet."
    warm_up = sum(row.warm_up for row in rows)
    detail = "The findings say why." if failures or skipped else ""
    if warm_up and not any(row.n for row in rows):
        detail = f"{plural(warm_up, 'warm-up trial')} ended; they are never counted. {detail}"
    return Headline(text=text, detail=detail.strip())


def _single(here: Sequence[Row], timed: Sequence[Row], when: When) -> Headline:
    row = min(here, key=lambda row: TELLING.index(row.start_kind))
    text = (
        f"{row.variant} answers its first prediction {seconds(row.total_s.p50)} "
        f"after a start {when[row.start_kind]}."
    )
    details = []
    if row.phases_s:
        phase, longest = max(row.phases_s.items(), key=lambda item: item[1])
        share = longest / sum(row.phases_s.values())
        details.append(f"The longest phase is {PHASES[phase]} with {percent(share)} of it.")
    floor = floor_of(row, timed)
    if floor is not None and floor is not row:
        details.append(f"The engine alone takes {seconds(floor.total_s.p50)}.")
    return Headline(text=text, detail=" ".join(details))


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
        one.start_kind: (one, turned)
        for one, turned in _between(slow, quick, comparisons)
        if one.model in models and (one.platform, one.tier) == here[0].group[1:]
    }
    sentences: list[tuple[StartKind, Comparison, bool]] = []
    for kind in TELLING:
        if kind in found and (kind in (StartKind.FRESH, StartKind.PULL) or not sentences):
            sentences.append((kind, *found[kind]))
    if not sentences:
        return _single([row for row in here if row.variant == quick], here, when)
    kind, one, turned = sentences[0]
    if one.verdict is RatioVerdict.SAME:
        text = f"No difference shown between {slow} and {quick} {when[kind]}"
    else:
        times_ = _times(one, turned=turned)
        text = f"{quick} is ready {times_} than {slow} {when[kind]}{_sure(one)}"
    for kind, one, turned in sentences[1:]:
        if one.verdict is RatioVerdict.SAME:
            text += f"; no difference shown {when[kind]}"
        else:
            text += f", {_times(one, turned=turned)} {when[kind]}{_sure(one)}"
    return Headline(text=text + ".", detail=_detail(pair, here, [s[1] for s in sentences]))


def _between(
    slow: str, quick: str, comparisons: Iterable[Comparison]
) -> Iterable[tuple[Comparison, bool]]:
    for one in comparisons:
        if one.quantity is Quantity.TOTAL and one.against is not Against.TIER:
            if (one.numerator, one.denominator) == (slow, quick):
                yield one, False
            elif (one.numerator, one.denominator) == (quick, slow):
                yield one, True


def _times(one: Comparison, *, turned: bool) -> str:
    ratio = 1 / one.ratio if turned else one.ratio
    return f"{times(ratio)} sooner" if ratio >= 1 else f"{times(1 / ratio)} later"


def _sure(one: Comparison) -> str:
    return " (few samples)" if one.verdict in (RatioVerdict.UNKNOWN, RatioVerdict.LIKELY) else ""


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
