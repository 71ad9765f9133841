"""The recording rule of drift, by a real Prometheus, against the same computed in Python."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest

from app.metrics import Metrics
from app.tasks.image_classification import ImageClassification
from lab.engine.docker.engine import DockerEngine
from tests import drift
from tests.docker import known
from tests.drift import measured, psi
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

PICTURES = {"a": 20, "b": 10, "c": 10, "d": 5, "e": 20}
"""How many each sees in a round."""
LIGHT = {"a": 0.35, "b": 0.60, "c": 0.40, "d": 0.40, "e": 0.40}


class Pages:
    """The metrics pages of some containers, on one port; a container may go away."""

    def __init__(self) -> None:
        self.metrics = {name: Metrics() for name in CONTAINERS}
        for name, (_, model) in CONTAINERS.items():
            self.metrics[name].describe(
                ImageClassification.features, {"first": FIRST, "second": SECOND}.get(model)
            )
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
            {
                "grade": int(grade),
                "confidence": 0.9,
                "brightness": float(brightness),
                "contrast": 0.4,
                "bytes": 1000,
                "pixels": 50176,
            }
            for grade, brightness in zip(
                random.integers(0, 5, count), random.normal(light, 0.1, count), strict=True
            )
        ]
        self.metrics[name].observe(status=200, request_s=0.01, noted=pictures)


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
    def told(expression: str) -> dict[str, float]:
        answer = http.get("/api/v1/query", params={"query": expression}).json()
        return {
            series["metric"]["server"]: float(series["value"][1])
            for series in answer.get("data", {}).get("result", [])
        }

    def until(expression: str, wanted: Mapping[str, float]) -> None:
        # Until it has read its own log, Prometheus answers 503.
        wait_until(
            lambda: told(expression) == wanted,
            despite=(httpx.TransportError, ValueError),
            otherwise=lambda: (expression, told(expression)),
        )

    until("up == 1", dict.fromkeys(CONTAINERS, 1))
    counted = dict.fromkeys(("a", "b", "c", "d"), 0)  # e has nothing to compare with
    for round_ in range(5):
        if round_ == 4:
            pages.gone.add("a")
            del counted["a"]
        for place, (name, light) in enumerate(LIGHT.items()):
            pages.see(name, PICTURES[name], light=light, seed=10 * place + round_)
        counted = {name: count + PICTURES[name] for name, count in counted.items()}
        until(f'sum by (server) ({drift.BIN}{{feature="grade"}})', counted)
    until("up == 0", {"a": 0})
    at = time.time()
    # What is asked at that time is all in: each has been looked at once more since.
    wait_until(lambda: min(told("timestamp(up)").values()) > at)
    return at


@pytest.mark.parametrize("window", drift.WINDOWS)
def test_the_rule_says_what_the_formula_says(query: Query, window: str) -> None:
    recorded = {
        (labels["endpoint"], labels["feature"]): value
        for labels, value in query(drift.rule_expression(window))
    }
    assert recorded == {
        key: pytest.approx(value, rel=1e-6) for key, value in measured(query, window).items()
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
    wanted = psi([seen[str(grade)] for grade in range(5)], [0.6, 0.1, 0.1, 0.1, 0.1])
    assert recorded["eyes", "grade"] == pytest.approx(wanted, rel=0.05)


def test_a_container_that_is_gone_still_counts_within_the_window(query: Query) -> None:
    assert query(f'{drift.BIN}{{server="a"}}') == []
    inputs = {
        (labels["endpoint"], labels["feature"]): value
        for labels, value in query(drift.inputs_expression("5m"))
    }
    # 80 of a's, 50 of b's, 50 of c's, and what extrapolation adds.
    assert 170 <= inputs["eyes", "grade"] <= 230


def test_few_inputs_have_a_count_but_no_figure(query: Query) -> None:
    inputs = {
        (labels["endpoint"], labels["feature"]): value
        for labels, value in query(drift.inputs_expression("5m"))
    }
    assert 20 <= inputs["idle", "grade"] < drift.LEAST_INPUTS
    assert [key for key in inputs if key[0] == "bare"] == []
