"""Metrics, as Prometheus reads them."""

import timeit
from typing import Any, cast

import pytest

from lab.endpoint.instances import Compute
from lab.endpoint.launching import Launcher, Vitals
from lab.endpoint.live import Server
from lab.endpoint.metrics.counters import ASYNC_COUNTERS, ASYNC_TIMES, Counters
from lab.endpoint.metrics.gauges import Backlog
from lab.endpoint.metrics.sampler import Sampler
from lab.endpoint.records import EndpointKind, Status
from lab.endpoint.store import SqliteStore
from tests.fidelity import ABSENT, DOCUMENTED, fidelity
from tests.unit.endpoint.manualclock import ManualClock
from tests.unit.endpoint.standins import (
    FakeFleet,
    Metered,
    add_endpoint,
    live,
    pool_of,
    server,
    setup,
    value,
    vitals,
)
from tests.unit.observe.series import CONTAINERS

pytestmark = pytest.mark.anyio

E_V = {"endpoint": "e", "variant": "v"}


class Asked:
    """A launcher that knows vitals and nothing else; an exception is raised."""

    def __init__(self) -> None:
        self.answers: dict[str, Vitals | Exception | None] = {}

    async def vitals(self, server: Server) -> Vitals | None:
        found = self.answers[server.id]
        if isinstance(found, Exception):
            raise found
        return found


class Scene:
    """The metrics of a fleet, and a sampler of it."""

    def __init__(self, store: SqliteStore, keep: Any = None) -> None:
        self.metrics = Metered()
        self.fleet = FakeFleet()
        self.clock = ManualClock()
        self.launcher = Asked()
        self.backlogs: list[tuple[str, Backlog]] = []
        self.store = store
        self.sampler = Sampler(
            fleet=self.fleet,
            launcher=cast("Launcher", self.launcher),
            store=store,
            clock=self.clock,
            keep=keep or self.metrics.keep,
            interval_s=5.0,
        )
        self.metrics.watch(
            fleet=self.fleet,
            sampler=self.sampler,
            backlogs=lambda: self.backlogs,
            records=store.endpoints,
        )

    def value(self, name: str, **labels: str) -> float | None:
        return value(self.metrics.registry, name, **labels)

    def endpoints(self) -> set[str]:
        return {
            sample.labels["endpoint"]
            for family in self.metrics.registry.collect()
            for sample in family.samples
        }


@pytest.fixture
def scene(store: SqliteStore) -> Scene:
    return Scene(store)


def invoke(metrics: Counters, endpoint: str = "e", **over: Any) -> None:
    given: dict[str, Any] = {
        "model_status": 200,
        "model_s": 0.02,
        "overhead_s": 0.001,
        "setup": None,
    }
    metrics.invocation(endpoint, "v", **{**given, **over})


@fidelity(
    "Metrics",
    "Invocations, ModelLatency and OverheadLatency are counted for each variant.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html",
)
def test_a_success_is_counted_and_timed(scene: Scene) -> None:
    invoke(scene.metrics)
    assert scene.value("invocations_total", **E_V) == 1
    assert scene.value("model_latency_seconds_sum", **E_V) == pytest.approx(0.02)
    assert scene.value("model_latency_seconds_bucket", **E_V, le="0.01") == 0
    assert scene.value("model_latency_seconds_bucket", **E_V, le="0.025") == 1
    assert scene.value("overhead_latency_seconds_count", **E_V) == 1
    for name in ("invocation_4xx_errors", "invocation_5xx_errors", "invocation_model_errors"):
        assert scene.value(f"{name}_total", **E_V) == 0, "a rate needs a zero to begin from"
    assert scene.value("cold_starts_total", **E_V) == 0


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
    scene: Scene,
    status: int | None,
    rejected: int,
    faults: int,
    errors: int,
) -> None:
    invoke(scene.metrics, model_status=status, model_s=None)
    assert scene.value("invocation_4xx_errors_total", **E_V) == rejected
    assert scene.value("invocation_5xx_errors_total", **E_V) == faults
    assert scene.value("invocation_model_errors_total", **E_V) == errors
    assert scene.value("model_latency_seconds_count", **E_V) == 0


@fidelity(
    "Metrics",
    "A serverless cold start is ModelSetupTime: getting the compute, the model and the "
    "container ready.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-monitoring.html",
)
def test_a_cold_start_is_counted_with_its_setup(scene: Scene) -> None:
    scene.metrics.started("e", "v", setup(2.0))
    invoke(scene.metrics, setup=setup(2.0), overhead_s=2.1)
    assert scene.value("cold_starts_total", **E_V) == 1
    assert scene.value("model_setup_time_seconds_sum", **E_V) == 2.0
    assert scene.value("container_starts_total", **E_V) == 1
    assert scene.value("container_start_phase_seconds_sum", **E_V, phase="boot") == 1.5
    assert scene.value("container_start_phase_seconds_sum", **E_V, phase="create") == 0.5


