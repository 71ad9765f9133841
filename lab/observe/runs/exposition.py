"""Readings as Prometheus reads them: now, or each with a time of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from lab.observe.names import PUSHED
from lab.observe.runs.readings import Reading

JOB: Final = "bench"
"""The job that all of a bench's series are of, pushed or replayed."""


class Gauges(Collector):
    """Readings, gathered into families in the order of ``PUSHED``."""

    def __init__(self, readings: Iterable[Reading], *, labels: Mapping[str, str]) -> None:
        """``labels`` are put on all of them."""
        self._by_name: dict[str, list[Reading]] = {name: [] for name in PUSHED}
        for one in readings:
            self._by_name[one.name].append(one)
        self._labels = dict(labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """A family for each gauge that has readings."""
        for name, found in self._by_name.items():
            if found:
                yield self._family(name, found)

    def _family(self, name: str, found: Sequence[Reading]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, PUSHED[name].help)
        # A series in one piece and in the order of time: the format asks for it.
        for labels, each in sorted(_series(found).items()):
            for one in sorted(each, key=lambda one: one.at or 0.0):
                family.add_sample(
                    name, {**dict(labels), **self._labels}, one.value, timestamp=_time(one)
                )
        return family


def registry(readings: Iterable[Reading]) -> CollectorRegistry:
    """For the Pushgateway, which adds the labels of its group itself."""
    made = CollectorRegistry(auto_describe=False)
    made.register(Gauges(readings, labels={}))
    return made


def openmetrics(readings: Iterable[Reading], *, plan: str) -> str:
    """The text that ``promtool tsdb create-blocks-from openmetrics`` takes.

    The series are those that Prometheus has of a pushed run of that plan.
    """
    made = CollectorRegistry(auto_describe=False)
    made.register(Gauges(readings, labels={"job": JOB, "plan": plan}))
    text: bytes = generate_latest(made)  # type: ignore[no-untyped-call]
    return text.decode()


def _series(found: Sequence[Reading]) -> Mapping[tuple[tuple[str, str], ...], Sequence[Reading]]:
    series: dict[tuple[tuple[str, str], ...], list[Reading]] = {}
    for one in found:
        series.setdefault(tuple(sorted(one.labels.items())), []).append(one)
    return series


def _time(one: Reading) -> Any:
    # Milliseconds are all that Prometheus keeps.
    return None if one.at is None else f"{one.at:.3f}"
