"""How a column is shown: a panel's defaults, its overrides, and what follows from them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.observe.render import calcs, colours, quantities
from lab.observe.render.board import Panel
from lab.observe.render.frames import Field, Frame, Value

_BLANK: Final = "-"
_GREEN: Final = {"mode": "absolute", "steps": [{"color": "green", "value": None}]}


@dataclass(frozen=True, kw_only=True)
class Look:
    """The settings of one column."""

    name: str
    unit: str
    decimals: int | None
    low: float | None
    high: float | None
    colour: Mapping[str, Any]
    thresholds: Mapping[str, Any]
    mappings: Sequence[Mapping[str, Any]]
    no_value: str
    custom: Mapping[str, Any]

    def mapped(self, value: Value) -> Mapping[str, Any] | None:
        """What a mapping says of a value: a text, a colour, or both."""
        for mapping in self.mappings:
            found = _apply(mapping, value)
            if found is not None:
                return found
        return None

    def text(self, value: Value) -> str:
        """A value for people."""
        said = self.mapped(value)
        if said and said.get("text"):
            return str(said["text"])
        if isinstance(value, str):
            return value
        if value is None:
            return self.no_value or _BLANK
        return quantities.text(value, self.unit, self.decimals)

    def reached(self, value: float | None, *, low: float = 0.0, high: float = 100.0) -> str:
        """The colour of the highest threshold that a value has reached.

        Thresholds in per cent are of the range from ``low`` to ``high``.
        """
        at = value
        if value is not None and self.thresholds.get("mode") == "percentage":
            at = (value - low) / ((high - low) or 1.0) * 100
        steps = self.steps()
        colour = steps[0][1] if steps else colours.named("green")
        for limit, name in steps:
            if limit is not None and at is not None and at >= limit:
                colour = name
        return colour

    def steps(self) -> Sequence[tuple[float | None, str]]:
        """Thresholds from the lowest up; the first has no limit."""
        return [
            (None if place == 0 else step.get("value"), colours.named(step.get("color", "green")))
            for place, step in enumerate(self.thresholds.get("steps") or [])
        ]

    def of_value(self, value: Value, *, low: float, high: float, place: int = 0) -> str:
        """The colour that shows a value: of its mapping, its threshold, its share, or its column.

        ``low`` and ``high`` are the ends of the range in which it lies, for colours by share.
        """
        said = self.mapped(value)
        if said and said.get("color"):
            return colours.named(str(said["color"]))
        number = value if isinstance(value, float) else None
        mode = str(self.colour.get("mode", "thresholds"))
        share = 0.0 if number is None else (number - low) / ((high - low) or 1.0)
        return (
            self.reached(number, low=low, high=high)
            if mode == "thresholds"
            else colours.continuous(mode, share) or self.of_series(place)
        )

    def of_series(self, place: int, values: Sequence[float | None] = ()) -> str:
        """The colour of the n-th series as a whole."""
        match self.colour.get("mode", "palette-classic"):
            case "fixed" | "shades":
                return colours.named(str(self.colour.get("fixedColor", "green")))
            case "palette-classic-by-name":
                return colours.by_name(self.name)
            case "thresholds":
                by = {"min": "min", "max": "max"}.get(str(self.colour.get("seriesBy")), "")
                return self.reached(calcs.reduced(values, by or "lastNotNull"))
            case _:
                return colours.of_palette(place)


def look_of(panel: Panel, field: Field, frame: Frame) -> Look:
    """The settings of a column of a panel."""
    settings: dict[str, Any] = json.loads(json.dumps(dict(panel.defaults)))
    # A name by override is matched by the name that it replaces, as in Grafana.
    for override in panel.overrides:
        if _fits(override.get("matcher") or {}, field, frame):
            for one in override.get("properties") or []:
                _put(settings, str(one.get("id", "")), one.get("value"))
    return Look(
        name=str(settings.get("displayName") or field.display).replace(
            "${__field.name}", field.display
        ),
        unit=str(settings.get("unit") or ""),
        decimals=settings.get("decimals"),
        low=settings.get("min"),
        high=settings.get("max"),
        colour=settings.get("color") or {},
        thresholds=settings.get("thresholds") or _GREEN,
        mappings=settings.get("mappings") or [],
        no_value=str(settings.get("noValue") or ""),
        custom=settings.get("custom") or {},
    )


def _put(settings: dict[str, Any], path: str, value: Any) -> None:
    *folders, last = path.split(".")
    for name in folders:
        settings = settings.setdefault(name, {})
    settings[last] = value


def _fits(matcher: Mapping[str, Any], field: Field, frame: Frame) -> bool:
    options = matcher.get("options")
    match matcher.get("id"):
        case "byName":
            return options in (field.display, field.name)
        case "byNames":
            names = options.get("names", []) if isinstance(options, Mapping) else options or []
            return field.display in names
        case "byRegexp":
            bare = re.sub(r"^/(.*)/\w*$", r"\1", str(options))
            return re.search(bare, field.display) is not None
        case "byFrameRefID":
            return options == frame.ref
        case "byType":
            return options == field.kind.value
        case _:
            return False


def _apply(mapping: Mapping[str, Any], value: Value) -> Mapping[str, Any] | None:
    options = mapping.get("options") or {}
    match mapping.get("type"):
        case "value":
            key = f"{value:g}" if isinstance(value, float) else str(value)
            found = options.get(key)
        case "range":
            low, high = options.get("from"), options.get("to")
            inside = isinstance(value, float) and (
                (low is None or value >= low) and (high is None or value <= high)
            )
            found = options.get("result") if inside else None
        case "regex":
            bare = re.sub(r"^/(.*)/\w*$", r"\1", str(options.get("pattern", "")))
            hit = re.search(bare, value) if isinstance(value, str) else None
            found = options.get("result") if hit else None
        case "special":
            asked = options.get("match")
            hit_special = (
                (value is None and asked in ("null", "null+nan"))
                or (value == "" and asked == "empty")
                or (isinstance(value, float) and value != value and "nan" in str(asked))  # noqa: PLR0124
            )
            found = options.get("result") if hit_special else None
        case _:
            found = None
    return found if isinstance(found, Mapping) else None
