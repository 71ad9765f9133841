"""A load, a search or a sweep as one HTML file."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.coldstart.summary import Severity
from lab.loadtest.record import Load
from lab.loadtest.summary import LoadSteps
from lab.report.load import plots, tables
from lab.report.load.summary import LoadResults
from lab.report.load.tables import aside, parts
from lab.report.page.facts import Fact, lines
from lab.report.page.html import page
from lab.report.page.view import SEVERITIES, Tile
from lab.report.words import bounds, plural, rate

_TILES: Final = (0.5, 0.95, 0.99)


def render(results: LoadResults) -> str:
    """``report.html`` of a load."""
    return page(
        "load.html.j2",
        results.summary,
        summary=results.summary,
        load=results.load,
        parts=parts(results.summary),
        tiles=_tiles(results),
        distribution=plots.distribution(results),
        over_time=plots.over_time(results),
        severities={one.value: SEVERITIES[one] for one in Severity},
        facts=_facts(results.load),
        aside=aside(results.summary),
    )


def render_steps(steps: LoadSteps) -> str:
    """``report.html`` of a search or a sweep."""
    return page(
        "load_steps.html.j2",
        steps,
        found=steps,
        plot=plots.throughput(steps),
        name=plots.step_name,
        headline=tables.steps_headline(steps),
        quantiles=tables.STEP_QUANTILES,
    )


def _tiles(results: LoadResults) -> Sequence[Tile]:
    figures, at = results.summary.figures, "/figures"
    found = []
    quantiles = figures.latency.quantiles if figures.latency else ()
    for place, one in enumerate(quantiles):
        if one.q in _TILES:
            path = f"{at}/latency/quantiles/{place}/seconds"
            held = bounds(one.low_s, one.high_s)
            note = f"of {figures.answered} answers"
            found.append(
                Tile(label=f"p{one.q * 100:g}", path=path, form="seconds", fallback=held, note=note)
            )
    closed = results.load.closed
    note = plural(closed.clients, "client") if closed else f"{rate(figures.offered_per_s)} due"
    answered = Tile(label="Answered", path=f"{at}/achieved_per_s", form="rate", note=note)
    counts = [
        Tile(label=label, path=f"{at}/{field}", form="count", note=note)
        for label, field, note in (
            ("Cold starts", "cold", "answers that waited for one"),
            ("Throttled", "throttled", "turned away: in no latency"),
            ("Failed", "failed", "neither answered nor throttled"),
        )
        if field != "cold" or figures.told
    ]
    return [*found, answered, *counts]


def _facts(load: Load) -> Sequence[tuple[str, Sequence[Fact]]]:
    about: Mapping[str, Any] = {
        "run": load.id,
        "started": load.started_at,
        "lab": load.lab_version,
        "commit": f"{load.git_commit or 'unknown'}{' with changes' * bool(load.git_dirty)}",
        "seed": load.seed,
        "timeout_s": load.timeout_s,
        "protocol": load.protocol,
    }
    schedule = {
        "asked": load.schedule,
        "rate a second": load.rate_per_s and round(load.rate_per_s, 3),
        "index of dispersion": load.idc and round(load.idc, 3),
        "horizon_s": load.horizon_s,
        "sha256": load.schedule_sha256,
    }
    payloads = {
        one.name: f"{one.bytes} bytes, {one.content_type}, weight {one.weight:g}"
        for one in load.payloads
    }
    sections: list[tuple[str, Mapping[str, Any]]] = [
        ("Load", about),
        ("Target", load.target.model_dump(mode="json")),
        ("Schedule", schedule),
        ("Closed loop", load.closed.model_dump() if load.closed else {}),
        ("Payloads", payloads),
        ("Host", load.host),
        ("Engine", load.engine or {}),
    ]
    return [(title, lines(values)) for title, values in sections if any(values.values())]
