"""What ``GET /metrics`` tells. Observing costs microseconds; prometheus-client comes in late.

Importing prometheus-client takes as long as half a start of the slim server, so observations are
kept in a list until it is there: ``open`` brings it in, at the first ``/metrics`` at the latest.
"""

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client import CollectorRegistry

_SECONDS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075,
    0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Bucket edges: dense where a small model's prediction lies, up to SageMaker's 60 s."""

_KEPT = 10_000
"""Observations kept before prometheus-client is there; then it is brought in."""


class Metrics:
    """Counters and histograms of one process; other workers' are added when shown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._early: list[tuple[int, float, float | None, Sequence[int]]] = []
        self._series: _Series | None = None
        self._startup: Mapping[str, float] = {}

    def observe(
        self,
        *,
        status: int,
        request_s: float,
        prediction_s: float | None = None,
        grades: "Sequence[int]" = (),
    ) -> None:
        """Count one request to ``/invocations``."""
        series = self._series
        if series is not None:
            series.observe(status, request_s, prediction_s, grades)
            return
        with self._lock:
            if self._series is None:
                self._early.append((status, request_s, prediction_s, grades))
                if len(self._early) < _KEPT:
                    return
            else:
                self._series.observe(status, request_s, prediction_s, grades)
                return
        self.open()

    def started(self, seconds: "Mapping[str, float]") -> None:
        """Note how long each part of the start took."""
        with self._lock:
            self._startup = seconds
            if self._series is not None:
                self._series.started(seconds)

    def open(self) -> "_Series":
        """Bring in prometheus-client and hand it what was observed so far."""
        with self._lock:
            if self._series is None:
                series = _Series()
                series.started(self._startup)
                for observation in self._early:
                    series.observe(*observation)
                self._early.clear()
                self._series = series
            return self._series

    def page(self) -> tuple[str, bytes]:
        """Content type and body for ``GET /metrics``."""
        return self.open().page()


class _Series:
    """The metrics as prometheus-client knows them."""

    def __init__(self) -> None:
        # In a process with PROMETHEUS_MULTIPROC_DIR set, values live in files of that folder.
        from prometheus_client import (  # noqa: PLC0415  # see above: late on purpose
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
        )

        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "lab_inference_requests",
            "Requests to /invocations, by the status they were answered with.",
            ["status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "lab_inference_request_seconds",
            "From the request's head received to its answer ready, of requests to /invocations.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._prediction_seconds = Histogram(
            "lab_inference_prediction_seconds",
            "The model's run alone, per request (a batch is one run).",
            buckets=_SECONDS,
            registry=registry,
        )
        self._predictions = Counter(
            "lab_inference_predictions",
            "Images predicted, by the grade they got.",
            ["grade"],
            registry=registry,
        )
        self._startup = Gauge(
            "lab_inference_startup_seconds",
            "How long each part of the start took: the time up to the mark of that name.",
            ["phase"],
            registry=registry,
            multiprocess_mode="max",
        )

    def observe(
        self, status: int, request_s: float, prediction_s: float | None, grades: "Sequence[int]"
    ) -> None:
        self._requests.labels(str(status)).inc()
        self._request_seconds.observe(request_s)
        if prediction_s is not None:
            self._prediction_seconds.observe(prediction_s)
        for grade in grades:
            self._predictions.labels(str(grade)).inc()

    def started(self, seconds: "Mapping[str, float]") -> None:
        for phase, value in seconds.items():
            self._startup.labels(phase).set(value)

    def page(self) -> tuple[str, bytes]:
        from prometheus_client.exposition import (  # noqa: PLC0415
            CONTENT_TYPE_LATEST,
            generate_latest,
        )

        return CONTENT_TYPE_LATEST, generate_latest(self._all_workers())

    def _all_workers(self) -> "CollectorRegistry":
        import os  # noqa: PLC0415

        if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return self._registry
        from prometheus_client import CollectorRegistry  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry
