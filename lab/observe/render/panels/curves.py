"""Time series: lines, areas and bars over time, stacked or not, on one axis or two."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.observe.render import calcs, colours
from lab.observe.render.frames import FieldKind
from lab.observe.render.panels import plot
from lab.observe.render.panels.views import Legend, LegendEntry, Plot, Sheet
from lab.observe.render.quantities import Axis, axis, log_axis
from lab.observe.render.settings import Look, look_of

_SHAPES: Final = {"smooth": "spline", "stepBefore": "vh", "stepAfter": "hv"}
_PAD = 0.05
_DASHES: Final = {"dash": "dash", "dot": "dot"}


@dataclass(frozen=True, kw_only=True)
class _Curve:
    look: Look
    times: Sequence[float]
    values: Sequence[float | None]
    step: float
    colour: str
    right: bool

    def custom(self, name: str, otherwise: Any) -> Any:
        return self.look.custom.get(name, otherwise)

    @property
    def stack(self) -> str:
        """The group in which it is piled up; empty for none."""
        how = self.custom("stacking", {}) or {}
        if how.get("mode", "none") == "none":
            return ""
        return f"{how.get('mode')}-{how.get('group', 'A')}-{'r' if self.right else 'l'}"

    @property
    def bars(self) -> bool:
        return bool(self.custom("drawStyle", "line") == "bars")

    @property
    def hidden(self) -> Mapping[str, bool]:
        return self.custom("hideFrom", {}) or {}


def timeseries(sheet: Sheet) -> Plot:
    """Every number column of every frame is a curve."""
    curves = _curves(sheet)
    span = sheet.answer.span
    left, right = ([one for one in curves if one.right is side] for side in (False, True))
    scale, other = _axis(left or curves), _axis(right) if right else None
    shown = [one for one in curves if not one.hidden.get("viz")]
    shapes, notes = plot.event_marks(sheet.events, span)
    shapes = list(shapes)
    styled = {(one.right, str(one.custom("thresholdsStyle", ""))): one for one in shown}
    for one in styled.values():
        if one.right and other:
            shapes += plot.threshold_shapes(one.look, other, name="y2")
        else:
            shapes += plot.threshold_shapes(one.look, scale)
    parts: dict[str, Any] = {
        "xaxis": plot.time_axis(span),
        "yaxis": plot.value_axis(scale, log=_log(left or curves)),
        "margin": plot.margin(scale, right=other),
        "shapes": shapes,
        "annotations": list(notes),
        "barmode": "stack" if any(one.stack for one in shown) else "overlay",
        "bargap": 0.1,
    }
    if other:
        more = {"overlaying": "y", "side": "right", "showgrid": False, "tickmode": "array"}
        parts["yaxis2"] = {**plot.value_axis(other, log=_log(right)), **more}
    traces = [_trace(one) for one in shown]
    switched: dict[int, list[int]] = {}
    for place, one in enumerate(shown):
        fills = list(_fills(one))
        switched[place] = [place, *range(len(traces), len(traces) + len(fills))]
        traces += fills
    return Plot(
        figure={"data": traces, "layout": plot.layout(**parts)},
        legend=legend(sheet, [(one.look, one.colour, one.values) for one in shown], switched),
    )


def _curves(sheet: Sheet) -> Sequence[_Curve]:
    found: list[_Curve] = []
    first: str | None = None
    for frame in sheet.answer.frames:
        times = next(iter(frame.of(FieldKind.TIME)), None)
        if times is None:
            continue
        for field in frame.of(FieldKind.NUMBER):
            look = look_of(sheet.panel, field, frame)
            first = look.unit if first is None else first
            placement = look.custom.get("axisPlacement", "auto")
            values = field.numbers()
            if look.custom.get("transform") == "negative-Y":
                values = [None if value is None else -value for value in values]
            found.append(
                _Curve(
                    look=look,
                    times=[at for at in times.values if isinstance(at, float)],
                    values=values,
                    step=frame.step,
                    colour=look.of_series(len(found), values),
                    # As Grafana: another unit has an axis of its own, on the other side.
                    right=placement == "right" or (placement == "auto" and look.unit != first),
                )
            )
    return found


def _log(curves: Sequence[_Curve]) -> bool:
    how = curves[0].custom("scaleDistribution", {}) if curves else {}
    return bool((how or {}).get("type") == "log")


def _axis(curves: Sequence[_Curve]) -> Axis:
    if not curves:
        return axis(0.0, 1.0)
    look = curves[0].look
    values = _extent(curves)
    if _log(curves):
        above = [value for value in values if value > 0] or [1.0]
        return log_axis(
            min(above) if look.low is None else look.low,
            max(above) if look.high is None else look.high,
            look.unit,
        )
    low, high = min(values), max(values)
    pad = (high - low) * _PAD or abs(high) * _PAD
    low = 0.0 if low >= 0 and low - pad < 0 else low - pad * (low != 0)
    high = 0.0 if high <= 0 < high + pad else high + pad * (high != 0)
    soft_low, soft_high = look.custom.get("axisSoftMin"), look.custom.get("axisSoftMax")
    low = low if soft_low is None else min(low, soft_low)
    high = high if soft_high is None else max(high, soft_high)
    low = low if look.low is None else look.low
    high = high if look.high is None else look.high
    if high <= low:
        high = low + 1
    held = (look.low is not None, look.high is not None)
    return axis(low, high, look.unit, decimals=look.decimals, held=held)


def _extent(curves: Sequence[_Curve]) -> Sequence[float]:
    """All values that are drawn: of a pile its top at each moment."""
    values = [0.0] * any(one.bars or one.stack for one in curves)
    piles: dict[tuple[str, float, bool], float] = {}
    for one in curves:
        for at, value in zip(one.times, one.values, strict=True):
            if value is None:
                continue
            if one.stack:
                key = (one.stack, at, value < 0)
                piles[key] = piles.get(key, 0.0) + value
            else:
                values.append(value)
    if any(one.stack.startswith("percent") for one in curves):
        return [0.0, 1.0]
    return [*values, *piles.values()] or [0.0, 1.0]


def _spanned(one: _Curve) -> bool:
    """Whether the curve goes on over what is missing."""
    return one.look.custom.get("spanNulls") is True


def _broken(one: _Curve) -> bool:
    """Whether an area below it would have to be drawn in pieces."""
    return None in one.values and not _spanned(one) and not one.stack


def _fills(one: _Curve) -> Iterator[dict[str, Any]]:
    """The area below each piece of a broken curve: Plotly would fill the gaps too."""
    opacity = float(one.custom("fillOpacity", 0)) / 100
    if not opacity or one.bars or not _broken(one):
        return
    pairs = zip(one.times, one.values, strict=True)
    for present, piece in itertools.groupby(pairs, key=lambda pair: pair[1] is not None):
        points = list(piece)
        if present and len(points) > 1:
            yield {
                "type": "scatter",
                "mode": "none",
                "x": [plot.milliseconds(at) for at, _ in points],
                "y": [value for _, value in points],
                "line": {"shape": _shape(one)},
                "fill": "tozeroy",
                "fillcolor": colours.faded(one.colour, opacity),
                "hoverinfo": "skip",
                "yaxis": "y2" if one.right else "y",
            }


def _shape(one: _Curve) -> str:
    return _SHAPES.get(str(one.custom("lineInterpolation", "linear")), "linear")


def _trace(one: _Curve) -> dict[str, Any]:
    name = plot.safe(one.look.name)
    base: dict[str, Any] = {
        "name": name,
        "x": [plot.milliseconds(at) for at in one.times],
        "y": list(one.values),
        "customdata": [plot.safe(one.look.text(value)) for value in one.values],
        "hovertemplate": "%{customdata}<extra>" + name + "</extra>",
        "yaxis": "y2" if one.right else "y",
    }
    opacity = float(one.custom("fillOpacity", 0)) / 100
    if one.bars:
        return {
            **base,
            "type": "bar",
            "width": plot.milliseconds(one.step) * float(one.custom("barWidthFactor", 0.6)) * 1.4
            if one.step
            else None,
            "marker": {
                "color": colours.faded(one.colour, max(opacity, 0.2)),
                "line": {"width": min(float(one.custom("lineWidth", 1)), 1), "color": one.colour},
            },
        }
    width = float(one.custom("lineWidth", 1))
    style = one.custom("lineStyle", {}) or {}
    trace = {
        **base,
        "type": "scatter",
        "mode": "lines",
        "line": {
            "width": width,
            "color": one.colour,
            "shape": _shape(one),
            "dash": _DASHES.get(str(style.get("fill")), "solid"),
        },
        "connectgaps": _spanned(one),
    }
    points = _points(one)
    if any(points):
        trace["mode"] = "lines+markers" if one.custom("drawStyle", "line") == "line" else "markers"
        trace["marker"] = {"size": points, "color": one.colour, "line": {"width": 0}}
    if one.stack:
        trace |= {
            "stackgroup": one.stack,
            "groupnorm": "fraction" if one.stack.startswith("percent") else "",
            "fillcolor": colours.faded(one.colour, opacity),
        }
    elif opacity and not _broken(one):
        trace |= {"fill": "tozeroy", "fillcolor": colours.faded(one.colour, opacity)}
    return trace


def _points(one: _Curve) -> Sequence[float]:
    """How large each value's point is: a value between two gaps makes no line, so it gets one."""
    size = max(float(one.custom("pointSize", 5)), 3.0)
    wanted = one.custom("showPoints", "auto")
    if wanted == "always" or one.custom("drawStyle", "line") == "points":
        return [size] * len(one.values)
    around = [None, *one.values, None]
    alone = [
        now is not None and before is None and after is None
        for before, now, after in zip(around, around[1:], around[2:], strict=False)
    ]
    return [size if lonely else 0.0 for lonely in alone]


