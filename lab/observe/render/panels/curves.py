"""Time series: lines, areas and bars over time, stacked or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.observe.render import colours
from lab.observe.render.frames import FieldKind
from lab.observe.render.panels import plot
from lab.observe.render.panels.views import Plot, Sheet
from lab.observe.render.settings import Look, look_of

_POINT = 5.0
_BAR = 0.84
"""Of a step, a bar's width."""


@dataclass(frozen=True, kw_only=True)
class _Curve:
    look: Look
    times: Sequence[float]
    values: Sequence[float | None]
    step: float
    colour: str

    @property
    def stacked(self) -> bool:
        return (self.look.custom.get("stacking") or {}).get("mode") == "normal"

    @property
    def bars(self) -> bool:
        return bool(self.look.custom.get("drawStyle") == "bars")


def timeseries(sheet: Sheet) -> Plot:
    """Every number column of every frame is a curve."""
    curves = _curves(sheet)
    present = [value for one in curves for value in one.values if value is not None]
    most = max(present, default=0.0)
    look = curves[0].look if curves else None
    marks = plot.event_marks(sheet.events, sheet.answer.span)
    if look is not None:
        highest = max(most, look.custom.get("axisSoftMax") or 0.0)
        marks["shapes"] += plot.threshold_shapes(look, highest)
    layout = plot.layout(
        xaxis=plot.time_axis(sheet.answer.span),
        yaxis=plot.value_axis(look, most),
        barmode="stack" if any(one.stacked for one in curves) else "overlay",
        **marks,
    )
    return Plot(
        figure={
            "data": [_bars(one) if one.bars else _line(one) for one in curves],
            "layout": layout,
        },
        legend=plot.legend(sheet, [(one.look, one.colour) for one in curves]),
    )


def _curves(sheet: Sheet) -> Sequence[_Curve]:
    found: list[_Curve] = []
    for frame in sheet.answer.frames:
        times = next(iter(frame.of(FieldKind.TIME)), None)
        if times is None:
            continue
        for field in frame.of(FieldKind.NUMBER):
            look = look_of(sheet.panel, field)
            found.append(
                _Curve(
                    look=look,
                    times=[at for at in times.values if isinstance(at, float)],
                    values=field.numbers(),
                    step=frame.step,
                    colour=look.of_series(len(found)),
                )
            )
    return found


def _base(one: _Curve) -> dict[str, Any]:
    name = plot.safe(one.look.name)
    return {
        "name": name,
        "x": [plot.milliseconds(at) for at in one.times],
        "y": list(one.values),
        "customdata": [plot.safe(one.look.text(value)) for value in one.values],
        "hovertemplate": "%{customdata}<extra>" + name + "</extra>",
    }


def _bars(one: _Curve) -> dict[str, Any]:
    return {
        **_base(one),
        "type": "bar",
        "width": plot.milliseconds(one.step) * _BAR if one.step else None,
        "marker": {
            "color": colours.faded(one.colour, max(_opacity(one), 0.2)),
            "line": {"width": 1, "color": one.colour},
        },
    }


def _line(one: _Curve) -> dict[str, Any]:
    trace = {
        **_base(one),
        "type": "scatter",
        "mode": "lines",
        "line": {
            "width": float(one.look.custom.get("lineWidth", 1)),
            "color": one.colour,
            "shape": "hv" if one.look.custom.get("lineInterpolation") == "stepAfter" else "linear",
            "dash": "dash" if plot.dashed(one.look) else "solid",
        },
    }
    points = _points(one)
    if any(points):
        trace["mode"] = "lines+markers"
        trace["marker"] = {"size": points, "color": one.colour, "line": {"width": 0}}
    fill = {"fillcolor": colours.faded(one.colour, _opacity(one))}
    if one.stacked:
        return {**trace, "stackgroup": "one", **fill}
    # Below a curve with gaps Plotly would fill the gaps too.
    return (
        trace if None in one.values or not _opacity(one) else {**trace, "fill": "tozeroy", **fill}
    )


def _opacity(one: _Curve) -> float:
    return float(one.look.custom.get("fillOpacity", 0)) / 100


def _points(one: _Curve) -> Sequence[float]:
    """How large each value's point is: a value between two gaps makes no line, so it gets one."""
    around = [None, *one.values, None]
    alone = [
        now is not None and before is None and after is None
        for before, now, after in zip(around, around[1:], around[2:], strict=False)
    ]
    return [_POINT if lonely else 0.0 for lonely in alone]
