import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.coldstart.record import FailureKind, Sample
from lab.errors import UsageError
from lab.observe.names import BENCH
from lab.observe.runs import push
from lab.observe.runs import readings as bench
from lab.observe.runs.readings import BenchReadings, Reading
from lab.report.formats.write import write_report
from lab.services import SERVICES
from lab.spec import FLOOR, Phase, StartKind
from tests.timing import quickest
from tests.unit.observe.standins import standing_in
from tests.unit.report.synthetic import Script, failed, write

BEGAN = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
KINDS = (StartKind.FRESH, StartKind.PULL)


def run(
    runs: Path,
    *,
    days: float = 0,
    plan: str = "default",
    edit: Callable[[str], str] = lambda text: text,
    spoil: Callable[[Sample], Sample] = lambda sample: sample,
    **script: Any,
) -> Path:
    began = BEGAN + timedelta(days=days)
    name = f"{began:%Y%m%dT%H%M%SZ}-{plan}"
    drawn: dict[str, Any] = {"kinds": KINDS, "variants": ("onnx", FLOOR), "edit": spoil, **script}
    folder = write(runs / name, Script(**drawn))
    text = (folder / "run.json").read_text()
    text = text.replace("20261120T120501Z-default", name)
    text = text.replace("2026-11-20T12:05:01Z", began.isoformat())
    text = text.replace('"plan_name":"default"', f'"plan_name":"{plan}"')
    (folder / "run.json").write_text(edit(text))
    write_report(folder)
    return folder


def told(one: BenchReadings, *, runs: Path) -> list[Reading]:
    return list(bench.readings(one, previous=bench.previous(one, runs)))


def named(readings: list[Reading], name: str, **labels: str) -> list[float]:
    return [
        one.value
        for one in readings
        if one.name == name and labels.items() <= dict(one.labels).items()
    ]


def test_figures_are_those_of_the_summary(tmp_path: Path) -> None:
    one = bench.read(run(tmp_path))
    row = next(row for row in one.summary.rows if row.variant == "onnx")
    readings = told(one, runs=tmp_path)
    cell = dict(bench.cell_labels(row, emulated=row.emulated))
    assert named(readings, "lab_bench_start_seconds", quantile="0.5", **cell) == [row.total_s.p50]
    assert row.total_s.p50_ci95 is not None
    assert named(readings, "lab_bench_start_seconds_lower", **cell) == [row.total_s.p50_ci95[0]]
    assert named(readings, "lab_bench_start_seconds_upper", **cell) == [row.total_s.p50_ci95[1]]
    imports = named(readings, "lab_bench_start_phase_seconds", phase="imports", **cell)
    assert imports == [row.phases_s[Phase.IMPORTS]]
    assert named(readings, "lab_bench_samples", **cell) == [10]
    assert named(readings, "lab_bench_failures", **cell) == [0]
    assert cell["emulated"] == "false"


def test_labels_are_those_that_the_boards_ask_for(tmp_path: Path) -> None:
    for one in told(bench.read(run(tmp_path)), runs=tmp_path):
        assert set(BENCH[one.name].labels) <= set(one.labels)


def test_a_quantile_without_enough_samples_is_not_told(tmp_path: Path) -> None:
    readings = told(bench.read(run(tmp_path, blocks=6)), runs=tmp_path)
    assert not named(readings, "lab_bench_start_seconds", quantile="0.99")


def test_an_image_is_told_once(tmp_path: Path) -> None:
    readings = told(bench.read(run(tmp_path)), runs=tmp_path)
    assert len(named(readings, "lab_bench_image_unpacked_bytes", variant="onnx")) == 1


def test_what_is_read_on_demand_is_told_by_phase(tmp_path: Path) -> None:
    one = bench.read(run(tmp_path, kinds=(StartKind.FRESH, StartKind.ONDEMAND)))
    row = next(
        row
        for row in one.summary.rows
        if (row.variant, row.start_kind) == ("onnx", StartKind.ONDEMAND)
    )
    assert row.chunks is not None
    readings = told(one, runs=tmp_path)
    cell = dict(bench.cell_labels(row, emulated=row.emulated))
    assert named(readings, "lab_bench_image_read_bytes", **cell) == [row.image_read_bytes]
    for phase, count in row.chunks.fetched.items():
        assert named(readings, "lab_bench_chunks", phase=phase, **cell) == [count]
        waited = named(readings, "lab_bench_chunk_wait_seconds", phase=phase, **cell)
        assert waited == [row.chunks.waited_s[phase]]
    assert not named(readings, "lab_bench_chunks", start_kind="fresh")


