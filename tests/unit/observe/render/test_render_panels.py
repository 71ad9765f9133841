"""Every kind of panel, from a recorded answer to what is drawn."""

import re
from typing import Any

import pytest

from lab.observe.render.draw import Drawn, DrawnBoard, DrawOptions, PanelState, draw
from lab.observe.render.panels.views import Bars, Plot, TableView, Tiles, Words
from lab.observe.render.panels.words import markdown
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


def test_curves_have_names_units_colours_and_a_legend() -> None:
    view = plot(TWO, panel("timeseries", "x", defaults={"unit": "s"}))
    traces = view.figure["data"]
    assert [trace["name"] for trace in traces] == ["a", "b"]
    assert traces[0]["customdata"][0] == "4 s"
    axis = view.figure["layout"]["yaxis"]
    assert (axis["tickformat"], axis["ticksuffix"], axis["rangemode"]) == ("~s", "s", "normal")
    assert [entry.name for entry in view.legend] == ["a", "b"]
    assert view.legend[0].colour == traces[0]["line"]["color"] != traces[1]["line"]["color"]
    bare = plot(TWO, panel("timeseries", "x", options={"legend": {"showLegend": False}}))
    assert not bare.legend


def test_an_axis_begins_at_zero_and_includes_its_soft_end() -> None:
    custom = {"axisSoftMin": 0, "axisSoftMax": 10}
    axis = plot(TWO, panel("timeseries", "x", defaults={"custom": custom})).figure["layout"][
        "yaxis"
    ]
    assert (axis["rangemode"], axis["autorangeoptions"]) == ("tozero", {"include": 10})


def test_stacked_curves_are_of_one_group() -> None:
    custom = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
    view = plot(TWO, panel("timeseries", "x", defaults={"custom": custom}))
    assert len({trace["stackgroup"] for trace in view.figure["data"]}) == 1


def test_bars_over_time_are_bars() -> None:
    custom = {"drawStyle": "bars", "fillOpacity": 70, "stacking": {"mode": "normal"}}
    view = plot(TWO, panel("timeseries", "x", defaults={"custom": custom}))
    assert {trace["type"] for trace in view.figure["data"]} == {"bar"}
    assert view.figure["layout"]["barmode"] == "stack"


def test_thresholds_are_dashed_lines_that_do_not_stretch_the_axis() -> None:
    def limits(mode: str, **more: float) -> list[Any]:
        custom = {"thresholdsStyle": {"mode": mode}, **more}
        defaults = {"thresholds": THRESHOLDS, "custom": custom}
        layout = plot(TWO, panel("timeseries", "x", defaults=defaults)).figure["layout"]
        return [one["y0"] for one in layout["shapes"]]

    assert limits("dashed") == [5]
    assert limits("dashed", axisSoftMax=10) == [5, 8]
    assert limits("off") == []


def test_overrides_change_one_curve_alone() -> None:
    override = {
        "matcher": {"id": "byRegexp", "options": "/^b/"},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "#112233"}},
            {"id": "custom.lineStyle", "value": {"fill": "dash"}},
        ],
    }
    view = plot(TWO, panel("timeseries", "x", overrides=[override]))
    first, second = view.figure["data"]
    assert first["line"]["dash"] == "solid"
    assert second["line"]["dash"] == "dash"
    assert second["line"]["color"] == "light-dark(#112233, #112233)"
    assert [entry.dashed for entry in view.legend] == [False, True]


def test_a_gap_is_a_gap_and_a_lonely_value_is_a_point() -> None:
    record = Record(series={"x": [(A, 0.0)]}, curves={"x": [1.0, 2.0, None, 5.0, None]})
    view = plot(record, panel("timeseries", "x", defaults={"custom": {"fillOpacity": 10}}))
    (curve,) = view.figure["data"]
    assert None in curve["y"]
    assert "fill" not in curve
    assert curve["mode"] == "lines+markers"
    assert {value for value, size in zip(curve["y"], curve["marker"]["size"], strict=True)
            if size} <= {5.0, 1.0, 2.0}  # fmt: skip