def test_throttles_failed_starts_and_replacements_are_counted(scene: Scene) -> None:
    scene.metrics.throttled("e", "v")
    scene.metrics.start_failed("e", "v")
    scene.metrics.replaced("e", "v", oom_killed=True)
    scene.metrics.replaced("e", "v", oom_killed=False)
    assert scene.value("throttled_invocations_total", **E_V) == 1
    assert scene.value("container_start_failures_total", **E_V) == 1
    assert scene.value("container_replacements_total", **E_V) == 2
    assert scene.value("container_oom_kills_total", **E_V) == 1


@fidelity(
    "Metrics",
    "Metrics of asynchronous endpoints have the endpoint's name as their only dimension.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html",
)
def test_asynchronous_events_have_the_endpoint_only(scene: Scene) -> None:
    for event in ASYNC_COUNTERS:
        scene.metrics.asynchronous("e", event)
    for event in ASYNC_TIMES:
        scene.metrics.asynchronous("e", event, 7.0)
    assert scene.value("async_invocations_processed_total", endpoint="e") == 1
    assert scene.value("async_expired_requests_total", endpoint="e") == 1
    assert scene.value("async_time_in_backlog_seconds_sum", endpoint="e") == 7.0


@fidelity(
    "Metrics",
    "CloudWatch itself is absent: its metrics are at /metrics under Prometheus's names, "
    "each with CloudWatch's own in its help.",
    ABSENT,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html",
)
def test_every_help_text_says_what_cloudwatch_calls_it(scene: Scene) -> None:
    helps = [family.documentation for family in scene.metrics.registry.collect()]
    for name in ("Invocations", "Invocation4XXErrors", "InvocationModelErrors", "ModelLatency"):
        assert any(text.startswith(f"{name}: ") for text in helps), name
    for name in ("OverheadLatency", "ModelSetupTime", "ConcurrentExecutions", "TimeInBacklog"):
        assert any(text.startswith(f"{name}: ") for text in helps), name


def test_counting_an_invocation_takes_microseconds(scene: Scene) -> None:
    scene.fleet.add(live(kind=EndpointKind.SERVERLESS, max_concurrency=4, initial_count=1))
    invoke(scene.metrics)
    best = min(timeit.repeat(lambda: invoke(scene.metrics), number=500, repeat=7)) / 500
    assert best < 100e-6, "some 10 on an idle machine"


def test_what_the_pools_hold_shows_at_once(scene: Scene) -> None:
    one = scene.fleet.add(
        live(
            kind=EndpointKind.SERVERLESS,
            servers=[server("a"), server("b"), server("c")],
            max_concurrency=4,
            initial_count=2,
        )
    )
    one.variants[0].pool.servers[0].emulated = True
    leases = [one.variants[0].pool.try_acquire() for _ in range(3)]
    assert scene.value("containers", **E_V) == 3
    assert scene.value("containers_emulated", **E_V) == 1
    assert scene.value("concurrent_executions", **E_V) == 3
    assert scene.value("serverless_concurrent_executions_utilization_ratio", **E_V) == 0.75
    assert scene.value("serverless_provisioned_concurrency_executions", **E_V) == 2
    assert scene.value("serverless_provisioned_concurrency_utilization_ratio", **E_V) == 1
    assert len(leases) == 3


@fidelity(
    "Metrics",
    "What exceeds the provisioned concurrency is counted as "
    "ServerlessProvisionedConcurrencySpilloverInvocations.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-monitoring.html",
)
def test_what_exceeds_provisioned_concurrency_spills_over(scene: Scene) -> None:
    one = scene.fleet.add(
        live(kind=EndpointKind.SERVERLESS, servers=[server("a"), server("b")], max_concurrency=4)
    )
    pool = one.variants[0].pool
    pool.try_acquire()
    invoke(scene.metrics)
    pool.try_acquire()
    invoke(scene.metrics)
    name = "serverless_provisioned_concurrency"
    assert scene.value(f"{name}_invocations_total", **E_V) == 1
    assert scene.value(f"{name}_spillover_invocations_total", **E_V) == 1


def test_series_of_deleted_endpoints_disappear_and_others_stay(scene: Scene) -> None:
    for name in ("gone", "kept"):
        invoke(scene.metrics, name, setup=setup())
        scene.metrics.started(name, "v", setup())
        scene.metrics.asynchronous(name, "InvocationFailures")
    scene.metrics.keep({"kept"})
    assert scene.endpoints() == {"kept"}
    invoke(scene.metrics, "gone")
    assert scene.value("invocations_total", endpoint="gone", variant="v") == 1


