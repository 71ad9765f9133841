"""What holds at the moment of a scrape: containers, requests in flight, resources, queues."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lab.endpoint.live import Fleet, LiveVariant
from lab.endpoint.records import EndpointKind, EndpointRecord

VARIANT: Final = ("endpoint", "variant")
"""CloudWatch's dimensions, in our spelling."""


class States(Collector):
    """One series per endpoint; a deleted one has none."""

    def __init__(self, records: Callable[[], Iterable[EndpointRecord]]) -> None:
        self._records = records

    def describe(self) -> Iterable[Any]:
        """Nothing: there may be no endpoint yet."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The time of the last change, labelled with what it led to."""
        family = GaugeMetricFamily(
            "sagemaker_endpoint_status_timestamp_seconds",
            "EndpointStatus: since when it is what it is, in seconds since the epoch.",
            labels=("endpoint", "status"),
        )
        for record in self._records():
            family.add_metric((record.name, record.status.value), record.modified_at)
        yield family


class ResourceUsage(Protocol):
    """The resources a variant's containers use now, as ratios; ``Sampler`` knows them."""

    @property
    def memory(self) -> Collection[float]:
        """Of each container's limit."""

    @property
    def cpu(self) -> Collection[float]:
        """Of one core."""

    @property
    def disk(self) -> Collection[float]:
        """Of what each may write; empty where that is not limited."""


class Usages(Protocol):
    """What ``Sampler`` found last."""

    def usage(self) -> "Iterable[tuple[tuple[str, str], ResourceUsage]]":
        """By endpoint and variant."""

    def oom_kills(self) -> Iterable[tuple[tuple[str, str], int]]:
        """Processes that the kernel killed inside containers that lived on, so far."""


class Waiting(Protocol):
    """The queue of an asynchronous endpoint."""

    @property
    def size(self) -> int:
        """Requests that wait or are being processed."""

    @property
    def oldest_s(self) -> float:
        """Age of the oldest."""


class Backlogs(Protocol):
    """All queues; ``AsyncInference`` knows them."""

    def backlogs(self) -> Iterable[tuple[str, Waiting]]:
        """By endpoint."""


class Present(Collector):
    """Gauges of all endpoints, from memory only: a scrape takes no time."""

    def __init__(self, *, fleet: Fleet, usages: Usages | None, backlogs: Backlogs | None) -> None:
        self._fleet = fleet
        self._usages = usages
        self._backlogs = backlogs

    def describe(self) -> Iterable[Any]:
        """Nothing: there may be no endpoint yet."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The families, of all endpoints."""
        yield from self._pools()
        if self._usages is not None:
            yield from self._resources(self._usages)
        if self._backlogs is not None:
            yield from self._queues(self._backlogs)

    def _pools(self) -> Iterator[GaugeMetricFamily]:
        running = _gauge("containers", "Containers that answer /ping.")
        emulated = _gauge(
            "containers_emulated",
            "Containers whose processor is emulated: no time of theirs is one of real hardware.",
        )
        in_flight = _gauge("concurrent_executions", "ConcurrentExecutions: requests in flight.")
        of_most = _gauge(
            "serverless_concurrent_executions_utilization_ratio",
            "ServerlessConcurrentExecutionsUtilization: of MaxConcurrency.",
        )
        held = _gauge(
            "serverless_provisioned_concurrency_executions",
            "ServerlessProvisionedConcurrencyExecutions: requests on provisioned concurrency.",
        )
        of_held = _gauge(
            "serverless_provisioned_concurrency_utilization_ratio",
            "ServerlessProvisionedConcurrencyUtilization: of what is provisioned.",
        )
        for endpoint, one in _variants(self._fleet):
            labels = (endpoint, one.name)
            plan, busy = one.pool.plan, one.pool.in_flight
            running.add_metric(labels, len(one.pool.servers))
            emulated.add_metric(labels, sum(server.emulated for server in one.pool.servers))
            in_flight.add_metric(labels, busy)
            if plan.max_concurrency:
                of_most.add_metric(labels, busy / plan.max_concurrency)
                if plan.initial_count:
                    used = min(busy, plan.initial_count)
                    held.add_metric(labels, used)
                    of_held.add_metric(labels, used / plan.initial_count)
        return iter((running, emulated, in_flight, of_most, held, of_held))

    def _resources(self, usages: Usages) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        labels = (*VARIANT, "statistic")
        memory = _gauge(
            "memory_utilization_ratio", "MemoryUtilization: of a container's limit.", labels
        )
        cpu = _gauge("cpu_utilization_ratio", "CPUUtilization: of one core.", labels)
        disk = _gauge("disk_utilization_ratio", "DiskUtilization: of what it may write.", labels)
        killed = CounterMetricFamily(
            "sagemaker_process_oom_kills",
            "Processes killed for memory inside containers that lived on.",
            labels=VARIANT,
        )
        alive = {(endpoint, one.name) for endpoint, one in _variants(self._fleet)}
        for key, usage in usages.usage():
            if key in alive:
                for family, values in (
                    (memory, usage.memory),
                    (cpu, usage.cpu),
                    (disk, usage.disk),
                ):
                    if values:
                        family.add_metric((*key, "average"), sum(values) / len(values))
                        family.add_metric((*key, "maximum"), max(values))
        for key, kills in usages.oom_kills():
            if key in alive:
                killed.add_metric(key, kills)
        return iter((memory, cpu, disk, killed))

    def _queues(self, backlogs: Backlogs) -> Iterator[GaugeMetricFamily]:
        labels = ("endpoint",)
        size = _gauge(
            "async_approximate_backlog_size",
            "ApproximateBacklogSize: requests that wait or are processed.",
            labels,
        )
        each = _gauge(
            "async_approximate_backlog_size_per_instance",
            "ApproximateBacklogSizePerInstance: the same by the number of instances.",
            labels,
        )
        age = _gauge(
            "async_approximate_age_of_oldest_request_seconds",
            "ApproximateAgeOfOldestRequest.",
            labels,
        )
        stuck = _gauge(
            "async_has_backlog_without_capacity",
            "HasBacklogWithoutCapacity: 1 while requests wait and no instance runs.",
            labels,
        )
        waiting = dict(backlogs.backlogs())
        for live in self._fleet.endpoints():
            if live.kind is not EndpointKind.ASYNC:
                continue
            queue = waiting.get(live.name)
            count = queue.size if queue else 0
            instances = sum(len(one.pool.servers) for one in live.variants)
            size.add_metric((live.name,), count)
            each.add_metric((live.name,), count / instances if instances else float(count))
            age.add_metric((live.name,), queue.oldest_s if queue else 0.0)
            stuck.add_metric((live.name,), float(count > 0 and instances == 0))
        return iter((size, each, age, stuck))


def _gauge(name: str, text: str, labels: tuple[str, ...] = VARIANT) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sagemaker_{name}", text, labels=labels)


def _variants(fleet: Fleet) -> Iterator[tuple[str, LiveVariant]]:
    for live in fleet.endpoints():
        for one in (*live.variants, *live.shadows):
            yield live.name, one
