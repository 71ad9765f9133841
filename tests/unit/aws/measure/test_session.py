"""The study's two protocols, their bound on the cost, and what survives an interruption."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import paths
from lab.aws.access.errors import CallError
from lab.aws.answers import AnswerPayload
from lab.aws.invoke import NotNowError
from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.record import MeasuredRequest, MeasuredSubject, Protocol, Rates
from lab.aws.measure.session import measure
from lab.aws.measure.spending import rates_of
from lab.aws.measure.task import MeasureOptions, Task, expected_s, options_of
from lab.aws.model import AwsError, PushTarget, ServingKind
from lab.awserrors import ErrorKind
from lab.errors import BusyError, UsageError
from lab.progress import Silent
from tests.unit.aws.scripted import Asked, Time, Told, answer, reading

SUBJECT = MeasuredSubject(
    endpoint="inference-lab-test",
    variant="onnx-slim",
    model="retinopathy-mobilenet",
    kind=ServingKind.SERVERLESS,
    target=PushTarget.AWS,
    region="eu-central-1",
    memory_mb=2048,
    image_digest="sha256:" + "0" * 64,
)
REAL_TIME = SUBJECT.model_copy(
    update={"kind": ServingKind.REAL_TIME, "memory_mb": None, "instance_type": "ml.m5.xlarge"}
)
SERVERLESS = rates_of(PushTarget.AWS, ServingKind.SERVERLESS, memory_mb=2048)
TASK = Task(
    subject=SUBJECT,
    payload=AnswerPayload(name="drawn.png", body=b"picture", content_type="image/png"),
    rates=SERVERLESS,
    options=MeasureOptions(warm_n=3, cold_n=2),
)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def run(task: Task = TASK, **changes: Any) -> tuple[MeasureFolder, Asked, Silent]:
    clock = Time()
    parts: dict[str, Any] = {
        "endpoint": Asked(clock),
        "metrics": Told(),
        "progress": Silent(),
        **changes,
    }
    endpoint = parts.pop("endpoint")
    folder = measure(endpoint, task, clock=endpoint.clock, **parts)
    return folder, endpoint, parts["progress"]


def of(folder: MeasureFolder, protocol: Protocol) -> list[MeasuredRequest]:
    return [one for one in folder.samples() if one.protocol is protocol]


def summary(folder: MeasureFolder) -> Any:
    return json.loads((folder.path / "summary.json").read_text())


def row(folder: MeasureFolder, protocol: str) -> Any:
    return next(one for one in summary(folder)["rows"] if one["protocol"] == protocol)


def test_the_defaults_are_the_study_s() -> None:
    assert (MeasureOptions().warm_n, MeasureOptions().warm_pause_s) == (25, 5.0)
    assert (MeasureOptions().cold_n, MeasureOptions().cold_idle_s) == (10, 15 * 60.0)


def test_warm_is_one_uncounted_request_and_then_those_that_count_five_seconds_apart() -> None:
    task = replace(TASK, options=MeasureOptions(protocols=(Protocol.WARM,), warm_n=25))
    folder, endpoint, _ = run(task)
    assert [one.number for one in of(folder, Protocol.WARM)] == list(range(26))
    pauses = [later - sooner for sooner, later in zip(endpoint.at, endpoint.at[1:], strict=False)]
    assert pauses == pytest.approx([5.2] * 25)
    assert row(folder, "warm")["n"] == 25


def test_cold_waits_before_every_request_the_first_too_and_cools_where_that_can_be_asked() -> None:
    task = replace(TASK, options=MeasureOptions(protocols=(Protocol.COLD,), cold_n=2))
    folder, endpoint, _ = run(task)
    assert endpoint.at == pytest.approx([900.0, 1800.2])
    assert endpoint.cooled == 2
    assert [one.idle_s for one in of(folder, Protocol.COLD)] == [900.0, 900.0]


def test_the_folder_says_what_was_measured_and_holds_no_account() -> None:
    folder, _, _ = run()
    kept = folder.run()
    assert kept.subject == SUBJECT
    assert folder.path.name.endswith("-aws-measure")
    assert kept.payload.sha256 == hashlib.sha256(b"picture").hexdigest()
    assert folder.run().rates == SERVERLESS
    assert options_of(folder) == TASK.options
    text = "".join(path.read_text() for path in folder.path.iterdir())
    assert "arn:" not in text
    assert "dkr.ecr" not in text


def test_a_request_that_found_a_container_is_no_cold_start() -> None:
    told = iter([*(reading() for _ in range(4)), reading(setup_s=3.0), reading()])
    folder, _, _ = run(metrics=Told(lambda: next(told)))
    cold = row(folder, "cold")
    assert (cold["n"], cold["cold"], cold["not_cold"]) == (2, 1, 1)
    assert cold["total_s"]["n"] == 1
    assert cold["setup_s"]["p50"] == pytest.approx(3.0)
    assert row(folder, "warm")["total_s"]["n"] == 3


def test_a_warm_request_that_waited_for_a_container_is_not_counted_as_warm() -> None:
    told = iter([reading(), reading(), reading(setup_s=2.0), reading()])
    task = replace(TASK, options=MeasureOptions(protocols=(Protocol.WARM,), warm_n=3))
    folder, _, _ = run(task, metrics=Told(lambda: next(told)))
    assert row(folder, "warm")["total_s"]["n"] == 2


def test_what_others_asked_in_between_is_no_reading_of_ours() -> None:
    folder, _, _ = run(metrics=Told(lambda: reading(requests=2)))
    assert all(one.reading is None for one in folder.samples())


def test_cloudwatch_is_asked_afterwards_without_the_minute_of_the_uncounted_request() -> None:
    metrics = Told(later=lambda window: reading(requests=window.requests, setup_s=4.0))
    task = replace(TASK, options=MeasureOptions(warm_n=25, cold_n=2))
    folder, _, _ = run(task, metrics=metrics)
    warm, first, second = metrics.windows
    uncounted = of(folder, Protocol.WARM)[0]
    assert warm.begin.isoformat()[:16] > uncounted.ended_at[:16]
    assert warm.requests == 14
    assert first.requests == second.requests == 1
    # Room for a clock that differs: nothing else was asked for a quarter of an hour.
    asked = of(folder, Protocol.COLD)[0]
    assert (first.end - first.begin).total_seconds() == pytest.approx(120.2)
    assert first.begin.isoformat() < asked.started_at < first.end.isoformat()
    kept = folder.metrics()
    assert kept is not None
    assert kept.warm is not None
    assert kept.warm.requests == warm.requests
    assert set(kept.cold) == {1, 2}
    assert row(folder, "cold")["setup_s"]["mean"] == pytest.approx(4.0)


def test_minutes_in_which_several_cold_requests_fell_tell_of_none() -> None:
    task = replace(
        TASK, options=MeasureOptions(protocols=(Protocol.COLD,), cold_n=2, cold_idle_s=0)
    )
    folder, _, _ = run(task, metrics=Told(later=lambda _: reading(requests=2, setup_s=4.0)))
    kept = folder.metrics()
    assert kept is not None
    assert kept.cold == {}
    assert row(folder, "cold")["untold"] == 2


def test_the_cost_so_far_is_what_the_samples_say() -> None:
    folder, _, _ = run()
    seconds = sum(one.total_s or 0.0 for one in folder.samples())
    sent = sum(len(TASK.payload.body) + one.response_bytes for one in folder.samples())
    expected = seconds * 2 * 0.00002 + sent * 0.016e-9
    # CloudWatch's own charge for the six metrics that were asked for comes on top.
    assert summary(folder)["usd"] == pytest.approx(expected + 6 * 0.00001)


def test_it_stops_before_a_request_that_could_go_beyond_the_bound() -> None:
    options = MeasureOptions(protocols=(Protocol.WARM,), warm_n=25, max_usd=2e-5 * 2 * 60.5)
    folder, endpoint, progress = run(replace(TASK, options=options), endpoint=_slow(30.0))
    assert len(endpoint.at) == 2
    assert summary(folder)["usd"] <= options.max_usd + 1e-4
    assert any("--max-usd" in note and "--resume" in note for note in progress.notes)


def _slow(seconds: float) -> Asked:
    return Asked(Time(), took=seconds)


def test_nothing_is_asked_when_the_first_request_may_cost_too_much() -> None:
    options = MeasureOptions(protocols=(Protocol.WARM,), max_usd=1e-6)
    folder, endpoint, progress = run(replace(TASK, options=options))
    assert endpoint.at == []
    assert folder.samples() == []
    assert "Stopped" in progress.notes[-1]


def test_a_real_time_endpoint_costs_while_nothing_is_asked() -> None:
    options = MeasureOptions(protocols=(Protocol.WARM,), warm_n=3, warm_pause_s=3600, max_usd=0.5)
    rates = rates_of(
        PushTarget.AWS, ServingKind.REAL_TIME, instance_type="ml.m5.xlarge", instances=1
    )
    task = Task(subject=REAL_TIME, payload=TASK.payload, rates=rates, options=options)
    folder, endpoint, _ = run(task)
    assert len(endpoint.at) == 3
    assert summary(folder)["usd"] == pytest.approx(2 * 0.23, rel=0.01)


def test_a_type_without_a_price_needs_to_be_told_one() -> None:
    with pytest.raises(UsageError, match=r"ml\.unheard\.large") as caught:
        rates_of(PushTarget.AWS, ServingKind.REAL_TIME, instance_type="ml.unheard.large")
    assert "--hour-usd" in caught.value.remedy
    told = rates_of(
        PushTarget.AWS, ServingKind.REAL_TIME, instance_type="ml.unheard.large", hour_usd=2.0
    )
    assert told.hour_usd == 2.0


def test_the_emulator_costs_nothing() -> None:
    rates = rates_of(PushTarget.LOCAL, ServingKind.SERVERLESS, memory_mb=2048)
    assert rates == Rates(second_usd=0, hour_usd=0, byte_usd=0, metric_usd=0)


def test_a_real_time_endpoint_has_no_cold_starts() -> None:
    task = replace(TASK, subject=REAL_TIME)
    folder, endpoint, progress = run(task)
    assert of(folder, Protocol.COLD) == []
    assert len(endpoint.at) == 4
    assert any("no cold starts" in note for note in progress.notes)
    with pytest.raises(UsageError, match="no cold starts"):
        run(replace(task, options=MeasureOptions(protocols=(Protocol.COLD,))))


def _fine() -> bytes:
    return answer(0.1, 0.9)


def _raise(error: BaseException) -> Callable[[], bytes]:
    def once() -> bytes:
        raise error

    return once


def test_ctrl_c_keeps_what_there_is_and_says_how_to_go_on() -> None:
    clock = Time()
    endpoint = Asked(clock, _fine, _fine, _raise(KeyboardInterrupt()), _fine)
    progress = Silent()
    with pytest.raises(KeyboardInterrupt):
        run(endpoint=endpoint, progress=progress)
    (folder,) = (MeasureFolder(path.parent) for path in _homes())
    assert len(folder.samples()) == 2
    assert summary(folder)["rows"][0]["n"] == 1
    assert f"--resume {folder.path.name}" in progress.notes[-1]


def _homes() -> list[Path]:
    return sorted(paths.runs().glob("*/aws.json"))


def test_a_measurement_goes_on_with_what_is_missing() -> None:
    first, _, _ = run()
    lines = (first.path / "samples.jsonl").read_bytes().splitlines(keepends=True)
    # As a crash leaves it: the last line torn in the middle.
    (first.path / "samples.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:20])
    clock = Time()
    endpoint = Asked(clock)
    folder, _, _ = run(endpoint=endpoint, resume=first)
    assert folder.path == first.path
    # The container may be cold by now, so warm requests begin with an uncounted one again.
    assert [one.number for one in of(folder, Protocol.WARM)] == [0, 1, 2, 0, 3]
    assert [one.number for one in of(folder, Protocol.COLD)] == [1, 2]


def test_a_finished_measurement_is_not_made_again() -> None:
    first, _, _ = run(metrics=Told(reading))
    clock = Time()
    endpoint = Asked(clock)
    run(endpoint=endpoint, resume=first)
    assert endpoint.at == []


def test_another_image_or_another_picture_cannot_go_on_with_it() -> None:
    first, _, _ = run()
    newer = SUBJECT.model_copy(update={"image_digest": "sha256:" + "1" * 64})
    with pytest.raises(UsageError, match="its image is another"):
        run(replace(TASK, subject=newer), resume=first)
    other = replace(TASK, payload=replace(TASK.payload, body=b"other"))
    with pytest.raises(UsageError, match="--payload"):
        run(other, resume=first)


def test_a_request_that_fails_is_a_sample_too_and_is_made_again_on_resume() -> None:
    clock = Time()
    endpoint = Asked(clock, _fine, _raise(NotNowError("not yet")), _fine)
    folder, _, _ = run(endpoint=endpoint)
    failed = [one for one in folder.samples() if one.failure]
    assert [(one.number, one.total_s) for one in failed] == [(1, None)]
    assert row(folder, "warm")["failures"] == 1
    again, _, _ = run(resume=folder)
    assert row(again, "warm")["n"] == 3


def test_three_failures_in_a_row_end_it() -> None:
    endpoint = Asked(Time(), _raise(NotNowError("broken")))
    with pytest.raises(AwsError, match=r"failed 3 times in a row.*broken"):
        run(endpoint=endpoint)
    assert len(endpoint.at) == 3


def test_credentials_that_run_out_end_it_at_once_and_keep_the_samples() -> None:
    gone = CallError("expired", remedy="Sign in.", kind=ErrorKind.EXPIRED, code="ExpiredToken")
    progress = Silent()
    with pytest.raises(CallError):
        run(endpoint=Asked(Time(), _fine, _fine, _raise(gone)), progress=progress)
    assert "--resume" in progress.notes[-1]
    (found,) = _homes()
    assert len(MeasureFolder(found.parent).samples()) == 2


def test_how_long_it_takes_is_known_before() -> None:
    assert expected_s(SUBJECT, MeasureOptions()) == 25 * 5 + 10 * 900
    assert expected_s(REAL_TIME, MeasureOptions()) == 25 * 5


def test_an_unknown_measurement_names_those_that_there_are() -> None:
    folder, _, _ = run()
    with pytest.raises(UsageError, match="no measurement nothing") as caught:
        MeasureFolder.find("nothing")
    assert folder.path.name in caught.value.remedy
    assert MeasureFolder.find(folder.path.name).path == folder.path
    assert MeasureFolder.find("latest").path == folder.path


@pytest.mark.parametrize(
    ("machine", "target", "emulated"),
    [
        ("x86_64", PushTarget.LOCAL, False),
        ("aarch64", PushTarget.LOCAL, True),
        ("aarch64", PushTarget.AWS, False),
    ],
)
def test_the_lab_s_own_endpoint_of_another_architecture_is_known_as_emulated(
    monkeypatch: pytest.MonkeyPatch, machine: str, target: PushTarget, *, emulated: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    subject = SUBJECT.model_copy(update={"target": target})
    folder, _, _ = run(replace(TASK, subject=subject))
    assert folder.run().emulated is emulated


def test_two_measurements_never_share_a_folder() -> None:
    run()
    with pytest.raises(BusyError, match="same second"):
        run()
