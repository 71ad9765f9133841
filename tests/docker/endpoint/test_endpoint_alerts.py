"""Every alert that minutes can show: its fault is injected, it fires; the fault is gone, it clears.

The emulator, model containers, Pushgateway and Prometheus are real, and so are the rules, windows
and all (services/prometheus). The faults run side by side, in `make test-long`; two that need no
window are tried in `make test`, too, by a Prometheus that looks every second. Not here, for they
take more than ten minutes to fire: ModelErrorsBurnSlow, ModelLatencyBurnSlow, ModelLatencyUnusual,
InputDriftOverHour; these and all others are tried in Prometheus's own time machine
(tests/docker/test_alerts.py).
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from prometheus_client import push_to_gateway

from lab.artifacts import store
from lab.engine.api import ContainerSpec
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.observe.runs.exposition import JOB, registry
from lab.observe.runs.readings import Reading
from lab.paths import SERVICES
from lab.spec import LABEL_ROLE, Runtime
from tests.docker import known
from tests.docker.endpoint.site import BUCKET, Emulator, Site, realtime, serverless
from tests.ports import free_port
from tests.timing import wait_until

pytestmark = pytest.mark.docker

CLEAR_S = 900.0
"""Half of it are windows that must pass."""
BENCH = "smoke"
HASTE = {
    "scrape_interval: 5s": "scrape_interval: 1s",
    "scrape_timeout: 4s": "scrape_timeout: 1s",
    "evaluation_interval: 10s": "evaluation_interval: 1s",
    "for: 30s": "for: 1s",
}
"""Of the configuration and the rules, for a Prometheus that looks every second."""

Alert = tuple[str, str]
"""Its name, and the endpoint, variant or job that it is about."""


@dataclass(kw_only=True)
class Watch:
    """Prometheus and the Pushgateway, on this machine's own network."""

    prometheus: str
    gateway: str
    gateway_container: DockerContainer

    def firing(self) -> set[Alert]:
        said = httpx.get(f"{self.prometheus}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        return {
            (one["labels"]["alertname"], _about(one["labels"]))
            for one in said
            if one["state"] == "firing"
        }

    def value(self, query: str) -> float | None:
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=10
        ).json()
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def until(self, query: str) -> None:
        """Wait until the query finds something."""
        wait_until(lambda: self.value(query) is not None, otherwise=lambda: query)

    def until_firing(self, alerts: AbstractSet[Alert]) -> None:
        """Wait until each has fired: one may be over before another begins."""
        seen: set[Alert] = set()

        def all_seen() -> bool:
            seen.update(self.firing())
            return alerts <= seen

        wait_until(all_seen, every_s=0.2, otherwise=lambda: f"these never fired: {alerts - seen}")


def _about(labels: dict[str, str]) -> str:
    if labels["alertname"] == "TargetDown":
        return labels["job"]
    return labels.get("endpoint") or labels["variant"]


@pytest.fixture(scope="module")
def watch(
    engine: DockerEngine,
    built: Callable[[str], str],
    emulator: Emulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watch]:
    """As the lab has it."""
    with watching(engine, built, emulator, tmp_path_factory.mktemp("prometheus")) as made:
        yield made


@pytest.fixture(scope="module")
def hasty(
    engine: DockerEngine,
    built: Callable[[str], str],
    emulator: Emulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watch]:
    """The same rules, looked at every second."""
    config = tmp_path_factory.mktemp("prometheus")
    with watching(engine, built, emulator, config, changes=HASTE) as made:
        yield made


@contextmanager
def watching(
    engine: DockerEngine,
    built: Callable[[str], str],
    emulator: Emulator,
    config: Path,
    *,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Watch]:
    ports = {"prometheus": free_port(), "gateway": free_port()}
    shutil.copytree(SERVICES / "prometheus" / "rules", config / "rules")
    shutil.copy(SERVICES / "prometheus" / "prometheus.yml", config)
    places = {
        "endpoint:8800": f"127.0.0.1:{emulator.port}",
        "pushgateway:9091": f"127.0.0.1:{ports['gateway']}",
        "localhost:9090": f"127.0.0.1:{ports['prometheus']}",
    }
    for there, here in {**places, **(changes or {})}.items():
        texts = {path: path.read_text() for path in config.rglob("*.yml")}
        assert any(there in text for text in texts.values()), there
        for path, text in texts.items():
            path.write_text(text.replace(there, here))
    gateway = engine.create(
        ContainerSpec(
            image=built("pushgateway"),
            command=[f"--web.listen-address=127.0.0.1:{ports['gateway']}"],
            labels={LABEL_ROLE: "pushgateway"},
            network="host",
        )
    )
    try:
        gateway.start()
        with known.prometheus(
            engine,
            built("prometheus"),
            config,
            owner="test-alerts",
            port=ports["prometheus"],
        ) as url:
            made = Watch(
                prometheus=url,
                gateway=f"http://127.0.0.1:{ports['gateway']}",
                gateway_container=gateway,
            )
            _answers(f"{made.prometheus}/-/ready")
            _answers(f"{made.gateway}/-/ready")
            yield made
    finally:
        gateway.remove()


