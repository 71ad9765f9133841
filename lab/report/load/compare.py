"""Two loads, quantile by quantile: what changed, and what else differs between them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.coldstart.summary import RatioFigures, ratio_fields
from lab.errors import UsageError
from lab.load.ratios import ratio_of_quantiles
from lab.load.requests import Floats
from lab.load.statistics import QUANTILES
from lab.loadtest.record import Load
from lab.report.compare.machines import same_machine
from lab.report.compare.runs import Difference
from lab.report.document import Document, Table, left
from lab.report.load.summary import LoadResults
from lab.report.page.facts import lines
from lab.report.words import NOTHING, per_second, percent, ratio_pair, seconds, times
from lab.schema import Versioned
from lab.stats.ratios import RatioVerdict

_HOST: Final = ("cpu_model", "cpus", "memory_bytes", "os", "kernel", "hostname")
_TOLD_BY: Final = (0.95, 0.5)
"""The quantiles that the answer is about: the first that both have."""


class LoadChange(RatioFigures):
    """One quantile in both loads; ``ratio`` is the second over the first."""

    of: str
    """``all`` answers, ``warm`` or ``cold`` ones."""
    q: float
    first_s: float
    second_s: float


class LoadComparison(Versioned):
    """The second load against the first."""

    first: str
    second: str
    changes: tuple[LoadChange, ...]
    answers: tuple[Difference, ...]
    """What became of the requests: rates and shares, which have no ratio."""
    differences: tuple[Difference, ...]
    doubts: tuple[str, ...]
    """Why a ratio may not be what it seems."""

    @property
    def text(self) -> str:
        """In a sentence."""
        of_all = {one.q: one for one in self.changes if one.of == "all"}
        told = next((of_all[q] for q in _TOLD_BY if q in of_all), None)
        if told is None:
            return "Neither load has answers to compare."
        name = f"p{told.q * 100:g}"
        if told.verdict is RatioVerdict.UNKNOWN:
            return f"{name}: too few independent requests to tell."
        held = ratio_pair(told.interval)
        if told.verdict is RatioVerdict.SAME:
            return f"{name}: no difference shown, second over first {held}."
        way = "slower" if told.ratio > 1 else "quicker"
        return f"{name}: the second is {way}, {times(told.ratio)} ({held}) of the first."


def compare_loads(
    first: LoadResults, second: LoadResults, *, anyway: bool = False
) -> LoadComparison:
    """Raises ``UsageError`` for one and the same load, and for loads that were not asked the same.

    ``anyway`` compares those too, and says in what they differ.
    """
    before, after = first.load, second.load
    if before.id == after.id:
        raise UsageError(
            f"{before.id} cannot be compared with itself.", remedy="Name two different loads."
        )
    unlike = [what for what, value in _asked(before).items() if value != _asked(after)[what]]
    if unlike and not anyway:
        raise UsageError(
            f"{before.id} and {after.id} differ in {' and '.join(unlike)}: a ratio of their "
            "latencies is of that as much as of their targets.",
            remedy="Load both by the same schedule file and payloads, or say --anyway.",
        )
    paired = before.schedule_sha256 is not None and "the schedule" not in unlike
    return LoadComparison(
        first=before.id,
        second=after.id,
        changes=tuple(_changes(first, second, paired=paired)),
        answers=tuple(_answers(first, second)),
        differences=tuple(_differences(before, after)),
        doubts=tuple(_doubts(first, second, unlike)),
    )


def document(comparison: LoadComparison) -> Document:
    """For a terminal, and as Markdown."""
    rows = [
        [
            *(f" {one.of}", f"p{one.q * 100:g}", seconds(one.first_s), seconds(one.second_s)),
            *(times(one.ratio), ratio_pair(one.interval), str(one.verdict)),
        ]
        for one in comparison.changes
    ]
    answers = [[one.what, one.first, one.second] for one in comparison.answers]
    return Document(
        title=f"{comparison.second} against {comparison.first}",
        answer=comparison.text,
        tables=[
            Table(
                title="Latency, second over first",
                columns=[
                    *("of", left("q"), "first", "second", "ratio"),
                    "interval",
                    left("verdict"),
                ],
                rows=rows,
            ),
            Table(title="Answers", columns=["", "first", "second"], rows=answers),
        ],
        notes_title="What else differs",
        notes=[
            *comparison.doubts,
            *(f"{one.what}: {one.first} → {one.second}" for one in comparison.differences),
            *([] if comparison.differences else ["Nothing that was recorded."]),
        ],
    )


def _asked(load: Load) -> Mapping[str, Any]:
    """What must be the same for a ratio to be one of targets."""
    closed = load.closed
    return {
        "the kind of loop": closed is None,
        "the schedule": load.schedule_sha256,
        "their clients": closed and (closed.clients, closed.pause_s),
        "their payloads": sorted((one.sha256, one.weight) for one in load.payloads),
    }


def _parts(results: LoadResults) -> Mapping[str, Floats]:
    good = results.requests.where(results.requests.answered)
    cold = good.cold == 1
    return {
        "all": good.latency_s,
        "warm": good.latency_s[~cold],
        "cold": good.latency_s[cold],
    }


def _changes(first: LoadResults, second: LoadResults, *, paired: bool) -> Iterator[LoadChange]:
    old, new = _parts(first), _parts(second)
    apart = len(old["cold"]) or len(new["cold"])
    for name in ("all", *(("warm", "cold") if apart else ())):
        for q in QUANTILES:
            # Cold starts of two loads are not the same requests.
            found = ratio_of_quantiles(new[name], old[name], q, paired=paired and name != "cold")
            if found is not None:
                yield LoadChange(
                    of=name,
                    q=q,
                    first_s=_at(first, name, q),
                    second_s=_at(second, name, q),
                    **ratio_fields(found),
                )


def _at(results: LoadResults, name: str, q: float) -> float:
    figures = results.summary.figures
    told = {"all": figures.latency, "warm": figures.warm_latency}
    side = told.get(name, figures.cold_latency)
    found = side.at(q) if side else None
    return found.seconds if found else 0.0


def _answers(first: LoadResults, second: LoadResults) -> Iterator[Difference]:
    sides = [one.summary.figures for one in (first, second)]
    cells = {
        "answered a second": [per_second(one.achieved_per_s) for one in sides],
        "cold": [percent(one.cold_share) if one.told else NOTHING for one in sides],
        "throttled": [percent(one.throttled / one.n) if one.n else NOTHING for one in sides],
        "failed": [percent(one.failed / one.n) if one.n else NOTHING for one in sides],
    }
    for what, (old, new) in cells.items():
        yield Difference(what=what, first=old, second=new)


def _doubts(first: LoadResults, second: LoadResults, unlike: Sequence[str]) -> Iterator[str]:
    if unlike:
        yield f"They differ in {' and '.join(unlike)}: the ratios are of that, too."
    if not same_machine(first.load, second.load):
        yield "They are of different machines: that is in every ratio."
    for name, one in (("first", first), ("second", second)):
        summary = one.summary
        if summary.generator is not None and not summary.generator.valid:
            yield f"The {name} is invalid: {summary.generator.why_not}."
        if summary.target.emulated:
            yield f"The {name} ran emulated: its seconds predict nothing."
        if summary.disturbed:
            yield f"While the {name} ran, {summary.disturbed}."
        if any(found.kind == "stopped" for found in summary.findings):
            yield f"The {name} was not completed."


def _differences(before: Load, after: Load) -> Iterator[Difference]:
    old, new = _conditions(before), _conditions(after)
    for what in dict.fromkeys([*old, *new]):
        first, second = old.get(what, NOTHING), new.get(what, NOTHING)
        if first != second:
            yield Difference(what=what, first=first, second=second)


def _conditions(load: Load) -> Mapping[str, str]:
    commit = (load.git_commit or "unknown")[:12] + (" + changes" if load.git_dirty else "")
    sections = {
        "": {"lab": load.lab_version, "commit": commit, "schedule": load.schedule},
        "target": load.target.model_dump(mode="json"),
        "host": {key: value for key, value in load.host.items() if key in _HOST},
        "engine": {key: (load.engine or {}).get(key) for key in ("kind", "name", "versions")},
    }
    return {
        f"{title} {fact.name}".strip(): fact.value
        for title, values in sections.items()
        for fact in lines(values)
    }
