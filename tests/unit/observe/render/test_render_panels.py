"""Every kind of panel, from a recorded answer to what is drawn."""

import re
from typing import Any

import pytest

from lab.observe.render.draw import Drawn, DrawnBoard, DrawOptions, PanelState, draw
from lab.observe.render.panels.views import Dials, Plot, StateStrips, Table, Tiles, Words
from lab.observe.render.prometheus import PrometheusError
from tests.unit.observe.render.recorded import NOW, Record, board, instant, panel

A, B = {"job": "a"}, {"job": "b"}
STEPS = [{"color": "green", "value": None}, {"color": "orange", "value": 5},
         {"color": "red", "value": 8}]  # fmt: skip
THRESHOLDS = {"mode": "absolute", "steps": STEPS}
GREEN, ORANGE = "light-dark(#56a64b, #73bf69)", "light-dark(#ff780a, #ff9830)"


def drawn(record: Record, *panels: Any, given: Any = None, **more: Any) -> DrawnBoard:
    options = DrawOptions(range="10m", now=NOW, given=given or {})
    return draw([board(*panels, **more)], record.server(), options)[0]


def only(record: Record, one: Any, **more: Any) -> Drawn:
    return drawn(record, one, **more).panels[0]


def plot(record: Record, one: Any, **more: Any) -> Plot:
    view = only(record, one, **more).view
    assert isinstance(view, Plot)
    return view


TWO = Record(series={"x": [(A, 4.0), (B, 6.0)]})


def test_curves_have_names_units_colours_and_a_legend_with_calculations() -> None:
    legend = {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]}
    view = plot(TWO, panel("timeseries", "x", defaults={"unit": "s"}, options={"legend": legend}))
    traces = view.figure["data"]
    assert [trace["name"] for trace in traces] == ["a", "b"]
    assert traces[0]["customdata"][0] == "4 s"
    assert view.figure["layout"]["yaxis"]["ticktext"] == [
        "3.5 s",
        "4 s",
        "4.5 s",
        "5 s",
        "5.5 s",
        "6 s",
        "6.5 s",
    ]
    assert view.legend is not None
    assert view.legend.right
    assert view.legend.heads == ["Last *", "Max"]
    assert [entry.calcs for entry in view.legend.entries] == [["4 s", "4 s"], ["6 s", "6 s"]]
    assert traces[0]["line"]["color"] != traces[1]["line"]["color"]


def test_a_pile_reaches_as_high_as_its_sum() -> None:
    custom = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
    view = plot(TWO, panel("timeseries", "x", defaults={"custom": custom}))
    assert {trace["stackgroup"] for trace in view.figure["data"]} == {"normal-A-l"}
    assert view.figure["layout"]["yaxis"]["range"] == [0, 12.5]


def test_bars_over_time_are_bars() -> None:
    custom = {"drawStyle": "bars", "fillOpacity": 70, "stacking": {"mode": "normal"}}
    view = plot(TWO, panel("timeseries", "x", defaults={"custom": custom}))
    assert {trace["type"] for trace in view.figure["data"]} == {"bar"}
    assert view.figure["layout"]["barmode"] == "stack"


def test_thresholds_are_lines_or_fields() -> None:
    def shapes(mode: str) -> list[Any]:
        custom = {"thresholdsStyle": {"mode": mode}, "axisSoftMin": 0, "axisSoftMax": 10}
        defaults = {"thresholds": THRESHOLDS, "custom": custom}
        layout = plot(TWO, panel("timeseries", "x", defaults=defaults)).figure["layout"]
        return list(layout["shapes"])

    assert [(one["type"], one["y0"]) for one in shapes("dashed")] == [("line", 5), ("line", 8)]
    assert [(one["y0"], one["y1"]) for one in shapes("area")] == [(0.0, 5), (5, 8), (8, 10.0)]
    assert shapes("off") == []


def test_overrides_change_one_curve_alone() -> None:
    override = {
        "matcher": {"id": "byName", "options": "b"},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "#112233"}},
            {"id": "displayName", "value": "the other"},
            {"id": "custom.lineStyle", "value": {"fill": "dash"}},
            {"id": "unit", "value": "percentunit"},
        ],
    }
    view = plot(TWO, panel("timeseries", "x", overrides=[override]))
    first, second = view.figure["data"]
    assert (first["name"], first["line"]["dash"], first["yaxis"]) == ("a", "solid", "y")
    assert second["name"] == "the other"
    assert second["line"]["color"] == "light-dark(#112233, #112233)"
    assert (second["line"]["dash"], second["yaxis"]) == ("dash", "y2")


