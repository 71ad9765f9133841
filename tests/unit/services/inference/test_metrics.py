"""Metrics: nothing is lost before prometheus-client is there, and nothing counted twice."""

import threading

import pytest

from app.gate import Gate
from app.metrics import Metrics
from app.tasks.image_classification import ImageClassification
from tests.docker.contract_client import samples

REFERENCE = {
    "schema": 1,
    "inputs": 10,
    "features": {
        "grade": {"edges": [1, 2, 3, 4], "share": [0.2] * 5},
        "brightness": {"edges": [0.25, 0.5], "share": [0.1, 0.6, 0.3]},
        "smell": {"edges": [1], "share": [0.5, 0.5]},
    },
}


def noted(**changes: float) -> dict[str, float]:
    usual = {"grade": 0, "confidence": 0.6, "brightness": 0.3, "contrast": 0.4}
    return {**usual, "bytes": 5000, "pixels": 50176, **changes}


def described(metrics: Metrics, reference: object = None) -> Metrics:
    metrics.describe(ImageClassification.features, reference)
    return metrics


def page(metrics: Metrics) -> dict[str, float]:
    content_type, body = metrics.page()
    assert content_type.startswith("text/plain")
    return samples(body.decode())


def test_what_was_observed_before_the_first_page_is_on_it() -> None:
    metrics = described(Metrics())
    metrics.started({"imports": 0.5})
    metrics.observe(
        status=200,
        request_s=0.02,
        prediction_s=0.012,
        noted=[noted(grade=1), noted(grade=1), noted(grade=4)],
    )
    metrics.observe(status=415, request_s=0.001)
    first = page(metrics)
    assert first['lab_inference_requests_total{status="200"}'] == 1
    assert first['lab_inference_requests_total{status="415"}'] == 1
    assert first["lab_inference_request_seconds_count"] == 2
    assert first["lab_inference_prediction_seconds_sum"] == 0.012
    assert first['lab_inference_prediction_seconds_bucket{le="0.01"}'] == 0
    assert first['lab_inference_prediction_seconds_bucket{le="0.015"}'] == 1
    assert first['lab_inference_predictions_total{answer="1"}'] == 2
    assert first['lab_inference_startup_seconds{phase="imports"}'] == 0.5


def test_what_is_observed_later_is_added() -> None:
    metrics = described(Metrics())
    metrics.observe(status=200, request_s=0.1)
    page(metrics)
    metrics.observe(status=200, request_s=0.1)
    metrics.started({"imports": 0.7})
    later = page(metrics)
    assert later['lab_inference_requests_total{status="200"}'] == 2
    assert later['lab_inference_startup_seconds{phase="imports"}'] == 0.7


def test_nothing_is_lost_while_threads_observe_and_the_page_opens() -> None:
    metrics = described(Metrics())
    go = threading.Barrier(5)

    def observe() -> None:
        go.wait()
        for _ in range(500):
            metrics.observe(status=200, request_s=0.1, noted=[noted()])

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    go.wait()
    metrics.open()
    for thread in threads:
        thread.join()
    assert page(metrics)['lab_inference_predictions_total{answer="0"}'] == 2000


def test_every_picture_is_counted_in_every_histogram() -> None:
    metrics = described(Metrics())
    metrics.observe(
        status=200, request_s=0.1, noted=[noted(), noted(confidence=1.0, bytes=30_000_000)]
    )
    shown = page(metrics)
    for name in ("confidence", "input_brightness", "input_contrast", "input_bytes", "input_pixels"):
        assert shown[f"lab_inference_{name}_count"] == 2
    assert shown['lab_inference_confidence_bucket{le="0.55"}'] == 0
    assert shown['lab_inference_confidence_bucket{le="0.6"}'] == 1
    assert shown['lab_inference_confidence_bucket{le="1.0"}'] == 2
    assert shown['lab_inference_input_bytes_bucket{le="2.62144e+07"}'] == 1
    assert shown["lab_inference_input_bytes_sum"] == 30_005_000


@pytest.mark.parametrize("opened", ["before", "after"])
def test_what_comes_is_counted_in_the_bins_of_the_reference(opened: str) -> None:
    metrics = Metrics(pytest.fail)
    if opened == "before":
        metrics.open()
    described(metrics, REFERENCE)
    metrics.observe(status=200, request_s=0.1, noted=[noted(), noted(brightness=0.25, grade=4)])
    metrics.observe(status=200, request_s=0.1, noted=[noted(brightness=0.5)])
    shown = page(metrics)
    counted = 'lab_inference_drift_bin_total{bin="%s",feature="%s"}'
    assert [shown[counted % (name, "brightness")] for name in ("<0.25", "0.25-0.5", ">=0.5")] == [
        0,
        2,
        1,
    ]
    assert [shown[counted % (grade, "grade")] for grade in range(5)] == [2, 0, 0, 0, 1]
    ratio = 'lab_inference_drift_reference_ratio{bin="0.25-0.5",feature="brightness"}'
    assert shown[ratio] == 0.6
    assert {key for key in shown if "smell" in key} == set()


def test_a_model_without_a_reference_has_no_series_of_drift() -> None:
    metrics = Metrics(pytest.fail)
    described(metrics, None)
    metrics.observe(status=200, request_s=0.1, noted=[noted()])
    shown = page(metrics)
    assert [key for key in shown if "drift" in key] == []
    assert shown["lab_inference_confidence_count"] == 1


@pytest.mark.parametrize("opened", ["before", "after"])
def test_a_reference_that_makes_no_sense_is_ignored_with_one_line(opened: str) -> None:
    said: list[str] = []
    metrics = Metrics(said.append)
    if opened == "before":
        metrics.open()
    described(metrics, {"schema": 1, "features": {"grade": {"edges": [2, 1], "share": [0, 0, 1]}}})
    metrics.observe(status=200, request_s=0.1, noted=[noted()])
    shown = page(metrics)
    page(metrics)
    assert [key for key in shown if "drift" in key] == []
    assert said == [
        "The reference in model.json is ignored, drift is not shown: grade's edges must rise."
    ]


def test_the_gate_lets_in_no_more_than_fit() -> None:
    gate = Gate(requests=2, size=100)
    assert gate.enter(60)
    assert not gate.enter(41)
    assert gate.enter(40)
    assert not gate.enter(0)
    gate.leave(60)
    assert gate.enter(60)
