"""Heat maps: how many values fell into which bucket, over time."""

import math
from typing import Any, Final

from lab.observe.render import colours, quantities
from lab.observe.render.frames import FieldKind, Frame
from lab.observe.render.panels import plot
from lab.observe.render.panels.views import Plot, Sheet

_BLUES: Final = (
    (0.0, plot.CARD),
    (0.5, colours.named("light-blue")),
    (1.0, colours.named("dark-blue")),
)
_NARROW = 6
"""Pixels of a cell of which a gap would be the better part."""


def heatmap(sheet: Sheet) -> Plot:
    """A row for each bucket, from the lowest up; its mark is the bucket's upper end."""
    frame = next((one for one in sheet.answer.frames if one.rows), Frame(fields=[]))
    options = sheet.panel.options
    numbers, times = frame.of(FieldKind.NUMBER), frame.of(FieldKind.TIME)
    moments = [at for at in times[0].values if isinstance(at, float)] if times else []
    least = float((options.get("filterValues") or {}).get("le", 0.0))
    cells = [
        [value if value is not None and value > least else None for value in one.numbers()]
        for one in numbers
    ]
    power = float((options.get("color") or {}).get("exponent", 0.5))
    most = max((v for row in cells for v in row if v is not None), default=1.0)
    names = ["∞" if math.isinf(float(one.display)) else one.display for one in numbers]
    gap = float(options.get("cellGap", 1))
    trace: dict[str, Any] = {
        "type": "heatmap",
        # Prometheus's value at a moment is of the step before it.
        "x": [plot.milliseconds(at - frame.step / 2) for at in moments],
        "y": names,
        "z": [[None if v is None else (v / most) ** power for v in row] for row in cells],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [list(stop) for stop in _BLUES],
        "showscale": bool((options.get("legend") or {}).get("show", True)),
        "colorbar": {
            "thickness": 8,
            "tickvals": [0, 1],
            "ticktext": ["0", quantities.text(most)],
            "outlinewidth": 0,
        },
        "xgap": gap if sheet.panel.width / max(len(moments), 1) > _NARROW * gap else 0,
        "ygap": gap,
        "hoverongaps": False,
        "customdata": [
            [f"{_bucket(names, n)}: {quantities.text(value)}" for value in row]
            for n, row in enumerate(cells)
        ],
        "hovertemplate": "%{x|%H:%M:%S} UTC<br>%{customdata}<extra></extra>",
    }
    layout = plot.layout(
        xaxis={**plot.time_axis(sheet.answer.span), "showgrid": False},
        yaxis={"type": "category", "showgrid": False, "fixedrange": True},
        hovermode="closest",
        **plot.event_marks(sheet.events, sheet.answer.span),
    )
    return Plot(figure={"data": [trace], "layout": layout})


def _bucket(names: list[str], place: int) -> str:
    return f"{names[place - 1]} to {names[place]}" if place else f"up to {names[place]}"
