"""What ``GET /metrics`` tells. Observing costs microseconds; prometheus-client comes in late.

Importing prometheus-client takes as long as half a start of the slim server, so observations are
kept in a list until it is there: ``open`` brings it in, at the first ``/metrics`` at the latest.
"""

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from .reference import Bins
    from .tasks import Feature

    Noted = Sequence[Mapping[str, float]]
    """The features of each instance of a request, by name."""

_SECONDS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075,
    0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Bucket edges: dense where a small model's prediction lies, up to SageMaker's 60 s."""

_ANSWER = "answer"
"""The label of what instances are counted by, whichever task: boards need not know its labels."""

_KEPT = 10_000
"""Observations kept before prometheus-client is there; then it is brought in."""


class Metrics:
    """Counters and histograms of one process; other workers' are added when shown."""

    def __init__(self, complain: "Callable[[str], None]" = print) -> None:
        self._complain = complain
        self._lock = threading.Lock()
        self._early: list[tuple[int, float, float | None, Noted]] = []
        self._series: _Series | None = None
        self._startup: Mapping[str, float] = {}
        self._features: Sequence[Feature] = ()
        self._reference: object = None

    def observe(
        self,
        *,
        status: int,
        request_s: float,
        prediction_s: float | None = None,
        noted: "Noted" = (),
    ) -> None:
        """Count one request to ``/invocations``."""
        series = self._series
        if series is not None:
            series.observe(status, request_s, prediction_s, noted)
            return
        with self._lock:
            if self._series is None:
                self._early.append((status, request_s, prediction_s, noted))
                if len(self._early) < _KEPT:
                    return
            else:
                self._series.observe(status, request_s, prediction_s, noted)
                return
        self.open()

    def started(self, seconds: "Mapping[str, float]") -> None:
        """Note how long each part of the start took."""
        with self._lock:
            self._startup = seconds
            if self._series is not None:
                self._series.started(seconds)

    def describe(self, features: "Sequence[Feature]", reference: object) -> None:
        """Count what the task notes, and compare it with the model's ``reference``; None is none.

        Called once, before the first prediction. A reference that makes no sense is ignored, with
        one line in the log.
        """
        with self._lock:
            self._features, self._reference = features, reference
            if self._series is not None:
                self._series.describe(features, self._bins())

    def _bins(self) -> "Mapping[str, Bins]":
        if self._reference is None:
            return {}
        from . import reference  # late, like prometheus-client

        drifting = [feature.name for feature in self._features if feature.drifts]
        try:
            return reference.read(self._reference, drifting)
        except ValueError as error:
            self._complain(f"The reference in model.json is ignored, drift is not shown: {error}.")
            return {}

    def open(self) -> "_Series":
        """Bring in prometheus-client and hand it what was observed so far."""
        with self._lock:
            if self._series is None:
                series = _Series()
                series.started(self._startup)
                series.describe(self._features, self._bins())
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
        from prometheus_client import (  # see above: late on purpose
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
        self._bin = Counter(
            "lab_inference_drift_bin",
            "Instances, by the bin of the model's reference that a feature of theirs is in.",
            ["feature", "bin"],
            registry=registry,
        )
        self._reference_ratio = Gauge(
            "lab_inference_drift_reference_ratio",
            "The bin's share of the inputs that the model was tested on.",
            ["feature", "bin"],
            registry=registry,
            multiprocess_mode="max",
        )
        self._counting: Sequence[tuple[str, Callable[[float], None]]] = ()
        self._drifting: Sequence[tuple[str, Bins, Sequence[Counter]]] = ()
        self._startup = Gauge(
            "lab_inference_startup_seconds",
            "How long each part of the start took: the time up to the mark of that name.",
            ["phase"],
            registry=registry,
            multiprocess_mode="max",
        )

    def observe(
        self, status: int, request_s: float, prediction_s: float | None, noted: "Noted"
    ) -> None:
        self._requests.labels(str(status)).inc()
        self._request_seconds.observe(request_s)
        if prediction_s is not None:
            self._prediction_seconds.observe(prediction_s)
        for one in noted:
            for feature, count in self._counting:
                count(one[feature])
            for feature, bins, counters in self._drifting:
                counters[bins.place(one[feature])].inc()

    def describe(self, features: "Sequence[Feature]", reference: "Mapping[str, Bins]") -> None:
        """Show all bins from the start: one that is missing would be missing in the sums."""
        self._counting = [(feature.name, self._counter(feature)) for feature in features]
        drifting = []
        for name, bins in reference.items():
            for label, share in zip(bins.labels, bins.share, strict=True):
                self._reference_ratio.labels(name, label).set(share)
            counters = [self._bin.labels(name, label) for label in bins.labels]
            drifting.append((name, bins, counters))
        self._drifting = drifting

    def _counter(self, feature: "Feature") -> "Callable[[float], None]":
        from prometheus_client import Counter, Histogram

        name = f"lab_inference_{feature.metric}"
        if feature.buckets:
            return Histogram(
                name, feature.help, buckets=feature.buckets, registry=self._registry
            ).observe
        counter = Counter(name, feature.help, [_ANSWER], registry=self._registry)
        return lambda value: counter.labels(str(value)).inc()

    def started(self, seconds: "Mapping[str, float]") -> None:
        for phase, value in seconds.items():
            self._startup.labels(phase).set(value)

    def page(self) -> tuple[str, bytes]:
        from prometheus_client.exposition import (
            CONTENT_TYPE_LATEST,
            generate_latest,
        )

        return CONTENT_TYPE_LATEST, generate_latest(self._all_workers())

    def _all_workers(self) -> "CollectorRegistry":
        import os

        if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return self._registry
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry
