"""``--measured``: the user's own figures take the place of the study's, as far as they tell."""

import io
import json
from pathlib import Path

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
    Rates,
    SentPayload,
)
from lab.aws.model import PushTarget, ServingKind
from lab.cli import report
from lab.cli.main import run
from lab.errors import UsageError
from lab.report.predict.constants import Constant
from lab.report.predict.model import Prediction
from lab.report.predict.predict import predict
from lab.spec import Platform
from tests.unit.report import synthetic
from tests.unit.report.predict.runs_to_predict import MOBILENET, measured, quick

SUBJECT = MeasuredSubject(
    endpoint="inference-lab-test",
    variant="slim",
    model=MOBILENET,
    kind=ServingKind.SERVERLESS,
    target=PushTarget.AWS,
    region="eu-central-1",
    memory_mb=2048,
)
ID = "20261121T120000Z-aws-measure"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def on_aws(
    subject: MeasuredSubject = SUBJECT, *, cold_s: float = 6.0, emulated: bool = False
) -> MeasureFolder:
    """Cold requests of ``cold_s``, warm ones of 120 ms, 60 of which are in the container."""
    folder = MeasureFolder.create(
        AwsRun(
            id=ID,
            started_at="2026-11-21T12:00:00+00:00",
            lab_version="0",
            git_commit=None,
            git_dirty=None,
            subject=subject,
            options={},
            rates=Rates(second_usd=4e-5, hour_usd=0.0, byte_usd=0.0, metric_usd=0.0),
            payload=SentPayload(name="x.png", content_type="image/png", bytes=1, sha256="a"),
            client={},
            emulated=emulated,
        )
    )
    for number in range(11):
        folder.append(_request(Protocol.WARM, number, 0.12, prediction_s=0.06))
    for number in range(1, 6):
        folder.append(_request(Protocol.COLD, number, cold_s + number / 100))
    launched = MetricReading(
        requests=1, model_latency_s=0.4, overhead_s=cold_s - 0.5, setup_s=cold_s - 1, setups=1
    )
    folder.save_metrics(MetricsFile(asked=6, cold=dict.fromkeys(range(1, 6), launched)))
    return folder


def _request(
    protocol: Protocol, number: int, total_s: float, prediction_s: float | None = None
) -> MeasuredRequest:
    return MeasuredRequest(
        protocol=protocol,
        number=number,
        started_at="2026-11-21T12:00:00+00:00",
        ended_at="2026-11-21T12:00:01+00:00",
        idle_s=5.0,
        total_s=total_s,
        prediction_s=prediction_s,
    )


def of(prediction: Prediction, constant: Constant) -> float:
    return next(one.value for one in prediction.constants if one.constant is constant)


def test_own_figures_take_the_place_of_the_study_s(tmp_path: Path) -> None:
    results = measured(tmp_path)
    before, after = predict(results), predict(results, measured=[on_aws()])
    # 120 ms from asking to the answer, 60 of them in the container.
    assert of(before, Constant.NETWORK) == pytest.approx(0.275, abs=0.01)
    assert of(after, Constant.NETWORK) == pytest.approx(0.06, rel=0.1)
    for constant in (Constant.LOADER, Constant.HANDLING):
        assert of(after, constant) == pytest.approx(of(before, constant), rel=0.01)
    cold = [
        next(one.cold_s for one in each.variants if (one.variant, one.memory_mb) == ("slim", 2048))
        for each in (before, after)
    ]
    assert cold[0] is not None
    assert cold[0] > 8
    assert cold[1] == pytest.approx(6.03, rel=0.1)


def test_the_table_names_the_measurement_as_the_source(tmp_path: Path) -> None:
    prediction = predict(measured(tmp_path), measured=[on_aws()])
    sources = {one.constant: one.source for one in prediction.constants}
    assert sources[Constant.PLACING].endswith(f"then to {ID}")
    assert sources[Constant.LOADER] == "fitted to the study's MobileNet figures"
    own = [one for one in prediction.fitted if one.published == pytest.approx(0.12)]
    assert [one.what for one in own] == ["warm request"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": PushTarget.LOCAL}, "measured the lab's emulator, not AWS"),
        (
            {"kind": ServingKind.REAL_TIME, "memory_mb": None, "instance_type": "ml.m5.xlarge"},
            "measured an instance",
        ),
        ({"platform": Platform.ARM64}, "measured linux/arm64"),
        ({"memory_mb": 4096}, "measured 4096 MB, outside of the 1024 to 3072 MB"),
        ({"variant": "onnx"}, "no fresh and on-demand starts of that"),
    ],
)
def test_what_says_nothing_of_the_model_is_refused(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    folder = on_aws(SUBJECT.model_copy(update=change))
    with pytest.raises(UsageError, match=words):
        predict(measured(tmp_path), measured=[folder])


def test_a_measurement_under_qemu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ran under QEMU"):
        predict(measured(tmp_path), measured=[on_aws(emulated=True)])


def test_the_command_prints_tables_or_json_and_writes_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = synthetic.write(tmp_path / "runs" / "20261120T120501Z-study-quick", quick())
    on_aws()
    assert run(["report", "predict", folder.name, "--measured", ID, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "prediction.json").read_text())
    text = io.StringIO()
    monkeypatch.setattr(report, "out", Console(file=text, width=160))
    assert run(["report", "predict", folder.name]) == 0
    assert "Held out: what the fit has not seen, errors" in text.getvalue()
    assert (folder / "prediction.md").is_file()
