"""The plots of a load: a distribution, what happened over time, throughput against latency."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lab.load.requests import Floats, Requests
from lab.load.statistics import QuantileFigure
from lab.loadtest.record import PoolReading
from lab.loadtest.summary import Bin, LoadStep, LoadSteps
from lab.report.load.summary import LoadResults
from lab.report.page.scale import Scale, Tick, linear, logarithmic, seconds_label
from lab.report.words import NOTHING, bounds, per_second, plural, rate, seconds

_POINTS: Final = 160
"""Of a curve."""
_CELL: Final = (0.35, 1.2)
"""Per cent of a plot within which cold starts are drawn as one dot, that tells how many."""
_MINUTES: Final = 180.0
_NINES: Final = ((0.0, "0"), (0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))
_OF_STEPS: Final = ((0.5, "warm"), (0.95, "every"))
_MORE_NINES: Final = ((0.9999, "p99.99"), (0.99999, "p99.999"))


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line, or an area, through points in per cent of the plot; y runs downwards."""

    points: str
    look: str
    """Its class in the style sheet."""
    area: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A dot with its interval, in per cent; y runs downwards."""

    x: float
    y: float
    tip: str
    look: str
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Stands on those below it; in per cent."""

    x: float
    y: float
    width: float
    height: float
    look: str
    tip: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Curves, bars and dots on two axes."""

    name: str
    x: Scale
    y: Scale
    spoken: str
    height: int = 230
    curves: Sequence[Curve] = ()
    marks: Sequence[Mark] = ()
    bars: Sequence[Bar] = ()
    legend: Sequence[tuple[str, str]] = ()
    """Looks and what they are."""
    level: float | None = None
    """Of a dashed line: the objective."""


def distribution(results: LoadResults) -> Plot | None:
    """Latency against its quantile, which is stretched towards the top; cold and warm apart."""
    figures, requests = results.summary.figures, results.requests
    good = requests.where(requests.answered)
    if figures.latency is None:
        return None
    parts = [("every", good.latency_s)]
    if figures.cold:
        parts = [
            *(("every", good.latency_s), ("warm", good.latency_s[good.cold != 1])),
            ("cold", good.latency_s[good.cold == 1]),
        ]
    parts = [(look, values) for look, values in parts if len(values)]
    x = _nines(len(good))
    y = _seconds_scale(good.latency_s)
    return Plot(
        name="Latency by quantile",
        x=x,
        y=y,
        spoken="; ".join(quantile_text(one) for one in figures.latency.quantiles),
        height=300,
        curves=[_quantiles(values, x, y, look) for look, values in parts],
        marks=[
            _mark(x.at(nines(one.q)), one, y, "every", quantile_text(one))
            for one in figures.latency.quantiles
        ],
        legend=[
            (look, f"{look}, {len(values)}" if look != "every" else f"all {len(values)} answers")
            for look, values in parts
        ],
    )


def over_time(results: LoadResults) -> Sequence[Plot]:
    """Latency, what became of requests, and what the pool did, one below the other."""
    bins, requests = results.summary.bins, results.requests
    good = requests.where(requests.answered)
    if not bins or not len(good):
        return []
    end_s = max(bins[-1].at_s + bins[-1].seconds, *(one.at_s for one in results.pool), 0.0)
    unit_s, unit = (60.0, "min") if end_s > _MINUTES else (1.0, "s")
    x = linear(end_s / unit_s, lambda value: f"{value:g} {unit}", wanted=6)

    def at(seconds_in: float) -> float:
        return x.at(seconds_in / unit_s)

    found = [_latency_over_time(good, bins, x, at), _rates_over_time(bins, x, at)]
    if results.pool:
        found.append(_pool_over_time(results.pool, end_s, x, at))
    return found


def throughput(found: LoadSteps) -> Plot | None:
    """What was answered a second against what it took, a dot a step."""
    steps, knee = found.steps, found.knee
    bound_s = found.objective.seconds if found.objective else None
    shown = [one for one in steps if one.quantiles]
    if len(shown) < 2:
        return None
    drawn = [
        (q, look) for q, look in ((0.5, "warm"), (0.95, "every")) if any(one.at(q) for one in shown)
    ]
    values = [
        value
        for step in shown
        for q, _ in drawn
        if (one := step.at(q))
        for value in (one.seconds, one.low_s, one.high_s)
        if value is not None
    ]
    values += [] if bound_s is None else [bound_s]
    x = linear(max(one.achieved_per_s for one in shown), lambda value: f"{value:g}/s")
    y = _seconds_scale(np.asarray(values))
    marks, curves = [], []
    for q, look in drawn:
        mine = [(step, one) for step in shown if (one := step.at(q))]
        own = [
            _mark(
                x.at(step.achieved_per_s),
                one,
                y,
                look if step.passed is not False else f"{look} missed",
                f"{step_name(step)}: {per_second(step.achieved_per_s)}, {quantile_text(one)}"
                + (f"; {step.why}" if step.why else ""),
                label="knee"
                if knee is not None and step is steps[knee] and q == drawn[-1][0]
                else "",
            )
            for step, one in mine
        ]
        marks += own
        curves.append(Curve(points=_joined((one.x, one.y) for one in own), look=look))
    return Plot(
        name="Throughput against latency",
        x=x,
        y=y,
        spoken="; ".join(one.tip for one in marks),
        height=320,
        curves=curves,
        marks=marks,
        legend=[(look, f"p{q * 100:g}") for q, look in drawn],
        level=None if bound_s is None else 100 - y.at(bound_s),
    )


def _is_knee(step: LoadStep, steps: Sequence[LoadStep], knee: int | None) -> bool:
    return knee is not None and step is steps[knee]


def step_name(step: LoadStep) -> str:
    """``8 clients, closed``, or the rate that was asked for."""
    if step.clients is not None:
        return f"{plural(step.clients, 'client')}, closed"
    return NOTHING if step.offered_per_s is None else f"{rate(step.offered_per_s)} asked"


def quantile_text(one: QuantileFigure) -> str:
    """``p95 212 ms (203 to 224 ms)``."""
    return f"p{one.q * 100:g} {seconds(one.seconds)} ({bounds(one.low_s, one.high_s)})"


def nines(q: float) -> float:
    """Where a quantile stands on an axis on which each nine takes as much room."""
    return -math.log10(1 - q)


# --- parts ---------------------------------------------------------------------------------------


def _latency_over_time(
    good: Requests, bins: Sequence[Bin], x: Scale, at: Callable[[float], float]
) -> Plot:
    y = _seconds_scale(good.latency_s)
    middles = [(one.at_s + one.seconds / 2, one) for one in bins if one.p50_s is not None]
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    cold = good.where(good.cold == 1)
    for due, took in zip(cold.intended_s.tolist(), cold.latency_s.tolist(), strict=True):
        cell = (int(at(due) / _CELL[0]), int(y.at(took) / _CELL[1]))
        cells.setdefault(cell, []).append((due, took))
    marks = []
    for found in cells.values():
        due, took = max(found, key=lambda pair: pair[1])
        more = f", the longest of {len(found)} here" if len(found) > 1 else ""
        tip = f"cold at {due:.1f} s: {seconds(took)}{more}"
        marks.append(Mark(x=at(due), y=100 - y.at(took), tip=tip, look="cold"))
    legend = [("every", "median of each part"), ("most", "longest")]
    return Plot(
        name="Latency",
        x=x,
        y=y,
        spoken=f"Latency over time: median and longest in {len(bins)} parts",
        curves=[
            Curve(
                points=_joined((at(when), 100 - y.at(one.max_s or 0.0)) for when, one in middles),
                look="most",
            ),
            Curve(
                points=_joined((at(when), 100 - y.at(one.p50_s or 0.0)) for when, one in middles),
                look="every",
            ),
        ],
        marks=marks,
        legend=[*legend, ("cold", "each cold start")] if marks else legend,
    )


def _rates_over_time(bins: Sequence[Bin], x: Scale, at: Callable[[float], float]) -> Plot:
    y = linear(max(one.sent / one.seconds for one in bins), lambda value: f"{value:g}/s", wanted=3)
    kinds = (
        ("every", "answered", [one.answered - one.cold for one in bins]),
        ("cold", "answered after a cold start", [one.cold for one in bins]),
        ("throttled", "throttled", [one.throttled for one in bins]),
        ("failed", "failed", [one.failed for one in bins]),
    )
    bars, below = [], [0.0] * len(bins)
    for look, word, counts in kinds:
        for place, (one, count) in enumerate(zip(bins, counts, strict=True)):
            if not count:
                continue
            height = y.at(count / one.seconds)
            below[place] += height
            left = at(one.at_s)
            bars.append(
                Bar(
                    x=left,
                    y=round(100 - below[place], 3),
                    width=round(at(one.at_s + one.seconds) - left, 3),
                    height=height,
                    look=look,
                    tip=f"{one.at_s:.1f} s: {count} {word} of {one.sent}",
                )
            )
    there = [(look, word) for look, word, counts in kinds if any(counts)]
    return Plot(
        name="What became of requests",
        x=x,
        y=y,
        spoken=", ".join(f"{sum(counts)} {word}" for _, word, counts in kinds),
        height=110,
        bars=bars,
        legend=there if len(there) > 1 else (),
    )


def _pool_over_time(
    pool: Sequence[PoolReading], end_s: float, x: Scale, at: Callable[[float], float]
) -> Plot:
    top = max(one.containers + one.starting for one in pool)
    y = linear(max(top, 1), lambda value: f"{value:g}" if value == int(value) else "", wanted=3)

    def stairs(of: Callable[[PoolReading], int]) -> str:
        corners = []
        ends = [one.at_s for one in pool[1:]] + [max(end_s, pool[-1].at_s)]
        for one, end in zip(pool, ends, strict=True):
            level = 100 - y.at(of(one))
            corners += [(at(one.at_s), level), (at(end), level)]
        first, last = corners[0][0], corners[-1][0]
        return _joined([(first, 100.0), *corners, (last, 100.0)])

    return Plot(
        name="The target's containers",
        x=x,
        y=y,
        spoken=f"At most {max(one.containers for one in pool)} containers served",
        height=110,
        curves=[
            Curve(points=stairs(lambda one: one.containers + one.starting), look="cold", area=True),
            Curve(points=stairs(lambda one: one.containers), look="warm", area=True),
        ],
        legend=[("warm", "serving"), ("cold", "starting")],
    )


def _quantiles(values: Floats, x: Scale, y: Scale, look: str) -> Curve:
    last = nines(1 - 0.5 / len(values))
    places = np.linspace(0, last, _POINTS)
    levels = np.quantile(values, np.minimum(1 - 10.0**-places, 1.0))
    return Curve(
        points=_joined(
            (x.at(place), 100 - y.at(level))
            for place, level in zip(places.tolist(), levels.tolist(), strict=True)
        ),
        look=look,
    )


def _nines(n: int) -> Scale:
    high = nines(1 - 0.5 / n) * 1.01
    bare = Scale(low=0.0, high=high, ticks=())
    shown = [one for one in (*_NINES, *_MORE_NINES) if nines(one[0]) <= high]
    ticks = [Tick(at=bare.at(nines(q)), label=label) for q, label in shown]
    return Scale(low=0.0, high=high, ticks=ticks)


def _seconds_scale(values: Floats) -> Scale:
    return logarithmic(max(float(values.min()), 1e-5), float(values.max()), seconds_label)


def _mark(x: float, one: QuantileFigure, y: Scale, look: str, tip: str, *, label: str = "") -> Mark:
    return Mark(
        x=x,
        y=100 - y.at(one.seconds),
        tip=tip,
        look=look,
        low=None if one.low_s is None else 100 - y.at(one.low_s),
        high=0.0 if one.high_s is None else 100 - y.at(one.high_s),
        label=label,
    )


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