def test_a_gap_is_a_gap_and_a_lonely_value_is_a_point() -> None:
    record = Record(series={"x": [(A, 0.0)]}, curves={"x": [1.0, 2.0, None, 5.0, None]})
    view = plot(record, panel("timeseries", "x", defaults={"custom": {"fillOpacity": 10}}))
    curve, *fills = view.figure["data"]
    assert None in curve["y"]
    assert curve["mode"] == "lines+markers"
    assert {value for value, size in zip(curve["y"], curve["marker"]["size"], strict=True)
            if size} <= {5.0, 1.0, 2.0}  # fmt: skip
    assert all(None not in fill["y"] for fill in fills)
    assert view.legend is not None
    assert view.legend.entries[0].traces == list(range(len(view.figure["data"])))


def test_a_log_axis_has_decades() -> None:
    record = Record(series={"x": [(A, 0.002), (B, 3.0)]})
    custom = {"scaleDistribution": {"type": "log", "log": 10}}
    view = plot(record, panel("timeseries", "x", defaults={"unit": "s", "custom": custom}))
    axis = view.figure["layout"]["yaxis"]
    assert (axis["type"], axis["range"]) == ("log", [-3, 1])
    assert axis["ticktext"] == ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]


def tile(record: Record, **more: Any) -> Any:
    view = only(record, panel("stat", "x", query=instant(), **more)).view
    assert isinstance(view, Tiles)
    return view.tiles[0]


def test_a_stat_has_the_colour_of_its_threshold() -> None:
    defaults = {"unit": "s", "thresholds": THRESHOLDS, "color": {"mode": "thresholds"}}
    for value, colour in ((4.0, GREEN), (5.0, ORANGE)):
        one = tile(Record(series={"x": [(A, value)]}), defaults=defaults)
        assert (one.value, one.ink, one.name) == (f"{value:g} s", colour, "")
    behind = {"colorMode": "background", "textMode": "value_and_name"}
    one = tile(Record(series={"x": [(A, 6.0)]}), defaults=defaults, options=behind)
    assert (one.ground, one.name) == (ORANGE, "a")


def test_a_mapping_replaces_value_and_colour() -> None:
    to = {"text": "fine", "color": "blue"}
    mappings = [
        {"type": "value", "options": {"1": {"text": "up"}}},
        {"type": "range", "options": {"from": 3, "to": 5, "result": to}},
    ]
    one = tile(Record(series={"x": [(A, 4.0)]}), defaults={"mappings": mappings})
    assert (one.value, one.ink) == ("fine", "light-dark(#3274d9, #5794f2)")
    assert tile(Record(series={"x": [(A, 1.0)]}), defaults={"mappings": mappings}).value == "up"


def test_a_stat_over_time_has_a_small_curve() -> None:
    record = Record(series={"x": [(A, 0.0)]}, curves={"x": [1.0, 3.0, 2.0]})
    view = only(record, panel("stat", "x", options={"reduceOptions": {"calcs": ["max"]}})).view
    assert isinstance(view, Tiles)
    assert view.tiles[0].value == "3"
    assert view.tiles[0].line.startswith("M0.0 ")
    plain = only(record, panel("stat", "x", options={"graphMode": "none"})).view
    assert isinstance(plain, Tiles)
    assert plain.tiles[0].line == ""


def test_a_gauge_is_filled_up_to_its_value() -> None:
    defaults = {"min": 0, "max": 10, "thresholds": THRESHOLDS}
    view = only(Record(series={"x": [(A, 5.0)]}), panel("gauge", "x", defaults=defaults)).view
    assert isinstance(view, Dials)
    dial = view.dials[0]
    assert (dial.value, dial.ends, len(dial.bands)) == ("5", ("0", "10"), 3)
    assert dial.filled.endswith("50.00 13.00")  # the top of the arc
    assert dial.ink == ORANGE


def test_a_bar_gauge_has_a_bar_for_each_series() -> None:
    defaults = {"min": 0, "max": 8, "thresholds": THRESHOLDS}
    view = only(TWO, panel("bargauge", "x", defaults=defaults)).view
    assert isinstance(view, StateStrips)
    found = [(one.name, one.value, one.share, one.fill) for one in view.strips]
    assert found == [("a", "4", 50.0, GREEN), ("b", "6", 75.0, ORANGE)]


def test_a_bar_chart_stands_or_lies_beside_or_piled() -> None:
    record = Record(series={"x": [({"v": v, "p": p}, n) for v, p, n in (
        ("one", "s", 1.0), ("one", "t", 2.0), ("two", "s", 3.0))]})  # fmt: skip
    matrix = {"rowField": "v", "columnField": "p", "valueField": "Value", "emptyValue": "null"}
    made = {
        "query": instant("table"),
        "transformations": [{"id": "groupingToMatrix", "options": matrix}],
    }
    options = {"xField": "v\\p", "stacking": "normal", "orientation": "horizontal"}
    lying = plot(record, panel("barchart", "x", options=options, **made)).figure
    assert [trace["x"] for trace in lying["data"]] == [[1.0, 3.0], [2.0, None]]
    assert lying["layout"]["yaxis"]["ticktext"] == ["one", "two"]
    assert lying["layout"]["barmode"] == "stack"
    standing = plot(record, panel("barchart", "x", options={"xField": "v\\p"}, **made)).figure
    assert [trace["y"] for trace in standing["data"]] == [[1.0, 3.0], [2.0, None]]
    assert standing["layout"]["xaxis"]["ticktext"] == ["one", "two"]
    assert standing["data"][0]["text"] == ["1", "3"]


