"""Prometheus's rules: made of metrics that exist, of limits stated once, and each alert tried."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import yaml

from lab import paths
from lab.endpoint.metrics.counters import BUCKETS
from lab.images.targets import target
from lab.observe.boards import limits
from tests import drift
from tests.unit.observe.reading import UIDS, grouped_in, known, matchers_in, metrics_in
from tests.unit.observe.series import RECORDED

FOLDER = paths.SERVICES / "prometheus"
RULES = tuple(sorted((FOLDER / "rules").glob("*.yml")))
TESTS = tuple(sorted((FOLDER / "tests").glob("*.yml")))
RUNBOOKS = paths.ROOT / "docs" / "runbooks.md"
PROMTOOL = shutil.which("promtool")
SEVERITIES = {"critical", "warning", "info"}

Rule = dict[str, Any]


@cache
def rules() -> Sequence[Rule]:
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def recorded() -> dict[str, str]:
    """Each recording rule's expression, by its name."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def cases() -> Sequence[Rule]:
    return [
        case for file in TESTS for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
    ]


def bare(expr: str) -> str:
    """Without comments, on one line."""
    return " ".join(re.sub(r"(?m)^\s*#.*$", "", expr).split())


def objective(name: str) -> float:
    found = re.fullmatch(r"vector\((.+)\)", recorded()[f"objective:{name}"])
    assert found is not None
    return float(found[1])


def test_every_metric_and_every_label_that_a_rule_asks_for_exists() -> None:
    series = known()
    made = recorded()
    for rule in rules():
        expr = bare(rule["expr"])
        name = rule.get("record") or rule["alert"]
        expr = re.sub(r"\boffset \w+", "", expr)
        unknown = metrics_in(expr) - series.keys() - made.keys()
        assert not unknown, f"{name} asks for {unknown}"
        for metric, labels in matchers_in(expr):
            assert labels <= series[metric], f"{name} asks {metric} for {labels}"
        asked = metrics_in(expr) & series.keys()
        if asked:
            labels = set().union(*(series[metric] for metric in asked))
            assert grouped_in(expr) <= labels, f"{name} groups by {grouped_in(expr) - labels}"


def test_what_a_description_looks_up_exists() -> None:
    for name, rule in ALERTS.items():
        for text in rule["annotations"].values():
            for asked in re.findall(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", text):
                assert asked in recorded(), f"{name} looks up {asked}"


def test_recorded_series_are_named_by_level_metric_and_operations() -> None:
    made = [rule["record"] for rule in rules() if "record" in rule]
    assert len(made) == len(set(made))
    for name in made:
        assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name), name


def test_the_boards_find_what_they_take_for_recorded() -> None:
    assert RECORDED.keys() <= recorded().keys()


@pytest.mark.parametrize("window", drift.WINDOWS)
def test_drift_is_recorded_as_it_is_defined(window: str) -> None:
    made = recorded()
    assert bare(made[drift.psi_record(window)]) == bare(drift.rule_expression(window))
    assert bare(made[drift.inputs_record(window)]) == bare(drift.inputs_expression(window))


def test_alerts_and_boards_have_the_same_limits() -> None:
    assert objective("model_errors:ratio") == limits.ERROR_RATIO[0]
    assert objective("model_latency:seconds") == limits.MODEL_P99_S[1]
    assert objective("cold_starts:ratio") == limits.COLD_SHARE[1]
    assert objective("memory:ratio") == limits.OF_MEMORY[1]
    assert objective("drift:psi") == limits.PSI[1] == drift.LARGE


def test_the_latency_objective_is_an_edge_of_the_histogram() -> None:
    (rule,) = (one for one in rules() if one.get("record") == "objective:model_latency:seconds")
    seconds = objective("model_latency:seconds")
    assert rule["labels"]["le"] == str(seconds)
    assert seconds in BUCKETS


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_is_seen_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    told = rule["annotations"]
    assert rule["labels"]["severity"] in SEVERITIES
    assert told.keys() == {"summary", "description", "runbook", "dashboard"}
    assert "{{ $labels." in told["summary"]
    assert name == "TargetDown" or "{{ $value" in told["description"]
    assert told["dashboard"] in UIDS
    assert told["runbook"] == f"docs/runbooks.md#{name.lower()}"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    text = RUNBOOKS.read_text(encoding="utf-8")
    listed = re.findall(r"\[(\w+)\]\(#\w+\)", text.split("\n## ")[0])
    assert sorted(listed) == sorted(ALERTS), "the table has each alert once"
    sections = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", text))
    assert sections.keys() == ALERTS.keys()
    for name, section in sections.items():
        assert "**Means**" in section, name
        assert "**Do**" in section or "and **do**" in section, name


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tried_firing_and_not_firing(name: str) -> None:
    asked = [one for case in cases() for one in case["alert_rule_test"] if one["alertname"] == name]
    assert any(one.get("exp_alerts") for one in asked), "it is never expected to fire"
    assert any(not one.get("exp_alerts") for one in asked), "it is always expected to fire"
    clears = [
        case
        for case in cases()
        if len({bool(one.get("exp_alerts")) for one in case["alert_rule_test"]
                if one["alertname"] == name}) > 1
    ]  # fmt: skip
    assert clears, "no test has it both ways"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tried_without_data_and_across_a_reset_where_it_counts(name: str) -> None:
    def silent(case: Rule) -> bool:
        asked = [one for one in case["alert_rule_test"] if one["alertname"] == name]
        return bool(asked) and not any(one.get("exp_alerts") for one in asked)

    without = ("no endpoint exists", "nothing was ever", "without a reference", "is gone")
    assert any(silent(case) and any(w in case["name"] for w in without) for case in cases())
    if name not in {"MemoryNearTier", "TargetDown", "BenchSlower"}:  # these read gauges
        assert any(silent(case) and "starts anew" in case["name"] for case in cases())


def test_the_image_is_made_from_the_rules_and_not_from_their_tests() -> None:
    inputs = target("prometheus").inputs
    assert {"services/prometheus/prometheus.yml", "services/prometheus/rules"} <= set(inputs)
    assert not any("tests" in one or one == "services/prometheus" for one in inputs)
    copied = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    # Pulled or packaged.
    assert copied.count("COPY rules /etc/prometheus/rules\n") == 2


def test_prometheus_reads_the_rules_and_scrapes_what_the_stack_runs() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert config["rule_files"] == ["rules/*.yml"]
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert jobs == {"endpoint", "model", "pushgateway", "prometheus"}


@pytest.mark.skipif(
    PROMTOOL is None,
    reason="promtool is not installed (Debian: prometheus); tests/docker has it in an image.",
)
def test_promtool_finds_no_fault() -> None:
    for words in (
        ("check", "config", str(FOLDER / "prometheus.yml")),
        ("test", "rules", *map(str, TESTS)),
    ):
        done = subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
