"""Bar charts: a group of bars for each row of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.observe.render import colours
from lab.observe.render.frames import FieldKind, Frame, text_of
from lab.observe.render.panels import plot
from lab.observe.render.panels.views import Plot, Sheet
from lab.observe.render.settings import Look, look_of

_LETTER = 6.6
"""Pixels of a letter of a label."""
_MOST_LABEL = 240


def barchart(sheet: Sheet) -> Plot:
    """Upright or lying, beside each other or stacked."""
    frame = next((one for one in sheet.answer.frames if one.rows), Frame(fields=[]))
    options = sheet.panel.options
    lying = options.get("orientation") == "horizontal"
    stacked = options.get("stacking", "none") != "none"
    head = frame.named(str(options.get("xField") or "")) or next(
        iter(frame.of(FieldKind.STRING)), None
    )
    names = [plot.safe(text_of(value)) for value in head.values] if head else [""] * frame.rows
    looks = [
        (look_of(sheet.panel, one), one.numbers())
        for one in frame.of(FieldKind.NUMBER)
        if one is not head
    ]
    shown = [(look, look.of_series(place), numbers) for place, (look, numbers) in enumerate(looks)]
    present = [value for _, numbers in looks for value in numbers if value is not None]
    across = {
        "type": "category",
        "labelalias": {name: _shortened(name, sheet.panel.width) for name in names},
        "autorange": "reversed" if lying else True,
        "showgrid": False,
        "fixedrange": True,
        "automargin": True,
    }
    values = plot.value_axis(looks[0][0] if looks else None, max(present, default=0.0))
    layout = plot.layout(
        xaxis=values if lying else across,
        yaxis=across if lying else values,
        barmode="stack" if stacked else "group",
        bargap=1 - float(options.get("groupWidth", 0.7)),
        bargroupgap=0 if stacked else 1 - float(options.get("barWidth", 0.97)),
        hovermode="y unified" if lying else "x unified",
        # A value that has no room at its bar is left out.
        uniformtext={"minsize": 10, "mode": "hide"},
    )
    valued = options.get("showValue", "auto") != "never" and not stacked
    traces = [
        {**_trace(look, colour, numbers, valued=valued), **_along(names, numbers, lying=lying)}
        for look, colour, numbers in shown
    ]
    return Plot(
        figure={"data": traces, "layout": layout},
        legend=plot.legend(sheet, [(look, colour) for look, colour, _ in shown]),
    )


def _along(
    names: Sequence[str], numbers: Sequence[float | None], *, lying: bool
) -> Mapping[str, Any]:
    if lying:
        return {"orientation": "h", "x": list(numbers), "y": names}
    return {"orientation": "v", "x": names, "y": list(numbers)}


def _trace(
    look: Look, colour: str, numbers: Sequence[float | None], *, valued: bool
) -> dict[str, Any]:
    texts = ["" if value is None else plot.safe(look.text(value)) for value in numbers]
    name = plot.safe(look.name)
    return {
        "type": "bar",
        "name": name,
        "customdata": texts,
        "text": texts,
        "textposition": "outside" if valued else "none",
        "textfont": {"size": 11, "color": plot.INK},
        "textangle": 0,
        "cliponaxis": False,
        "hovertemplate": "%{customdata}<extra>" + name + "</extra>",
        "marker": {
            "color": colours.faded(colour, float(look.custom.get("fillOpacity", 80)) / 100),
            "line": {"width": float(look.custom.get("lineWidth", 1)), "color": colour},
        },
    }


def _shortened(name: str, width: int) -> str:
    """A label that fits a third of its panel; of names that begin alike the end tells most."""
    most = int(min(_MOST_LABEL, width / 3) / _LETTER)
    if len(name) <= most:
        return name
    end = (most - 1) * 3 // 5
    return f"{name[: most - 1 - end]}…{name[len(name) - end :]}"
