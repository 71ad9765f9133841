"""A prediction beside AWS's measurement: the right spans, the right error, nothing else."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.record import (
    AwsRun,
    MeasuredRequest,
    MeasuredSubject,
    MetricReading,
    MetricsFile,
    Protocol,
    SentPayload,
)
from lab.aws.model import PushTarget, ServingKind
from lab.coldstart import record
from lab.errors import UsageError
from lab.report.compare import measured_out
from lab.report.compare.against_aws import (
    AgainstAws,
    PredictedFigure,
    PredictionLine,
    compare_with_aws,
    is_aws_run,
)
from lab.report.compare.against_aws_out import document, write
from lab.spec import Platform, StartKind
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script

SUBJECT = MeasuredSubject(
    endpoint="inference-lab-test",
    variant="onnx-slim",
    model="retinopathy-mobilenet",
    kind=ServingKind.SERVERLESS,
    target=PushTarget.AWS,
    region="eu-central-1",
    memory_mb=2048,
)
HERE = "20261121T100000Z-aws-measure"
THERE = "20261121T120000Z-aws-measure"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def measurement(
    name: str = THERE,
    *,
    subject: MeasuredSubject = SUBJECT,
    cold_s: float = 10.0,
    warm_s: float = 0.3,
    told_at_once: bool = False,
    cold_n: int = 10,
) -> str:
    """A folder as ``lab push measure`` leaves it; on AWS a warm model answers in 50 ms."""
    folder = MeasureFolder.create(
        AwsRun(
            id=name,
            started_at="2026-11-21T12:00:00+00:00",
            lab_version="0",
            git_commit=None,
            git_dirty=None,
            subject=subject,
            options={"warm_pause_s": 5.0, "cold_idle_s": 900.0},
            rates={"second_usd": 4e-5, "hour_usd": 0.0, "byte_usd": 0.0, "metric_usd": 0.0},
            payload=SentPayload(name="x.png", content_type="image/png", bytes=1, sha256="a"),
            client={},
        )
    )
    cold = {number: _reading(setup_s=cold_s - 1 + number / 100) for number in range(1, cold_n + 1)}
    for number in range(26):
        once = _reading() if told_at_once and number else None
        folder.append(_sample(Protocol.WARM, number, warm_s + number / 1000, once))
    for number in range(1, cold_n + 1):
        once = cold[number] if told_at_once else None
        folder.append(_sample(Protocol.COLD, number, cold_s + number / 100, once))
    if not told_at_once:
        folder.save_metrics(
            MetricsFile(asked=6, warm=_reading().model_copy(update={"requests": 14}), cold=cold)
        )
    return name


def _reading(setup_s: float | None = None) -> MetricReading:
    return MetricReading(
        requests=1,
        model_latency_s=0.05 if setup_s is None else 0.4,
        overhead_s=0.02 + (setup_s or 0.0),
        setup_s=setup_s,
        setups=0 if setup_s is None else 1,
    )


def _sample(
    protocol: Protocol, number: int, total_s: float, told: MetricReading | None
) -> MeasuredRequest:
    return MeasuredRequest(
        protocol=protocol,
        number=number,
        started_at="2026-11-21T12:00:00+00:00",
        ended_at="2026-11-21T12:00:01+00:00",
        idle_s=0.0,
        total_s=total_s,
        reading=told,
    )


def starts(tmp_path: Path, script: Script | None = None) -> Path:
    chosen = script or Script(kinds=(StartKind.RESTART, StartKind.FRESH, StartKind.PULL))
    return synthetic.write(tmp_path / "runs" / chosen.id, chosen)


def lines(result: AgainstAws, figure: PredictedFigure) -> list[PredictionLine]:
    return [one for one in result.lines if one.figure is figure]


def samples(folder: Path) -> list[record.Sample]:
    text = (folder / "samples.jsonl").read_text().splitlines()
    found = [record.Sample.model_validate_json(line) for line in text]
    return [one for one in found if one.cell.variant == "onnx-slim" and not one.warm_up]


def middle(values: list[float]) -> float:
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def test_each_kind_of_start_predicts_the_cold_request_and_a_restart_does_not(
    tmp_path: Path,
) -> None:
    folder = starts(tmp_path)
    result = compare_with_aws(folder, measurement())
    cold = lines(result, PredictedFigure.COLD_TOTAL)
    assert [one.source.partition(",")[0] for one in cold] == ["pull", "fresh"]
    pulls = [
        one.total_s
        for one in samples(folder)
        if one.cell.start_kind is StartKind.PULL and one.total_s is not None
    ]
    assert cold[0].predicted_s == pytest.approx(middle(pulls))
    assert cold[0].measured_s == pytest.approx(10.055)
    assert cold[0].error == pytest.approx(middle(pulls) / 10.055 - 1)
    assert cold[0].error_interval is not None


def test_of_a_serverless_endpoint_the_start_on_demand_is_spoken_of_first(tmp_path: Path) -> None:
    kinds = (StartKind.FRESH, StartKind.PULL, StartKind.ONDEMAND)
    # Fresh starts are the nearest to half a second, which nobody could know before.
    result = compare_with_aws(starts(tmp_path, Script(kinds=kinds)), measurement(cold_s=0.5))
    cold = lines(result, PredictedFigure.COLD_TOTAL)
    assert [one.source.partition(",")[0] for one in cold] == ["on-demand", "pull", "fresh"]
    assert min(cold, key=lambda one: abs(one.error)).source.startswith("fresh")
    assert "on-demand, 10 trials, predicted" in result.text
    assert not any("--start ondemand" in note for note in result.notes)


def test_where_no_start_was_on_demand_it_is_said_how_to_measure_one(tmp_path: Path) -> None:
    result = compare_with_aws(starts(tmp_path), measurement())
    assert any("`lab coldstart run --start ondemand`" in note for note in result.notes)


def test_model_setup_time_is_predicted_without_the_first_prediction(tmp_path: Path) -> None:
    result = compare_with_aws(starts(tmp_path), measurement())
    total, setup, first = (
        lines(result, one)[0].predicted_s
        for one in (PredictedFigure.COLD_TOTAL, PredictedFigure.SETUP, PredictedFigure.COLD_MODEL)
    )
    assert setup + first == pytest.approx(total, rel=0.02)
    assert lines(result, PredictedFigure.SETUP)[0].measured_s == pytest.approx(9.055)


def test_a_mean_of_cloudwatch_s_is_set_beside_a_mean_and_gets_no_interval(
    tmp_path: Path,
) -> None:
    folder = starts(tmp_path)
    (warm,) = lines(compare_with_aws(folder, measurement()), PredictedFigure.WARM_MODEL)
    seconds = [one.second_prediction_s for one in samples(folder) if one.second_prediction_s]
    assert warm.statistic == "mean"
    assert warm.predicted_s == pytest.approx(sum(seconds) / len(seconds))
    assert warm.measured_s == 0.05
    assert warm.measured_n == 14
    assert warm.error_interval is None


def test_seconds_of_starts_predict_no_request_of_the_client_s(tmp_path: Path) -> None:
    result = compare_with_aws(starts(tmp_path), measurement())
    assert lines(result, PredictedFigure.WARM_TOTAL) == []
    assert any("no network" in note for note in result.notes)


def test_what_ran_under_qemu_predicts_nothing(tmp_path: Path) -> None:
    script = Script(platform=Platform.ARM64, emulated=True)
    arm = SUBJECT.model_copy(update={"platform": Platform.ARM64})
    with pytest.raises(UsageError, match="has measured"):
        compare_with_aws(starts(tmp_path, script), measurement(subject=arm))


def test_a_measurement_of_the_emulator_under_qemu_predicts_nothing_either() -> None:
    local = SUBJECT.model_copy(update={"target": PushTarget.LOCAL})
    here = MeasureFolder.find(measurement(HERE, subject=local, told_at_once=True))
    qemu = here.run().model_copy(update={"emulated": True})
    (here.path / "aws.json").write_text(qemu.model_dump_json(by_alias=True))
    with pytest.raises(UsageError, match="QEMU"):
        compare_with_aws(HERE, measurement())


@pytest.mark.parametrize(
    "changed", [{"memory_mb": 3072}, {"variant": "twostage"}, {"model": "retinopathy-vgg19"}]
)
def test_another_memory_variant_or_model_is_refused_naming_what_there_is(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    name = measurement(subject=SUBJECT.model_copy(update=changed))
    with pytest.raises(UsageError, match="onnx-slim/retinopathy-mobilenet/amd64/2048") as caught:
        compare_with_aws(starts(tmp_path), name)
    assert "lab coldstart run" in caught.value.remedy


def test_a_real_time_endpoint_is_predicted_warm_by_starts_without_a_limit(tmp_path: Path) -> None:
    real_time = SUBJECT.model_copy(
        update={"kind": ServingKind.REAL_TIME, "memory_mb": None, "instance_type": "ml.m5.xlarge"}
    )
    folder = starts(tmp_path, Script(tiers=("host",)))
    result = compare_with_aws(folder, measurement(subject=real_time))
    assert {one.figure for one in result.lines} == {PredictedFigure.WARM_MODEL}


def test_the_emulator_s_measurement_predicts_every_figure_with_intervals() -> None:
    local = SUBJECT.model_copy(update={"target": PushTarget.LOCAL})
    here = measurement(HERE, subject=local, cold_s=8.0, warm_s=0.2, told_at_once=True)
    there = measurement(THERE, told_at_once=True)
    result = compare_with_aws(here, there)
    assert [one.figure for one in result.lines] == list(PredictedFigure)
    (cold,) = lines(result, PredictedFigure.COLD_TOTAL)
    assert cold.error == pytest.approx(8.055 / 10.055 - 1)
    assert all(one.error_interval is not None for one in result.lines)
    assert result.text.endswith("emulator, 10 requests, predicted 20 % less than was measured.")
    assert not any("not AWS" in note for note in result.notes)


def test_which_is_the_prediction_does_not_depend_on_the_order(tmp_path: Path) -> None:
    local = SUBJECT.model_copy(update={"target": PushTarget.LOCAL})
    here = measurement(HERE, subject=local, told_at_once=True)
    there = measurement(THERE, told_at_once=True)
    assert compare_with_aws(there, here) == compare_with_aws(here, there)
    folder = starts(tmp_path)
    assert compare_with_aws(there, folder) == compare_with_aws(folder, there)


def test_measurements_of_different_things_are_not_compared() -> None:
    other = SUBJECT.model_copy(update={"target": PushTarget.LOCAL, "memory_mb": 1024})
    with pytest.raises(UsageError, match="1024 MB"):
        compare_with_aws(measurement(HERE, subject=other), measurement(THERE))


def test_another_payload_is_said() -> None:
    local = SUBJECT.model_copy(update={"target": PushTarget.LOCAL})
    here = MeasureFolder.find(measurement(HERE, subject=local, told_at_once=True))
    run = here.run()
    changed = run.model_copy(update={"payload": run.payload.model_copy(update={"sha256": "b"})})
    (here.path / "aws.json").write_text(changed.model_dump_json(by_alias=True))
    result = compare_with_aws(HERE, measurement(THERE, told_at_once=True))
    assert any("payloads differ" in note for note in result.notes)


def test_a_measurement_is_told_from_a_run(tmp_path: Path) -> None:
    folder = starts(tmp_path)
    name = measurement()
    assert is_aws_run(name)
    assert is_aws_run(tmp_path / "runs" / name)
    assert not is_aws_run(folder)
    assert not is_aws_run("nothing")


def test_what_the_emulator_measured_is_not_taken_for_aws_s(tmp_path: Path) -> None:
    local = SUBJECT.model_copy(update={"target": PushTarget.LOCAL})
    result = compare_with_aws(starts(tmp_path), measurement(subject=local, told_at_once=True))
    assert any("not AWS" in note for note in result.notes)


def test_an_empty_measurement_has_nothing_to_compare(tmp_path: Path) -> None:
    name = measurement(cold_n=0)
    path = tmp_path / "runs" / name
    (path / "samples.jsonl").unlink()
    (path / "metrics.json").unlink()
    with pytest.raises(UsageError, match="no figure in common"):
        compare_with_aws(starts(tmp_path), name)


def test_few_requests_say_how_little_their_interval_covers(tmp_path: Path) -> None:
    result = compare_with_aws(starts(tmp_path), measurement(cold_n=3))
    assert "at least" in document(result).to_markdown()


def test_what_is_written_holds_every_error(tmp_path: Path) -> None:
    result = compare_with_aws(starts(tmp_path), measurement())
    page = write(result, tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "against-aws.json").read_text())
    assert [one["error"] for one in kept["lines"]] == [one.error for one in result.lines]
    screen = io.StringIO()
    Console(file=screen, width=120).print(document(result).to_terminal())
    for line in result.lines:
        shown = f"{abs(line.error) * 100:.0f} %"
        assert shown in page.read_text()
        assert shown in screen.getvalue()


def test_a_prediction_that_is_right_says_so() -> None:
    local = SUBJECT.model_copy(update={"target": PushTarget.LOCAL})
    result = compare_with_aws(
        measurement(HERE, subject=local, told_at_once=True), measurement(told_at_once=True)
    )
    assert all(one.error == 0 for one in result.lines)
    assert "predicted 0 %" in result.text


def test_a_measurement_s_own_report_says_what_counts_and_what_it_cost(tmp_path: Path) -> None:
    folder = MeasureFolder.find(measurement())
    page = measured_out.write(folder).read_text()
    screen = io.StringIO()
    Console(file=screen, width=140).print(measured_out.document(folder).to_terminal())
    for text in (page, screen.getvalue()):
        assert "warm: 25 requests" in text
        assert "cold: 10 requests" in text
        assert "ModelSetupTime" in text
        assert "USD" in text
    assert "10.1 s" in page


def test_a_request_that_found_a_container_is_told_in_the_report() -> None:
    folder = MeasureFolder.find(measurement())
    kept = folder.metrics()
    assert kept is not None
    warm = {**kept.cold, 1: _reading()}
    folder.save_metrics(kept.model_copy(update={"cold": warm}))
    assert (
        "1 request found a container still running" in measured_out.document(folder).to_markdown()
    )
