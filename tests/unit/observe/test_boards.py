"""The dashboards as they are committed: what Grafana or a reader would stumble over."""

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from lab.observe import names
from lab.paths import SERVICES
from tests.unit.observe.reading import (
    GIVEN,
    UIDS,
    Json,
    board,
    from_code,
    grouped_in,
    known,
    matchers_in,
    metrics_in,
    queries,
    variable_queries,
    variables_in,
)
from tests.unit.observe.series import CONTAINERS, RECORDED

KINDS = {"timeseries", "stat", "gauge", "bargauge", "barchart", "table", "text", "heatmap"}
COLUMN_PX = 1280 / 24
LETTER_PX = 7.2
AWAITED = (
    "lab_inference_confidence",
    "lab_inference_input_brightness",
    "lab_inference_input_contrast",
    "lab_inference_input_bytes",
    "lab_inference_input_length",
    "lab_inference_input_unknown_ratio",
    "lab_inference_answer_popularity",
    "lab_inference_drift_bin_total",
    "lab_inference_drift_reference_ratio",
)

SECONDS_OF_ENDPOINTS = re.compile(
    r"sagemaker_(?:model_latency|overhead_latency|model_setup_time|container_start_phase)\w*"
)


@pytest.fixture(params=UIDS)
def dashboard(request: pytest.FixtureRequest) -> Json:
    return board(request.param)


def _thresholds(panel: Json) -> list[Json]:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    steps: list[Json] = defaults.get("thresholds", {}).get("steps", [])
    return steps


def _overrides(panel: Json) -> list[tuple[str, str, Any]]:
    return [
        (override["matcher"]["options"], setting["id"], setting["value"])
        for override in panel.get("fieldConfig", {}).get("overrides", ())
        for setting in override["properties"]
    ]


def test_a_query_asks_for_series_that_exist(dashboard: Json) -> None:
    exists = known()
    for where, expr in [*queries(dashboard), *variable_queries(dashboard)]:
        for name in metrics_in(expr):
            assert name in exists, f"{where}: {name}"


def test_a_query_asks_by_labels_that_the_series_has(dashboard: Json) -> None:
    exists = known()
    for where, expr in [*queries(dashboard), *variable_queries(dashboard)]:
        for name, labels in matchers_in(expr):
            assert labels <= exists[name], f"{where}: {name} has no {labels - exists[name]}"
        some = set().union(*(exists[name] for name in metrics_in(expr)))
        assert grouped_in(expr) <= some, where


def test_emulated_seconds_of_a_bench_are_in_the_table_that_says_so_and_nowhere_else(
    dashboard: Json,
) -> None:
    for where, expr in [*queries(dashboard), *variable_queries(dashboard)]:
        for name, labels in re.findall(r"(lab_bench_\w+)\{([^{}]*)\}", expr):
            if name.startswith("lab_bench_image_"):
                continue  # Bytes are exact.
            wanted = "true" if where.startswith("Emulated starts (QEMU)") else "false"
            assert f'emulated="{wanted}"' in labels, (where, name)
    bare = {"lab_bench_run_info", "lab_bench_end_timestamp_seconds"}
    for where, expr in [*queries(dashboard), *variable_queries(dashboard)]:
        for name in re.findall(r"(lab_bench_\w+)(?!\w*\{)\b", expr):
            assert name in bare, (where, name)


def test_endpoints_are_set_side_by_side_without_those_under_emulation() -> None:
    for uid in ("lab-coldstart", "lab-compare"):
        asked = [pair for pair in queries(board(uid)) if SECONDS_OF_ENDPOINTS.search(pair[1])]
        assert asked, uid
        for where, expr in asked:
            assert "unless on (endpoint)" in expr, where
            assert "sagemaker_containers_emulated" in metrics_in(expr), where


@pytest.mark.parametrize("uid", ["lab-endpoints", "lab-container"])
def test_a_board_of_an_endpoints_seconds_says_whether_they_are_emulated(uid: str) -> None:
    assert any(where == "Emulated" for where, _ in queries(board(uid)))
    assert "**emulated**" in board(uid)["panels"][0]["options"]["content"]


def test_what_is_listed_of_the_containers_is_in_the_emulators_code() -> None:
    made = from_code()
    for name, labels in CONTAINERS.items():
        assert made[name] == set(labels), name


def test_what_is_listed_as_recorded_is_recorded_by_prometheus() -> None:
    files = sorted((SERVICES / "prometheus" / "rules").glob("*.yml"))
    assert files
    recorded = {
        rule.get("record")
        for file in files
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    }
    assert set(RECORDED) <= recorded


def test_a_variable_is_defined_before_it_is_used_and_used_when_defined(dashboard: Json) -> None:
    defined: set[str] = set()
    used: set[str] = set()
    for name, query in variable_queries(dashboard):
        assert variables_in(query) - GIVEN <= defined, name
        used |= variables_in(query)
        defined.add(name)
    for panel in dashboard["panels"]:
        texts = [panel["title"], panel.get("description", "")]
        for target in panel.get("targets", ()):
            texts += [target["expr"], target.get("legendFormat", "")]
        for text in texts:
            assert variables_in(text) - GIVEN <= defined, panel["title"]
            used |= variables_in(text)
    assert defined <= used


def test_a_choice_of_several_is_matched_as_a_pattern_and_one_of_one_exactly(
    dashboard: Json,
) -> None:
    for one in dashboard["templating"]["list"]:
        wanted = "=~" if one["multi"] else "="
        assert not one["includeAll"] or one["allValue"] == ".+"
        for title, expr in queries(dashboard):
            if f'"${one["name"]}"' in expr:
                assert f'{wanted}"${one["name"]}"' in expr, title


