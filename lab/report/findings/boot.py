"""Where a start's seconds go, and which of them can be had back.

A rule looks at every row, keeps each variant's worst, and tells them all in one finding; emulated
rows are left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.coldstart.summary import Finding, Row
from lab.report.boots import cure, story
from lab.report.chunks import spent_s, waited_s
from lab.report.findings.texts import finding
from lab.report.recorded import Recorded
from lab.report.rows import MeasuredRow, floor_of
from lab.report.words import percent, seconds, start_of, times
from lab.spec import FLOOR, HOST_TIER, Phase, StartKind, Tier
from lab.start.firstrequest import FIRST_REQUEST_LINES, FirstRequest, judge_first_request

DOMINATES: Final = 0.4
"""Share of the container's own start from which one phase is said to dominate it."""
MATTERS_S: Final = 0.15
"""Below this, nobody would act."""
THROTTLED: Final = 0.5
"""Share of the container's own start spent waiting for the CPU quota."""
OPAQUE: Final = 0.6
LONG_S: Final = 1.0
"""From which a phase is spoken of that has a length only where something is wrong."""

BEFORE: Final = (
    Phase.IMAGE_MOUNT,
    Phase.IMAGE_PULL,
    Phase.IMAGE_UNPACK,
    Phase.MODEL_FETCH,
    Phase.CREATE,
    Phase.START,
)
"""What happens before the container's first instruction."""


def own(row: Row) -> float:
    """Seconds of the container's own start, to the first prediction; its image is there by then.

    What an on-demand start waits for its image is none of it: that is told of by itself.
    """
    return sum(spent_s(row, phase) for phase in row.phases_s if phase not in BEFORE)


