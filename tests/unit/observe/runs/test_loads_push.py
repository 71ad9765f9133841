"""Loads as gauges, and how they reach the Pushgateway."""

import base64
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.observe import app
from lab.observe.names import LOAD
from lab.observe.runs import loads, push
from lab.observe.runs.readings import Reading
from lab.report.load.write import write_report
from tests.unit.observe.standins import standing_in
from tests.unit.report.load.loads import latencies, with_cold, write


def told(folder: Path) -> list[Reading]:
    return list(loads.readings(loads.read(folder)))


def named(found: list[Reading], name: str, **labels: str) -> list[float]:
    return [one.value for one in found if one.name == name and labels.items() <= one.labels.items()]


def test_figures_are_those_of_the_summary(tmp_path: Path) -> None:
    folder = with_cold(tmp_path)
    write_report(folder)
    summary, found = loads.read(folder.path), told(folder.path)
    latency = summary.figures.latency
    assert latency is not None
    p95 = latency.at(0.95)
    assert p95 is not None
    where = {"requests": "all", "quantile": "0.95"}
    assert named(found, "lab_load_latency_seconds", **where) == [p95.seconds]
    assert named(found, "lab_load_latency_seconds_upper", **where) == [p95.high_s]
    assert named(found, "lab_load_latency_seconds", requests="cold", quantile="0.5") == [3.0]
    assert named(found, "lab_load_requests", outcome="answered") == [1200]
    assert named(found, "lab_load_cold_ratio") == [0.01]
    assert named(found, "lab_load_valid", loop="open", size="2048", emulated="false") == [1]


def test_every_gauge_has_the_labels_that_boards_ask_by_and_no_others(tmp_path: Path) -> None:
    folder = with_cold(tmp_path)
    write_report(folder)
    found = told(folder.path)
    assert {one.name for one in found} == set(LOAD)
    for one in found:
        assert set(one.labels) == set(LOAD[one.name].labels)


def test_of_an_invalid_load_only_that_it_is_one_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(), late_s=0.004)
    write_report(folder)
    found = told(folder.path)
    assert named(found, "lab_load_valid") == [0]
    assert not named(found, "lab_load_latency_seconds")
    assert not named(found, "lab_load_achieved_per_second")


def test_a_closed_loop_is_a_series_of_its_own(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(50), clients=8)
    write_report(folder)
    (value,) = named(told(folder.path), "lab_load_valid", loop="closed", schedule="8 clients")
    assert value == 1


def test_a_load_replaces_the_group_of_its_target_and_schedule(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies())
    write_report(folder)
    with standing_in(lambda _: (200, b"")) as gateway:
        said = push.offer_load(folder.path, env={push.URL: gateway.url})
    assert said == f"Pushed to {gateway.url} as the newest run of retinopathy at 2048 MB."
    (asked,) = gateway.asked
    assert asked.method == "PUT"
    assert asked.path.startswith("/metrics/job/load/")
    assert "/target/retinopathy" in asked.path
    schedule = base64.urlsafe_b64encode(b"constant:20/s").decode()
    assert f"/schedule@base64/{schedule}" in asked.path
    assert b"# TYPE lab_load_latency_seconds gauge" in asked.body


def test_a_load_without_a_report_is_no_failure(tmp_path: Path) -> None:
    folder = write(tmp_path, latencies(20))
    with standing_in(lambda _: (200, b"")) as gateway:
        said = push.offer_load(folder.path, env={push.URL: gateway.url})
    assert said is not None
    assert said.startswith("Not pushed: ")


def test_the_command_pushes_loads_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "runs", latencies())
    write_report(folder)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    with standing_in(lambda _: (200, b"")) as gateway:
        monkeypatch.setenv(push.URL, gateway.url)
        done = CliRunner().invoke(app, ["push", folder.path.name])
    assert done.exit_code == 0, done.output
    assert "newest load of retinopathy" in done.output
