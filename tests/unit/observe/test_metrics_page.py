import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from lab.observe import names
from lab.observe.metrics_page import page
from lab.observe.metrics_page.registry import Metric, described
from lab.paths import ROOT
from tests.unit.observe.series import RECORDED


@pytest.fixture(scope="module")
def text() -> str:
    return page.render()


def everything() -> Iterator[Metric]:
    yield from page.emulator()
    yield from page.bench()
    for metrics in page.inference().values():
        yield from metrics


def test_the_page_is_what_the_code_makes(text: str) -> None:
    there = page.FILE.read_text(encoding="utf-8")
    assert there == text, "Write it: lab observe metrics"


def test_every_metric_has_a_help() -> None:
    for one in everything():
        assert one.help.strip(), one.name


def test_every_task_of_the_project_is_on_it_with_what_it_notes(text: str) -> None:
    told = page.inference()
    assert "services/inference/app/tasks/image_classification.py" in told
    assert "models/recommender_niser/task.py" in told
    for file, metrics in told.items():
        assert f"](../{file})" in text or not file
        if file:
            counted = next(one for one in metrics if one.name == "lab_inference_predictions_total")
            assert counted.labels == ("answer",), file


def test_names_are_in_base_units() -> None:
    wrong = re.compile(r"_(ms|milliseconds|minutes|hours|kb|mb|mib|percent)(_total)?$")
    for one in everything():
        assert not wrong.search(one.name)
        assert one.name.endswith("_total") == (one.type == "counter"), one.name


def test_what_is_pushed_is_on_it(text: str) -> None:
    for name in names.BENCH:
        assert f"| `{name}` |" in text


def test_what_a_rule_makes_is_on_it(text: str) -> None:
    for name in RECORDED:
        assert f"| `{name}` |" in text


def test_its_links_lead_somewhere(text: str) -> None:
    for target in set(re.findall(r"\]\(([^)]+)\)", text)):
        assert (page.FILE.parent / target).resolve().is_relative_to(ROOT)
        assert (page.FILE.parent / target).is_file(), target


def test_labels_without_values_are_told_too() -> None:
    registry = CollectorRegistry()
    Counter("lab_x", "X.", ["a", "b"], registry=registry)
    Histogram("lab_y_seconds", "Y.", registry=registry)
    assert sorted(described(registry)) == [
        Metric(name="lab_x_total", type="counter", labels=("a", "b"), help="X."),
        Metric(name="lab_y_seconds", type="histogram", labels=(), help="Y."),
    ]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("x_seconds", "seconds"),
        ("x_cpu_seconds_total", "seconds"),
        ("x_seconds_lower", "seconds"),
        ("x_bytes", "bytes"),
        ("x_total", ""),
    ],
)
def test_a_unit_is_in_the_name(name: str, unit: str) -> None:
    assert Metric(name=name, type="gauge", labels=(), help="").unit == unit


def test_a_rules_labels_are_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        "groups: [{name: g, rules: ["
        "{record: 'endpoint_variant:x:rate5m', expr: x, labels: {window: 5m}},"
        "{record: 'cell:y:p50', expr: y}, {alert: Z, expr: z}]}]"
    )
    assert list(page.recorded(tmp_path)) == [
        ("endpoint_variant:x:rate5m", ("endpoint", "variant", "window"), "a.yml"),
        ("cell:y:p50", names.CELL, "a.yml"),
    ]