def test_a_table_has_units_bars_and_colours_in_its_cells() -> None:
    override = {
        "matcher": {"id": "byName", "options": "Memory"},
        "properties": [
            {"id": "unit", "value": "decbytes"},
            {"id": "custom.cellOptions", "value": {"type": "gauge"}},
        ],
    }
    coloured = {
        "matcher": {"id": "byName", "options": "job"},
        "properties": [{"id": "custom.cellOptions", "value": {"type": "color-background"}}],
    }
    organize = {"excludeByName": {"Time": True}, "renameByName": {"Value": "Memory"}}
    record = Record(series={"x": [(A, 1e9), (B, 2e9)]})
    view = only(
        record,
        panel("table", "x", query=instant("table"), overrides=[override, coloured],
              transformations=[{"id": "organize", "options": organize}],
              options={"sortBy": [{"displayName": "Memory", "desc": True}]}),
    ).view  # fmt: skip
    assert isinstance(view, Table)
    assert [(one.name, one.numeric) for one in view.columns] == [("job", False), ("Memory", True)]
    assert [[cell.text for cell in row] for row in view.rows] == [["b", "2 GB"], ["a", "1 GB"]]
    assert [row[1].share for row in view.rows] == [100.0, 50.0]
    assert all(row[0].ground for row in view.rows)


def test_a_heat_map_has_a_row_for_each_bucket() -> None:
    found = [({"le": le}, count) for le, count in (("0.5", 4.0), ("1", 9.0), ("+Inf", 9.0))]
    query = {"format": "heatmap", "legendFormat": "{{le}}"}
    options = {"color": {"scheme": "Blues", "exponent": 0.5}, "filterValues": {"le": 1e-9},
               "yAxis": {"unit": "s"}}  # fmt: skip
    record = Record(series={"x": found})
    view = plot(record, panel("heatmap", "x", query=query, options=options))
    trace = view.figure["data"][0]
    assert [row[0] for row in trace["z"]] == [pytest.approx((4 / 5) ** 0.5), 1.0, None]
    assert trace["customdata"][1][0] == "500 ms to 1 s: 5"
    assert view.figure["layout"]["yaxis"]["ticktext"] == ["500 ms", "1 s", "∞"]
    assert view.scale is not None
    assert view.scale.high == "5"


def test_pie_and_xy_charts_are_drawn() -> None:
    pie = plot(TWO, panel("piechart", "x", options={"pieType": "donut"})).figure["data"][0]
    assert (pie["labels"], pie["values"]) == (["a", "b"], [4.0, 6.0])
    record = Record(series={"x": [(A, 1.0), (B, 2.0)], "y": [(A, 3.0), (B, 4.0)]})
    merged = {"query": instant("table"), "transformations": [{"id": "merge", "options": {}}]}
    points = plot(record, panel("xychart", "x", "y", **merged)).figure["data"][0]
    assert (points["x"], points["y"], points["text"]) == ([1.0, 2.0], [3.0, 4.0], ["a", "b"])


def test_text_is_markdown_and_nothing_else() -> None:
    content = (
        "**Look** at $v <script>alert(1)</script> [on](javascript:alert(1)) "
        "[there](/d/lab-test?x=1) [gone](/d/else) ![](https://example.com/a.png)"
    )
    variable = {"name": "v", "type": "constant", "query": "<b>x</b>"}
    view = only(
        Record(),
        panel("text", options={"mode": "html", "content": content}),
        templating={"list": [variable]},
    ).view
    assert isinstance(view, Words)
    html = str(view.html)
    assert "<strong>Look</strong>" in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert 'href="#lab-test"' in html
    assert re.findall(r'(?:href|src)="([^"]*)"', html) == ["#lab-test", ""]


def test_a_panel_without_data_is_empty_unless_its_board_expects_it() -> None:
    nan = Record(series={"x": [(A, float("nan"))]})
    assert only(nan, panel("stat", "x", query=instant())).state is PanelState.EMPTY
    assert only(Record(), panel("timeseries", "x")).state is PanelState.EMPTY
    quiet = only(Record(), panel("stat", "x", defaults={"noValue": "no requests"}))
    assert (quiet.state, quiet.trouble) == (PanelState.QUIET, "no requests")
    partly = only(TWO, panel("timeseries", "x", "absent"))
    assert partly.state is PanelState.DRAWN
    assert [one.ref for one in partly.missing] == ["B"]


