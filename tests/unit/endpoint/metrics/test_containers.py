"""What is told of each container, as Prometheus reads it."""

from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lab.endpoint.live import Vitals
from lab.endpoint.metrics.counters import Counters
from tests.unit.endpoint.standins import FakeFleet, live, server, setup, vitals
from tests.unit.observe.series import CONTAINERS


class Examined:
    """A sampler whose last round is given."""

    def __init__(self, **found: Vitals) -> None:
        self.found = found

    def vitals(self) -> Mapping[str, Vitals]:
        return self.found


def told(fleet: FakeFleet, examined: Examined) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name, and by the values of their labels."""
    registry = CollectorRegistry()
    Counters(registry=registry).watch(fleet=fleet.as_fleet, examined=examined)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if "server" in sample.labels:
                assert set(sample.labels) == set(CONTAINERS[sample.name])
                labels = tuple(sample.labels[name] for name in CONTAINERS[sample.name])
                found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_each_container_is_told_of_by_itself_and_as_the_boards_ask() -> None:
    fleet = FakeFleet()
    one, other = server("a"), server("b")
    one.setup = setup(2.0)
    fleet.add(live(servers=[one, other]))
    examined = Examined(
        a=vitals(memory_bytes=300, memory_limit_bytes=1000, cpu_seconds=4.5, threads=7),
        b=vitals(memory_bytes=200, memory_limit_bytes=1000, cpu_seconds=1.0, threads=3),
    )
    seen = told(fleet, examined)
    assert set(seen) == set(CONTAINERS)
    a, b = ("e", "v", "a"), ("e", "v", "b")
    assert seen["sagemaker_container_cpu_seconds_total"] == {a: 4.5, b: 1.0}
    assert seen["sagemaker_container_memory_bytes"] == {a: 300, b: 200}
    assert seen["sagemaker_container_memory_limit_bytes"] == {a: 1000, b: 1000}
    assert seen["sagemaker_container_threads"] == {a: 7, b: 3}
    assert seen["sagemaker_container_start_phase_last_seconds"] == {
        (*a, "create"): 0.5,
        (*a, "boot"): pytest.approx(1.5),
    }


def test_what_is_not_known_is_absent_rather_than_0() -> None:
    fleet = FakeFleet()
    fleet.add(live(servers=[server("a"), server("new")]))
    seen = told(fleet, Examined(a=vitals(memory_limit_bytes=0, threads=None)))
    assert set(seen) == {
        "sagemaker_container_cpu_seconds_total",
        "sagemaker_container_memory_bytes",
    }
    assert set(seen["sagemaker_container_memory_bytes"]) == {("e", "v", "a")}


def test_the_series_end_with_the_container() -> None:
    fleet = FakeFleet()
    endpoint = live(servers=[server("a"), server("b")])
    fleet.add(endpoint)
    # The last round was before b went.
    examined = Examined(a=vitals(), b=vitals())
    endpoint.variants[0].pool.servers.pop()  # type: ignore[attr-defined]
    assert set(told(fleet, examined)["sagemaker_container_memory_bytes"]) == {("e", "v", "a")}
    fleet.lives.clear()
    assert told(fleet, examined) == {}
