"""CloudWatch's metrics of an endpoint, by name and definition, for Prometheus.

Names are CloudWatch's in Prometheus's spelling and base units: microseconds become seconds,
percentages ratios. Each help text begins with CloudWatch's name. Labels are CloudWatch's
dimensions, and only the few of them that stay few.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from lab.endpoint.live import Fleet, Setup
from lab.endpoint.metrics.containers import ContainerMetrics, Examined
from lab.endpoint.metrics.gauges import VARIANT, Backlogs, Present, States, Usages
from lab.endpoint.metrics.meter import Meter
from lab.endpoint.records import EndpointKind, EndpointRecord

BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0),
)
"""1 ms to 120 s."""
_LONG: Final = (*BUCKETS, 300.0, 900.0, 3600.0, 21600.0)
"""An asynchronous request may wait 6 hours and run for one."""

_OK, _CLIENT, _SERVER, _END = 200, 400, 500, 600

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

    __slots__ = ("errors", "failed", "faults", "invoked", "latency", "overhead", "rejected")

    def __init__(self, of: "Counters", labels: tuple[str, str]) -> None:
        self.invoked = of._invocations.labels(*labels).inc  # noqa: SLF001 - the two are one
        self.rejected = of._rejected.labels(*labels).inc  # noqa: SLF001
        self.faults = of._faults.labels(*labels).inc  # noqa: SLF001
        self.errors = of._errors.labels(*labels).inc  # noqa: SLF001
        self.latency = of._latency.labels(*labels).observe  # noqa: SLF001
        self.overhead = of._overhead.labels(*labels).observe  # noqa: SLF001


class Counters(Meter):
    """Counts for Prometheus. Give it what it should look at with ``watch`` before serving."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        # A series beside each of ours that says when it began, which nothing asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        self._families: list[Counter | Histogram] = []
        self._variants: dict[tuple[str, str], _Variant] = {}
        self._asynchronous: dict[tuple[str, str], Callable[..., None]] = {}
        self._names: set[str] = set()
        self._fleet: Fleet | None = None

        count, time = self._count, self._time
        self._invocations = count("invocations", "Invocations: requests sent to the endpoint.")
        self._rejected = count(
            "invocation_4xx_errors", "Invocation4XXErrors: requests the model answered with 4xx."
        )
        self._faults = count(
            "invocation_5xx_errors", "Invocation5XXErrors: requests the model answered with 5xx."
        )
        self._errors = count(
            "invocation_model_errors",
            "InvocationModelErrors: answered by anything but 2XX; timeouts and broken connections"
            " count.",
        )
        self._throttles = count(
            "throttled_invocations",
            "Requests turned away above MaxConcurrency; CloudWatch has no metric of them.",
        )
        self._latency = time(
            "model_latency", "ModelLatency: from request to answer of the container."
        )
        self._overhead = time(
            "overhead_latency",
            "OverheadLatency: from request to answer of the endpoint, less ModelLatency; a cold"
            " start is in it.",
        )
        self._setup = time(
            "model_setup_time",
            "ModelSetupTime: to launch the compute that a request waited for (download, start).",
        )
        self._cold = count("cold_starts", "Requests that waited for a container to start.")
        self._provisioned = count(
            "serverless_provisioned_concurrency_invocations",
            "ServerlessProvisionedConcurrencyInvocations: handled by provisioned concurrency.",
        )
        self._spilled = count(
            "serverless_provisioned_concurrency_spillover_invocations",
            "ServerlessProvisionedConcurrencySpilloverInvocations: handled beside it, as all of it"
            " was in use.",
        )
        self._starts = count("container_starts", "Containers that got ready.")
        self._start_failures = count("container_start_failures", "Containers that did not.")
        self._replaced = count(
            "container_replacements", "Containers that had been ready, died or failed /ping."
        )
        self._oom = count("container_oom_kills", "Of these, killed for their memory.")
        self._start_time = time("container_start", "From asking for a container to its /ping 200.")
        self._phases = time(
            "container_start_phase",
            "The phases of that, as the cold-start bench names them.",
            "phase",
        )
        self._async_counts = {
            event: self._count(f"async_{name}", f"{event}: {text}.", labels=("endpoint",))
            for event, (name, text) in ASYNC_COUNTERS.items()
        }
        self._async_times = {
            event: self._time(f"async_{name}", f"{event}: {text}.", labels=("endpoint",), long=True)
            for event, (name, text) in ASYNC_TIMES.items()
        }

    def watch(
        self,
        *,
        fleet: Fleet,
        usages: Usages | None = None,
        backlogs: Backlogs | None = None,
        examined: Examined | None = None,
        records: Callable[[], Iterable[EndpointRecord]] | None = None,
    ) -> None:
        """Show, whenever asked, also what these hold at that moment. Once."""
        self._fleet = fleet
        self._registry.register(Present(fleet=fleet, usages=usages, backlogs=backlogs))
        if examined is not None:
            self._registry.register(ContainerMetrics(fleet=fleet, examined=examined))
        if records is not None:
            self._registry.register(States(records))

    def keep(self, endpoints: Collection[str]) -> None:
        """Drop the series of all endpoints but these: the others were deleted."""
        for name in self._names.difference(endpoints):
            self._names.discard(name)
            for family in self._families:
                family.remove_by_labels({"endpoint": name})
            for known in (self._variants, self._asynchronous):
                for key in [key for key in known if key[0] == name]:
                    known.pop(key)

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
        """One request that reached a variant: some 10 microseconds."""
        series = self._of(endpoint, variant)
        series.invoked()
        if model_s is not None:
            series.latency(model_s)
        series.overhead(overhead_s)
        if model_status is None or not _OK <= model_status < _OK + 100:
            series.errors()
            if model_status is not None and _CLIENT <= model_status < _SERVER:
                series.rejected()
            elif model_status is not None and _SERVER <= model_status < _END:
                series.faults()
        if setup is not None:
            self._cold.labels(endpoint, variant).inc()
            self._setup.labels(endpoint, variant).observe(setup.total_s)
        held = self._provision(endpoint, variant)
        if held is not None:
            # Which of the containers it ran on is not said: more requests than are provisioned
            # for, or a start, mean that it was not one of those.
            provisioned, in_flight = held
            spilled = setup is not None or in_flight > provisioned
            (self._spilled if spilled else self._provisioned).labels(endpoint, variant).inc()

    def throttled(self, endpoint: str, variant: str) -> None:
        """One that was turned away."""
        self._of(endpoint, variant)
        self._throttles.labels(endpoint, variant).inc()

    def started(self, endpoint: str, variant: str, setup: Setup) -> None:
        """A server got ready."""
        self._of(endpoint, variant)
        self._starts.labels(endpoint, variant).inc()
        self._start_time.labels(endpoint, variant).observe(setup.total_s)
        for phase, seconds in setup.phases_s.items():
            self._phases.labels(endpoint, variant, phase.value).observe(seconds)

    def start_failed(self, endpoint: str, variant: str) -> None:
        """A server did not."""
        self._of(endpoint, variant)
        self._start_failures.labels(endpoint, variant).inc()

    def replaced(self, endpoint: str, variant: str, *, oom_killed: bool) -> None:
        """A server that had been ready is replaced."""
        self._of(endpoint, variant)
        self._replaced.labels(endpoint, variant).inc()
        if oom_killed:
            self._oom.labels(endpoint, variant).inc()

    def asynchronous(self, endpoint: str, event: str, seconds: float | None = None) -> None:
        """An event of asynchronous inference, by CloudWatch's name. ``KeyError`` for any other."""
        self._names.add(endpoint)
        if seconds is None:
            self._async_counts[event].labels(endpoint).inc()
        else:
            self._async_times[event].labels(endpoint).observe(seconds)

    def _of(self, endpoint: str, variant: str) -> _Variant:
        # All of a variant's series begin at 0 together, so that no rate misses the first error.
        key = (endpoint, variant)
        series = self._variants.get(key)
        if series is None:
            series = self._variants[key] = _Variant(self, key)
            self._names.add(endpoint)
            for family in (self._throttles, self._cold, self._starts, self._start_failures):
                family.labels(*key)
            for family in (self._replaced, self._oom):
                family.labels(*key)
        return series

    def _provision(self, endpoint: str, variant: str) -> tuple[int, int] | None:
        live = self._fleet.live(endpoint) if self._fleet else None
        if live is None or live.kind is not EndpointKind.SERVERLESS:
            return None
        for one in live.variants:
            if one.name == variant and one.pool.plan.initial_count:
                return one.pool.plan.initial_count, one.pool.in_flight
        return None

    def _count(self, name: str, text: str, *, labels: tuple[str, ...] = VARIANT) -> Counter:
        made = Counter(f"sagemaker_{name}", text, labels, registry=self._registry)
        self._families.append(made)
        return made

    def _time(
        self,
        name: str,
        text: str,
        *more: str,
        labels: tuple[str, ...] = VARIANT,
        long: bool = False,
    ) -> Histogram:
        made = Histogram(
            f"sagemaker_{name}_seconds",
            text,
            (*labels, *more),
            buckets=_LONG if long else BUCKETS,
            registry=self._registry,
        )
        self._families.append(made)
        return made
