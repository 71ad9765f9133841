"""How a column is shown: a panel's defaults, its overrides, and what follows from them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.observe.render import colours, quantities
from lab.observe.render.board import Panel
from lab.observe.render.frames import Field, Value

_BLANK: Final = "-"


@dataclass(frozen=True, kw_only=True)
class Look:
    """The settings of one column."""

    name: str
    unit: str
    decimals: int | None
    low: float | None
    high: float | None
    colour: Mapping[str, Any]
    steps: Sequence[tuple[float | None, str]]
    """Thresholds from the lowest up, with their colours; the first has no limit."""
    no_value: str
    custom: Mapping[str, Any]

    def text(self, value: Value) -> str:
        """A value for people."""
        if isinstance(value, str):
            return value
        if value is None:
            return self.no_value or _BLANK
        return quantities.text(value, self.unit, self.decimals)

    def of_value(self, value: Value) -> str:
        """The colour that shows a value: its own, or that of the highest threshold it reaches."""
        if self.colour.get("mode") == "fixed":
            return self._fixed()
        number = value if isinstance(value, float) else None
        reached = [
            colour
            for limit, colour in self.steps
            if limit is None or (number is not None and number >= limit)
        ]
        return reached[-1] if reached else colours.named("green")

    def of_series(self, place: int) -> str:
        """The colour of the n-th series as a whole."""
        match self.colour.get("mode", "palette-classic"):
            case "fixed":
                return self._fixed()
            case "palette-classic-by-name":
                return colours.by_name(self.name)
            case _:
                return colours.of_palette(place)

    def _fixed(self) -> str:
        return colours.named(str(self.colour.get("fixedColor", "green")))


def look_of(panel: Panel, field: Field) -> Look:
    """The settings of a column of a panel."""
    settings: dict[str, Any] = json.loads(json.dumps(dict(panel.defaults)))
    for override in (panel.source.get("fieldConfig") or {}).get("overrides") or []:
        if _fits(override.get("matcher") or {}, field):
            for one in override.get("properties") or []:
                _put(settings, str(one.get("id", "")), one.get("value"))
    steps = (settings.get("thresholds") or {}).get("steps") or []
    return Look(
        name=field.display,
        unit=str(settings.get("unit") or "none"),
        decimals=settings.get("decimals"),
        low=settings.get("min"),
        high=settings.get("max"),
        colour=settings.get("color") or {},
        steps=[
            (step.get("value") if place else None, colours.named(step.get("color", "green")))
            for place, step in enumerate(steps)
        ],
        no_value=str(settings.get("noValue") or ""),
        custom=settings.get("custom") or {},
    )


def _put(settings: dict[str, Any], path: str, value: Any) -> None:
    *folders, last = path.split(".")
    for name in folders:
        settings = settings.setdefault(name, {})
    settings[last] = value


def _fits(matcher: Mapping[str, Any], field: Field) -> bool:
    wanted = str(matcher.get("options"))
    if matcher.get("id") == "byRegexp":
        return re.search(re.sub(r"^/(.*)/\w*$", r"\1", wanted), field.display) is not None
    return wanted in (field.display, field.name)
