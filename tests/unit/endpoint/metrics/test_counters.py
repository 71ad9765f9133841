"""Metrics, as Prometheus reads them."""

import asyncio
import timeit
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lab.endpoint.instances import Compute
from lab.endpoint.live import Launcher, Server, Vitals
from lab.endpoint.metrics.counters import ASYNC_COUNTERS, ASYNC_TIMES, Counters
from lab.endpoint.metrics.gauges import States
from lab.endpoint.metrics.sampler import Sampler
from lab.endpoint.records import EndpointKind, EndpointRecord, Status
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.standins import (
    FakeFleet,
    FakePool,
    FakeStore,
    live,
    server,
    setup,
    vitals,
)

E_V = {"endpoint": "e", "variant": "v"}


class Scraped:
    """A scrape, to be asked for values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.families = {
            family.name: family
            for family in text_string_to_metric_families(generate_latest(registry).decode())
        }

    def value(self, name: str, **labels: str) -> float | None:
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == f"sagemaker_{name}" and sample.labels == labels:
                    return sample.value
        return None

    def endpoints(self) -> set[str]:
        return {
            sample.labels["endpoint"]
            for family in self.families.values()
            for sample in family.samples
            if "endpoint" in sample.labels
        }


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Counters:
    return Counters(registry=registry)


def invoke(metrics: Counters, endpoint: str = "e", **over: Any) -> None:
    given: dict[str, Any] = {
        "model_status": 200,
        "model_s": 0.02,
        "overhead_s": 0.001,
        "setup": None,
    }
    metrics.invocation(endpoint, "v", **{**given, **over})


def test_a_success_is_counted_and_timed(metrics: Counters, registry: CollectorRegistry) -> None:
    invoke(metrics)
    seen = Scraped(registry)
    assert seen.value("invocations_total", **E_V) == 1
    assert seen.value("model_latency_seconds_sum", **E_V) == pytest.approx(0.02)
    assert seen.value("model_latency_seconds_bucket", **E_V, le="0.01") == 0
    assert seen.value("model_latency_seconds_bucket", **E_V, le="0.025") == 1
    assert seen.value("overhead_latency_seconds_count", **E_V) == 1
    for name in ("invocation_4xx_errors", "invocation_5xx_errors", "invocation_model_errors"):
        assert seen.value(f"{name}_total", **E_V) == 0, "a rate needs a zero to begin from"
    assert seen.value("cold_starts_total", **E_V) == 0


@pytest.mark.parametrize(
    ("status", "rejected", "faults", "errors"),
    [
        (200, 0, 0, 0),
        (299, 0, 0, 0),
        (302, 0, 0, 1),
        (400, 1, 0, 1),
        (500, 0, 1, 1),
        (None, 0, 0, 1),
    ],
)
def test_errors_are_the_models(
    metrics: Counters,
    registry: CollectorRegistry,
    status: int | None,
    rejected: int,
    faults: int,
    errors: int,
) -> None:
    invoke(metrics, model_status=status, model_s=None)
    seen = Scraped(registry)
    assert seen.value("invocation_4xx_errors_total", **E_V) == rejected
    assert seen.value("invocation_5xx_errors_total", **E_V) == faults
    assert seen.value("invocation_model_errors_total", **E_V) == errors
    assert seen.value("model_latency_seconds_count", **E_V) == 0


def test_a_cold_start_is_counted_with_its_setup(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    metrics.started("e", "v", setup(2.0))
    invoke(metrics, setup=setup(2.0), overhead_s=2.1)
    seen = Scraped(registry)
    assert seen.value("cold_starts_total", **E_V) == 1
    assert seen.value("model_setup_time_seconds_sum", **E_V) == 2.0
    assert seen.value("container_starts_total", **E_V) == 1
    assert seen.value("container_start_phase_seconds_sum", **E_V, phase="boot") == 1.5
    assert seen.value("container_start_phase_seconds_sum", **E_V, phase="create") == 0.5


def test_throttles_failed_starts_and_replacements_are_counted(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    metrics.throttled("e", "v")
    metrics.start_failed("e", "v")
    metrics.replaced("e", "v", oom_killed=True)
    metrics.replaced("e", "v", oom_killed=False)
    seen = Scraped(registry)
    assert seen.value("throttled_invocations_total", **E_V) == 1
    assert seen.value("container_start_failures_total", **E_V) == 1
    assert seen.value("container_replacements_total", **E_V) == 2
    assert seen.value("container_oom_kills_total", **E_V) == 1


def test_asynchronous_events_have_the_endpoint_only(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    for event in ASYNC_COUNTERS:
        metrics.asynchronous("e", event)
    for event in ASYNC_TIMES:
        metrics.asynchronous("e", event, 7.0)
    seen = Scraped(registry)
    assert seen.value("async_invocations_processed_total", endpoint="e") == 1
    assert seen.value("async_expired_requests_total", endpoint="e") == 1
    assert seen.value("async_time_in_backlog_seconds_sum", endpoint="e") == 7.0


def test_every_help_text_says_what_cloudwatch_calls_it(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    fleet = FakeFleet()
    metrics.watch(fleet=fleet.as_fleet)
    helps = [family.documentation for family in Scraped(registry).families.values()]
    for name in ("Invocations", "Invocation4XXErrors", "InvocationModelErrors", "ModelLatency"):
        assert any(text.startswith(f"{name}: ") for text in helps), name
    for name in ("OverheadLatency", "ModelSetupTime", "ConcurrentExecutions", "TimeInBacklog"):
        assert any(text.startswith(f"{name}: ") for text in helps), name


def test_counting_an_invocation_takes_microseconds(metrics: Counters) -> None:
    fleet = FakeFleet()
    fleet.add(live(kind=EndpointKind.SERVERLESS, max_concurrency=4, initial_count=1))
    metrics.watch(fleet=fleet.as_fleet)
    invoke(metrics)
    best = min(timeit.repeat(lambda: invoke(metrics), number=500, repeat=7)) / 500
    assert best < 100e-6, "some 10 on an idle machine"


def test_what_the_pools_hold_shows_at_once(metrics: Counters, registry: CollectorRegistry) -> None:
    fleet = FakeFleet()
    one = fleet.add(
        live(
            kind=EndpointKind.SERVERLESS,
            servers=[server("a"), server("b"), server("c")],
            max_concurrency=4,
            initial_count=2,
        )
    )
    one.variants[0].pool.servers[0].emulated = True
    metrics.watch(fleet=fleet.as_fleet)
    leases = [one.variants[0].pool.try_acquire() for _ in range(3)]
    seen = Scraped(registry)
    assert seen.value("containers", **E_V) == 3
    assert seen.value("containers_emulated", **E_V) == 1
    assert seen.value("concurrent_executions", **E_V) == 3
    assert seen.value("serverless_concurrent_executions_utilization_ratio", **E_V) == 0.75
    assert seen.value("serverless_provisioned_concurrency_executions", **E_V) == 2
    assert seen.value("serverless_provisioned_concurrency_utilization_ratio", **E_V) == 1
    assert len(leases) == 3


def test_what_exceeds_provisioned_concurrency_spills_over(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    fleet = FakeFleet()
    one = fleet.add(
        live(kind=EndpointKind.SERVERLESS, servers=[server("a"), server("b")], max_concurrency=4)
    )
    metrics.watch(fleet=fleet.as_fleet)
    pool = one.variants[0].pool
    pool.try_acquire()
    invoke(metrics)
    pool.try_acquire()
    invoke(metrics)
    seen = Scraped(registry)
    name = "serverless_provisioned_concurrency"
    assert seen.value(f"{name}_invocations_total", **E_V) == 1
    assert seen.value(f"{name}_spillover_invocations_total", **E_V) == 1


def test_series_of_deleted_endpoints_disappear_and_others_stay(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    for name in ("gone", "kept"):
        invoke(metrics, name, setup=setup())
        metrics.started(name, "v", setup())
        metrics.asynchronous(name, "InvocationFailures")
    metrics.keep({"kept"})
    assert Scraped(registry).endpoints() == {"kept"}
    invoke(metrics, "gone")
    assert Scraped(registry).value("invocations_total", endpoint="gone", variant="v") == 1


def test_a_queue_without_instances_is_a_backlog_without_capacity(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    class Waiting:
        size = 3
        oldest_s = 12.0

    class Backlogs:
        def backlogs(self) -> list[tuple[str, Waiting]]:
            return [("e", Waiting()), ("deleted", Waiting())]

    fleet = FakeFleet()
    one = fleet.add(live(kind=EndpointKind.ASYNC, servers=[]))
    metrics.watch(fleet=fleet.as_fleet, backlogs=Backlogs())
    seen = Scraped(registry)
    assert seen.value("async_approximate_backlog_size", endpoint="e") == 3
    assert seen.value("async_approximate_age_of_oldest_request_seconds", endpoint="e") == 12
    assert seen.value("async_has_backlog_without_capacity", endpoint="e") == 1
    assert seen.endpoints() == {"e"}
    cast("FakePool", one.variants[0].pool).servers.extend([server("a"), server("b")])
    seen = Scraped(registry)
    assert seen.value("async_has_backlog_without_capacity", endpoint="e") == 0
    assert seen.value("async_approximate_backlog_size_per_instance", endpoint="e") == 1.5


class Says:
    """A launcher that knows vitals and nothing else; an exception is raised."""

    def __init__(self, **said: Vitals | Exception | None) -> None:
        self.said = said

    async def vitals(self, asked: Server) -> Vitals | None:
        found = self.said[asked.id]
        if isinstance(found, Exception):
            raise found
        return found


def sampler(fleet: FakeFleet, says: Says, clock: ManualClock, **over: Any) -> Sampler:
    store = FakeStore()
    for name in fleet.lives:
        store.add_endpoint_named(name)
    return Sampler(
        fleet=fleet.as_fleet,
        launcher=cast("Launcher", says),
        store=store.as_store,
        clock=clock,
        **over,
    )


def test_the_use_of_resources_is_sampled_in_the_background(
    metrics: Counters, registry: CollectorRegistry
) -> None:
    fleet = FakeFleet()
    fleet.add(
        live(
            servers=[server("a"), server("b"), server("c")],
            compute=Compute(memory_bytes=1000, cpus=2.0, disk_bytes=400),
        )
    )
    clock = ManualClock()
    says = Says(a=vitals(disk_bytes=100), b=vitals(memory_bytes=700), c=RuntimeError("gone"))
    kept: list[set[str]] = []
    taken = sampler(fleet, says, clock, keep=lambda names: kept.append(set(names)))
    metrics.watch(fleet=fleet.as_fleet, usages=taken)

    async def scenario() -> None:
        await taken.start()
        await clock.advance(0.1)
        says.said["a"] = vitals(cpu_seconds=11.0, oom_kills=2, disk_bytes=100)
        says.said["c"] = None
        await clock.advance(5.0)
        await taken.close()

    asyncio.run(scenario())
    seen = Scraped(registry)
    assert seen.value("memory_utilization_ratio", **E_V, statistic="average") == pytest.approx(0.6)
    assert seen.value("memory_utilization_ratio", **E_V, statistic="maximum") == pytest.approx(0.7)
    assert seen.value("cpu_utilization_ratio", **E_V, statistic="maximum") == pytest.approx(2.0)
    assert seen.value("cpu_utilization_ratio", **E_V, statistic="average") == pytest.approx(1.0)
    assert seen.value("disk_utilization_ratio", **E_V, statistic="maximum") == 0.25
    assert seen.value("process_oom_kills_total", **E_V) == 2
    assert set(taken.vitals()) == {"a", "b"}
    assert kept == [{"e"}, {"e"}]
    fleet.lives.clear()
    assert Scraped(registry).endpoints() == set()


def test_a_broken_round_does_not_end_the_sampling() -> None:
    clock = ManualClock()
    rounds = []

    def keep(names: Any) -> None:
        rounds.append(names)
        raise RuntimeError("broken")

    taken = sampler(FakeFleet(), Says(), clock, keep=keep)

    async def scenario() -> None:
        await taken.start()
        await clock.advance(11.0)
        await taken.close()

    asyncio.run(scenario())
    assert len(rounds) == 3


def test_a_change_of_state_is_told_with_its_time() -> None:
    registry = CollectorRegistry()
    record = EndpointRecord(
        name="eye",
        arn="arn",
        created_at=1.0,
        modified_at=1_800_000_000.0,
        status=Status.UPDATING,
        config_name="c",
    )
    registry.register(States(lambda: [record]))
    labels = {"endpoint": "eye", "status": "Updating"}
    name = "sagemaker_endpoint_status_timestamp_seconds"
    assert registry.get_sample_value(name, labels) == 1_800_000_000.0
