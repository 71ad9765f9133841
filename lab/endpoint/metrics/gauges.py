"""What holds at the moment of a scrape: containers, requests in flight, resources, queues.

All of it from memory: a scrape asks the engine nothing. What containers use is from the last round
of ``Sampler``; a container's series begin with the first round that saw it and end with the
container. Restarts are the variant's (``sagemaker_container_replacements_total``): a container
that dies is never started again, another takes its place under another name.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final, Generic, NamedTuple, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lab.endpoint.launching import Vitals
from lab.endpoint.live import Fleet, LiveEndpoint, LiveVariant
from lab.endpoint.metrics.sampler import Sampler, VariantUsage
from lab.endpoint.records import EndpointKind, EndpointRecord

ENDPOINT: Final = ("endpoint",)
VARIANT: Final = ("endpoint", "variant")
"""CloudWatch's dimensions, in our spelling."""
_SERVER: Final = (*VARIANT, "server")


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """An asynchronous endpoint's requests that have not ended."""

    size: int = 0
    oldest_s: float = 0.0


Backlogs = Callable[[], Iterable[tuple[str, Backlog]]]
"""All queues, by endpoint."""


class _QueueGauge(NamedTuple):
    backlog: Backlog
    instances: int


class _Resources(NamedTuple):
    statistic: Callable[[Sequence[float]], float]
    usage: VariantUsage

    def of(self, values: Sequence[float]) -> float | None:
        return self.statistic(values) if values else None


_Source = TypeVar("_Source")


