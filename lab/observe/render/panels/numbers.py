"""Stat, gauge and bar gauge: single numbers, large, on a dial or as a bar."""

import math
from collections.abc import Sequence
from typing import Any, Final

from lab.observe.render import calcs, colours, quantities
from lab.observe.render.panels.readings import PanelReading, readings
from lab.observe.render.panels.views import (
    Arc,
    Dial,
    Dials,
    Sheet,
    StateStrip,
    StateStrips,
    StatTile,
    Tiles,
)

_INK: Final = colours.named("text")
_WIDE = 0.62
"""Of a letter, in its height."""
_LARGEST, _SMALLEST = 52, 15
_HEAD = 36
_FROM, _TO = -210.0, 30.0
"""Degrees between which a dial's arc runs, 0 to the right."""


def stat(sheet: Sheet) -> Tiles:
    """Large numbers."""
    found = readings(sheet)
    options = sheet.panel.options
    several = len(found) > 1
    named = {"name": True, "value_and_name": True, "value": False, "none": False}.get(
        str(options.get("textMode")), several
    )
    downwards = options.get("orientation") == "horizontal" or (
        options.get("orientation") != "vertical" and several and sheet.width < sheet.height
    )
    return Tiles(
        tiles=[_tile(one, sheet, of=len(found), named=named, downwards=downwards) for one in found],
        downwards=downwards,
    )


def _tile(one: PanelReading, sheet: Sheet, *, of: int, named: bool, downwards: bool) -> StatTile:
    options = sheet.panel.options
    mode = str(options.get("colorMode", "value"))
    behind = mode.startswith("background")
    value = one.name if options.get("textMode") == "name" else one.text
    wide = (sheet.width - 24) / (1 if downwards else of)
    high = (sheet.height - _HEAD) / (of if downwards else 1) - (22 if named else 6)
    fits = min(wide * 0.92 / (max(len(value), 3) * _WIDE), high * 0.72, _LARGEST)
    line, area = _curve(one.series) if options.get("graphMode", "area") == "area" else ("", "")
    return StatTile(
        value="" if options.get("textMode") == "none" else value,
        name=one.name if named and options.get("textMode") != "name" else "",
        ink=colours.ink_on(one.colour) if behind else one.colour if mode == "value" else _INK,
        ground=one.colour if behind else "",
        size=round(max(fits, _SMALLEST)),
        line=line,
        area=area,
        change=_change(one, options),
    )


def _change(one: PanelReading, options: dict[str, Any] | Any) -> str:
    share = calcs.reduced(one.series, "diffperc") if options.get("showPercentChange") else None
    return "" if share is None else f"{share * 100:+.3g} %"


def _curve(values: Sequence[float | None]) -> tuple[str, str]:
    present = [value for value in values if value is not None]
    if len(present) < 2:
        return "", ""
    low, high = min(present), max(present)
    tall = (high - low) or 1.0
    last = len(values) - 1
    points = [
        f"{n / last * 100:.1f} {100 - (value - low) / tall * 92 - 4:.1f}"
        for n, value in enumerate(values)
        if value is not None
    ]
    line = "M" + "L".join(points)
    first_x, last_x = points[0].split()[0], points[-1].split()[0]
    return line, f"{line}L{last_x} 100L{first_x} 100Z"


def gauge(sheet: Sheet) -> Dials:
    """Dials; around each the bands of its thresholds."""
    marked = sheet.panel.options.get("showThresholdMarkers", True)
    return Dials(dials=[_dial(one, marked=bool(marked)) for one in readings(sheet)])


def _dial(one: PanelReading, *, marked: bool) -> Dial:
    bands = []
    if marked:
        steps = [
            (one.low if limit is None else _absolute(one, limit), colour)
            for limit, colour in one.look.steps()
        ]
        for place, (begin, colour) in enumerate(steps):
            end = steps[place + 1][0] if place + 1 < len(steps) else one.high
            path = _arc(_share(one, begin), _share(one, end), 46.0)
            bands += [Arc(path=path, colour=colour)] if path else []
    return Dial(
        value=one.text,
        name=one.name,
        ink=one.colour,
        filled=_arc(0.0, one.share / 100, 37.0),
        bands=bands,
        ends=(
            quantities.mark(one.low, one.look.unit),
            quantities.mark(one.high, one.look.unit),
        ),
    )


def _absolute(one: PanelReading, limit: float) -> float:
    if one.look.thresholds.get("mode") == "percentage":
        return one.low + limit / 100 * (one.high - one.low)
    return float(limit)


def _share(one: PanelReading, value: float) -> float:
    return min(max((value - one.low) / ((one.high - one.low) or 1.0), 0.0), 1.0)


def track() -> str:
    """The path of a whole dial."""
    return _arc(0.0, 1.0, 37.0)


def _arc(begin: float, end: float, radius: float) -> str:
    """From one share of the dial to another, around 50, 50."""
    if end <= begin:
        return ""
    turns = [_FROM + share * (_TO - _FROM) for share in (begin, end)]
    ends = [
        (50 + radius * math.cos(math.radians(turn)), 50 + radius * math.sin(math.radians(turn)))
        for turn in turns
    ]
    large = int(turns[1] - turns[0] > 180)
    (x, y), (to_x, to_y) = ends
    return f"M{x:.2f} {y:.2f}A{radius:g} {radius:g} 0 {large} 1 {to_x:.2f} {to_y:.2f}"


def bar_gauge(sheet: Sheet) -> StateStrips:
    """A bar for each number."""
    options = sheet.panel.options
    gradient = options.get("displayMode") == "gradient"
    strips = [
        StateStrip(
            name=one.name,
            value=one.text,
            ink=one.colour if options.get("valueMode", "color") == "color" else _INK,
            share=one.share,
            fill=(
                f"linear-gradient(var(--to), {colours.faded(one.colour, 0.35)}, {one.colour})"
                if gradient
                else one.colour
            ),
        )
        for one in readings(sheet)
    ]
    return StateStrips(
        strips=strips,
        upright=options.get("orientation") == "vertical"
        or (options.get("orientation") == "auto" and sheet.width > 2 * sheet.height),
        valued=options.get("valueMode") != "hidden",
        track=bool(options.get("showUnfilled", True)),
    )