def test_a_refused_query_names_board_panel_and_query() -> None:
    record = Record(refused={"sum(": "unexpected end of input"})
    found = only(record, panel("timeseries", "sum("))
    assert found.state is PanelState.FAILED
    assert found.trouble == "query A, sum(: bad_data: unexpected end of input"


def test_a_kind_that_is_not_known_is_told() -> None:
    found = only(Record(), panel("geomap", "x"))
    assert found.state is PanelState.FAILED
    assert "geomap" in found.trouble


def test_each_query_is_asked_once() -> None:
    record = Record(series={"x": [(A, 1.0)]})
    drawn(record, *(panel("stat", "x", query=instant()) for _ in range(6)))
    assert record.queries().count("x") == 1


def test_queries_are_sent_with_their_variables_and_on_whole_steps() -> None:
    record = Record(values={"m/job": ["a"]})
    variable = {"name": "job", "type": "query", "query": "label_values(m, job)"}
    drawn(
        record,
        panel("timeseries", 'rate(x{job="$job"}[$__rate_interval])'),
        templating={"list": [variable]},
    )
    sent = next(params for path, params in record.asked if path.endswith("query_range"))
    assert sent["query"] == 'rate(x{job="a"}[20s])'
    assert sent["step"] == "5"
    assert float(sent["start"]) % 5 == 0


def test_annotations_are_lines_over_every_curve() -> None:
    marks = [
        {"name": "runs", "enable": True, "iconColor": "red", "expr": "ends * 1000",
         "titleFormat": "{{plan}} ended", "useValueForTime": "on",
         "datasource": {"type": "prometheus", "uid": "prometheus"}},
        {"name": "firing", "enable": True, "expr": "ALERTS", "step": "60s",
         "datasource": {"type": "prometheus", "uid": "prometheus"}},
        {"name": "Benches", "enable": True, "datasource": {"type": "grafana", "uid": "grafana"}},
        {"name": "ours", "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}},
    ]  # fmt: skip
    record = Record(
        series={
            "x": [(A, 1.0)],
            "ends * 1000": [({"plan": "smoke"}, (NOW - 60) * 1000)],
            "ALERTS": [({}, 1.0)],
        }
    )
    found = drawn(record, panel("timeseries", "x"), annotations={"list": marks})
    assert found.board.elsewhere == ["Benches"]
    view = found.panels[0].view
    assert isinstance(view, Plot)
    notes = view.figure["layout"]["annotations"]
    assert {note["x"] for note in notes} >= {(NOW - 60) * 1000}
    assert "<b>smoke ended</b>" in notes[-1]["hovertext"]
    assert [one["type"] for one in view.figure["layout"]["shapes"]] == ["rect", "line", "line"]


def test_a_repeated_panel_is_drawn_once_for_each_value() -> None:
    record = Record(values={"m/job": ["a", "b", "c"]}, series={'x{job=~"a"}': [(A, 1.0)]})
    variable = {"name": "job", "type": "query", "query": "label_values(m, job)",
                "multi": True, "includeAll": True}  # fmt: skip
    below = {**panel("stat", "x"), "gridPos": {"x": 0, "y": 8, "w": 24, "h": 4}}
    found = drawn(
        record,
        panel("stat", 'x{job="$job"}', repeat="job", title="of $job", maxPerRow=2),
        below,
        templating={"list": [variable]},
    )
    places = [(one.title, one.placed.panel.place) for one in found.panels]
    assert [title for title, _ in places] == ["of a", "of b", "of c", "stat"]
    assert [(at.x, at.y, at.w) for _, at in places] == [
        (0, 0, 12),
        (12, 0, 12),
        (0, 8, 12),
        (0, 16, 24),
    ]
    assert [query for query in record.queries() if query.startswith("x{")].count('x{job="b"}') == 1


def test_rows_head_their_panels_and_are_unfolded() -> None:
    row = {"type": "row", "title": "More", "gridPos": {"x": 0, "y": 8, "w": 24, "h": 1},
           "collapsed": True, "panels": [panel("text", options={"content": "x"})]}  # fmt: skip
    found = drawn(Record(), panel("text", options={"content": "y"}), row)
    assert [(one.title, len(one.panels)) for one in found.sections] == [("", 1), ("More", 1)]


def test_no_prometheus_is_an_error_that_says_what_to_do() -> None:
    from lab.observe.render.prometheus import Prometheus

    with pytest.raises(PrometheusError, match="make up"):
        draw([board()], Prometheus("http://127.0.0.1:9"), DrawOptions())
