"""An endpoint, its metrics and a clock that do what a test says."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.aws.measure.metrics import Window
from lab.aws.measure.record import MetricReading
from lab.aws.measure.session import MeasureClock
from lab.progress import Step

BEGIN = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def answer(*probabilities: float, seconds: float = 0.05) -> bytes:
    row = list(probabilities)
    prediction = {"grade": row.index(max(row)), "label": "x", "probabilities": row}
    return json.dumps({"predictions": [prediction], "prediction_seconds": seconds}).encode()


class Time(MeasureClock):
    """Stands still until somebody waits."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds


class Asked:
    """An endpoint. What it does for each request is a script; the last entry goes on."""

    name = "inference-lab-test"

    def __init__(self, clock: Time, *script: Callable[[], bytes], took: float = 0.2) -> None:
        self.clock = clock
        self.took = took
        self.at: list[float] = []
        self.cooled = 0
        self._script = list(script) or [lambda: answer(0.1, 0.9)]

    def invoke(self, body: bytes, content_type: str) -> bytes:
        assert body
        assert content_type == "image/png"
        self.at.append(self.clock.passed)
        self.clock.passed += self.took
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return step()

    def cool(self) -> bool:
        self.cooled += 1
        return True


class Told:
    """Metrics that tell at once, or later what a test says."""

    def __init__(
        self,
        at_once: Callable[[], MetricReading | None] = lambda: None,
        later: Callable[[Window], MetricReading | None] = lambda _: None,
    ) -> None:
        self.asked = 0
        self.windows: list[Window] = []
        self._at_once = at_once
        self._later = later

    def mark(self) -> None:
        return

    def now(self) -> MetricReading | None:
        return self._at_once()

    def later(
        self, windows: Sequence[Window], *, wait_s: float, step: Step
    ) -> Sequence[MetricReading | None]:
        self.windows = list(windows)
        self.asked += 6
        return [self._later(window) for window in windows]


def reading(*, requests: int = 1, setup_s: float | None = None, **changes: Any) -> MetricReading:
    fields: dict[str, Any] = {
        "requests": requests,
        "model_latency_s": 0.05,
        "overhead_s": 0.01 + (setup_s or 0.0),
        "setup_s": setup_s,
        "setups": 0 if setup_s is None else requests,
    }
    return MetricReading(**fields | changes)
