"""A run of the bench in a real Pushgateway, and a past one in a real Prometheus."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.coldstart.record import Sample
from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.container import DockerContainer
from lab.engine.docker.engine import DockerEngine
from lab.errors import UsageError
from lab.observe.boards.generate import FOLDER
from lab.observe.render import draw
from lab.observe.render.board import find
from lab.observe.render.prometheus import Prometheus
from lab.observe.runs.push import offer, offer_load
from lab.observe.runs.readings import read
from lab.observe.runs.replay import replay
from lab.progress import Silent
from lab.report.formats.write import write_report
from lab.report.load.write import write_report as write_load_report
from lab.spec import LABEL_ROLE, StartKind
from tests.ports import free_port
from tests.timing import wait_until
from tests.unit.report.load import loads
from tests.unit.report.synthetic import Script, write

_CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: pushgateway
    honor_labels: true
    static_configs: [{{targets: ["{gateway}:9091"]}}]
"""
MEDIAN = 'lab_bench_start_seconds{variant="onnx-slim",start_kind="fresh",quantile="0.5"}'


@dataclass(frozen=True, kw_only=True)
class Pair:
    gateway: str
    prometheus: Prometheus
    container: DockerContainer

    def ask(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.prometheus.ask(
            "/api/v1/query", query=query, **({} if at is None else {"time": f"{at:.3f}"})
        )["result"]
        return found

    def soon(self, query: str) -> list[dict[str, Any]]:
        """What it answers with as soon as that is anything."""
        return wait_until(lambda: self.ask(query), otherwise=lambda: query)

    def start_again(self, _: float = 0) -> None:
        """Prometheus looks for new blocks once a minute, and when it starts."""
        self.container.stop()
        self.container.start()
        _wait(f"{self.prometheus.url}/-/ready")


@pytest.fixture(scope="module")
def pair(
    engine: DockerEngine, built: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    name = f"inference-lab-test-{secrets.token_hex(4)}"
    config = tmp_path_factory.mktemp("prometheus") / "prometheus.yml"
    config.write_text(_CONFIG.format(gateway=f"{name}-gateway"))
    config.parent.chmod(0o755)
    engine.ensure_network(name)
    # The engine's own choice would be another one after each start.
    ports = [free_port(), free_port()]
    made = []
    try:
        gateway = engine.create(
            ContainerSpec(
                image=built("pushgateway"),
                name=f"{name}-gateway",
                command=(),
                port=9091,
                publish=ports[0],
                network=name,
            )
        )
        made.append(gateway)
        prometheus = engine.create(
            ContainerSpec(
                image=built("prometheus"),
                name=f"{name}-prometheus",
                command=(
                    "--config.file=/test.yml",
                    "--storage.tsdb.path=/prometheus",
                    "--storage.tsdb.retention.time=30d",
                ),
                labels={LABEL_ROLE: "prometheus"},
                mounts=(
                    Mount(source=str(config), target="/test.yml"),
                    Mount(source=None, target="/prometheus", read_only=False),
                ),
                port=9090,
                publish=ports[1],
                network=name,
            )
        )
        made.append(prometheus)
        for container in made:
            container.start()
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url in urls:
            _wait(f"{url}/-/ready")
        with Prometheus(urls[1]) as server:
            yield Pair(gateway=urls[0], prometheus=server, container=prometheus)
    finally:
        for container in made:
            container.remove()
        engine.client.remove_network(name)


def _wait(url: str) -> None:
    wait_until(lambda: httpx.get(url).status_code == 200, despite=httpx.HTTPError)


def make(runs: Path, *, began: datetime, plan: str, noise: float = 0.03) -> Path:
    """A finished run that began at that time."""
    stamp = f"{began:%Y%m%dT%H%M%SZ}-{plan}"

    def at(sample: Sample) -> Sample:
        when = began + timedelta(seconds=3 * sample.trial)
        return sample.model_copy(update={"started_at": when.isoformat()})

    kinds = (StartKind.RESTART, StartKind.FRESH)
    folder = write(runs / stamp, Script(kinds=kinds, edit=at, noise=noise))
    run = (folder / "run.json").read_text()
    run = run.replace("20261120T120501Z-default", stamp).replace(
        "2026-11-20T12:05:01Z", began.isoformat()
    )
    (folder / "run.json").write_text(run.replace('"plan_name":"default"', f'"plan_name":"{plan}"'))
    write_report(folder)
    return folder


def test_a_run_that_ends_is_in_prometheus_without_further_steps(pair: Pair, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    make(tmp_path, began=now - timedelta(hours=2), plan="pushed", noise=0.05)
    folder = make(tmp_path, began=now - timedelta(hours=1), plan="pushed")
    said = offer(folder, runs=tmp_path, env={"LAB_PUSHGATEWAY_URL": pair.gateway})
    assert said == f"Pushed to {pair.gateway} as the newest run of pushed."
    found = pair.soon(f'lab_bench_run_info{{run="{folder.name}"}}')
    assert found[0]["metric"]["job"] == "bench"
    before = pair.ask('lab_bench_previous_start_seconds{plan="pushed",variant="onnx-slim"}')
    assert len(before) == 2
    slower = pair.ask(
        f'{MEDIAN} / ignoring(quantile) lab_bench_previous_start_seconds{{plan="pushed"}}'
    )
    assert 0.8 < float(slower[0]["value"][1]) < 1.2


def test_loads_that_end_fill_every_panel_of_their_board(pair: Pair, tmp_path: Path) -> None:
    cold, closed = (
        loads.with_cold(tmp_path),
        loads.write(tmp_path, loads.latencies(), name="closed", clients=2),
    )
    for folder in (cold, closed):
        write_load_report(folder)
        said = offer_load(folder.path, env={"LAB_PUSHGATEWAY_URL": pair.gateway})
        assert said == f"Pushed to {pair.gateway} as the newest run of {loads.TARGET}."
    found = pair.soon('lab_load_latency_seconds{quantile="0.95",requests="all",loop="open"}')
    assert found[0]["metric"]["schedule"] == "constant:20/s"
    assert found[0]["metric"]["job"] == "load"
    pair.soon('lab_load_valid{loop="closed"}')
    boards, options = find(FOLDER, ["lab-load"]), draw.DrawOptions(range="5m")

    def empty() -> list[str]:
        drawn = draw.draw(boards, pair.prometheus, options)
        draw.refuse_failed(drawn)
        return [panel.title for board in drawn for panel in board.of(draw.PanelState.EMPTY)]

    # A curve has its first point at the next step of its range.
    wait_until(lambda: not empty(), otherwise=empty)


@pytest.mark.parametrize(
    "plan", ["replayed", pytest.param("found-within-its-minute", marks=pytest.mark.long)]
)
def test_a_past_run_answers_at_the_time_when_it_happened(
    pair: Pair, engine: DockerEngine, tmp_path: Path, plan: str
) -> None:
    folder = make(tmp_path, began=datetime.now(UTC) - timedelta(days=1), plan=plan)
    bench = read(folder)
    pause = pair.start_again if plan == "replayed" else time.sleep

    def again() -> Any:
        return replay(
            folder,
            runs=tmp_path,
            prometheus=pair.prometheus,
            docker=engine.address,
            progress=Silent(),
            pause=pause,
        )

    done = again()
    assert done.new
    assert done.blocks
    row = next(
        one
        for one in bench.summary.rows
        if (one.variant, one.start_kind) == ("onnx-slim", StartKind.FRESH)
    )
    told = pair.ask(f'{MEDIAN} and on(plan) lab_bench_run_info{{plan="{plan}"}}', bench.ended + 1)
    assert float(told[0]["value"][1]) == pytest.approx(row.total_s.p50)
    assert not pair.ask(f'lab_bench_start_seconds{{plan="{plan}"}}')

    trials = pair.ask(
        f'count_over_time(lab_bench_trial_start_seconds{{plan="{plan}",variant="onnx-slim"}}[1h])',
        bench.ended + 1,
    )
    assert [one["value"][1] for one in trials] == ["10", "10"]
    assert not again().new


def test_nothing_is_lost_when_prometheus_starts_again_after_a_replay(
    pair: Pair,
) -> None:
    live = pair.soon("count_over_time(up[1h])")
    pair.start_again()
    after = pair.ask("count_over_time(up[1h])")
    assert int(after[0]["value"][1]) >= int(live[0]["value"][1])


def test_what_prometheus_holds_in_memory_is_not_overwritten(
    pair: Pair, engine: DockerEngine, tmp_path: Path
) -> None:
    folder = make(tmp_path, began=datetime.now(UTC), plan="fresh")
    with pytest.raises(UsageError, match="holds in memory"):
        replay(
            folder,
            runs=tmp_path,
            prometheus=pair.prometheus,
            docker=engine.address,
            progress=Silent(),
        )
