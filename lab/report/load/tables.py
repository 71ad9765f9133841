"""The tables of a load that Markdown and the terminal share."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Column

from lab.load.statistics import Latencies
from lab.loadtest.summary import LoadSteps, LoadSummary
from lab.report.document import Document, Table
from lab.report.load.plots import step_name
from lab.report.words import NOTHING, bounds, per_second, percent, plural, rate, seconds

STEP_QUANTILES: Final = (0.5, 0.95, 0.99)
_SHOWN: Final = 0.95
_JUDGED: Final = {True: "kept", False: "broken", None: "cannot be told"}


def document(summary: LoadSummary) -> Document:
    """``report.md``, and what a terminal shows when a load has ended."""
    beside = aside(summary)
    figures, generator = summary.figures, summary.generator
    said = summary.schedule or "clients that send again when answered"
    notes = [f"{one.title}: {one.seen} {one.why} {one.remedy}" for one in summary.findings]
    if generator is not None:
        kept = "valid" if generator.valid else f"invalid: {generator.why_not}"
        notes.insert(
            0,
            f"Generator {kept}: sent {seconds(generator.late_p99_s)} late in the p99 where "
            f"{seconds(generator.limit_s)} are allowed, {percent(generator.cpu_share)} of a CPU.",
        )
    if summary.objective is not None:
        notes.insert(0, f"Objective {summary.objective}: {_JUDGED[summary.objective_met]}.")
    return Document(
        title=f"Load of {summary.target}: {summary.headline}{beside}",
        about=f"{summary.id}, {said}. {summary.detail}",
        tables=[
            Table(
                title=f"Requests{beside}",
                columns=["sent", "answered", "cold", "throttled", "failed", "answered a second"],
                rows=[
                    [
                        *(str(figures.n), str(figures.answered)),
                        str(figures.cold) if figures.told else NOTHING,
                        *(str(figures.throttled), str(figures.failed)),
                        per_second(figures.achieved_per_s),
                    ]
                ],
            ),
            latencies(summary),
        ],
        notes_title="To be noted",
        notes=notes,
    )


def latencies(summary: LoadSummary) -> Table:
    """A row for each quantile that is supported, a column for each part."""
    found = {
        name: row
        for name, field in parts(summary).items()
        if isinstance(row := getattr(summary.figures, field), Latencies)
    }
    quantiles = next(iter(found.values())).quantiles if found else ()
    rows = []
    for one in quantiles:
        cells = []
        for row in found.values():
            own = row.at(one.q)
            cells += [seconds(own.seconds), bounds(own.low_s, own.high_s)] if own else [NOTHING] * 2
        rows.append([f"p{one.q * 100:g}", *cells])
    if found:
        ends = [cell for row in found.values() for cell in (seconds(row.max_s), f"of {row.n}")]
        rows.append(["longest", *ends])
    return Table(
        title=f"Latency, with 95 % intervals from blocks{aside(summary)}",
        columns=["quantile", *(cell for name in found for cell in (name, "interval"))],
        rows=rows,
    )


def parts(summary: LoadSummary) -> Mapping[str, str]:
    """Of whose latency there are figures: names, and where the summary has them."""
    figures = summary.figures
    told = {
        "all": "latency",
        "warm": "warm_latency" if figures.cold else "",
        "cold": "cold_latency",
        "since sent": "" if summary.closed else "service",
    }
    return {name: field for name, field in told.items() if field and getattr(figures, field)}


def aside(summary: LoadSummary) -> str:
    """What must stand beside every figure."""
    said = ["closed loop"] if summary.closed else []
    said += [] if summary.valid else ["invalid"]
    said += ["emulated"] if summary.target.emulated else []
    return f" — {', '.join(said)}" if said else ""


# --- searches and sweeps -------------------------------------------------------------------------


def steps_document(found: LoadSteps) -> Document:
    """A row a step."""
    beside = " — closed loops" if found.closed else ""
    rows = []
    for place, step in enumerate(found.steps):
        cells = [f" {step_name(step)}{' (knee)' * (place == found.knee)}"]
        cells += [rate(step.achieved_per_s), str(step.n), percent(step.error_share)]
        for q in STEP_QUANTILES:
            own = step.at(q)
            cells += [seconds(own.seconds), bounds(own.low_s, own.high_s)] if own else [NOTHING] * 2
        judged = _JUDGED[step.passed] if found.objective else NOTHING
        rows.append([*cells, f"{judged}: {step.why}" if step.why else judged])
    return Document(
        title=f"{found.said}, {found.target}{beside}",
        answer=steps_headline(found),
        tables=[
            Table(
                title=f"Every step{beside}",
                columns=[
                    *("step", "answered", "requests", "errors"),
                    *(cell for q in STEP_QUANTILES for cell in _columns(q)),
                    Column("objective", min_width=8),
                ],
                # A terminal has room for the interval of one quantile.
                page_only=["requests", "errors", "p99", *_intervals()],
                rows=rows,
            )
        ],
    )


def _columns(q: float) -> tuple[str, str]:
    return f"p{q * 100:g}", f"interval of p{q * 100:g}"


def _intervals() -> Sequence[str]:
    return [_columns(q)[1] for q in STEP_QUANTILES if q != _SHOWN]


def steps_headline(found: LoadSteps) -> str:
    """In a sentence: the knee, or what was reached at most."""
    if not found.steps:
        return f"{found.target}: nothing was measured."
    most = max(found.steps, key=lambda one: one.achieved_per_s)
    if found.closed:
        reached = per_second(most.achieved_per_s)
        clients = plural(most.clients or 0, "client")
        return f"{found.target} answers {reached} at most, to {clients} in a closed loop."
    if found.knee is None:
        return f"{found.target} kept {found.objective or 'the objective'} at no rate tried."
    knee = found.steps[found.knee]
    rate = per_second(knee.offered_per_s)
    return f"{found.target} keeps {found.objective or 'the objective'} up to {rate}."