def _answers(url: str) -> None:
    wait_until(lambda: httpx.get(url, timeout=2).is_success, despite=httpx.TransportError)


@dataclass(kw_only=True)
class Fault:
    """What goes wrong, the alerts that must say so, and how it ends."""

    alerts: Sequence[Alert]
    inject: Callable[[], None]
    mend: Callable[[], None]


class Traffic:
    """Requests that may fail: that is what they are for."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def send(self, endpoint: str, **order: Any) -> None:
        self.raw(endpoint, json.dumps(order).encode(), "application/json")

    def raw(self, endpoint: str, body: bytes, kind: str) -> None:
        with suppress(ClientError):
            self.site.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=kind)[
                "Body"
            ].read()

    def many(self, endpoint: str, count: int, *, at_once: int = 4, **order: Any) -> None:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda _: self.send(endpoint, **order), range(count)))

    def pictures(self, endpoint: str, bodies: Sequence[bytes], count: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            sent = islice(cycle(bodies), count)
            list(pool.map(lambda body: self.raw(endpoint, body, "image/png"), sent))


class Scene:
    """Endpoints, each for one fault."""

    def __init__(self, site: Site, watch: Watch, *, image: str, model: str) -> None:
        self.site, self.watch, self.traffic = site, watch, Traffic(site)
        obedient = site.model()
        lasting = [site.config(realtime(obedient)) for _ in range(3)]
        small = [site.config(serverless(obedient, most=most)) for most in (4, 1)]
        names = [site.endpoint(one, wait=False) for one in (*lasting, *small)]
        self.wrong, self.slow, self.dying, self.cold, self.fat = names
        self.eyes = _eyes(site, image, model)
        names.append(self.eyes)
        for name in names:
            site.wait(name)
            self.traffic.send(name)
        # Rates begin with a second sample.
        for name in names:
            series = f'sagemaker_invocations_total{{endpoint="{name}"}}'
            watch.until(f"count_over_time({series}[1m]) > 1")
        self.ordinary = [one.path.read_bytes() for one in store.held_out(model)[:100]]
        self.odd = [one.path.read_bytes() for one in store.shifted(model)[:6]]

    def burst_from_nothing(self) -> None:
        for _ in range(3):
            _scale_to_zero(self.site, self.cold)
            self.traffic.many(self.cold, 8, at_once=8, sleep=1)

    def die(self) -> None:
        for number in range(4):
            _until_it_answers(self.site, self.dying)
            self.traffic.send(self.dying, die=number + 1)


def eat(traffic: Traffic, endpoint: str) -> None:
    """Most of a gigabyte, in pieces that fit beside what was eaten."""
    for _ in range(47):
        traffic.send(endpoint, eat=20)


def push(watch: Watch, seconds: float) -> None:
    """A bench that took so long, and one second before."""
    cell = dict.fromkeys(("model", "platform", "tier", "start_kind"), "any")
    cell |= {"variant": BENCH, "emulated": "false"}
    figures: Sequence[tuple[str, dict[str, str], float]] = (
        ("lab_bench_start_seconds", {"quantile": "0.5"}, seconds),
        ("lab_bench_start_seconds_lower", {}, 0.95 * seconds),
        ("lab_bench_previous_start_seconds", {}, 1.0),
    )
    told = registry(
        Reading(name=name, labels={**cell, **more}, value=value) for name, more, value in figures
    )
    push_to_gateway(watch.gateway, job=JOB, registry=told, grouping_key={"plan": "p"})


@pytest.fixture(scope="module")
def faults(
    site: Site, watch: Watch, built: Callable[[str], str], mobilenet: str
) -> Sequence[Fault]:
    scene = Scene(site, watch, image=built("onnx-slim"), model=mobilenet)
    traffic = scene.traffic
    return [
        Fault(
            alerts=[("ModelErrorsBurnFast", scene.wrong)],
            inject=lambda: traffic.many(scene.wrong, 40, status=500),
            # Good answers: the errors are no longer so large a part of the last half hour.
            mend=lambda: traffic.many(scene.wrong, 1500),
        ),
        Fault(
            alerts=[("ModelLatencyBurnFast", scene.slow)],
            inject=lambda: traffic.many(scene.slow, 24, at_once=12, sleep=1.3),
            mend=lambda: traffic.many(scene.slow, 1500),
        ),
        Fault(
            alerts=[("ColdStartsMany", scene.cold), ("RequestsThrottled", scene.cold)],
            inject=scene.burst_from_nothing,
            mend=lambda: traffic.many(scene.cold, 300, at_once=2),
        ),
        Fault(
            alerts=[("ContainerLost", scene.dying), ("ContainerCrashLoop", scene.dying)],
            inject=scene.die,
            mend=lambda: None,
        ),
        Fault(
            alerts=[("MemoryNearTier", scene.fat)],
            inject=lambda: eat(traffic, scene.fat),
            mend=lambda: _scale_to_zero(site, scene.fat),
        ),
        Fault(
            alerts=[("InputDrift", scene.eyes)],
            inject=lambda: traffic.pictures(scene.eyes, scene.odd, 60),
            mend=lambda: traffic.pictures(scene.eyes, scene.ordinary, 1500),
        ),
        Fault(
            alerts=[("BenchSlower", BENCH)],
            inject=lambda: push(watch, 1.5),
            mend=lambda: push(watch, 1.0),
        ),
    ]


def _eyes(site: Site, image: str, model: str) -> str:
    archive = store.find(model, Runtime.ONNX)
    site.s3.put_object(Bucket=BUCKET, Key="eyes/model.tar.gz", Body=archive.path.read_bytes())
    made = site.model(image, data=f"s3://{BUCKET}/eyes/model.tar.gz")
    return site.endpoint(site.config(realtime(made)), wait=False)


def _scale_to_zero(site: Site, endpoint: str) -> None:
    path = f"/_lab/endpoints/{endpoint}/scale-to-zero"
    assert httpx.post(f"{site.emulator.url}{path}", timeout=60).is_success


def _until_it_answers(site: Site, endpoint: str) -> None:
    wait_until(lambda: site.invoke(endpoint, b"{}"), despite=ClientError, every_s=0.5)


@pytest.mark.long
def test_each_alert_fires_when_its_fault_is_injected_and_clears_afterwards(
    watch: Watch, faults: Sequence[Fault]
) -> None:
    everything = {alert for fault in faults for alert in fault.alerts}
    assert not everything & watch.firing()

    with ThreadPoolExecutor(len(faults)) as pool:
        running = [pool.submit(fault.inject) for fault in faults]
        watch.until_firing(everything)
        for one in running:
            one.result()

    with ThreadPoolExecutor(len(faults)) as pool:
        for done in [pool.submit(fault.mend) for fault in faults]:
            done.result()
    deadline = time.monotonic() + CLEAR_S
    while (left := everything & watch.firing()) and time.monotonic() < deadline:
        time.sleep(2)
    assert not left, "these never cleared"


@pytest.mark.long
def test_a_target_that_is_gone_is_missed_and_its_return_is_noticed(watch: Watch) -> None:
    down = ("TargetDown", "pushgateway")
    assert down not in watch.firing()
    watch.gateway_container.stop(grace_s=2)
    watch.until_firing({down})
    watch.gateway_container.start()
    wait_until(lambda: down not in watch.firing())


def test_a_container_that_fills_its_memory_and_a_slower_bench_are_alerts_until_they_are_mended(
    hasty: Watch, site: Site
) -> None:
    fat = site.endpoint(site.config(serverless(site.model(), most=1)))
    alerts = {("MemoryNearTier", fat), ("BenchSlower", BENCH)}
    assert not alerts & hasty.firing()
    eat(Traffic(site), fat)
    push(hasty, 1.5)
    hasty.until_firing(alerts)
    _scale_to_zero(site, fat)
    push(hasty, 1.0)
    wait_until(lambda: not alerts & hasty.firing())
    site.delete(fat)