def test_the_run_before_is_of_the_same_plan_on_a_like_machine(tmp_path: Path) -> None:
    run(tmp_path, days=-1, edit=lambda text: text.replace("AMD EPYC 9R14", "another"))
    run(tmp_path, days=-2, plan="other")
    run(tmp_path, days=-3, stop_after=20)
    like = run(tmp_path, days=-4)
    run(tmp_path, days=-5)
    run(tmp_path, days=1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "summary.json").write_text("{")
    before = bench.previous(bench.read(run(tmp_path)), tmp_path)
    assert before is not None
    assert before.folder == like


def test_its_median_is_told_beside_each_cell(tmp_path: Path) -> None:
    before = bench.read(run(tmp_path, days=-1, noise=0.2))
    readings = told(bench.read(run(tmp_path)), runs=tmp_path)
    for row in before.summary.rows:
        labels = dict(bench.cell_labels(row, emulated=row.emulated))
        assert named(readings, "lab_bench_previous_start_seconds", **labels) == [row.total_s.p50]


def test_pulls_over_another_link_are_not_compared(tmp_path: Path) -> None:
    run(tmp_path, days=-1, edit=lambda text: text.replace("1000000000,", "200000000,"))
    readings = told(bench.read(run(tmp_path)), runs=tmp_path)
    assert named(readings, "lab_bench_previous_start_seconds", start_kind="fresh")
    assert not named(readings, "lab_bench_previous_start_seconds", start_kind="pull")


def test_trials_that_failed_or_warmed_up_are_not_told(tmp_path: Path) -> None:
    def spoilt(sample: Sample) -> Sample:
        return failed(sample, FailureKind.OOM, "") if sample.block == 3 else sample

    one = bench.read(run(tmp_path, spoil=spoilt))
    found = list(bench.trials(one))
    assert len(found) == 2 * 2 * 9
    assert all(reading.at is not None and reading.at <= one.ended for reading in found)


def test_a_run_without_a_report_says_how_to_make_one(tmp_path: Path) -> None:
    folder = run(tmp_path)
    (folder / "summary.json").unlink()
    with pytest.raises(UsageError, match="lab report"):
        bench.read(folder)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path)
    summary = folder / "summary.json"
    summary.write_text(summary.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(UsageError, match="schema 2"):
        bench.read(folder)


def test_a_run_replaces_the_group_of_its_plan(tmp_path: Path) -> None:
    folder = run(tmp_path, plan="me-x")
    with standing_in(lambda _: (200, b"")) as gateway:
        said = push.offer(folder, runs=tmp_path, env={push.URL: gateway.url})
    assert said == f"Pushed to {gateway.url} as the newest run of me-x."
    (asked,) = gateway.asked
    assert (asked.method, asked.path) == ("PUT", "/metrics/job/bench/plan/me-x")
    assert b"# TYPE lab_bench_start_seconds gauge" in asked.body
    assert f'run="{folder.name}"'.encode() in asked.body


def test_a_refusal_is_one_line_and_no_failure(tmp_path: Path) -> None:
    folder = run(tmp_path)
    with standing_in(lambda _: (400, b"pushed metrics are invalid")) as gateway:
        said = push.offer(folder, runs=tmp_path, env={push.URL: gateway.url})
    assert said is not None
    assert "pushed metrics are invalid" in said
    assert "\n" not in said


def test_without_a_pushgateway_nothing_is_said_and_no_time_is_lost(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    env = {SERVICES["pushgateway"].variable: port}
    assert push.offer(tmp_path, runs=tmp_path, env=env) is None
    assert quickest(lambda: push.offer(tmp_path, runs=tmp_path, env=env)) < 1
    url = f"http://127.0.0.1:{port}"
    assert push.offer(tmp_path, runs=tmp_path, env={push.URL: url}) == (
        f"No Pushgateway answers at {url}: not pushed."
    )


def test_a_run_that_cannot_be_told_is_no_failure_either(tmp_path: Path) -> None:
    with standing_in(lambda _: (200, b"")) as gateway:
        said = push.offer(tmp_path, runs=tmp_path, env={push.URL: gateway.url})
    assert said is not None
    assert said.startswith("Not pushed: ")
