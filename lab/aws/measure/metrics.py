"""What the endpoint measures of its own requests: CloudWatch's figures, or the emulator's."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from typing import Protocol as Interface

from prometheus_client.parser import text_string_to_metric_families

from lab.aws.access.session import AwsSession
from lab.aws.measure.record import MeasuredRequest, MetricReading, Protocol
from lab.aws.stack.template import VARIANT
from lab.endpoint.client import EmulatorClient
from lab.progress import Step

_NAMESPACE: Final = "AWS/SageMaker"
_MINUTE: Final = timedelta(minutes=1)
_MICRO: Final = 1e-6
_NAMES: Final = ("ModelLatency", "OverheadLatency", "ModelSetupTime")
_STATISTICS: Final = ("SampleCount", "Sum")
_POLL_S: Final = 30.0
_ROOM_S: Final = 60.0
"""CloudWatch has a clock of its own, and may tell of a launch a minute before its request."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """When some requests were made that are told together."""

    begin: datetime
    end: datetime
    requests: int


class EndpointMetrics(Interface):
    """Where an endpoint's own figures come from."""

    @property
    def asked(self) -> int:
        """How many metrics were asked for so far, at a price."""

    def mark(self) -> None:
        """A request comes now."""

    def now(self) -> MetricReading | None:
        """Of the requests since ``mark``; None when it can only be told later, or not at all."""

    def later(
        self, windows: Sequence[Window], *, wait_s: float, step: Step
    ) -> Sequence[MetricReading | None]:
        """Of each window. Waits up to ``wait_s`` for what is late; None for what is not told."""


