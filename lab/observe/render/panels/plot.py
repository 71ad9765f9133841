"""What all plots share: axes, lines at thresholds and events, texts safe for Plotly."""

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lab.observe.render import colours
from lab.observe.render.ask import AnnotationEvent
from lab.observe.render.panels.views import LegendEntry, Sheet
from lab.observe.render.quantities import tick_format
from lab.observe.render.settings import Look
from lab.observe.render.timespan import Span

INK: Final = "@ink"
CARD: Final = "@card"
FAINT: Final = "@faint"
"""Colours of the page itself; its script fills them in."""

_DAY = 86400.0
_MINUTES = 300.0
_PREFIXES = ("n", "µ", "m", "", "k", "M", "G")


def safe(text: str) -> str:
    """Plotly reads some HTML in its texts; ours have none."""
    return html.escape(text, quote=False)


def milliseconds(seconds: float) -> float:
    """As Plotly has times."""
    return round(seconds * 1000)


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
    }


def value_axis(look: Look | None, most: float) -> dict[str, Any]:
    """From zero if the settings say so, to about ``most``; Plotly chooses ends and marks."""
    if look is None:
        return {"fixedrange": True}
    log = (look.custom.get("scaleDistribution") or {}).get("type") == "log"
    included = look.custom.get("axisSoftMax")
    form = tick_format(look.unit, most)
    return {
        **form,
        **(_log_scale(str(form["ticksuffix"])) if log else {"type": "linear"}),
        "rangemode": "tozero" if look.custom.get("axisSoftMin") == 0 else "normal",
        "autorangeoptions": {} if included is None else {"include": included},
        "nticks": 7,
        "exponentformat": "SI",
        "fixedrange": True,
    }


def _log_scale(unit: str) -> Mapping[str, Any]:
    """Plotly leaves the unit out between the powers of ten: its labels are replaced."""
    numbers = [digit * size for size in (1, 10, 100) for digit in range(1, 10)]
    bare = [f"{number}{prefix}" for number in numbers for prefix in _PREFIXES]
    return {"type": "log", "tickformat": "~s", "labelalias": {one: one + unit for one in bare}}


def layout(**parts: Any) -> dict[str, Any]:
    """A quiet plot; letters and colours are the page's."""
    return {
        "showlegend": False,
        "hovermode": "x unified",
        "dragmode": "zoom",
        "margin": {"l": 8, "r": 12, "t": 8, "b": 24},
        **parts,
    }


def legend(sheet: Sheet, shown: Sequence[tuple[Look, str]]) -> Sequence[LegendEntry]:
    """The names of what is shown with their colours, unless the panel has no legend."""
    if not (sheet.panel.options.get("legend") or {}).get("showLegend", True):
        return []
    return [
        LegendEntry(name=look.name, colour=colour, dashed=dashed(look)) for look, colour in shown
    ]


def dashed(look: Look) -> bool:
    """Whether a line is a broken one."""
    return bool((look.custom.get("lineStyle") or {}).get("fill") == "dash")


def threshold_shapes(look: Look, most: float) -> Iterator[Mapping[str, Any]]:
    """Dashed lines at the limits of the thresholds; those above ``most`` would stretch the axis."""
    if (look.custom.get("thresholdsStyle") or {}).get("mode") != "dashed":
        return
    for limit, colour in look.steps:
        if limit is not None and limit <= most:
            line = {"width": 1.2, "color": colours.faded(colour, 0.85), "dash": "dash"}
            across = {"xref": "paper", "x0": 0, "x1": 1, "y0": limit, "y1": limit}
            yield {"type": "line", **across, "line": line}


def event_marks(events: Sequence[AnnotationEvent], span: Span) -> dict[str, Any]:
    """Lines (fields, for what lasts) over the whole height, and a mark at the foot to point at."""
    shapes: list[Mapping[str, Any]] = []
    notes: list[Mapping[str, Any]] = []
    form = "%Y-%m-%d %H:%M:%S" if span.seconds > _DAY else "%H:%M:%S"
    for event in events:
        if event.end < span.start or event.start > span.end:
            continue
        colour = colours.named(event.colour)
        start, end = (milliseconds(at) for at in (max(event.start, span.start), event.end))
        upright = {"yref": "paper", "y0": 0, "y1": 1, "x0": start}
        if end > start:
            field = {"line": {"width": 0}, "fillcolor": colours.faded(colour, 0.1)}
            until = min(end, milliseconds(span.end))
            shapes.append({"type": "rect", **upright, "x1": until, **field, "layer": "below"})
        line = {"width": 1, "color": colour, "dash": "dash"}
        shapes.append({"type": "line", **upright, "x1": start, "line": line})
        when = datetime.fromtimestamp(event.start, UTC).strftime(form)
        told = [f"<b>{safe(event.title)}</b>", safe(event.text), f"{when} UTC"]
        notes.append(
            {
                "x": start,
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
    return {"shapes": shapes, "annotations": notes}