def test_a_log_axis_is_plotlys() -> None:
    custom = {"scaleDistribution": {"type": "log", "log": 10}}
    view = plot(TWO, panel("timeseries", "x", defaults={"unit": "s", "custom": custom}))
    assert view.figure["layout"]["yaxis"]["type"] == "log"


def test_a_log_axis_has_its_unit_between_the_powers_of_ten_too() -> None:
    custom = {"scaleDistribution": {"type": "log", "log": 10}}
    view = plot(TWO, panel("timeseries", "x", defaults={"unit": "s", "custom": custom}))
    said = view.figure["layout"]["yaxis"]["labelalias"]
    assert [said[bare] for bare in ("500µ", "20m", "5")] == ["500µs", "20ms", "5s"]


def tile(record: Record, **more: Any) -> Any:
    view = only(record, panel("stat", "x", query=instant(), **more)).view
    assert isinstance(view, Tiles)
    return view.tiles[0]


def test_a_stat_has_the_colour_of_its_threshold() -> None:
    defaults = {"unit": "s", "thresholds": THRESHOLDS, "color": {"mode": "thresholds"}}
    for value, colour in ((4.0, GREEN), (5.0, ORANGE)):
        one = tile(Record(series={"x": [(A, value)]}), defaults=defaults)
        assert (one.value, one.ink, one.name) == (f"{value:g} s", colour, "")
    named = {"textMode": "value_and_name"}
    assert tile(Record(series={"x": [(A, 6.0)]}), defaults=defaults, options=named).name == "a"


def test_a_stat_shows_the_newest_value() -> None:
    record = Record(series={"x": [(A, 0.0)]}, curves={"x": [1.0, 3.0, None]})
    view = only(record, panel("stat", "x")).view
    assert isinstance(view, Tiles)
    assert view.tiles[0].value in {"1", "3"}


def test_a_gauge_is_filled_up_to_its_value_between_its_bands() -> None:
    defaults = {"min": 0, "max": 10, "thresholds": THRESHOLDS}
    view = plot(Record(series={"x": [(A, 5.0)]}), panel("gauge", "x", defaults=defaults))
    (dial,) = view.figure["data"]
    assert (dial["value"], dial["gauge"]["axis"]["range"]) == (5.0, [0.0, 10.0])
    assert [band["range"] for band in dial["gauge"]["steps"]] == [[0.0, 5], [5, 8], [8, 10.0]]
    assert dial["gauge"]["bar"]["color"] == ORANGE
    assert [note["text"] for note in view.figure["layout"]["annotations"]] == ["<b>5</b>"]


def test_gauges_stand_side_by_side_with_their_names() -> None:
    view = plot(TWO, panel("gauge", "x", defaults={"min": 0, "max": 10}))
    assert [dial["domain"]["x"] for dial in view.figure["data"]] == [[0.0, 0.5], [0.5, 1.0]]
    assert all(">a<" in note["text"] or ">b<" in note["text"]
               for note in view.figure["layout"]["annotations"])  # fmt: skip


def test_a_bar_gauge_has_a_bar_for_each_series() -> None:
    defaults = {"min": 0, "max": 8, "thresholds": THRESHOLDS}
    view = only(TWO, panel("bargauge", "x", defaults=defaults)).view
    assert isinstance(view, Bars)
    found = [(one.name, one.value, one.share, one.fill) for one in view.bars]
    assert found == [("a", "4", 50.0, GREEN), ("b", "6", 75.0, ORANGE)]


def test_a_bar_chart_stands_or_lies_beside_or_stacked() -> None:
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
    assert [trace["y"] for trace in lying["data"]] == [["one", "two"]] * 2
    assert lying["layout"]["barmode"] == "stack"
    standing = plot(record, panel("barchart", "x", options={"xField": "v\\p"}, **made)).figure
    assert [trace["y"] for trace in standing["data"]] == [[1.0, 3.0], [2.0, None]]
    assert [trace["x"] for trace in standing["data"]] == [["one", "two"]] * 2
    assert standing["data"][0]["text"] == ["1", "3"]
    assert (standing["data"][0]["textposition"], lying["data"][0]["textposition"]) == (
        *("outside", "none"),
    )