class CloudWatch:
    """CloudWatch keeps sums by the minute, and has them some minutes late.

    What falls into a minute cannot be told apart: a window is as many whole minutes as it touches.
    """

    def __init__(
        self,
        aws: AwsSession,
        endpoint: str,
        variant: str = VARIANT,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.asked = 0
        self._aws = aws
        self._dimensions = [
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ]
        self._sleep = sleep

    def mark(self) -> None:
        """Nothing: it tells by the clock."""

    def now(self) -> MetricReading | None:
        return None

    def later(
        self, windows: Sequence[Window], *, wait_s: float, step: Step
    ) -> Sequence[MetricReading | None]:
        """Ask until every window has told of all its requests, or the time is up."""
        waited = 0.0
        while windows:
            minutes = self._minutes(
                min(one.begin for one in windows), max(one.end for one in windows)
            )
            found = [_merged(minutes, window) for window in windows]
            late = [
                window
                for window, one in zip(windows, found, strict=True)
                if one is None or one.requests < window.requests
            ]
            if not late or waited >= wait_s:
                return found
            step.detail(f"{len(windows) - len(late)} of {len(windows)} told by CloudWatch")
            step.advance(waited, wait_s)
            pause = min(_POLL_S, wait_s - waited)
            self._sleep(pause)
            waited += pause
        return []

    def _minutes(
        self, begin: datetime, end: datetime
    ) -> Mapping[datetime, Mapping[tuple[str, str], float]]:
        """Of each minute each metric's count and its sum in seconds."""
        wanted = {
            f"{name}{statistic}".lower(): (name, statistic)
            for name in _NAMES
            for statistic in _STATISTICS
        }
        queries = [
            {
                "Id": key,
                "MetricStat": {
                    "Metric": {
                        "Namespace": _NAMESPACE,
                        "MetricName": name,
                        "Dimensions": self._dimensions,
                    },
                    "Period": 60,
                    "Stat": statistic,
                },
            }
            for key, (name, statistic) in wanted.items()
        ]
        self.asked += len(queries)
        results = self._aws.every(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults",
            doing="Reading the endpoint's metrics",
            MetricDataQueries=queries,
            StartTime=_floor(begin),
            EndTime=_floor(end) + _MINUTE,
            ScanBy="TimestampAscending",
        )
        found: dict[datetime, dict[tuple[str, str], float]] = {}
        for result in results:
            name, statistic = wanted[result["Id"]]
            scale = _MICRO if statistic == "Sum" else 1.0
            for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                found.setdefault(at.astimezone(UTC), {})[name, statistic] = value * scale
        return found


class EmulatorMetrics:
    """The emulator counts at once, so each request can be told from the one before."""

    asked = 0

    def __init__(self, client: EmulatorClient, endpoint: str, variant: str = VARIANT) -> None:
        self._client = client
        self._labels = {"endpoint": endpoint, "variant": variant}
        self._before: Mapping[str, tuple[float, float]] = {}

    def mark(self) -> None:
        self._before = self._counters()

    def now(self) -> MetricReading | None:
        """What came on top since."""
        after = self._counters()
        added = {
            name: (after[name][0] - self._before[name][0], after[name][1] - self._before[name][1])
            for name in _NAMES
            if name in after and name in self._before
        }
        return _reading(added)

    def later(self, windows: Sequence[Window], **_: Any) -> Sequence[MetricReading | None]:
        """Nothing: it keeps no times."""
        return [None for _ in windows]

    def _counters(self) -> Mapping[str, tuple[float, float]]:
        """Of each metric how many, and their sum in seconds; 0 for one that has not begun."""
        ours = {
            "sagemaker_model_latency_seconds": "ModelLatency",
            "sagemaker_overhead_latency_seconds": "OverheadLatency",
            "sagemaker_model_setup_time_seconds": "ModelSetupTime",
        }
        found = dict.fromkeys(ours.values(), (0.0, 0.0))
        for family in text_string_to_metric_families(self._client.metrics()):
            name = ours.get(family.name)
            if name is None:
                continue
            values = {
                sample.name.removeprefix(family.name): sample.value
                for sample in family.samples
                if all(sample.labels.get(key) == value for key, value in self._labels.items())
                and "le" not in sample.labels
            }
            if "_count" in values:
                found[name] = (values["_count"], values["_sum"])
        return found


def _merged(
    minutes: Mapping[datetime, Mapping[tuple[str, str], float]], window: Window
) -> MetricReading | None:
    begin, end = _floor(window.begin), _floor(window.end)
    inside = [values for at, values in minutes.items() if begin <= at <= end]
    return _reading(
        {
            name: (
                sum(values.get((name, "SampleCount"), 0.0) for values in inside),
                sum(values.get((name, "Sum"), 0.0) for values in inside),
            )
            for name in _NAMES
        }
    )


def _reading(told: Mapping[str, tuple[float, float]]) -> MetricReading | None:
    """From each metric's count and sum; None when no request was counted."""
    latencies = told.get("ModelLatency", (0.0, 0.0))
    if latencies[0] < 1:
        return None
    setups = told.get("ModelSetupTime", (0.0, 0.0))
    return MetricReading(
        requests=round(latencies[0]),
        model_latency_s=_mean(latencies),
        overhead_s=_mean(told.get("OverheadLatency", (0.0, 0.0))),
        setup_s=_mean(setups),
        setups=round(setups[0]),
    )


def _mean(told: tuple[float, float]) -> float | None:
    count, total = told
    return total / count if count >= 1 and math.isfinite(total) else None


def _floor(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def next_minute(at: datetime) -> datetime:
    """The first whole minute that begins after ``at``."""
    return _floor(at) + _MINUTE


def warm_window(samples: Sequence[MeasuredRequest]) -> Window | None:
    """Of the counted warm requests, without the minute of the one that may have been cold."""
    warm = [one for one in samples if one.protocol is Protocol.WARM and one.failure is None]
    counted = [one for one in warm if one.number and one.reading is None]
    if not counted:
        return None
    first = [one for one in warm if not one.number]
    after = next_minute(_time(first[-1].ended_at)) if first else _time(counted[0].started_at)
    inside = [one for one in counted if _time(one.started_at) >= after] or counted
    return Window(
        begin=_time(inside[0].started_at),
        end=_time(inside[-1].ended_at),
        requests=len(inside),
    )


def cold_window(sample: MeasuredRequest) -> Window:
    """Of one request, with room for clocks that differ as far as the pauses around it allow."""
    room = timedelta(seconds=min(_ROOM_S, sample.idle_s / 3))
    return Window(
        begin=_time(sample.started_at) - room, end=_time(sample.ended_at) + room, requests=1
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
