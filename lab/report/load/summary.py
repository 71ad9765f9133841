"""From a load's folder to its summary."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lab import busy
from lab.load.requests import Requests
from lab.load.statistics import LatencySummary, in_order, summarise, upper_bound
from lab.loadtest.folder import LoadFolder
from lab.loadtest.record import Load, Objective, PoolReading, Sitting
from lab.loadtest.runner import verdict
from lab.loadtest.summary import Bin, Generator, LoadSummary, PoolFigures
from lab.report.load import findings
from lab.report.words import per_second, percent, plural, seconds

BINS: Final = 60


@dataclass(frozen=True, kw_only=True)
class LoadResults:
    """A load as it is reported."""

    folder: LoadFolder
    load: Load
    requests: Requests
    """Those that count, by when they were to be sent."""
    pool: Sequence[PoolReading]
    summary: LoadSummary


def results(folder: LoadFolder) -> LoadResults:
    """Everything of a load. Raises ``UsageError`` for files that do not parse."""
    load, requests, sittings = folder.load(), folder.requests(), folder.sittings()
    uncounted = load.closed.uncounted if load.closed else 0
    figures = summarise(requests, uncounted=uncounted)
    counted = in_order(requests.where(requests.number >= uncounted))
    health, pool = verdict(folder), folder.pool()
    generator = (
        None
        if health is None
        else Generator(**{name: getattr(health, name) for name in Generator.model_fields})
    )
    bins, errors, disturbed = _bins(counted), _errors(counted), _disturbed(sittings)
    summary = LoadSummary(
        id=load.id,
        started_at=load.started_at,
        headline=_headline(load, figures, generator),
        detail=_detail(load, figures),
        target=load.target,
        schedule=load.schedule,
        schedule_sha256=load.schedule_sha256,
        closed=load.closed,
        objective=load.objective,
        objective_met=_met(counted, figures, load.objective),
        figures=figures,
        generator=generator,
        disturbed=disturbed,
        pool=_pool(pool),
        bins=tuple(bins),
        errors=errors,
        findings=tuple(
            findings.find(
                load,
                figures,
                generator=generator,
                states=folder.states(),
                bins=bins,
                errors=errors,
                disturbed=disturbed,
                causes=[one.cause for one in sittings if one.cause],
            )
        ),
    )
    return LoadResults(folder=folder, load=load, requests=counted, pool=pool, summary=summary)


def _bins(requests: Requests) -> Sequence[Bin]:
    if not len(requests):
        return []
    first, last = float(requests.intended_s[0]), float(requests.intended_s[-1])
    width = max(last - first, 1e-3) / BINS
    place = np.minimum(((requests.intended_s - first) / width).astype(np.int64), BINS - 1)
    edges = np.searchsorted(place, np.arange(BINS + 1))
    good, throttled, failed = requests.answered, requests.throttled, requests.failed
    latency, cold = requests.latency_s, requests.cold == 1
    found = []
    for number in range(BINS):
        part = slice(edges[number], edges[number + 1])
        answered = latency[part][good[part]]
        found.append(
            Bin(
                at_s=first + number * width,
                seconds=width,
                sent=part.stop - part.start,
                answered=len(answered),
                cold=int((cold[part] & good[part]).sum()),
                throttled=int(throttled[part].sum()),
                failed=int(failed[part].sum()),
                p50_s=float(np.median(answered)) if len(answered) else None,
                max_s=float(answered.max()) if len(answered) else None,
            )
        )
    return found


def _errors(requests: Requests) -> dict[str, int]:
    failed = requests.where(requests.failed)
    told = (
        error or (f"status {status}" if status else "no answer")
        for error, status in zip(failed.error, failed.status.tolist(), strict=True)
    )
    return dict(Counter(told).most_common())


def _disturbed(sittings: Sequence[Sitting]) -> str:
    uses = [busy.MachineUse.model_validate(one.machine) for one in sittings if one.machine]
    return "; ".join(busy.told(one) for one in uses if busy.disturbed(one))


def _pool(readings: Sequence[PoolReading]) -> PoolFigures | None:
    if not readings:
        return None
    memory = [one.memory_bytes for one in readings if one.memory_bytes is not None]
    return PoolFigures(
        containers=max(one.containers for one in readings),
        starting=max(one.starting for one in readings),
        memory_bytes=max(memory, default=None),
    )


def _met(requests: Requests, figures: LatencySummary, objective: Objective | None) -> bool | None:
    """By the upper bound; that a quantile lies above needs only its lower one."""
    if objective is None or not figures.n:
        return None
    if objective.errors is not None and figures.error_share > objective.errors:
        return False
    if objective.seconds is None:
        return True if objective.errors is not None else None
    above = upper_bound(requests, objective.q)
    if above is not None:
        return above <= objective.seconds
    found = figures.latency.at(objective.q) if figures.latency else None
    return False if found and (found.low_s or 0.0) > objective.seconds else None


# --- words ---------------------------------------------------------------------------------------


def _headline(load: Load, figures: LatencySummary, generator: Generator | None) -> str:
    if generator is not None and not generator.valid:
        return f"Invalid: {generator.why_not}"
    if figures.latency is None:
        return f"{load.target} answered none of {plural(figures.n, 'request')}"
    told = figures.latency.at(0.95) or figures.latency.quantiles[0]
    what = f"p{told.q * 100:g} {seconds(told.seconds)}"
    if load.closed is not None:
        clients = plural(load.closed.clients, "client")
        return f"{per_second(figures.achieved_per_s)} in a closed loop of {clients}, {what}"
    parts = [f"{what} at {per_second(figures.offered_per_s)}"]
    if figures.cold:
        parts.append(f"{percent(figures.cold_share)} cold")
    for count, word in ((figures.throttled, "throttled"), (figures.failed, "failed")):
        if count:
            parts.append(f"{percent(count / figures.n)} {word}")
    return ", ".join(parts)


def _detail(load: Load, figures: LatencySummary) -> str:
    parts = [f"{plural(figures.n, 'request')} in {seconds(figures.seconds)}"]
    for found, word in ((figures.warm_latency, "warm"), (figures.cold_latency, "cold")):
        if found is not None and figures.cold:
            parts.append(f"{word} p50 {seconds(found.quantiles[0].seconds)} of {found.n}")
    since = "was sent" if load.closed else "was due"
    return f"{'; '.join(parts)}. Latency counts from the instant at which a request {since}."
