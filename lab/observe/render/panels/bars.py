"""Bar charts: a group of bars for each row of a table."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from lab.observe.render import colours
from lab.observe.render.frames import Field, FieldKind, Frame, text_of
from lab.observe.render.panels import plot
from lab.observe.render.panels.curves import legend
from lab.observe.render.panels.views import Plot, Sheet
from lab.observe.render.quantities import axis, log_axis
from lab.observe.render.settings import Look, look_of

_ROOM = 1.08
"""Above the longest bar, for its value."""
_AROUND = 80
"""Pixels of a panel that are not its bars."""
_LINE = 14
_MOST_LABEL = 240


def barchart(sheet: Sheet) -> Plot:
    """Upright or lying, beside each other or piled up."""
    frame = next((one for one in sheet.answer.frames if one.rows), Frame(fields=[]))
    options = sheet.panel.options
    lying = options.get("orientation") == "horizontal"
    names, series = _columns(frame, str(options.get("xField") or ""), sheet)
    piled = options.get("stacking", "none") != "none"
    looks = [(one, look_of(sheet.panel, one, frame)) for one in series]
    shown = [
        (look, look.of_series(place, one.numbers()), one.numbers())
        for place, (one, look) in enumerate(looks)
    ]
    top, low = _ends([numbers for _, _, numbers in shown], piled=piled)
    look = (
        shown[0][0]
        if shown
        else look_of(sheet.panel, Field(name="", kind=FieldKind.NUMBER, values=[]), frame)
    )
    texts = [look.text(value) for look, _, values in shown for value in values]
    beside = len(names) * (1 if piled else max(len(shown), 1))
    valued = _valued(sheet, texts, bars=beside, lying=lying)
    log = (look.custom.get("scaleDistribution") or {}).get("type") == "log"
    top = top * (_ROOM if valued and not piled else 1.0) if look.high is None else look.high
    scale = (
        log_axis(low or top / 1000, top, look.unit)
        if log
        else axis(min(low, 0.0) if look.low is None else look.low, top or 1.0, look.unit)
    )
    label_width = (
        min(_MOST_LABEL, sheet.width // 3)
        if lying
        else int((sheet.width - 70) / max(len(names), 1) * 0.95)
    )
    ticks: dict[str, Any] = {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [plot.safe(plot.shorten(name, label_width)) for name in names],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "range": [len(names) - 0.5, -0.5] if lying else [-0.5, len(names) - 0.5],
        "ticks": "",
    }
    values = plot.value_axis(scale, log=log)
    longest = max((len(str(one)) for one in ticks["ticktext"]), default=4)
    margin = plot.margin(None if lying else scale)
    if lying:
        margin |= {"l": round(longest * 6.8 + 14)}
    parts: dict[str, Any] = {
        "xaxis": values if lying else ticks,
        "yaxis": ticks if lying else values,
        "barmode": "stack" if piled else "group",
        "bargap": 1 - float(options.get("groupWidth", 0.7)),
        "bargroupgap": 0 if piled else 1 - float(options.get("barWidth", 0.97)),
        "hovermode": "y unified" if lying else "x unified",
        "margin": margin,
    }
    if not lying:
        parts["shapes"] = list(plot.threshold_shapes(look, scale))
    traces = [_trace(one, names, lying=lying, valued=valued, piled=piled) for one in shown]
    return Plot(
        figure={"data": traces, "layout": plot.layout(**parts)}, legend=legend(sheet, shown)
    )


def _columns(frame: Frame, x: str, sheet: Sheet) -> tuple[Sequence[str], Sequence[Field]]:
    heads = [one for one in frame.fields if one.kind is not FieldKind.NUMBER]
    head = frame.named(x) if x else next(iter(heads), None)
    series = [one for one in frame.of(FieldKind.NUMBER) if one is not head]
    if head is None:
        return ["" for _ in range(frame.rows)], series
    look = look_of(sheet.panel, head, frame)
    if head.kind is FieldKind.TIME:
        moments = [value for value in head.values if isinstance(value, float)]
        form = "%m-%d %H:%M"
        return [datetime.fromtimestamp(at, UTC).strftime(form) for at in moments], series
    return [
        look.text(value) if isinstance(value, float) else text_of(value) for value in head.values
    ], series


def _ends(columns: Sequence[Sequence[float | None]], *, piled: bool) -> tuple[float, float]:
    present = [[value or 0.0 for value in one] for one in columns]
    if piled:
        sums = [sum(max(value, 0.0) for value in row) for row in zip(*present, strict=True)]
        return max(sums, default=1.0), 0.0
    flat = [value for one in present for value in one if value]
    return max(flat, default=1.0), min(flat, default=0.0)


def _valued(sheet: Sheet, texts: Sequence[str], *, bars: int, lying: bool) -> bool:
    """Whether every bar has room for its value; either all have theirs or none."""
    match sheet.panel.options.get("showValue", "auto"):
        case "always":
            return True
        case "never":
            return False
        case _:
            room = (sheet.height if lying else sheet.width) - _AROUND
            share = float(sheet.panel.options.get("groupWidth", 0.7))
            longest = max((plot.width_of(text) for text in texts), default=0.0)
            return room / max(bars, 1) * share > (_LINE if lying else longest)


def _trace(
    one: tuple[Look, str, Sequence[float | None]],
    names: Sequence[str],
    *,
    lying: bool,
    valued: bool,
    piled: bool,
) -> dict[str, Any]:
    look, colour, numbers = one
    places = list(range(len(names)))
    texts = ["" if value is None else plot.safe(look.text(value)) for value in numbers]
    by_value = look.colour.get("mode") == "thresholds"
    fill = [look.reached(value) for value in numbers] if by_value else colour
    opacity = float(look.custom.get("fillOpacity", 80)) / 100
    faded = (
        [colours.faded(c, opacity) for c in fill]
        if isinstance(fill, list)
        else colours.faded(fill, opacity)
    )
    name = plot.safe(look.name)
    return {
        "type": "bar",
        "name": name,
        "orientation": "h" if lying else "v",
        "x": list(numbers) if lying else places,
        "y": places if lying else list(numbers),
        "customdata": texts,
        "text": texts if valued else None,
        "textposition": ("inside" if piled else "outside") if valued else "none",
        "textfont": {"size": 11} if piled else {"size": 11, "color": plot.INK},
        "textangle": 0,
        "cliponaxis": False,
        "hovertemplate": "%{customdata}<extra>" + name + "</extra>",
        "marker": {
            "color": faded,
            "line": {"width": float(look.custom.get("lineWidth", 1)), "color": fill},
        },
    }
