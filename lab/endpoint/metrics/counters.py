"""CloudWatch's metrics of an endpoint, by name and definition, for Prometheus.

Names are CloudWatch's in Prometheus's spelling and base units: microseconds become seconds,
percentages ratios. Each help text begins with CloudWatch's name. Labels are CloudWatch's
dimensions, and only the few of them that stay few.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from lab.endpoint.live import Fleet, Setup
from lab.endpoint.metrics.gauges import ENDPOINT, VARIANT, Backlogs, Present
from lab.endpoint.metrics.sampler import Sampler
from lab.endpoint.records import EndpointKind, EndpointRecord

BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0),
)
"""1 ms to 120 s."""
_LONG: Final = (*BUCKETS, 300.0, 900.0, 3600.0, 21600.0)
"""An asynchronous request may wait 6 hours and run for one."""

COUNTERS: Final = {
    "invocations": "Invocations: requests sent to the endpoint.",
    "invocation_4xx_errors": "Invocation4XXErrors: requests the model answered with 4xx.",
    "invocation_5xx_errors": "Invocation5XXErrors: requests the model answered with 5xx.",
    "invocation_model_errors": (
        "InvocationModelErrors: answered by anything but 2XX; timeouts and broken connections"
        " count."
    ),
    "throttled_invocations": (
        "Requests turned away above MaxConcurrency; CloudWatch has no metric of them."
    ),
    "cold_starts": "Requests that waited for a container to start.",
    "container_starts": "Containers that got ready.",
    "container_start_failures": "Containers that did not.",
    "container_replacements": "Containers that had been ready, died or failed /ping.",
    "container_oom_kills": "Of these, killed for their memory.",
}
PROVISIONED_COUNTERS: Final = {
    "serverless_provisioned_concurrency_invocations": (
        "ServerlessProvisionedConcurrencyInvocations: handled by provisioned concurrency."
    ),
    "serverless_provisioned_concurrency_spillover_invocations": (
        "ServerlessProvisionedConcurrencySpilloverInvocations: handled beside it, as all of it was"
        " in use."
    ),
}
TIMES: Final = {
    "model_latency": "ModelLatency: from request to answer of the container.",
    "overhead_latency": (
        "OverheadLatency: from request to answer of the endpoint, less ModelLatency; a cold start"
        " is in it."
    ),
    "model_setup_time": (
        "ModelSetupTime: to launch the compute that a request waited for (download, start)."
    ),
    "container_start": "From asking for a container to its /ping 200.",
    "container_start_phase": "The phases of that, as the cold-start bench names them.",
}
_MORE_LABELS: Final = {"container_start_phase": ("phase",)}
ASYNC_COUNTERS: Final = {
    # CloudWatch's name (its documentation spells the first with three s), ours, definition.
    "InvocationsProcessed": ("invocations_processed", "asynchronous requests processed"),
    "InvocationFailures": ("invocation_failures", "asynchronous requests that failed"),
    "ExpiredRequests": ("expired_requests", "requests that reached their TTL in the queue"),
    "RequestDownloadFailures": ("request_download_failures", "inputs not got from S3"),
    "ResponseUploadFailures": ("response_upload_failures", "results not brought to S3"),
    "NotificationFailures": (
        "notification_failures",
        "notifications not published; the emulator has no SNS and logs what it would publish",
    ),
}
ASYNC_TIMES: Final = {
    "TimeInBacklog": ("time_in_backlog", "from being accepted to being processed"),
    "TotalProcessingTime": ("total_processing_time", "from being accepted to the result in S3"),
    "RequestDownloadLatency": ("request_download_latency", "to get the input from S3"),
    "ResponseUploadLatency": ("response_upload_latency", "to bring the result to S3"),
    "ModelLatency": ("model_latency", "from request to answer of the container"),
}


class _Variant:
    """The series of one variant, looked up once: ``invocation`` runs for every request."""

    __slots__ = ("errors", "faults", "invoked", "latency", "overhead", "rejected")

    def __init__(
        self,
        counters: Mapping[str, Counter],
        times: Mapping[str, Histogram],
        labels: tuple[str, str],
    ) -> None:
        self.invoked = counters["invocations"].labels(*labels).inc
        self.rejected = counters["invocation_4xx_errors"].labels(*labels).inc
        self.faults = counters["invocation_5xx_errors"].labels(*labels).inc
        self.errors = counters["invocation_model_errors"].labels(*labels).inc
        self.latency = times["model_latency"].labels(*labels).observe
        self.overhead = times["overhead_latency"].labels(*labels).observe


class Counters:
    """Counts for Prometheus. Give it what it should look at with ``watch`` before serving.

    All durations are in seconds.
    """

    def __init__(self, *, registry: CollectorRegistry) -> None:
        # A series beside each of ours that says when it began, which nothing asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        self._variants: dict[tuple[str, str], _Variant] = {}
        self._names: set[str] = set()
        self._fleet: Fleet | None = None
        self._counters = {
            name: Counter(f"sagemaker_{name}", text, VARIANT, registry=registry)
            for name, text in (COUNTERS | PROVISIONED_COUNTERS).items()
        }
        self._times = {
            name: Histogram(
                f"sagemaker_{name}_seconds",
                text,
                (*VARIANT, *_MORE_LABELS.get(name, ())),
                buckets=BUCKETS,
                registry=registry,
            )
            for name, text in TIMES.items()
        }
        self._async_counters = {
            event: Counter(
                f"sagemaker_async_{name}", f"{event}: {text}.", ENDPOINT, registry=registry
            )
            for event, (name, text) in ASYNC_COUNTERS.items()
        }
        self._async_times = {
            event: Histogram(
                f"sagemaker_async_{name}_seconds",
                f"{event}: {text}.",
                ENDPOINT,
                buckets=_LONG,
                registry=registry,
            )
            for event, (name, text) in ASYNC_TIMES.items()
        }

    @property
    def families(self) -> Sequence[Counter | Histogram]:
        """All that is counted and timed here."""
        return (
            *self._counters.values(),
            *self._times.values(),
            *self._async_counters.values(),
            *self._async_times.values(),
        )

    def watch(
        self,
        *,
        fleet: Fleet,
        sampler: Sampler,
        backlogs: Backlogs,
        records: Callable[[], Iterable[EndpointRecord]],
    ) -> None:
        """Show, whenever asked, also what these hold at that moment. Once."""
        self._fleet = fleet
        self._registry.register(
            Present(fleet=fleet, sampler=sampler, backlogs=backlogs, records=records)
        )

    def keep(self, endpoints: Collection[str]) -> None:
        """Drop the series of all endpoints but these: the others were deleted."""
        for name in self._names.difference(endpoints):
            self._names.discard(name)
            for family in self.families:
                family.remove_by_labels({"endpoint": name})
            for key in [key for key in self._variants if key[0] == name]:
                del self._variants[key]

    def invocation(
        self,
        endpoint: str,
        variant: str,
        *,
        model_status: int | None,
        model_s: float | None,
        overhead_s: float,
        setup: Setup | None,
    ) -> None:
        """One request that reached a variant: some 10 microseconds.

        ``model_status`` None: no HTTP answer.
        """
        series = self._of(endpoint, variant)
        series.invoked()
        if model_s is not None:
            series.latency(model_s)
        series.overhead(overhead_s)
        if model_status is None or not 200 <= model_status < 300:
            series.errors()
            if model_status is not None and 400 <= model_status < 500:
                series.rejected()
            elif model_status is not None and 500 <= model_status < 600:
                series.faults()
        if setup is not None:
            self._counters["cold_starts"].labels(endpoint, variant).inc()
            self._times["model_setup_time"].labels(endpoint, variant).observe(setup.total_s)
        held = self._provision(endpoint, variant)
        if held is not None:
            # Which of the containers it ran on is not said: more requests than are provisioned
            # for, or a start, mean that it was not one of those.
            provisioned, in_flight = held
            spilled = "_spillover" if setup is not None or in_flight > provisioned else ""
            name = f"serverless_provisioned_concurrency{spilled}_invocations"
            self._counters[name].labels(endpoint, variant).inc()

    def throttled(self, endpoint: str, variant: str) -> None:
        self._count("throttled_invocations", endpoint, variant)

    def started(self, endpoint: str, variant: str, setup: Setup) -> None:
        self._count("container_starts", endpoint, variant)
        self._times["container_start"].labels(endpoint, variant).observe(setup.total_s)
        phases = self._times["container_start_phase"]
        for phase, seconds in setup.phases_s.items():
            phases.labels(endpoint, variant, phase.value).observe(seconds)

    def start_failed(self, endpoint: str, variant: str) -> None:
        self._count("container_start_failures", endpoint, variant)

    def replaced(self, endpoint: str, variant: str, *, oom_killed: bool) -> None:
        """A server that had been ready died or was unhealthy, and is replaced."""
        self._count("container_replacements", endpoint, variant)
        if oom_killed:
            self._count("container_oom_kills", endpoint, variant)

    def asynchronous(self, endpoint: str, event: str, seconds: float | None = None) -> None:
        """An event of asynchronous inference, by CloudWatch's name. ``KeyError`` for any other."""
        self._names.add(endpoint)
        if seconds is None:
            self._async_counters[event].labels(endpoint).inc()
        else:
            self._async_times[event].labels(endpoint).observe(seconds)

    def _of(self, endpoint: str, variant: str) -> _Variant:
        # All of a variant's series begin at 0 together, so that no rate misses the first error.
        key = (endpoint, variant)
        series = self._variants.get(key)
        if series is None:
            series = self._variants[key] = _Variant(self._counters, self._times, key)
            self._names.add(endpoint)
            for name in COUNTERS:
                self._counters[name].labels(*key)
        return series

    def _count(self, name: str, endpoint: str, variant: str) -> None:
        self._of(endpoint, variant)
        self._counters[name].labels(endpoint, variant).inc()

    def _provision(self, endpoint: str, variant: str) -> tuple[int, int] | None:
        live = self._fleet.live(endpoint) if self._fleet else None
        if live is None or live.kind is not EndpointKind.SERVERLESS:
            return None
        for one in live.variants:
            if one.name == variant and one.pool.plan.initial_count:
                return one.pool.plan.initial_count, one.pool.in_flight
        return None
