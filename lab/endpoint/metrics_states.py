"""When each endpoint got the status it has: from this, dashboards mark the changes of state."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lab.endpoint.records import EndpointRecord


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
