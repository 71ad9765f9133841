"""What is to be doubted of a load, or done about it: seen, why it matters, what to do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from lab.coldstart.summary import Severity
from lab.load.job import SenderState
from lab.load.statistics import LatencySummary
from lab.loadtest.record import Load, TargetKind
from lab.loadtest.summary import Bin, Generator, LoadFinding
from lab.report.words import percent, plural, seconds
from lab.stats.diagnostics import drift

_RISING: Final = 0.5
"""By how much more latency at the end than at the beginning is said to rise."""
_SURE: Final = 0.01


class _Text(NamedTuple):
    severity: Severity
    why: str
    remedy: str


_TEXTS: Final[Mapping[str, _Text]] = {
    "invalid": _Text(
        Severity.SERIOUS,
        "What was measured is the generator's own slowness: no figure here is the target's.",
        "Ask for a lower rate, or leave the generator a processor of its own.",
    ),
    "emulated": _Text(
        Severity.SERIOUS,
        "QEMU translated the target's instructions, slower by a factor that nobody knows: the load "
        "proves that it answers, not how fast.",
        "Load an image of this machine's platform.",
    ),
    "failed": _Text(
        Severity.SERIOUS,
        "Quantiles are of what was answered and flatter a target that fails.",
        "Read the target's own log at that time; ask for a lower rate if it died of memory.",
    ),
    "stopped": _Text(
        Severity.WARNING,
        "The figures are of the beginning of the schedule only.",
        "Go on with it: `lab load run --resume {run}`",
    ),
    "disturbed": _Text(
        Severity.WARNING,
        "What others took was not there for the target, and latencies are longer for it.",
        "Load it again when nothing else runs here.",
    ),
    "rising": _Text(
        Severity.WARNING,
        "A queue that grows has no latency of its own: the longer the load, the longer the wait.",
        "Find the highest rate that it keeps up with: `lab load search`",
    ),
    "throttled": _Text(
        Severity.WARNING,
        "They were turned away above the limit of concurrency: callers see an error, and the "
        "latency of those let in says nothing of it.",
        "Raise MaxConcurrency, or ask for a lower rate.",
    ),
    "correlated": _Text(
        Severity.WARNING,
        "One busy spell reaches into the next block, so the intervals are too narrow.",
        "Load it for longer: several times the longest spell.",
    ),
    "unbounded": _Text(
        Severity.HINT,
        "However many requests waited in one spell, it was one spell: the next may be longer.",
        "Load it for longer, or take a lower quantile as the objective.",
    ),
    "cold": _Text(
        Severity.HINT,
        "Quantiles above that share are cold starts and nothing else.",
        "See what a start is made of: `lab coldstart run`. Provisioned concurrency avoids them.",
    ),
    "size": _Text(
        Severity.HINT,
        "The target had less than the size that it is called by.",
        "Measure it on a machine that has it before you rely on the figures.",
    ),
    "closed": _Text(
        Severity.HINT,
        "Clients that wait for answers send less while the target is slow, and so do not see what "
        "users would wait (coordinated omission).",
        "For latency, load it by a schedule: `lab load TARGET poisson:RATE/s,TIMEs`",
    ),
}


def find(
    load: Load,
    figures: LatencySummary,
    *,
    generator: Generator | None,
    states: Sequence[SenderState],
    bins: Sequence[Bin],
    errors: Mapping[str, int],
    disturbed: str,
    causes: Sequence[str],
) -> Sequence[LoadFinding]:
    """All findings, by severity."""
    found = [
        *_of_conditions(load, generator, states, disturbed),
        *_of_answers(figures, errors, causes),
        *_of_latency(figures, bins),
    ]
    return sorted(found, key=lambda one: list(Severity).index(Severity(one.severity)))


def _finding(kind: str, title: str, seen: str, **values: object) -> LoadFinding:
    text = _TEXTS[kind]
    return LoadFinding(
        kind=kind,
        severity=text.severity,
        title=title,
        seen=seen,
        why=text.why,
        remedy=text.remedy.format(**values),
    )


def _of_conditions(
    load: Load, generator: Generator | None, states: Sequence[SenderState], disturbed: str
) -> Iterator[LoadFinding]:
    if generator is not None and not generator.valid:
        why = f"{generator.why_not[0].upper()}{generator.why_not[1:]}."
        yield _finding("invalid", "The load is invalid", why)
    if load.target.emulated:
        yield _finding("emulated", "The target ran emulated", f"{load.target.platform} by QEMU.")
    if not states or states[-1].ended not in {"done", "refused"}:
        ended = states[-1].ended if states else None
        seen = f"It ended as {ended or 'a crash'}, not with its last request."
        yield _finding("stopped", "The load was not completed", seen, run=load.id)
    if disturbed:
        target = (
            " The target itself may be among them." if load.target.kind is TargetKind.URL else ""
        )
        yield _finding("disturbed", "The machine did other work", f"{disturbed}.{target}")
    if load.target.notes:
        yield _finding("size", "This machine lacks of the size", " ".join(load.target.notes))
    if load.closed is not None:
        clients = plural(load.closed.clients, "client")
        seen = f"{clients}, each sending when it had its answer."
        yield _finding("closed", "A closed loop measures no waiting", seen)


def _of_answers(
    figures: LatencySummary, errors: Mapping[str, int], causes: Sequence[str]
) -> Iterator[LoadFinding]:
    if figures.failed:
        listed = "; ".join(f"{count} times {what}" for what, count in list(errors.items())[:3])
        died = f" The target died: {'; '.join(causes)}" if causes else ""
        share = percent(figures.failed / figures.n)
        title = f"{plural(figures.failed, 'request')} failed ({share})"
        yield _finding("failed", title, f"{listed}.{died}")
    if figures.throttled:
        share = percent(figures.throttled / figures.n)
        title = f"{plural(figures.throttled, 'request')} throttled ({share})"
        yield _finding("throttled", title, f"Of {figures.n} sent. They are in no latency.")
    if figures.cold and figures.cold_latency is not None:
        middle, longest = figures.cold_latency.quantiles[0].seconds, figures.cold_latency.max_s
        seen = f"They waited {seconds(middle)} in the median, {seconds(longest)} at most."
        title = f"{percent(figures.cold_share)} of the answers came after a cold start"
        yield _finding("cold", title, seen)


def _of_latency(figures: LatencySummary, bins: Sequence[Bin]) -> Iterator[LoadFinding]:
    if figures.latency is None:
        return
    middles = [one.p50_s for one in bins if one.p50_s is not None]
    trend = drift(middles, seed=0)
    if trend is not None and trend.rho > 0 and trend.p < _SURE and trend.change > _RISING:
        seen = (
            f"The last third waited {percent(trend.change)} longer than the first, in the median."
        )
        yield _finding("rising", "Latency rises through the load", seen)
    doubtful = [f"p{one.q * 100:g}" for one in figures.latency.quantiles if one.doubtful]
    if doubtful:
        seen = f"Neighbouring blocks agree on {', '.join(doubtful)} more than chance has it."
        yield _finding("correlated", "The load was short for its queue", seen)
    unbounded = [f"p{one.q * 100:g}" for one in figures.latency.quantiles if one.high_s is None]
    if unbounded:
        seen = "Too few independent requests lie above it for an upper bound."
        yield _finding("unbounded", f"Nothing bounds {' and '.join(unbounded)} from above", seen)
