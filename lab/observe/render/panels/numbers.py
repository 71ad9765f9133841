"""Stat, gauge and bar gauge: single numbers, large, on a dial or as a bar."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.observe.render import colours, quantities
from lab.observe.render.frames import FieldKind
from lab.observe.render.panels import plot
from lab.observe.render.panels.views import Bars, BarView, Plot, Sheet, StatTile, Tiles
from lab.observe.render.settings import Look, look_of


@dataclass(frozen=True, kw_only=True)
class _Reading:
    look: Look
    value: float | None
    low: float
    high: float

    @property
    def text(self) -> str:
        return self.look.text(self.value)

    @property
    def colour(self) -> str:
        return self.look.of_value(self.value)


def stat(sheet: Sheet) -> Tiles:
    """Large numbers."""
    found = _readings(sheet)
    named = {"value": False, "value_and_name": True}.get(
        str(sheet.panel.options.get("textMode")), len(found) > 1
    )
    return Tiles(
        tiles=[
            StatTile(value=one.text, name=one.look.name if named else "", ink=one.colour)
            for one in found
        ]
    )


def gauge(sheet: Sheet) -> Plot:
    """Dials side by side; behind each the bands of its thresholds."""
    found = _readings(sheet)
    traces: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for place, one in enumerate(found):
        middle = (place + 0.5) / len(found)
        traces.append(_dial(one, [place / len(found), (place + 1) / len(found)]))
        # As everywhere else on the page, which Plotly's own number could not be.
        lines = [f"<b>{plot.safe(one.text)}</b>"]
        if len(found) > 1:
            lines.append(f'<span style="font-size:12px">{plot.safe(one.look.name)}</span>')
        where = {"x": middle, "y": 0, "xref": "paper", "yref": "paper", "yanchor": "bottom"}
        font = {"size": 24, "color": one.colour}
        notes.append({**where, "text": "<br>".join(lines), "showarrow": False, "font": font})
    margin = {"l": 40, "r": 40, "t": 16, "b": 8}
    return Plot(figure={"data": traces, "layout": plot.layout(margin=margin, annotations=notes)})


def _dial(one: _Reading, across: Sequence[float]) -> dict[str, Any]:
    limits = [one.low if limit is None else limit for limit, _ in one.look.steps]
    return {
        "type": "indicator",
        "mode": "gauge",
        "value": one.value,
        "domain": {"x": across, "y": [0, 1]},
        "gauge": {
            "axis": {
                "range": [one.low, one.high],
                "tickvals": [one.low, one.high],
                "ticks": "",
                **quantities.tick_format(one.look.unit, one.high),
            },
            "bar": {"color": one.colour, "thickness": 0.7},
            "bgcolor": plot.FAINT,
            "borderwidth": 0,
            "steps": [
                {"range": [low, high], "color": colours.faded(colour, 0.3)}
                for (low, high), (_, colour) in zip(
                    itertools.pairwise([*limits, one.high]), one.look.steps, strict=True
                )
            ],
        },
    }


def bar_gauge(sheet: Sheet) -> Bars:
    """A bar for each number."""
    return Bars(
        bars=[
            BarView(
                name=one.look.name,
                value=one.text,
                share=share(one.value, one.low, one.high),
                fill=one.colour,
            )
            for one in _readings(sheet)
        ]
    )


def share(value: float | None, low: float, high: float) -> float:
    """Per cent of the way from ``low`` to ``high``."""
    if value is None or high <= low:
        return 0.0
    return min(max((value - low) / (high - low), 0.0), 1.0) * 100


def _readings(sheet: Sheet) -> Sequence[_Reading]:
    """The newest value of each series."""
    found = []
    for frame in sheet.answer.frames:
        for field in frame.of(FieldKind.NUMBER):
            newest = [value for value in field.numbers() if value is not None][-1:]
            found.append((look_of(sheet.panel, field), newest[0] if newest else None))
    present = [value for _, value in found if value is not None]
    low, high = min([0.0, *present]), max(present, default=100.0)
    return [
        _Reading(
            look=look,
            value=value,
            low=low if look.low is None else float(look.low),
            high=high if look.high is None else float(look.high),
        )
        for look, value in found
    ]
