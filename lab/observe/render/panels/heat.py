"""Heat maps: how many values fell into which bucket, over time."""

import math
from typing import Any

from lab.observe.render import colours, quantities
from lab.observe.render.frames import FieldKind, Frame
from lab.observe.render.panels import plot
from lab.observe.render.panels.views import ColorScale, Plot, Sheet
from lab.observe.render.quantities import Axis

_NARROW = 6


def heatmap(sheet: Sheet) -> Plot:
    """A row for each bucket, from the lowest up; its mark is the bucket's upper end."""
    frame = _frame(sheet)
    options = sheet.panel.options
    numbers = frame.of(FieldKind.NUMBER)
    times = next(iter(frame.of(FieldKind.TIME)), None)
    moments = [at for at in times.values if isinstance(at, float)] if times else []
    least = float((options.get("filterValues") or {}).get("le", 0.0))
    cells = [
        [value if value is not None and value > least else None for value in one.numbers()]
        for one in numbers
    ]
    colour = options.get("color") or {}
    power = float(colour.get("exponent", 0.5)) if colour.get("scale") != "linear" else 1.0
    most = max((v for row in cells for v in row if v is not None), default=1.0)
    most = float(colour["max"]) if isinstance(colour.get("max"), int | float) else most
    unit = str((options.get("yAxis") or {}).get("unit") or sheet.panel.defaults.get("unit") or "")
    names = [_bucket(one.display, unit) for one in numbers]
    counted = str((options.get("cellValues") or {}).get("unit") or "")
    scale = colours.scheme(str(colour.get("scheme", "Oranges")))
    if colour.get("mode") == "opacity":
        fill = colours.named(str(colour.get("fill", "dark-orange")))
        scale = [(0.0, colours.faded(fill, 0.0)), (1.0, fill)]
    if colour.get("reverse"):
        scale = [(1 - at, one) for at, one in reversed(scale)]
    marks = [(n + 0.5, name) for n, name in enumerate(names)]
    every = max(1, math.ceil(len(marks) * 17 / max(sheet.height - 80, 40)))
    rows = Axis(
        low=-0.5, high=max(len(names) - 0.5, 0.5), marks=marks[every - 1 :: every] or [(0, "")]
    )
    gap = float(options.get("cellGap", 1))
    shapes, notes = plot.event_marks(sheet.events, sheet.answer.span)
    trace: dict[str, Any] = {
        "type": "heatmap",
        # Prometheus's value at a moment is of the step before it.
        "x": [plot.milliseconds(at - frame.step / 2) for at in moments],
        "y": list(range(len(names))),
        "z": [[None if v is None else min(v / most, 1.0) ** power for v in row] for row in cells],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[at, one] for at, one in scale],
        "showscale": False,
        # Of narrow cells a gap would be the better part.
        "xgap": gap if sheet.width / max(len(moments), 1) > _NARROW * gap else 0,
        "ygap": gap,
        "hoverongaps": False,
        "customdata": [
            [plot.safe(_told(names, n, value, counted)) for value in row]
            for n, row in enumerate(cells)
        ],
        "hovertemplate": "%{x|%H:%M:%S} UTC<br>%{customdata}<extra></extra>",
    }
    layout = plot.layout(
        xaxis={**plot.time_axis(sheet.answer.span), "showgrid": False},
        yaxis={**plot.value_axis(rows), "showgrid": False},
        margin=plot.margin(rows),
        hovermode="closest",
        shapes=list(shapes),
        annotations=list(notes),
    )
    stops = ", ".join(one for _, one in scale)
    shown = (options.get("legend") or {}).get("show", True) and moments
    return Plot(
        figure={"data": [trace], "layout": layout},
        scale=ColorScale(
            gradient=f"linear-gradient(to right, {stops})",
            low=quantities.text(0.0, counted),
            high=quantities.text(most, counted),
        )
        if shown
        else None,
    )


def _frame(sheet: Sheet) -> Frame:
    """Buckets as one frame: series that are named after their bucket will do as well."""
    frames = [frame for frame in sheet.answer.frames if frame.rows]
    if len(frames) <= 1:
        return frames[0] if frames else Frame(fields=[])
    times = sorted({at for f in frames for at in f.fields[0].values if isinstance(at, float)})
    columns = [frames[0].fields[0].__class__(name="Time", kind=FieldKind.TIME, values=times)]
    for frame in frames:
        known = dict(zip(frame.fields[0].values, frame.fields[1].values, strict=True))
        field = frame.fields[1]
        columns.append(
            field.__class__(
                name=field.display, kind=FieldKind.NUMBER, values=[known.get(at) for at in times]
            )
        )
    return Frame(fields=columns, step=frames[0].step)


def _bucket(name: str, unit: str) -> str:
    try:
        value = float(name)
    except ValueError:
        return name
    return "∞" if math.isinf(value) else quantities.mark(value, unit)


def _told(names: list[str], place: int, value: float | None, unit: str) -> str:
    below = names[place - 1] if place else ""
    bucket = f"{below} to {names[place]}" if below else f"up to {names[place]}"
    return f"{bucket}: {quantities.text(value, unit)}"