class _Family(NamedTuple, Generic[_Source]):
    """A metric, and how it is read off what it is about."""

    name: str
    """Without ``sagemaker_``."""
    help: str
    read: Callable[[_Source], float | None]
    """None: not known, or there is no such thing."""
    kind: type[GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily


def _on_provisioned(variant: LiveVariant) -> int | None:
    plan = variant.pool.plan
    if not plan.max_concurrency or not plan.initial_count:
        return None
    return min(variant.pool.in_flight, plan.initial_count)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


_ENDPOINTS: Final[Sequence[_Family[EndpointRecord]]] = (
    _Family(
        "endpoint_status_timestamp_seconds",
        "EndpointStatus: since when it is what it is, in seconds since the epoch.",
        lambda record: record.modified_at,
    ),
)
_VARIANTS: Final[Sequence[_Family[LiveVariant]]] = (
    _Family("containers", "Containers that answer /ping.", lambda v: len(v.pool.servers)),
    _Family(
        "containers_suspect",
        "Containers whose /ping is late or not 200: busy with a long request, or ill.",
        lambda v: sum(server.suspect for server in v.pool.servers),
    ),
    _Family(
        "containers_emulated",
        "Containers whose processor is emulated: no time of theirs is one of real hardware.",
        lambda v: sum(server.emulated for server in v.pool.servers),
    ),
    _Family(
        "concurrent_executions",
        "ConcurrentExecutions: requests in flight.",
        lambda v: v.pool.in_flight,
    ),
    _Family(
        "serverless_concurrent_executions_utilization_ratio",
        "ServerlessConcurrentExecutionsUtilization: of MaxConcurrency.",
        lambda v: _ratio(v.pool.in_flight, v.pool.plan.max_concurrency),
    ),
    _Family(
        "serverless_provisioned_concurrency_executions",
        "ServerlessProvisionedConcurrencyExecutions: requests on provisioned concurrency.",
        _on_provisioned,
    ),
    _Family(
        "serverless_provisioned_concurrency_utilization_ratio",
        "ServerlessProvisionedConcurrencyUtilization: of what is provisioned.",
        lambda v: _ratio(_on_provisioned(v), v.pool.plan.initial_count),
    ),
)
_RESOURCES: Final[Sequence[_Family[_Resources]]] = (
    _Family(
        "memory_utilization_ratio",
        "MemoryUtilization: of a container's limit.",
        lambda each: each.of(each.usage.memory),
    ),
    _Family(
        "cpu_utilization_ratio",
        "CPUUtilization: of one core.",
        lambda each: each.of(each.usage.cpu),
    ),
    _Family(
        "disk_utilization_ratio",
        "DiskUtilization: of what it may write.",
        lambda each: each.of(each.usage.disk),
    ),
)
_OOM_KILLS: Final[_Family[int]] = _Family(
    "process_oom_kills",
    "Processes killed for memory inside containers that lived on.",
    float,
    CounterMetricFamily,
)
_QUEUES: Final[Sequence[_Family[_QueueGauge]]] = (
    _Family(
        "async_approximate_backlog_size",
        "ApproximateBacklogSize: requests that wait or are processed.",
        lambda queue: queue.backlog.size,
    ),
    _Family(
        "async_approximate_backlog_size_per_instance",
        "ApproximateBacklogSizePerInstance: the same by the number of instances.",
        lambda queue: queue.backlog.size / (queue.instances or 1),
    ),
    _Family(
        "async_approximate_age_of_oldest_request_seconds",
        "ApproximateAgeOfOldestRequest.",
        lambda queue: queue.backlog.oldest_s,
    ),
    _Family(
        "async_has_backlog_without_capacity",
        "HasBacklogWithoutCapacity: 1 while requests wait and no instance runs.",
        lambda queue: float(queue.backlog.size > 0 and queue.instances == 0),
    ),
)
_CONTAINERS: Final[Sequence[_Family[Vitals]]] = (
    _Family(
        "container_cpu_seconds",
        "CPU time since it started.",
        lambda vitals: vitals.cpu_seconds,
        CounterMetricFamily,
    ),
    _Family("container_memory_bytes", "Memory in use.", lambda vitals: vitals.memory_bytes),
    _Family(
        "container_memory_limit_bytes",
        "What it may use; absent where there is no limit.",
        lambda vitals: vitals.memory_limit_bytes or None,
    ),
    _Family("container_threads", "Threads of all its processes.", lambda vitals: vitals.threads),
)
_START_PHASES: Final[_Family[float]] = _Family(
    "container_start_phase_last_seconds",
    "The phases of its start, as the cold-start bench names them; absent for a container that was"
    " there before the emulator.",
    float,
)


class Present(Collector):
    """Figures of all endpoints and of each container; a deleted one has none."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        sampler: Sampler,
        backlogs: Backlogs,
        records: Callable[[], Iterable[EndpointRecord]],
    ) -> None:
        self._fleet = fleet
        self._sampler = sampler
        self._backlogs = backlogs
        self._records = records

    def describe(self) -> Iterable[Any]:
        """Nothing: there may be no endpoint yet."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        states = [((row.name, row.status.value), row) for row in self._records()]
        yield from _read(_ENDPOINTS, (*ENDPOINT, "status"), states)
        variants = {
            (live.name, variant.name): variant
            for live in self._fleet.endpoints()
            for variant in live.all
        }
        yield from _read(_VARIANTS, VARIANT, variants.items())
        resources = [
            ((*key, name), _Resources(statistic, usage))
            for key, usage in self._sampler.usage()
            if key in variants
            for name, statistic in (("average", fmean), ("maximum", max))
        ]
        yield from _read(_RESOURCES, (*VARIANT, "statistic"), resources)
        kills = [(key, kills) for key, kills in self._sampler.oom_kills() if key in variants]
        yield from _read((_OOM_KILLS,), VARIANT, kills)
        waiting = dict(self._backlogs())
        queues = [
            ((live.name,), _QueueGauge(waiting.get(live.name, Backlog()), _instances(live)))
            for live in self._fleet.endpoints()
            if live.kind is EndpointKind.ASYNC
        ]
        yield from _read(_QUEUES, ENDPOINT, queues)
        servers = [
            ((*key, server.id), server)
            for key, variant in variants.items()
            for server in variant.pool.servers
        ]
        vitals = self._sampler.vitals()
        examined = [(key, vitals[server.id]) for key, server in servers if server.id in vitals]
        yield from _read(_CONTAINERS, _SERVER, examined)
        phases = [
            ((*key, phase.value), seconds)
            for key, server in servers
            if server.setup is not None
            for phase, seconds in server.setup.phases_s.items()
        ]
        yield from _read((_START_PHASES,), (*_SERVER, "phase"), phases)


def _instances(live: LiveEndpoint) -> int:
    return sum(len(variant.pool.servers) for variant in live.variants)


def _read(
    families: Iterable[_Family[_Source]],
    labels: Sequence[str],
    sources: Iterable[tuple[Sequence[str], _Source]],
) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    sources = tuple(sources)
    for name, text, read, kind in families:
        family = kind(f"sagemaker_{name}", text, labels=labels)
        for values, source in sources:
            value = read(source)
            if value is not None:
                family.add_metric(values, value)
        yield family
