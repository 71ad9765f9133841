"""What is drawn is a closed list: all of our boards is on it, and nothing that none of them has."""

import json
from typing import Any

import pytest

from lab.observe.boards.generate import FOLDER
from lab.observe.render import page
from lab.observe.render.draw import _KINDS, DrawOptions, PanelState, draw
from lab.observe.render.drawable import KINDS, leaves, rules, undrawn
from lab.observe.render.quantities import UNITS
from lab.observe.render.transform import TRANSFORMATIONS
from tests.unit.observe.render.recorded import NOW, Record, board, panel

PANELS: list[dict[str, Any]] = [
    one
    for file in sorted(FOLDER.glob("*.json"))
    for one in json.loads(file.read_text(encoding="utf-8"))["panels"]
]
GRAFANAS = {
    *("exponential", "auto", "linear", "off", "scheme", "solid", "time_series"),
    *(False, "palette-classic", "none", "thresholds"),
}
"""What Grafana writes where nobody chose: the same as no value."""


@pytest.mark.parametrize("one", PANELS, ids=lambda one: one["title"])
def test_all_that_our_boards_use_is_drawn(one: dict[str, Any]) -> None:
    assert undrawn(one) == []


def test_what_is_listed_has_code_that_draws_it() -> None:
    assert set(_KINDS) == set(KINDS)
    listed = rules("table")
    assert set(listed["fieldConfig.defaults.unit"]) == set(UNITS)
    assert set(listed["transformations.id"]) == set(TRANSFORMATIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_listed_that_no_board_of_ours_uses(kind: str) -> None:
    used = {leaf for one in PANELS if one["type"] == kind for leaf in leaves(one)}
    own = set(rules(kind)) - set(rules("text")) | {"options.mode"}
    anywhere = {leaf for one in PANELS for leaf in leaves(one)}
    too_many = [
        (path, value)
        for path, values in rules(kind).items()
        for value in values
        if value not in GRAFANAS and (path, value) not in (used if path in own else anywhere)
    ]
    assert too_many == []


@pytest.mark.parametrize(
    ("one", "named"),
    [
        ({"type": "geomap"}, "type geomap (drawn: timeseries, barchart, stat,"),
        ({"type": "row", "panels": [{"type": "stat"}]}, "type row"),
        (panel("stat", repeat="job"), "repeat job"),
        (panel("stat", interval="1m"), "interval 1m"),
        (panel("stat", defaults={"unit": "celsius"}), "fieldConfig.defaults.unit celsius"),
        (panel("stat", defaults={"mappings": [{"type": "value"}]}),
         "fieldConfig.defaults.mappings"),
        (panel("stat", options={"reduceOptions": {"calcs": ["mean"]}}),
         "options.reduceOptions.calcs mean (drawn: lastNotNull)"),
        (panel("stat", options={"colorMode": "background"}),
         "options.colorMode background (drawn: value)"),
        (panel("stat", defaults={"color": {"mode": "continuous-GrYlRd"}}),
         "fieldConfig.defaults.color.mode continuous-GrYlRd"),
        (panel("stat", defaults={"thresholds": {"mode": "percentage"}}),
         "fieldConfig.defaults.thresholds.mode percentage"),
        (panel("table", "x", query={"format": "table"}, transformations=[{"id": "reduce"}]),
         "transformations.id reduce (drawn: organize, merge, groupingToMatrix, sortBy)"),
        (panel("timeseries", defaults={"custom": {"stacking": {"mode": "percent"}}}),
         "fieldConfig.defaults.custom.stacking.mode percent"),
        (panel("timeseries", overrides=[{"matcher": {"id": "byFrameRefID", "options": "A"}}]),
         "fieldConfig.overrides.matcher.id byFrameRefID"),
        (panel("timeseries", overrides=[
            {"matcher": {"id": "byName", "options": "a"},
             "properties": [{"id": "unit", "value": "celsius"}]}]),
         "fieldConfig.overrides.properties.id unit"),
        (panel("heatmap", options={"color": {"scheme": "Turbo"}}),
         "options.color.scheme Turbo (drawn: Blues)"),
        ({**panel("timeseries"), "targets": [{"refId": "A", "datasource": {"type": "loki"}}]},
         "a query of the data source loki without PromQL"),
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_is_refused_by_name(one: dict[str, Any], named: str) -> None:
    drawn = draw([board(one)], Record().server(), DrawOptions(range="10m", now=NOW))
    (found,) = drawn[0].panels
    assert found.state is PanelState.FAILED
    assert named in found.trouble
    assert "Not drawn here" in page.render(drawn, source="a test")


def test_what_is_switched_off_is_no_reason_to_refuse() -> None:
    hidden = {"refId": "B", "hide": True, "datasource": {"type": "loki"}}
    off = {"id": "reduce", "disabled": True}
    one = panel("stat", "x", transformations=[off])
    one["targets"].append(hidden)
    drawn = draw([board(one)], Record().server(), DrawOptions(range="10m", now=NOW))
    assert drawn[0].panels[0].state is PanelState.EMPTY
