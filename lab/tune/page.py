"""``report.html`` of a tuning: cost against latency, with the frontier, and every figure."""

from collections.abc import Sequence

from lab.report.load.plots import Curve, Mark, Plot
from lab.report.page.html import page
from lab.report.page.scale import linear, seconds_label
from lab.report.words import bounds, seconds
from lab.tune.choice import dollars, quantile_of, share
from lab.tune.result import SizeResult, TuneResult


def render(result: TuneResult) -> str:
    """The page."""
    q = quantile_of(result.objective)
    return page(
        "tune.html.j2",
        result,
        result=result,
        plot=plot(result),
        q=q,
        quantile=[_place(one, q) for one in result.sizes],
        median=[_place(one, 0.5) for one in result.sizes],
        dollars=dollars,
        share=share,
        aside=" — emulated" if result.emulated else "",
    )


def plot(result: TuneResult) -> Plot | None:
    """Cost to the right, latency upwards: the best is at the bottom left. None without a point."""
    q = quantile_of(result.objective)
    shown = [one for one in result.sizes if one.cost and one.at(q)]
    if not shown:
        return None
    bound_s = result.objective.seconds if result.objective else None
    tops = [high for one in shown if (high := _bounds(one, q)[1])]
    x = linear(max(one.cost or 0.0 for one in shown), dollars, wanted=6)
    y = linear(
        max([*(one.at(q) or 0.0 for one in shown), *tops, *([bound_s] if bound_s else [])]),
        seconds_label,
    )
    best = [(x.at(one.cost or 0.0), 100 - y.at(one.at(q) or 0.0)) for one in _best(result)]
    per = "day" if result.traffic else "million requests"
    return Plot(
        name=f"Cost of a {per} against warm p{q * 100:g}",
        x=x,
        y=y,
        spoken="; ".join(_tip(one, q, per) for one in shown),
        height=340,
        curves=[Curve(points=" ".join(f"{a:g},{b:g}" for a, b in best), look="warm")],
        marks=[
            Mark(
                x=x.at(one.cost or 0.0),
                y=100 - y.at(one.at(q) or 0.0),
                tip=_tip(one, q, per),
                look=_look(one, result),
                low=None if (low := _bounds(one, q)[0]) is None else 100 - y.at(low),
                high=None if (high := _bounds(one, q)[1]) is None else 100 - y.at(high),
                label=f"{one.size}, chosen" if one.name == result.chosen else _short(one),
            )
            for one in shown
        ],
        legend=[
            ("warm", "chosen; the line: none is both cheaper and quicker"),
            ("every", "others"),
        ],
        level=None if bound_s is None else 100 - y.at(bound_s),
    )


def _best(result: TuneResult) -> Sequence[SizeResult]:
    return [result.size(name) for name in result.frontier]


def _place(one: SizeResult, q: float) -> int | None:
    """Where among a size's quantiles one stands; None where it does not."""
    found = () if one.warm is None else one.warm.quantiles
    return next((place for place, figure in enumerate(found) if figure.q == q), None)


def _bounds(one: SizeResult, q: float) -> tuple[float | None, float | None]:
    figure = None if one.warm is None else one.warm.at(q)
    return (None, None) if figure is None else (figure.low_s, figure.high_s)


def _look(one: SizeResult, result: TuneResult) -> str:
    """Hollow is what this machine has less of."""
    look = "warm" if one.name == result.chosen else "every"
    return f"{look} missed" if one.size.capped else look


def _short(one: SizeResult) -> str:
    return f"{one.size}".removesuffix(" serverless")


def _tip(one: SizeResult, q: float, per: str) -> str:
    least = ", at least as fast as that" if one.size.capped else ""
    said = f"p{q * 100:g} {seconds(one.at(q))} ({bounds(*_bounds(one, q))})"
    return f"{one.size}: {dollars(one.cost)} a {per}, {said}{least}"
