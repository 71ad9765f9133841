"""Metrics: nothing is lost before prometheus-client is there, and nothing counted twice."""

import threading

from app.gate import Gate
from app.metrics import Metrics
from tests.docker.contract_client import samples


def page(metrics: Metrics) -> dict[str, float]:
    content_type, body = metrics.page()
    assert content_type.startswith("text/plain")
    return samples(body.decode())


def test_what_was_observed_before_the_first_page_is_on_it() -> None:
    metrics = Metrics()
    metrics.started({"imports": 0.5})
    metrics.observe(status=200, request_s=0.02, prediction_s=0.012, grades=[1, 1, 4])
    metrics.observe(status=415, request_s=0.001)
    first = page(metrics)
    assert first['lab_inference_requests_total{status="200"}'] == 1
    assert first['lab_inference_requests_total{status="415"}'] == 1
    assert first["lab_inference_request_seconds_count"] == 2
    assert first["lab_inference_prediction_seconds_sum"] == 0.012
    assert first['lab_inference_prediction_seconds_bucket{le="0.01"}'] == 0
    assert first['lab_inference_prediction_seconds_bucket{le="0.015"}'] == 1
    assert first['lab_inference_predictions_total{grade="1"}'] == 2
    assert first['lab_inference_startup_seconds{phase="imports"}'] == 0.5


def test_what_is_observed_later_is_added() -> None:
    metrics = Metrics()
    metrics.observe(status=200, request_s=0.1)
    page(metrics)
    metrics.observe(status=200, request_s=0.1)
    metrics.started({"imports": 0.7})
    later = page(metrics)
    assert later['lab_inference_requests_total{status="200"}'] == 2
    assert later['lab_inference_startup_seconds{phase="imports"}'] == 0.7


def test_nothing_is_lost_while_threads_observe_and_the_page_opens() -> None:
    metrics = Metrics()
    go = threading.Barrier(5)

    def observe() -> None:
        go.wait()
        for _ in range(500):
            metrics.observe(status=200, request_s=0.1, grades=[0])

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    go.wait()
    metrics.open()
    for thread in threads:
        thread.join()
    assert page(metrics)['lab_inference_predictions_total{grade="0"}'] == 2000


def test_the_gate_lets_in_no_more_than_fit() -> None:
    gate = Gate(requests=2, size=100)
    assert gate.enter(60)
    assert not gate.enter(41)
    assert gate.enter(40)
    assert not gate.enter(0)
    gate.leave(60)
    assert gate.enter(60)