def legend(
    sheet: Sheet,
    shown: Sequence[tuple[Look, str, Sequence[float | None]]],
    switched: Mapping[int, Sequence[int]] | None = None,
) -> Legend | None:
    """The panel's legend, with its calculations.

    ``switched`` are the traces that a curve's entry shows and hides, if it is not one alone.
    """
    options = sheet.panel.options.get("legend") or {}
    if not options.get("showLegend", True) or options.get("displayMode") == "hidden":
        return None
    how = list(options.get("calcs") or [])
    entries = [
        LegendEntry(
            name=look.name,
            colour=colour,
            traces=(switched or {}).get(place, [place]),
            calcs=[_calculated(look, values, calc) for calc in how],
            dashed=bool((look.custom.get("lineStyle") or {}).get("fill") == "dash"),
        )
        for place, (look, colour, values) in enumerate(shown)
        if not (look.custom.get("hideFrom") or {}).get("legend")
    ]
    table = options.get("displayMode") == "table"
    by = options.get("sortBy")
    titles = [calcs.title(calc) for calc in how]
    if table and by in titles:
        numbers = [calcs.reduced(values, how[titles.index(by)]) for _, _, values in shown]
        entries.sort(
            key=lambda entry: numbers[entry.traces[0]] or 0.0, reverse=bool(options.get("sortDesc"))
        )
    return Legend(
        entries=entries,
        heads=titles if table else [],
        right=options.get("placement") == "right",
    )


def _calculated(look: Look, values: Sequence[float | None], calc: str) -> str:
    found = calcs.reduced(values, calc)
    if calc in ("count", "distinctCount", "changeCount") and found is not None:
        return f"{found:.0f}"
    return look.text(found)
