"""What CloudWatch and the emulator tell of requests, in seconds."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lab.aws.access.errors import CallError
from lab.aws.access.session import AwsSession, open_session
from lab.aws.measure.metrics import CloudWatch, EmulatorMetrics, Window, next_minute
from lab.awserrors import ErrorKind
from lab.endpoint.live import Setup
from lab.endpoint.metrics.counters import Counters
from lab.progress import Silent
from tests.cloud.faults import Call
from tests.cloud.world import World, posted

NAME = "inference-lab-test"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture(name="aws")
def _aws(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with open_session() as session:
        yield session


def minutes(*told: tuple[int, dict[str, list[float]]]) -> dict[str, Any]:
    """CloudWatch's answer: for each minute after noon each metric's values in microseconds."""
    results = []
    for name in ("ModelLatency", "OverheadLatency", "ModelSetupTime"):
        for statistic in ("SampleCount", "Sum"):
            points = [
                (NOON + timedelta(minutes=minute), values[name])
                for minute, values in told
                if values.get(name)
            ]
            results.append(
                {
                    "Id": f"{name}{statistic}".lower(),
                    "Label": name,
                    "Timestamps": [at for at, _ in points],
                    "Values": [
                        float(len(values)) if statistic == "SampleCount" else sum(values)
                        for _, values in points
                    ],
                    "StatusCode": "Complete",
                }
            )
    return {"MetricDataResults": results}


def window(begin_s: float, end_s: float, requests: int = 1) -> Window:
    return Window(
        begin=NOON + timedelta(seconds=begin_s),
        end=NOON + timedelta(seconds=end_s),
        requests=requests,
    )


class Waits(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def asked(aws: AwsSession, windows: Sequence[Window], *, wait_s: float = 600.0) -> Any:
    waits = Waits()
    metrics = CloudWatch(aws, NAME, sleep=waits)
    return metrics.later(windows, wait_s=wait_s, step=Silent()), metrics, waits


def test_microseconds_become_seconds_and_minutes_a_window(world: World, aws: AwsSession) -> None:
    world.faults.answer(
        "cloudwatch:GetMetricData",
        minutes(
            (0, {"ModelLatency": [90_000.0], "OverheadLatency": [5_000_000.0]}),
            (1, {"ModelLatency": [40_000.0, 60_000.0], "OverheadLatency": [9_000.0, 11_000.0]}),
            (2, {"ModelLatency": [20_000.0], "OverheadLatency": [10_000.0]}),
        ),
    )
    (found,), metrics, waits = asked(aws, [window(65, 130, 3)])
    assert found.requests == 3
    assert found.model_latency_s == pytest.approx(0.04)
    assert found.overhead_s == pytest.approx(0.01)
    assert (found.setup_s, found.setups) == (None, 0)
    assert metrics.asked == 6
    assert waits == []


def test_a_cold_request_has_its_setup_time(world: World, aws: AwsSession) -> None:
    world.faults.answer(
        "cloudwatch:GetMetricData",
        minutes(
            (
                0,
                {
                    "ModelLatency": [50_000.0],
                    "OverheadLatency": [6e6],
                    "ModelSetupTime": [5_672_800.0],
                },
            ),
            (15, {"ModelLatency": [50_000.0], "OverheadLatency": [9_000.0]}),
        ),
    )
    (cold, warm), _, _ = asked(aws, [window(5, 11), window(905, 906)])
    assert (cold.setup_s, cold.setups) == (pytest.approx(5.6728), 1)
    assert (warm.setup_s, warm.setups) == (None, 0)


def test_the_endpoint_and_its_variant_are_asked_for_by_the_minute(
    world: World, aws: AwsSession
) -> None:
    calls: list[Call] = []

    def remember(call: Call) -> dict[str, Any]:
        calls.append(call)
        return minutes((0, {"ModelLatency": [1.0]}))

    world.faults.answer("cloudwatch:GetMetricData", remember)
    asked(aws, [window(0, 1)])
    for word in ("AWS/SageMaker", NAME, "AllTraffic", "ModelSetupTime", "SampleCount"):
        assert word in posted(calls[0])


def test_it_waits_for_what_cloudwatch_has_not_yet(world: World, aws: AwsSession) -> None:
    said = iter([minutes(), minutes(), minutes((0, {"ModelLatency": [1e4]}))])
    world.faults.answer("cloudwatch:GetMetricData", lambda _: next(said))
    (found,), metrics, waits = asked(aws, [window(0, 1)])
    assert found.model_latency_s == pytest.approx(0.01)
    assert waits == [30.0, 30.0]
    assert metrics.asked == 18


def test_it_does_not_wait_for_ever(world: World, aws: AwsSession) -> None:
    world.faults.answer("cloudwatch:GetMetricData", minutes())
    (found,), _, waits = asked(aws, [window(0, 1)], wait_s=70.0)
    assert found is None
    assert waits == [30.0, 30.0, 10.0]


def test_no_window_asks_for_nothing(world: World, aws: AwsSession) -> None:
    found, metrics, _ = asked(aws, [])
    assert list(found) == []
    assert metrics.asked == 0
    assert world.faults.calls == []


def test_a_denied_metric_names_the_permission(world: World, aws: AwsSession) -> None:
    world.faults.deny("cloudwatch:GetMetricData")
    with pytest.raises(CallError, match="cloudwatch:GetMetricData") as caught:
        asked(aws, [window(0, 1)])
    assert caught.value.kind is ErrorKind.DENIED


def test_the_next_minute_is_the_first_that_nothing_before_fell_into() -> None:
    assert next_minute(NOON) == NOON + timedelta(minutes=1)
    assert next_minute(NOON + timedelta(seconds=59.9)) == NOON + timedelta(minutes=1)


class Page:
    """The emulator's own page, as it is made."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.meter = Counters(registry=self.registry)

    def metrics(self) -> str:
        return generate_latest(self.registry).decode()

    def request(self, seconds: float, overhead: float, setup: float | None = None) -> None:
        self.meter.invocation(
            NAME,
            "AllTraffic",
            model_status=200,
            model_s=seconds,
            overhead_s=overhead,
            setup=None if setup is None else Setup(total_s=setup, phases_s={}),
        )


def test_the_emulator_tells_of_each_request_at_once() -> None:
    page = Page()
    page.request(9.0, 9.0, 9.0)
    metrics = EmulatorMetrics(page, NAME)  # type: ignore[arg-type]
    metrics.mark()
    assert metrics.now() is None
    page.request(0.05, 2.01, 2.0)
    cold = metrics.now()
    metrics.mark()
    page.request(0.03, 0.01)
    warm = metrics.now()
    assert cold is not None
    assert (cold.requests, cold.setups) == (1, 1)
    assert cold.setup_s == pytest.approx(2.0)
    assert cold.overhead_s == pytest.approx(2.01)
    assert warm is not None
    assert warm.model_latency_s == pytest.approx(0.03)
    assert (warm.setup_s, warm.setups) == (None, 0)


def test_the_emulator_s_first_request_ever_is_told_too() -> None:
    page = Page()
    metrics = EmulatorMetrics(page, NAME)  # type: ignore[arg-type]
    metrics.mark()
    page.request(0.05, 0.01)
    told = metrics.now()
    assert told is not None
    assert told.model_latency_s == pytest.approx(0.05)
