"""The recording rule of drift, by a real Prometheus, against the same computed in Python."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest

from app.metrics import Metrics
from app.seen import Seen
from lab.engine.docker import DockerEngine
from lab.observe import drift
from tests.docker import known
from tests.timing import wait_until

pytestmark = pytest.mark.docker

FIRST = {
    "schema": 1,
    "features": {
        "grade": {"edges": [1, 2, 3, 4], "share": [0.2] * 5},
        "brightness": {"edges": [0.3, 0.4, 0.5], "share": [0.1, 0.4, 0.5, 0.0]},
    },
}
SECOND = {
    "schema": 1,
    "features": {"grade": {"edges": [1, 2, 3, 4], "share": [0.6, 0.1, 0.1, 0.1, 0.1]}},
}

CONTAINERS = {
    "a": ("eyes", "first"),
    "b": ("eyes", "first"),
    "c": ("eyes", "second"),
    "d": ("idle", "first"),
    "e": ("bare", "none"),
}
"""Each with its endpoint and its model."""


class Pages:
    """The metrics pages of some containers, on one port; a container may go away."""

    def __init__(self) -> None:
        self.metrics = {name: Metrics() for name in CONTAINERS}
        for name, (_, model) in CONTAINERS.items():
            self.metrics[name].refer({"first": FIRST, "second": SECOND}.get(model))
        self.gone: set[str] = set()
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/")
                if name in pages.gone:
                    self.send_error(503)
                    return
                kind, body = pages.metrics[name].page()
                self.send_response(200)
                self.send_header("content-type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def see(self, name: str, count: int, *, light: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        pictures = [
            Seen(
                grade=int(grade),
                confidence=0.9,
                brightness=float(brightness),
                contrast=0.4,
                size=1000,
                pixels=50176,
            )
            for grade, brightness in zip(
                random.integers(0, 5, count), random.normal(light, 0.1, count), strict=True
            )
        ]
        self.metrics[name].observe(status=200, request_s=0.01, seen=pictures)


Query = Callable[[str], Sequence[tuple[Mapping[str, str], float]]]


@pytest.fixture(scope="module")
def query(
    engine: DockerEngine,
    built: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Query]:
    """Prometheus at one moment, after traffic to several containers, one of which is gone."""
    pages = Pages()
    config = tmp_path_factory.mktemp("prometheus") / "prometheus.yml"
    config.write_text(_config(pages.server.server_port))
    try:
        image = built("prometheus")
        with (
            known.prometheus(engine, image, config.parent, owner="test-drift") as url,
            httpx.Client(base_url=url, timeout=10) as http,
        ):
            at = _traffic(pages, http)

            def ask(expression: str) -> Sequence[tuple[Mapping[str, str], float]]:
                answer = http.get("/api/v1/query", params={"query": expression, "time": at}).json()
                assert answer["status"] == "success", answer
                return [
                    (series["metric"], float(series["value"][1]))
                    for series in answer["data"]["result"]
                ]

            yield ask
    finally:
        pages.server.shutdown()
        pages.server.server_close()


def _config(port: int) -> str:
    jobs = "".join(
        f"""
  - job_name: {name}
    metrics_path: /{name}
    static_configs:
      - targets: ["127.0.0.1:{port}"]
        labels: {{endpoint: {endpoint}, model: {model}, server: {name}}}
"""
        for name, (endpoint, model) in CONTAINERS.items()
    )
    return f"global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\nscrape_configs:{jobs}"


def _traffic(pages: Pages, http: httpx.Client) -> float:
    # Until it has read its own log, Prometheus answers 503.
    wait_until(lambda: _up(http) == len(CONTAINERS), despite=(httpx.TransportError, ValueError))
    for round_ in range(5):
        pages.see("a", 20, light=0.35, seed=round_)
        pages.see("b", 10, light=0.60, seed=10 + round_)
        pages.see("c", 10, light=0.40, seed=20 + round_)
        pages.see("d", 5, light=0.40, seed=30 + round_)
        pages.see("e", 20, light=0.40, seed=40 + round_)
        time.sleep(0.5)
        if round_ == 3:
            pages.gone.add("a")
    time.sleep(1)
    return time.time()


def _up(http: httpx.Client) -> int:
    try:
        answer = http.get("/api/v1/query", params={"query": "up == 1"}).json()
    except httpx.TransportError:
        return 0
    return len(answer.get("data", {}).get("result", []))


@pytest.mark.parametrize("window", drift.WINDOWS)
def test_the_rule_says_what_the_formula_says(query: Query, window: str) -> None:
    recorded = {
        (labels["endpoint"], labels["feature"]): value
        for labels, value in query(drift.rule_expression(window))
    }
    assert recorded == {
        key: pytest.approx(value, rel=1e-6) for key, value in drift.measured(query, window).items()
    }
    assert set(recorded) == {("eyes", "grade"), ("eyes", "brightness")}
    assert recorded["eyes", "brightness"] > drift.LARGE


def test_the_worst_model_is_the_endpoints(query: Query) -> None:
    recorded = {
        (labels["endpoint"], labels["feature"]): value
        for labels, value in query(drift.rule_expression("5m"))
    }
    seen = {
        labels["bin"]: value
        for labels, value in query(f'{drift.BIN}{{server="c",feature="grade"}}')
    }
    # Increases are a little more than counts (extrapolated), their shares are not.
    wanted = drift.psi([seen[str(grade)] for grade in range(5)], [0.6, 0.1, 0.1, 0.1, 0.1])
    assert recorded["eyes", "grade"] == pytest.approx(wanted, rel=0.05)


def test_a_container_that_is_gone_still_counts_within_the_window(query: Query) -> None:
    assert query(f'{drift.BIN}{{server="a"}}') == []
    images = {
        (labels["endpoint"], labels["feature"]): value
        for labels, value in query(drift.images_expression("5m"))
    }
    # 80 or 100 of a's, 50 of b's, 50 of c's.
    assert 170 <= images["eyes", "grade"] <= 230


def test_few_images_have_a_count_but_no_figure(query: Query) -> None:
    images = {
        (labels["endpoint"], labels["feature"]): value
        for labels, value in query(drift.images_expression("5m"))
    }
    assert 20 <= images["idle", "grade"] < drift.LEAST_IMAGES
    assert [key for key in images if key[0] == "bare"] == []