def test_every_panel_has_an_id_and_every_query_a_letter_of_its_own(dashboard: Json) -> None:
    ids = Counter(panel["id"] for panel in dashboard["panels"])
    assert max(ids.values()) == 1
    for panel in dashboard["panels"]:
        letters = Counter(target["refId"] for target in panel.get("targets", ()))
        assert not letters or max(letters.values()) == 1


def test_the_boards_are_named_once_and_tagged() -> None:
    titles = [board(uid)["title"] for uid in UIDS]
    assert len(set(titles)) == len(UIDS)
    for uid in UIDS:
        assert board(uid)["uid"] == uid
        assert board(uid)["tags"] == [names.Tag.LAB]
        assert "id" not in board(uid)


def test_panels_fill_rows_of_24_columns_and_never_overlap(dashboard: Json) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len(taken) == 24 * (1 + max(y for _, y in taken)), "There is a hole."


def test_a_board_can_be_read_at_1280_pixels(dashboard: Json) -> None:
    assert len(dashboard["panels"]) <= 15
    for panel in dashboard["panels"]:
        room = panel["gridPos"]["w"] * COLUMN_PX - 24
        assert len(panel["title"]) * LETTER_PX <= room, panel["title"]
        plots = panel["type"] in {"timeseries", "barchart", "table", "heatmap"}
        assert not plots or panel["gridPos"]["w"] >= 8, panel["title"]


def test_a_board_says_what_to_look_for_and_a_panel_what_it_shows(dashboard: Json) -> None:
    first, *others = dashboard["panels"]
    assert first["type"] == "text"
    assert len(first["options"]["content"]) > 200
    for panel in others:
        assert panel["description"].endswith("."), panel["title"]


def test_only_kinds_are_used_that_can_be_drawn_without_grafana(dashboard: Json) -> None:
    assert {panel["type"] for panel in dashboard["panels"]} <= KINDS


def test_every_figure_has_a_unit_that_grafana_knows(dashboard: Json) -> None:
    units = pytest.importorskip("grafana_foundation_sdk.models.units")
    valid = {value for name, value in vars(units).items() if name[0].isupper()}
    for panel in dashboard["panels"]:
        if panel["type"] in {"text", "heatmap"}:
            continue
        found = [panel["fieldConfig"]["defaults"].get("unit")]
        found += [value for _, key, value in _overrides(panel) if key == "unit"]
        found = [unit for unit in found if unit is not None]
        assert found, panel["title"]
        assert set(found) <= valid, panel["title"]


def test_seconds_and_bytes_are_shown_as_what_they_are(dashboard: Json) -> None:
    for panel in dashboard["panels"]:
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
        for target in panel.get("targets", ()):
            expr = target["expr"]
            if " / " in expr or "count" in expr or unit is None or "rate(" in expr:
                continue
            for name in metrics_in(expr):
                if name.endswith("_bytes"):
                    assert unit == "decbytes", panel["title"]
                if name.endswith("_seconds"):
                    assert unit == "s", panel["title"]


def test_thresholds_rise(dashboard: Json) -> None:
    for panel in dashboard["panels"][1:]:
        steps = _thresholds(panel)
        if steps:
            values = [step["value"] for step in steps]
            assert values[0] is None
            assert values[1:] == sorted(set(values[1:]))
            assert len({step["color"] for step in steps}) == len(steps)


def test_a_line_is_drawn_at_thresholds_of_curves(dashboard: Json) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] == "timeseries" and len(_thresholds(panel)) > 1:
            custom = panel["fieldConfig"]["defaults"]["custom"]
            assert custom["thresholdsStyle"]["mode"] == "dashed"


def test_every_board_links_to_every_other_and_takes_time_and_choices_along() -> None:
    for uid in UIDS:
        links = board(uid)["links"]
        assert [link["url"] for link in links] == [f"/d/{one}" for one in UIDS if one != uid]
        assert all(link["includeVars"] and link["keepTime"] for link in links)


def test_what_happened_is_marked(dashboard: Json) -> None:
    marks = {one["name"]: one for one in dashboard["annotations"]["list"]}
    assert set(marks) == {"Benches", "Endpoints change state", "Cold starts"}
    benches = marks["Benches"]
    assert benches["datasource"]["uid"] == "-- Grafana --"
    assert set(benches["target"]["tags"]) == set(names.Tag)
    assert not benches["target"]["matchAny"]
    for name, word in (("Endpoints change state", "{{status}}"), ("Cold starts", "cold")):
        assert marks[name]["datasource"]["uid"] == "prometheus"
        assert word in marks[name]["titleFormat"]
        for metric in re.findall(r"sagemaker_\w+", marks[name]["expr"]):
            assert metric in known()


def test_rates_take_the_interval_from_the_screen_and_totals_from_the_range(
    dashboard: Json,
) -> None:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            spans = set(re.findall(r"\[([^\]]+)\]", target["expr"]))
            assert spans <= {"$__rate_interval", "$__range"}, panel["title"]
            if target.get("instant"):
                assert "$__rate_interval" not in spans, panel["title"]


def test_every_metric_of_the_models_quality_is_shown_and_exists() -> None:
    exists = from_code()
    shown = set().union(*(metrics_in(expr) for _, expr in queries(board("lab-model"))))
    for name in AWAITED:
        assert any(one.startswith(name) for one in shown), name
        assert any(one.startswith(name) for one in exists), name