@dataclass(frozen=True, kw_only=True)
class WorstRule:
    """A finding about each variant's worst row, by the seconds at stake."""

    name: str | Callable[[Row], str]
    """Of its text, or which by the row with the most at stake."""
    title: str
    """``{stake}`` and ``{variants}`` are filled in."""
    stake: Callable[[Row], float | None]
    """Seconds that could be had back; None when the row is nothing to speak of."""
    seen: Callable[[Row, Recorded], str]
    values: Callable[[Row, Recorded], Mapping[str, Any]] = lambda *_: {}
    """What is filled into the remedy, of the row with the most at stake."""

    def __call__(self, recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
        found = [
            (taken, one.row)
            for one in measured
            if one.row.n and one.row.timed and (taken := self.stake(one.row)) is not None
        ]
        found.sort(key=lambda pair: -pair[0])
        worst: dict[str, Row] = {}
        for _, row in found:
            worst.setdefault(row.variant, row)
        if found:
            most, first = found[0]
            yield finding(
                self.name if isinstance(self.name, str) else self.name(first),
                title=self.title.format(stake=seconds(most), variants=", ".join(worst)),
                seen="\n".join(f"{v}: {self.seen(row, recorded)}" for v, row in worst.items()),
                stake_s=most,
                cells=[row for _, row in found],
                **self.values(first, recorded),
            )


def there(measured: Sequence[MeasuredRow]) -> Sequence[MeasuredRow]:
    """Without on-demand starts of what was started in another way, too.

    Serving an image on demand takes the lab's own processor time, which is none of the image's.
    """

    def what(row: Row) -> tuple[str, ...]:
        return row.variant, row.model, row.platform, row.tier

    others = {
        what(one.row)
        for one in measured
        if one.row.n and one.row.timed and one.row.start_kind is not StartKind.ONDEMAND
    }
    return [
        one
        for one in measured
        if one.row.start_kind is not StartKind.ONDEMAND or what(one.row) not in others
    ]


def floor(_: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """How much of the quickest start is the engine's own."""
    rows = [one.row for one in measured]
    pairs = [
        (row.total_s.p50, least.total_s.p50, row)
        for row in rows
        if not row.reference and row.total_s.p50 and row.timed
        if (least := floor_of(row, rows)) and least.total_s.p50
    ]
    if not pairs:
        return
    taken, least_s, quickest = min(pairs, key=lambda pair: pair[0])
    yield finding(
        "floor_share",
        title=f"{percent(least_s / taken)} of the quickest start is the engine's own",
        seen=f"{quickest.variant} takes {seconds(taken)}, a container that only answers takes "
        f"{seconds(least_s)} ({start_of(quickest)}).",
        stake_s=max(taken - least_s, 0.0),
        cells=[quickest],
    )


def _dominating(row: Row, phase: Phase) -> float | None:
    taken = spent_s(row, phase)
    return taken if taken >= MATTERS_S and taken >= DOMINATES * own(row) else None


def _opaque_s(row: Row) -> float | None:
    boot = spent_s(row, Phase.BOOT)
    lasting = boot >= MATTERS_S and boot >= OPAQUE * own(row)
    return boot if lasting and row.variant != FLOOR else None


def _long(row: Row, *phases: Phase) -> float | None:
    """Seconds of phases that are no container's own or seldom any length, if they are most."""
    taken = sum(spent_s(row, phase) for phase in phases)
    lasting = taken >= LONG_S and taken >= DOMINATES * (row.total_s.p50 or 0.0)
    return taken if lasting and row.variant != FLOOR else None


def _throttled_s(row: Row) -> float | None:
    waited = min(row.throttled_s or 0.0, own(row))
    return waited if waited >= MATTERS_S and waited >= THROTTLED * own(row) else None


def _first_request_s(row: Row, kind: FirstRequest) -> float | None:
    """Seconds more than the second, where the first request went like that."""
    first, second = spent_s(row, Phase.FIRST_PREDICTION), row.second_prediction_s.p50
    if not second:
        return None
    cpus = None if row.tier == HOST_TIER.name else Tier(memory_mb=int(row.tier)).cpus
    return first - second if judge_first_request(first, second, cpus=cpus) is kind else None


def _first_request_seen(row: Row, _: Recorded) -> str:
    first, second = spent_s(row, Phase.FIRST_PREDICTION), row.second_prediction_s.p50 or 0.0
    return (
        f"{seconds(first)} for the first prediction, {seconds(second)} for the second, "
        f"{times(first / second)} ({start_of(row)})."
    )


def _first_request(name: str, kind: FirstRequest) -> WorstRule:
    return WorstRule(
        name=name,
        title=f"{FIRST_REQUEST_LINES[kind]}: {{variants}}",
        stake=lambda row: _first_request_s(row, kind),
        seen=_first_request_seen,
    )


def _share(row: Row, phase: Phase) -> str:
    taken, whole = spent_s(row, phase), own(row)
    aside = ", the wait for chunks aside" if waited_s(row, phase) else ""
    share = f"{percent(taken / whole)}{aside}"
    return f"{seconds(taken)} of {seconds(whole)}, {share} ({start_of(row)})."


RULES: Final = (
    WorstRule(
        name="imports_dominate",
        title="Imports are most of the container's own start: {variants}",
        stake=lambda row: _dominating(row, Phase.IMPORTS),
        seen=lambda row, _: f"imports take {_share(row, Phase.IMPORTS)}",
    ),
    WorstRule(
        name="model_load_dominates",
        title="Loading the model is most of the container's own start: {variants}",
        stake=lambda row: _dominating(row, Phase.MODEL_LOAD),
        seen=lambda row, _: f"model load takes {_share(row, Phase.MODEL_LOAD)}",
    ),
    WorstRule(
        name="boot_opaque",
        title="{stake} until /ping answers 200, in one phase: {variants}",
        stake=_opaque_s,
        seen=lambda row, _: (
            "imports, model load and server start are one phase of "
            f"{seconds(spent_s(row, Phase.BOOT))} ({start_of(row)})"
            + (f": {story(row)}." if row.boot else ".")
        ),
        values=lambda row, _: {"cure": f"{told} " if (told := cure(row)) else ""},
    ),
    WorstRule(
        name="throttled",
        title="The CPU quota sets the pace: {variants}",
        stake=_throttled_s,
        seen=lambda row, _: (
            f"throttled for {seconds(row.throttled_s)} (summed over CPUs) in a "
            f"start of {seconds(own(row))} ({start_of(row)})."
        ),
    ),
    _first_request("lazy_model", FirstRequest.WAITED),
    _first_request("slow_first_request", FirstRequest.SLOW),
    WorstRule(
        name="model_fetch_dominates",
        title="Fetching the model is {stake} of a start: {variants}",
        stake=lambda row: _long(row, Phase.MODEL_FETCH),
        seen=lambda row, _: f"{seconds(row.phases_s[Phase.MODEL_FETCH])} ({start_of(row)}).",
    ),
    WorstRule(
        name="ready_dominates",
        title="{stake} pass between a loaded model and /ping 200: {variants}",
        stake=lambda row: _long(row, Phase.SERVE, Phase.READY),
        seen=lambda row, _: (
            f"{seconds(spent_s(row, Phase.SERVE))} until the port accepts, "
            f"{seconds(spent_s(row, Phase.READY))} more until it is ready ({start_of(row)})."
        ),
    ),
)