@fidelity(
    "Metrics",
    "HasBacklogWithoutCapacity is 1 while requests wait and no instance runs.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html",
)
def test_a_queue_without_instances_is_a_backlog_without_capacity(scene: Scene) -> None:
    waiting = Backlog(size=3, oldest_s=12.0)
    scene.backlogs = [("e", waiting), ("deleted", waiting)]
    one = scene.fleet.add(live(kind=EndpointKind.ASYNC, servers=[]))
    assert scene.value("async_approximate_backlog_size", endpoint="e") == 3
    assert scene.value("async_approximate_age_of_oldest_request_seconds", endpoint="e") == 12
    assert scene.value("async_has_backlog_without_capacity", endpoint="e") == 1
    assert scene.endpoints() == {"e"}
    pool_of(one).servers.extend([server("a"), server("b")])
    assert scene.value("async_has_backlog_without_capacity", endpoint="e") == 0
    assert scene.value("async_approximate_backlog_size_per_instance", endpoint="e") == 1.5


async def test_the_use_of_resources_is_sampled_in_the_background(store: SqliteStore) -> None:
    kept: list[set[str]] = []
    scene = Scene(store, keep=lambda names: kept.append(set(names)))
    add_endpoint(store, "e")
    scene.fleet.add(
        live(
            servers=[server("a"), server("b"), server("c")],
            compute=Compute(memory_bytes=1000, cpus=2.0, disk_bytes=400),
        )
    )
    answers = scene.launcher.answers
    answers |= {"a": vitals(disk_bytes=100), "b": vitals(memory_bytes=700), "c": OSError("gone")}
    await scene.sampler.start()
    await scene.clock.advance(0.1)
    answers["a"] = vitals(cpu_seconds=11.0, oom_kills=2, disk_bytes=100)
    answers["c"] = None
    await scene.clock.advance(5.0)
    await scene.sampler.close()
    assert scene.value("memory_utilization_ratio", **E_V, statistic="average") == pytest.approx(0.6)
    assert scene.value("memory_utilization_ratio", **E_V, statistic="maximum") == pytest.approx(0.7)
    assert scene.value("cpu_utilization_ratio", **E_V, statistic="maximum") == pytest.approx(2.0)
    assert scene.value("cpu_utilization_ratio", **E_V, statistic="average") == pytest.approx(1.0)
    assert scene.value("disk_utilization_ratio", **E_V, statistic="maximum") == 0.25
    assert scene.value("process_oom_kills_total", **E_V) == 2
    assert set(scene.sampler.vitals()) == {"a", "b"}
    assert kept == [{"e"}, {"e"}]
    scene.fleet.lives.clear()
    store.delete_endpoint("e")
    assert scene.endpoints() == set()


async def test_a_broken_round_does_not_end_the_sampling(store: SqliteStore) -> None:
    rounds = []

    def keep(names: Any) -> None:
        rounds.append(names)
        raise RuntimeError("broken")

    scene = Scene(store, keep=keep)
    await scene.sampler.start()
    await scene.clock.advance(11.0)
    await scene.sampler.close()
    assert len(rounds) == 3


def test_a_change_of_state_is_told_with_its_time(scene: Scene) -> None:
    add_endpoint(scene.store, "eye", modified_at=1_800_000_000.0, status=Status.UPDATING)
    found = scene.value("endpoint_status_timestamp_seconds", endpoint="eye", status="Updating")
    assert found == 1_800_000_000.0


# --- each container by itself --------------------------------------------------------------------


def told(scene: Scene) -> dict[str, dict[tuple[str, ...], float]]:
    """What is said of containers, by name and by the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in scene.metrics.registry.collect():
        for sample in family.samples:
            if "server" in sample.labels:
                assert set(sample.labels) == set(CONTAINERS[sample.name])
                labels = tuple(sample.labels[name] for name in CONTAINERS[sample.name])
                found.setdefault(sample.name, {})[labels] = sample.value
    return found


async def test_each_container_is_told_of_by_itself_and_as_the_boards_ask(scene: Scene) -> None:
    one, other = server("a"), server("b")
    one.setup = setup(2.0)
    scene.fleet.add(live(servers=[one, other]))
    scene.launcher.answers |= {
        "a": vitals(memory_bytes=300, cpu_seconds=4.5, threads=7),
        "b": vitals(memory_bytes=200, cpu_seconds=1.0, threads=3),
    }
    await scene.sampler.sample()
    seen = told(scene)
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


async def test_what_is_not_known_is_absent_rather_than_0(scene: Scene) -> None:
    scene.fleet.add(live(servers=[server("a"), server("new")]))
    scene.launcher.answers |= {"a": vitals(memory_limit_bytes=0, threads=None), "new": None}
    await scene.sampler.sample()
    seen = told(scene)
    assert set(seen) == {
        "sagemaker_container_cpu_seconds_total",
        "sagemaker_container_memory_bytes",
    }
    assert set(seen["sagemaker_container_memory_bytes"]) == {("e", "v", "a")}


async def test_the_series_end_with_the_container(scene: Scene) -> None:
    endpoint = scene.fleet.add(live(servers=[server("a"), server("b")]))
    scene.launcher.answers |= {"a": vitals(), "b": vitals()}
    await scene.sampler.sample()
    # The last round was before b went.
    pool_of(endpoint).servers.pop()
    assert set(told(scene)["sagemaker_container_memory_bytes"]) == {("e", "v", "a")}
    scene.fleet.lives.clear()
    assert told(scene) == {}
