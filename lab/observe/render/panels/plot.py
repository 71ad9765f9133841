"""What all plots share: margins, axes, lines at thresholds and events, texts safe for Plotly."""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lab.observe.render import colours
from lab.observe.render.ask import AnnotationEvent
from lab.observe.render.quantities import Axis
from lab.observe.render.settings import Look
from lab.observe.render.timespan import Span

INK: Final = "@ink"
LINE: Final = "@line"
"""Colours of the page itself; its script fills them in."""

_LETTER: Final = 6.6
_HOUR, _DAY = 3600.0, 86400.0
_MINUTES = 300.0


def safe(text: str) -> str:
    """Plotly reads some HTML in its texts; ours have none."""
    return html.escape(text, quote=False)


def milliseconds(seconds: float) -> float:
    """As Plotly has times."""
    return round(seconds * 1000)


def clock(seconds: float, span: Span) -> str:
    """A moment, as exact as the range asks for."""
    form = "%Y-%m-%d %H:%M:%S" if span.seconds > _DAY else "%H:%M:%S"
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def time_axis(span: Span) -> dict[str, Any]:
    """The range itself, whether or not there is something at its ends."""
    if span.seconds <= _MINUTES:
        form = "%H:%M:%S"
    elif span.seconds <= _DAY:
        form = "%H:%M"
    else:
        form = "%m-%d %H:%M" if span.seconds <= 4 * _DAY else "%m-%d"
    return {
        "type": "date",
        "range": [milliseconds(span.start), milliseconds(span.end)],
        "tickformat": form,
        "hoverformat": "%Y-%m-%d %H:%M:%S UTC",
        "nticks": 8,
        "ticklabelstandoff": 3,
        "gridcolor": LINE,
        "zeroline": False,
        "showline": False,
        "ticks": "",
    }


def value_axis(axis: Axis, *, log: bool = False, fixed: bool = True) -> dict[str, Any]:
    """An axis with our marks."""
    ends = [axis.low, axis.high]
    return {
        "type": "log" if log else "linear",
        "range": [math.log10(end) for end in ends] if log else ends,
        "tickmode": "array",
        "tickvals": [at for at, _ in axis.marks],
        "ticktext": [safe(text) for _, text in axis.marks],
        "gridcolor": LINE,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "ticklabelstandoff": 5,
        "fixedrange": fixed,
    }


def margin(axis: Axis | None, *, right: Axis | None = None) -> dict[str, int]:
    """Room for the marks, and no more."""
    return {
        "l": _room(axis) if axis else 8,
        "r": _room(right) if right else 12,
        "t": 8,
        "b": 24,
    }


def width_of(text: str) -> float:
    """Pixels that a label of ordinary size takes."""
    return len(text) * _LETTER


def _room(axis: Axis) -> int:
    return round(min(max(len(text) for _, text in axis.marks) * _LETTER + 16, 190))


def layout(**parts: Any) -> dict[str, Any]:
    """A quiet plot; letters and colours are the page's."""
    base: dict[str, Any] = {
        "showlegend": False,
        "hovermode": "x unified",
        "dragmode": "zoom",
        "shapes": [],
        "annotations": [],
    }
    return {**base, **parts}


def threshold_shapes(
    look: Look, axis: Axis, *, name: str = "y", style: str = ""
) -> Iterator[Mapping[str, Any]]:
    """Lines at the limits of the thresholds, and fields of their colours."""
    mode = style or str((look.custom.get("thresholdsStyle") or {}).get("mode", "off"))
    steps = list(_absolute(look, axis))
    for place, (limit, colour) in enumerate(steps):
        upper = steps[place + 1][0] if place + 1 < len(steps) else axis.high
        low, high = max(limit, axis.low), min(upper, axis.high)
        if "area" in mode and high > low:
            yield {
                "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": name,
                "y0": low, "y1": high, "layer": "below",
                "line": {"width": 0}, "fillcolor": colours.faded(colour, 0.1),
            }  # fmt: skip
        if ("line" in mode or "dashed" in mode) and place and axis.low <= limit <= axis.high:
            yield {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": name,
                "y0": limit, "y1": limit,
                "line": {
                    "width": 1.2,
                    "color": colours.faded(colour, 0.85),
                    "dash": "dash" if "dashed" in mode else "solid",
                },
            }  # fmt: skip


def _absolute(look: Look, axis: Axis) -> Iterator[tuple[float, str]]:
    for limit, colour in look.steps():
        if limit is None:
            yield axis.low, colour
        elif look.thresholds.get("mode") == "percentage":
            low = axis.low if look.low is None else look.low
            high = axis.high if look.high is None else look.high
            yield low + limit / 100 * (high - low), colour
        else:
            yield limit, colour


def event_marks(
    events: Sequence[AnnotationEvent], span: Span
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """Lines (fields, for what lasts) over the whole height, and a mark at the foot to point at."""
    shapes: list[Mapping[str, Any]] = []
    notes: list[Mapping[str, Any]] = []
    for event in events:
        if event.end < span.start or event.start > span.end:
            continue
        colour = colours.named(event.colour)
        start, end = max(event.start, span.start), min(event.end, span.end)
        both = {"xref": "x", "yref": "paper", "y0": 0, "y1": 1}
        if end > start:
            shapes.append(
                {
                    "type": "rect",
                    **both,
                    "x0": milliseconds(start),
                    "x1": milliseconds(end),
                    "line": {"width": 0},
                    "fillcolor": colours.faded(colour, 0.1),
                    "layer": "below",
                }
            )
        line = {"width": 1, "color": colour, "dash": "dash"}
        shapes.append(
            {
                "type": "line",
                **both,
                "line": line,
                "x0": milliseconds(start),
                "x1": milliseconds(start),
            }
        )
        when = clock(event.start, span)
        told = [f"<b>{safe(event.title)}</b>", safe(event.text), f"{when} UTC"]
        notes.append(
            {
                "x": milliseconds(start),
                "xref": "x",
                "y": 0,
                "yref": "paper",
                "yanchor": "top",
                "yshift": 7,
                "text": "▲",
                "showarrow": False,
                "captureevents": True,
                "font": {"size": 9, "color": colour},
                "hovertext": "<br>".join(part for part in told if part),
            }
        )
    return shapes, notes


def shorten(text: str, width: int) -> str:
    """A label that fits so many pixels; of names that begin alike the end tells most."""
    most = max(int(width / _LETTER), 4)
    if len(text) <= most:
        return text
    end = (most - 1) * 3 // 5
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"
