"""Pie charts and XY charts."""

import math
from typing import Any

from lab.observe.render import colours
from lab.observe.render.frames import Field, FieldKind, Frame
from lab.observe.render.panels import plot
from lab.observe.render.panels.readings import readings
from lab.observe.render.panels.views import Legend, LegendEntry, Plot, Sheet
from lab.observe.render.quantities import axis
from lab.observe.render.settings import look_of


def piechart(sheet: Sheet) -> Plot:
    """Shares of a whole."""
    found = readings(sheet)
    shades = [one.look.of_series(place, one.series) for place, one in enumerate(found)]
    values = [one.value if isinstance(one.value, float) else 0.0 for one in found]
    total = math.fsum(values) or 1.0
    names = [plot.safe(one.name) for one in found]
    trace: dict[str, Any] = {
        "type": "pie",
        "labels": names,
        "values": values,
        "hole": 0.55 if sheet.panel.options.get("pieType") == "donut" else 0,
        "sort": False,
        "direction": "clockwise",
        "marker": {"colors": shades, "line": {"width": 1, "color": "@card"}},
        "textinfo": "percent",
        "customdata": [plot.safe(one.text) for one in found],
        "hovertemplate": "%{label}: %{customdata} (%{percent})<extra></extra>",
    }
    how = (sheet.panel.options.get("legend") or {}).get("values") or []
    entries = [
        LegendEntry(
            name=one.name,
            colour=shade,
            traces=[],
            calcs=[one.text if kind == "value" else f"{value / total:.0%}" for kind in how],
        )
        for one, shade, value in zip(found, shades, values, strict=True)
    ]
    layout = plot.layout(margin={"l": 8, "r": 8, "t": 8, "b": 8}, hovermode="closest")
    right = (sheet.panel.options.get("legend") or {}).get("placement") == "right"
    return Plot(
        figure={"data": [trace], "layout": layout}, legend=Legend(entries=entries, right=right)
    )


def xychart(sheet: Sheet) -> Plot:
    """One number against another: a point for each row, named by the row's texts."""
    traces, entries = [], []
    all_x, all_y = [0.0], [0.0]
    x_unit, y_unit = "", ""
    for place, (frame, x, y) in enumerate(_pairs(sheet)):
        looks = look_of(sheet.panel, x, frame), look_of(sheet.panel, y, frame)
        x_unit, y_unit = looks[0].unit, looks[1].unit
        colour = looks[1].of_series(place, y.numbers())
        words = [one.values for one in frame.of(FieldKind.STRING)]
        named = [" ".join(str(column[n]) for column in words) for n in range(frame.rows)]
        told = [
            plot.safe(f"{name}: {looks[0].text(a)}, {looks[1].text(b)}")
            for name, a, b in zip(named, x.values, y.values, strict=True)
        ]
        size = (looks[1].custom.get("pointSize") or {}).get("fixed", 9)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": plot.safe(looks[1].name),
                "x": list(x.numbers()),
                "y": list(y.numbers()),
                "text": [plot.safe(name) for name in named],
                "textposition": "top center",
                "textfont": {"size": 11, "color": plot.INK},
                "cliponaxis": False,
                "marker": {"size": size, "color": colours.faded(colour, 0.8)},
                "customdata": told,
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
        entries.append(LegendEntry(name=looks[1].name, colour=colour, traces=[place]))
        all_x += [value for value in x.numbers() if value is not None]
        all_y += [value for value in y.numbers() if value is not None]
    across = axis(min(all_x), max(all_x) * 1.05, x_unit)
    upwards = axis(min(all_y), max(all_y) * 1.1, y_unit)
    layout = plot.layout(
        xaxis=plot.value_axis(across),
        yaxis=plot.value_axis(upwards),
        margin=plot.margin(upwards),
        hovermode="closest",
    )
    shown = (sheet.panel.options.get("legend") or {}).get("showLegend", True) and len(entries) > 1
    return Plot(
        figure={"data": traces, "layout": layout},
        legend=Legend(entries=entries) if shown else None,
    )


def _pairs(sheet: Sheet) -> list[tuple[Frame, Field, Field]]:
    """What stands against what: as the panel says, else the first number against the others."""
    found = []
    frames = [frame for frame in sheet.answer.frames if frame.rows]
    series = sheet.panel.options.get("series") or [{}]
    for rule in series:
        for frame in frames:
            numbers = list(frame.of(FieldKind.NUMBER))
            x = frame.named(_matched(rule.get("x"))) or (numbers[0] if numbers else None)
            wanted = frame.named(_matched(rule.get("y")))
            others = [wanted] if wanted else [one for one in numbers if one is not x]
            found += [(frame, x, y) for y in others if x is not None]
    return found


def _matched(rule: Any) -> str:
    matcher = rule.get("matcher") if isinstance(rule, dict) else None
    return str(matcher.get("options")) if isinstance(matcher, dict) else str(rule or "")