def test_a_long_label_keeps_its_end() -> None:
    name = "retinopathy-mobilenet-serverless-of-the-second-account"
    record = Record(series={"x": [({"v": name, "p": "s"}, 1.0)]})
    matrix = {"rowField": "v", "columnField": "p", "valueField": "Value", "emptyValue": "null"}
    made = {"transformations": [{"id": "groupingToMatrix", "options": matrix}]}
    figure = plot(record, panel("barchart", "x", query=instant("table"), **made)).figure
    (shown,) = figure["layout"]["xaxis"]["labelalias"].values()
    assert shown.startswith("retinopa")
    assert shown.endswith("second-account")
    assert len(shown) < 40


def test_a_table_has_units_and_bars_in_its_cells() -> None:
    override = {
        "matcher": {"id": "byName", "options": "Memory"},
        "properties": [
            {"id": "unit", "value": "decbytes"},
            {"id": "custom.cellOptions", "value": {"type": "gauge"}},
        ],
    }
    organize = {"excludeByName": {"Time": True}, "renameByName": {"Value": "Memory"}}
    record = Record(series={"x": [(A, 1e9), (B, 2e9)]})
    view = only(
        record,
        panel("table", "x", query=instant("table"), overrides=[override],
              transformations=[{"id": "organize", "options": organize}],
              options={"sortBy": [{"displayName": "Memory", "desc": True}]}),
    ).view  # fmt: skip
    assert isinstance(view, TableView)
    assert [(one.name, one.numeric) for one in view.columns] == [("job", False), ("Memory", True)]
    assert [[cell.text for cell in row] for row in view.rows] == [["b", "2 GB"], ["a", "1 GB"]]
    assert [row[1].share for row in view.rows] == [100.0, 50.0]
    assert [row[0].share for row in view.rows] == [None, None]


def test_a_heat_map_has_a_row_for_each_bucket() -> None:
    found = [({"le": le}, count) for le, count in (("0.5", 4.0), ("1", 9.0), ("+Inf", 9.0))]
    query = {"format": "heatmap", "legendFormat": "{{le}}"}
    options = {"color": {"scheme": "Blues", "exponent": 0.5}, "filterValues": {"le": 1e-9}}
    record = Record(series={"x": found})
    view = plot(record, panel("heatmap", "x", query=query, options=options))
    trace = view.figure["data"][0]
    assert [row[0] for row in trace["z"]] == [pytest.approx((4 / 5) ** 0.5), 1.0, None]
    assert trace["customdata"][1][0] == "0.5 to 1: 5"
    assert trace["y"] == ["0.5", "1", "∞"]
    assert trace["colorbar"]["ticktext"] == ["0", "5"]


def test_text_is_markdown_and_nothing_else() -> None:
    content = (
        "**Look** at $v <script>alert(1)</script> [on](javascript:alert(1)) "
        "[there](/d/lab-test?x=1) [gone](/d/else) ![](https://example.com/a.png)"
    )
    variable = {"name": "v", "type": "query", "query": "label_values(m, v)"}
    view = only(
        Record(values={"m/v": ["<b>x</b>"]}),
        panel("text", options={"mode": "markdown", "content": content}),
        templating={"list": [variable]},
    ).view
    assert isinstance(view, Words)
    html = str(markdown(view.text, ["lab-test"]))
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


def test_a_panel_whose_variable_is_not_read_is_told() -> None:
    one = {"name": "step", "type": "custom", "query": "1m,5m"}
    record = Record(series={"rate(x[5m])": [(A, 1.0)]})
    asked = panel("stat", "rate(x[$step])", query=instant())
    found = only(record, asked, templating={"list": [one]})
    assert found.state is PanelState.FAILED
    assert "The variable step is not read here" in found.trouble
    by_hand = drawn(record, asked, templating={"list": [one]}, given={"step": ["5m"]})
    assert by_hand.panels[0].state is PanelState.DRAWN


def test_no_prometheus_is_an_error_that_says_what_to_do() -> None:
    from lab.observe.render.prometheus import Prometheus

    with pytest.raises(PrometheusError, match="lab up"):
        draw([board()], Prometheus("http://127.0.0.1:9"), DrawOptions())
