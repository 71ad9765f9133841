"""Each container by itself: what it uses, and how its start went.

From the last round of ``Sampler``; a scrape asks the engine nothing. A container's series begin
with the first round that saw it and end with the container. Restarts are the variant's
(``sagemaker_container_replacements_total``): a container that dies is never started again, another
takes its place under another name.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lab.endpoint.live import Fleet, Server, Vitals
from lab.endpoint.metrics.gauges import VARIANT

SERVER: Final = (*VARIANT, "server")


class Examined(Protocol):
    """What ``Sampler`` found last."""

    def vitals(self) -> Mapping[str, Vitals]:
        """By server."""


class ContainerMetrics(Collector):
    """Figures of every container that answers, from memory only."""

    def __init__(self, *, fleet: Fleet, examined: Examined) -> None:
        self._fleet = fleet
        self._examined = examined

    def describe(self) -> Iterable[Any]:
        """Nothing: there may be no container yet."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The families, of all containers."""
        cpu = CounterMetricFamily(
            "sagemaker_container_cpu_seconds", "CPU time since it started.", labels=SERVER
        )
        memory = _gauge("memory_bytes", "Memory in use.")
        limit = _gauge("memory_limit_bytes", "What it may use; absent where there is no limit.")
        threads = _gauge("threads", "Threads of all its processes.")
        phases = _gauge(
            "start_phase_last_seconds",
            "The phases of its start, as the cold-start bench names them; absent for a container"
            " that was there before the emulator.",
            "phase",
        )
        known = self._examined.vitals()
        for server in self._servers():
            labels = (server.endpoint, server.variant, server.id)
            if server.setup is not None:
                for phase, seconds in server.setup.phases_s.items():
                    phases.add_metric((*labels, phase.value), seconds)
            vitals = known.get(server.id)
            if vitals is None:
                continue
            cpu.add_metric(labels, vitals.cpu_seconds)
            memory.add_metric(labels, vitals.memory_bytes)
            if vitals.memory_limit_bytes > 0:
                limit.add_metric(labels, vitals.memory_limit_bytes)
            if vitals.threads is not None:
                threads.add_metric(labels, vitals.threads)
        return iter((cpu, memory, limit, threads, phases))

    def _servers(self) -> Iterator[Server]:
        for live in self._fleet.endpoints():
            for one in (*live.variants, *live.shadows):
                yield from one.pool.servers


def _gauge(name: str, text: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sagemaker_container_{name}", text, labels=(*SERVER, *more))
