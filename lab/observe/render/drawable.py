"""What is drawn of Grafana's panels: a closed list of what our own boards use.

Of a panel's JSON each listed path may have only the values beside it; without any, the path must
be absent. Anything else is refused by name. Paths that are not listed (sizes, tooltips) do not
change what a panel says and are ignored. Lists count through: ``targets.format`` is of each target.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.observe.render.quantities import UNITS
from lab.observe.render.transform import TRANSFORMATIONS

_Values = tuple[object, ...]
_DEFAULTS: Final = "fieldConfig.defaults"

_EVERYWHERE: Final[Mapping[str, _Values]] = {
    "repeat": (),
    "panels": (),
    "interval": (),
    "maxDataPoints": (),
    "timeShift": (),
    "targets.interval": (),
    "transformations.id": tuple(TRANSFORMATIONS),
    "transformations.options.includeByName": (),
    "transformations.options.emptyValue": ("null",),
    "fieldConfig.overrides.matcher.id": ("byName", "byRegexp"),
    f"{_DEFAULTS}.unit": tuple(UNITS),
    f"{_DEFAULTS}.mappings": (),
    f"{_DEFAULTS}.displayName": (),
    f"{_DEFAULTS}.thresholds.mode": ("absolute",),
}
_NUMBER: Final[Mapping[str, _Values]] = {
    "targets.format": ("time_series",),
    "options.reduceOptions.calcs": ("lastNotNull",),
    "options.reduceOptions.values": (False,),
    "options.reduceOptions.fields": (),
    "fieldConfig.overrides.properties.id": (),
    f"{_DEFAULTS}.color.mode": ("thresholds",),
}
"""Of kinds that show single numbers."""
_SERIES: Final[Mapping[str, _Values]] = {
    "options.legend.displayMode": ("list",),
    "options.legend.placement": ("bottom",),
    "options.legend.calcs": (),
    f"{_DEFAULTS}.color.mode": ("fixed", "palette-classic", "palette-classic-by-name"),
    f"{_DEFAULTS}.min": (),
    f"{_DEFAULTS}.max": (),
    f"{_DEFAULTS}.custom.axisSoftMin": (0,),
    f"{_DEFAULTS}.custom.hideFrom.viz": (False,),
    f"{_DEFAULTS}.custom.hideFrom.legend": (False,),
}
"""Of kinds that show series at an axis."""
DRAWN: Final[Mapping[str, Mapping[str, _Values]]] = {
    "timeseries": {
        **_SERIES,
        "targets.format": ("time_series",),
        "fieldConfig.overrides.properties.id": (
            *("color", "custom.fillOpacity", "custom.lineStyle"),
        ),
        f"{_DEFAULTS}.custom.axisCenteredZero": (False,),
        f"{_DEFAULTS}.custom.axisPlacement": ("auto",),
        f"{_DEFAULTS}.custom.drawStyle": ("line", "bars"),
        f"{_DEFAULTS}.custom.fillBelowTo": (),
        f"{_DEFAULTS}.custom.lineInterpolation": ("linear", "stepAfter"),
        f"{_DEFAULTS}.custom.lineStyle.fill": ("solid", "dash"),
        f"{_DEFAULTS}.custom.scaleDistribution.type": ("linear", "log"),
        f"{_DEFAULTS}.custom.scaleDistribution.log": (10,),
        f"{_DEFAULTS}.custom.showPoints": ("never", "auto"),
        f"{_DEFAULTS}.custom.spanNulls": (False,),
        f"{_DEFAULTS}.custom.stacking.mode": ("none", "normal"),
        f"{_DEFAULTS}.custom.thresholdsStyle.mode": ("off", "dashed"),
        f"{_DEFAULTS}.custom.transform": (),
    },
    "stat": {
        **_NUMBER,
        "options.colorMode": ("value",),
        "options.graphMode": ("none",),
        "options.orientation": ("auto",),
        "options.showPercentChange": (False,),
        "options.textMode": ("auto", "value", "value_and_name"),
    },
    "gauge": {
        **_NUMBER,
        "options.orientation": ("auto",),
        "options.showThresholdLabels": (False,),
        "options.showThresholdMarkers": (True,),
    },
    "bargauge": {
        **_NUMBER,
        "options.displayMode": ("basic",),
        "options.orientation": ("horizontal",),
        "options.showUnfilled": (True,),
        "options.valueMode": ("text",),
    },
    "barchart": {
        **_SERIES,
        "targets.format": ("table",),
        "fieldConfig.overrides.properties.id": ("color",),
        "options.orientation": ("auto", "horizontal", "vertical"),
        "options.showValue": ("auto", "never"),
        "options.stacking": ("none", "normal"),
        f"{_DEFAULTS}.custom.scaleDistribution.type": ("linear",),
        f"{_DEFAULTS}.custom.thresholdsStyle.mode": ("off",),
    },
    "table": {
        "targets.format": ("table",),
        "fieldConfig.overrides.properties.id": ("color", "custom.cellOptions", "min", "unit"),
        "options.footer.show": (False,),
        "options.frameIndex": (0,),
        "options.showHeader": (True,),
        f"{_DEFAULTS}.color.mode": ("thresholds", "fixed"),
        f"{_DEFAULTS}.custom.cellOptions.mode": ("basic",),
        f"{_DEFAULTS}.custom.cellOptions.type": ("auto", "gauge"),
        f"{_DEFAULTS}.custom.cellOptions.valueDisplayMode": ("text",),
        f"{_DEFAULTS}.custom.hidden": (False,),
    },
    "heatmap": {
        "targets.format": ("heatmap",),
        "fieldConfig.overrides.properties.id": (),
        "options.calculate": (False,),
        "options.cellValues.unit": (),
        "options.color.max": (),
        "options.color.min": (),
        "options.color.mode": ("scheme",),
        "options.color.reverse": (False,),
        "options.color.scale": ("exponential",),
        "options.color.scheme": ("Blues",),
        "options.yAxis.unit": (),
    },
    "text": {"options.mode": ("markdown",)},
}
"""By kind of panel, what is drawn of it besides ``_EVERYWHERE``."""


def undrawn(panel: Mapping[str, Any]) -> Sequence[str]:
    """Each feature of a panel's JSON that is not on the list, by its path and value."""
    kind = panel.get("type")
    if kind not in DRAWN:
        return [f"type {kind} (drawn: {', '.join(DRAWN)})"]
    known = rules(str(kind))
    found = [
        f"{path} {value}" + (f" (drawn: {', '.join(map(str, known[rule]))})" if known[rule] else "")
        for path, value in leaves(panel)
        for rule in known
        if (path == rule or path.startswith(f"{rule}.")) and value not in known[rule]
    ]
    found += [
        f"a query of the data source {(target.get('datasource') or {}).get('type')} without PromQL"
        for target in panel.get("targets") or []
        if "expr" not in target
    ]
    return list(dict.fromkeys(found))


def rules(kind: str) -> Mapping[str, _Values]:
    """Every listed path of a kind with the values that are drawn."""
    return {**_EVERYWHERE, **DRAWN[kind]}


def leaves(panel: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Every path and value of a panel's JSON; an override counts like a default."""
    yield from _leaves(panel, "")
    for override in (panel.get("fieldConfig") or {}).get("overrides") or []:
        for one in override.get("properties") or []:
            yield from _leaves(one.get("value"), f"{_DEFAULTS}.{one.get('id')}")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    elif value not in (None, ""):
        yield path, value
